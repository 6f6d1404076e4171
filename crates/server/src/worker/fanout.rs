//! From one frame to many outboxes: events of a user, published frames, broadcasts in slices.
//!
//! Frames are shared, never copied. A broadcast to everybody goes on slice by slice between other
//! work, so that it does not hold up anybody's events.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::connection::Connection;
use super::job::Audience;
use super::state::State;
use crate::delivery::Delivery;
use crate::session::Endpoint;

/// Connections that a broadcast reaches in one turn.
const BROADCAST_SLICE: u32 = 256;

/// Broadcasts that are under way.
#[derive(Default)]
pub(super) struct Broadcasts(VecDeque<Broadcast>);

struct Broadcast {
    endpoint: Endpoint,
    frame: Bytes,
    next: u32,
    reached: usize,
    count: Option<oneshot::Sender<usize>>,
}

impl Broadcasts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl State {
    /// What a commit has brought, in commit order.
    pub(super) fn deliver(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            match delivery {
                Delivery::Event { user, seq, frame } => self.event(&user, seq, &frame),
                Delivery::Answer { connection: key, frame, rejected } => {
                    if rejected {
                        self.desk.stats.rejected_commands.increment();
                    }
                    if let Some(Connection { session, outbox, .. }) = self.slots.find(key) {
                        session.answer(frame, outbox);
                        self.desk.stats.messages_out.increment();
                        self.touch(key.index);
                    }
                }
            }
        }
    }

    fn event(&mut self, user: &Arc<str>, seq: u64, frame: &Bytes) {
        let Some(user) = self.users.get_mut(user) else { return };
        user.fanned = user.fanned.max(seq);
        for waiting in user.waiting.drain(..) {
            // A caller who has gone waits no more.
            let _ = waiting.send(());
        }
        let mut reached = 0;
        for &index in &user.connections {
            let Some(connection) = self.slots.get(index) else { continue };
            if connection.session.event(seq, frame, &mut connection.outbox) {
                reached += 1;
                if !connection.touched {
                    connection.touched = true;
                    self.touched.push(index);
                }
            }
        }
        self.desk.stats.messages_out.add(reached);
    }

    pub(super) fn publish(
        &mut self,
        endpoint: Endpoint,
        audience: Audience,
        frame: Bytes,
        count: Option<oneshot::Sender<usize>>,
    ) {
        match audience {
            Audience::Everybody => {
                let broadcast = Broadcast { endpoint, frame, next: 0, reached: 0, count };
                self.broadcasts.0.push_back(broadcast);
            }
            Audience::User(user) => {
                let mut reached = 0;
                for index in self.places_of(&user) {
                    reached += usize::from(self.publish_to(index, endpoint, &frame));
                }
                tell(count, reached);
            }
        }
    }

    fn publish_to(&mut self, index: u32, endpoint: Endpoint, frame: &Bytes) -> bool {
        let Some(Connection { session, outbox, .. }) = self.slots.get(index) else { return false };
        let reached = session.endpoint == endpoint && session.publish(frame, outbox);
        if reached {
            self.desk.stats.messages_out.increment();
            self.touch(index);
        }
        reached
    }

    /// The next slice of the oldest broadcast.
    pub(super) fn broadcast_slice(&mut self) {
        let Some(mut broadcast) = self.broadcasts.0.pop_front() else { return };
        let end = self.slots.len().min(broadcast.next + BROADCAST_SLICE);
        for index in broadcast.next..end {
            let reached = self.publish_to(index, broadcast.endpoint, &broadcast.frame);
            broadcast.reached += usize::from(reached);
        }
        broadcast.next = end;
        if end < self.slots.len() {
            self.broadcasts.0.push_front(broadcast);
        } else {
            tell(broadcast.count, broadcast.reached);
        }
    }
}

fn tell(count: Option<oneshot::Sender<usize>>, reached: usize) {
    if let Some(count) = count {
        // The publisher may have hung up.
        let _ = count.send(reached);
    }
}
