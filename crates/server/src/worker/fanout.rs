//! From one frame to many outboxes: events of a user, published frames, broadcasts in slices.
//!
//! Frames are shared, never copied, and where connections have agreed to compressed ones, compressed
//! once for all of them here. A broadcast to everybody walks over the connections slice by
//! slice between other work, so that it does not hold up anybody's events. All broadcasts share
//! one walk: a later one joins it where it is and goes round once, so what was published in one
//! go leaves each socket in one write.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::connection::Connection;
use super::job::Audience;
use super::state::State;
use crate::compression::SharedFrame;
use crate::delivery::Delivery;
use crate::session::Endpoint;

/// Connections that a broadcast reaches in one turn.
const BROADCAST_SLICE: u32 = 256;

/// Broadcasts that are under way, the oldest first.
#[derive(Default)]
pub(super) struct Broadcasts {
    active: VecDeque<Broadcast>,
    /// The place that the walk comes to next.
    walk: u32,
}

struct Broadcast {
    endpoint: Endpoint,
    frame: SharedFrame,
    /// Where the walk was when this one joined it.
    from: u32,
    /// The walk has begun anew since: at `from` this one is done.
    wrapped: bool,
    reached: usize,
    count: Option<oneshot::Sender<usize>>,
}

impl Broadcasts {
    pub(super) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// Joins the walk over `places` places.
    fn join(
        &mut self,
        endpoint: Endpoint,
        frame: Bytes,
        count: Option<oneshot::Sender<usize>>,
        places: u32,
    ) {
        if places == 0 {
            return tell(count, 0);
        }
        self.wrap(places);
        let from = self.walk;
        self.active.push_back(Broadcast {
            endpoint,
            frame: SharedFrame::new(frame),
            from,
            wrapped: false,
            reached: 0,
            count,
        });
    }

    /// At the last place the walk begins anew. Places are only ever added, at the end.
    fn wrap(&mut self, places: u32) {
        if self.walk >= places {
            self.walk = 0;
            for broadcast in &mut self.active {
                broadcast.wrapped = true;
            }
        }
    }

    /// The place to visit now; `None` where every broadcast has been everywhere. An earlier one is
    /// always further on its way.
    fn next(&mut self, places: u32) -> Option<u32> {
        self.wrap(places);
        while let Some(oldest) = self.active.front()
            && oldest.wrapped
            && oldest.from == self.walk
        {
            let done = self.active.pop_front()?;
            tell(done.count, done.reached);
        }
        if self.active.is_empty() {
            return None;
        }
        self.walk += 1;
        Some(self.walk - 1)
    }
}

impl State {
    /// What a commit has brought, in commit order.
    pub(super) fn deliver(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            match delivery {
                Delivery::Event { user, seq, frame } => self.event(&user, seq, frame),
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

    fn event(&mut self, user: &Arc<str>, seq: u64, frame: Bytes) {
        let Some(user) = self.users.get_mut(user) else { return };
        user.fanned = user.fanned.max(seq);
        for waiting in user.waiting.drain(..) {
            // A caller who has gone waits no more.
            let _ = waiting.send(());
        }
        let mut frame = SharedFrame::new(frame);
        let mut reached = 0;
        for &index in &user.connections {
            let Some(connection) = self.slots.get(index) else { continue };
            if connection.session.event(seq, &mut frame, &mut connection.outbox) {
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
                self.broadcasts.join(endpoint, frame, count, self.slots.len());
            }
            Audience::User(user) => {
                let mut frame = SharedFrame::new(frame);
                let mut reached = 0;
                for index in self.places_of(&user) {
                    reached += usize::from(self.publish_to(index, endpoint, &mut frame));
                }
                tell(count, reached);
            }
        }
    }

    fn publish_to(&mut self, index: u32, endpoint: Endpoint, frame: &mut SharedFrame) -> bool {
        let Some(Connection { session, outbox, .. }) = self.slots.get(index) else { return false };
        let reached = session.endpoint == endpoint && session.publish(frame, outbox);
        if reached {
            self.desk.stats.messages_out.increment();
            self.touch(index);
        }
        reached
    }

    /// The next slice of the walk: every broadcast to every connection there.
    pub(super) fn broadcast_slice(&mut self) {
        let Self { broadcasts, slots, touched, desk, .. } = self;
        let mut sent = 0;
        for _ in 0..BROADCAST_SLICE {
            let Some(index) = broadcasts.next(slots.len()) else { break };
            let Some(connection) = slots.get(index) else { continue };
            let Connection { session, outbox, .. } = connection;
            let mut reached = false;
            for broadcast in &mut broadcasts.active {
                if session.endpoint == broadcast.endpoint
                    && session.publish(&mut broadcast.frame, outbox)
                {
                    broadcast.reached += 1;
                    sent += 1;
                    reached = true;
                }
            }
            if reached && !connection.touched {
                connection.touched = true;
                touched.push(index);
            }
        }
        desk.stats.messages_out.add(sent);
    }
}

fn tell(count: Option<oneshot::Sender<usize>>, reached: usize) {
    if let Some(count) = count {
        // The publisher may have hung up.
        let _ = count.send(reached);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(walk: &mut Broadcasts, places: u32) {
        walk.join(Endpoint::Realtime, Bytes::new(), None, places);
    }

    #[test]
    fn a_broadcast_visits_every_place_once_wherever_it_joins() {
        let mut walk = Broadcasts::default();
        join(&mut walk, 5);
        let visited: Vec<_> = (0..3).map(|_| walk.next(5).unwrap()).collect();
        assert_eq!(visited, [0, 1, 2]);
        join(&mut walk, 5);
        let mut with_second = Vec::new();
        while let Some(place) = walk.next(5) {
            with_second.push((place, walk.active.len()));
        }
        // Two of them at 3 and 4; the first is done there, the second goes round.
        assert_eq!(with_second, [(3, 2), (4, 2), (0, 1), (1, 1), (2, 1)]);
    }

    #[test]
    fn places_that_are_added_on_the_way_are_visited_and_none_is_missed() {
        let mut walk = Broadcasts::default();
        join(&mut walk, 4);
        walk.next(4);
        join(&mut walk, 4);
        let mut visited = Vec::new();
        while let Some(place) = walk.next(6) {
            visited.push(place);
        }
        assert_eq!(visited, [1, 2, 3, 4, 5, 0]);
    }

    #[test]
    fn with_nobody_there_a_broadcast_is_done_at_once() {
        let (count, mut counted) = oneshot::channel();
        let mut walk = Broadcasts::default();
        walk.join(Endpoint::Realtime, Bytes::new(), Some(count), 0);
        assert!(walk.is_empty());
        assert_eq!(counted.try_recv(), Ok(0));
    }
}
