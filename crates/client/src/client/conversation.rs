//! One open connection: frames to the replica, frames from it, fresh tokens.
//!
//! Owns the connection from the end of the handshake to its own end, and says how it ended.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use draftwire_protocol::json::object;
use draftwire_protocol::kind::names;
use tokio::time::{Instant, sleep, sleep_until};

use super::driver::{Driver, Stop, fetch_token};
use super::status::{Reason, Status};
use super::subscription::Published;
use crate::connection::{Connection, Message};
use crate::link::End;
use crate::replica::Notice;

/// Bytes that may wait for the socket before further commands are taken from the queue.
const SEND_AHEAD_BYTES: usize = 256 * 1024;
/// A token source that failed before the token's end is asked again after this time.
const TOKEN_RETRY: Duration = Duration::from_secs(5);
/// Heartbeats of silence after which the connection is dead; the server itself waits for two.
const HEARTBEATS_MISSED: f64 = 2.5;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

type Renewal = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;
type Ended = (End, Reason);

pub(super) struct Conversation<'d> {
    driver: &'d mut Driver,
    connection: Connection,
    /// Silence of this length means that the connection is dead.
    silence_max: Duration,
    /// A fresh token on its way.
    renewal: Option<Renewal>,
}

impl<'d> Conversation<'d> {
    pub(super) fn new(driver: &'d mut Driver, connection: Connection) -> Self {
        // `WELCOME` comes as soon as the handshake is over.
        let silence_max = driver.connect_time;
        Self { driver, connection, silence_max, renewal: None }
    }

    pub(super) async fn run(mut self) -> Result<Ended, Stop> {
        let shared = Arc::clone(&self.driver.shared);
        loop {
            self.driver.save().await?;
            if let Err(error) = self.fill() {
                return Ok(lost(&error));
            }
            // A command was given up, or written this very moment.
            if shared.with(|replica| replica.awaits_storage()) {
                continue;
            }
            let quiet = self.silence_max.saturating_sub(self.connection.silent_for());
            let wake = shared.with(|replica| replica.wake_at());
            let wait = wake.map_or(quiet, |at| at.saturating_sub(self.driver.now()).min(quiet));
            tokio::select! {
                message = self.connection.next() => {
                    if let Some(ended) = self.arrived(message) {
                        // What came last is stored before the next attempt.
                        return Ok(ended);
                    }
                }
                token = renewed(&mut self.renewal) => self.renewed(token),
                () = shared.wake.notified() => {}
                () = sleep_until(Instant::now() + wait) => {
                    if self.connection.silent_for() >= self.silence_max {
                        return Ok(lost(&"the server was silent for too long"));
                    }
                }
                _ = self.driver.wish.changed() => {
                    self.driver.save().await?;
                    self.say_goodbye().await;
                    return Err(Stop::Wish);
                }
            }
        }
    }

    /// Takes commands from the queue as long as the socket keeps up.
    fn fill(&mut self) -> std::io::Result<()> {
        while self.connection.unsent_bytes() < SEND_AHEAD_BYTES {
            let now = self.driver.now();
            let Some(frame) = self.driver.shared.with(|replica| replica.next_frame(now)) else {
                break;
            };
            self.connection.enqueue(&frame)?;
        }
        Ok(())
    }

    fn arrived(&mut self, message: std::io::Result<Option<Message>>) -> Option<Ended> {
        match message {
            Ok(Some(Message::Text(text))) => self.frame(&text),
            Ok(Some(Message::Closed(code, reason))) => {
                Some((End::Closed(code), Reason::Closed { code, reason }))
            }
            Ok(None) => Some(lost(&"the server has hung up")),
            Err(error) => Some(lost(&error)),
        }
    }

    fn frame(&mut self, text: &str) -> Option<Ended> {
        let now = self.driver.now();
        let shared = &self.driver.shared;
        let (notice, is_recovered) =
            shared.with(|replica| (replica.frame(text, now), replica.is_recovered()));
        match notice {
            Err(malformed) => {
                return Some(lost(&format_args!("a frame can't be read: {malformed}")));
            }
            Ok(Notice::Restart(why)) => return Some((End::Restart, Reason::Restart(why))),
            Ok(Notice::OtherUser) => return Some((End::Restart, Reason::OtherUser)),
            Ok(Notice::Welcome { heartbeat }) => {
                self.silence_max = heartbeat.mul_f64(HEARTBEATS_MISSED);
                self.driver.link.welcomed(now);
            }
            Ok(Notice::Reconnect { after }) => self.driver.link.asked(after),
            Ok(Notice::TokenExpiring) => self.renew(Duration::ZERO),
            Ok(Notice::Message(name, payload)) => {
                // Nobody may be listening.
                let _ = shared.messages.send(Published { name, payload });
            }
            Ok(Notice::Nothing) => {}
        }
        if is_recovered {
            self.driver.tell(Status::Connected);
        }
        None
    }

    fn renew(&mut self, after: Duration) {
        let (tokens, patience) = (Arc::clone(&self.driver.tokens), self.driver.token_time);
        self.renewal = Some(Box::pin(async move {
            sleep(after).await;
            fetch_token(tokens, patience).await
        }));
    }

    fn renewed(&mut self, token: Result<String, String>) {
        let sent = token.is_ok_and(|token| {
            let frame = object(|frame| {
                frame.string("type", names::AUTH).object("payload", |payload| {
                    payload.string("token", &token);
                });
            });
            self.connection.enqueue(&frame).is_ok()
        });
        // Where it goes wrong to the end the server closes with 4500, and all begins anew.
        self.renewal = None;
        if !sent {
            self.renew(TOKEN_RETRY);
        }
    }

    async fn say_goodbye(&mut self) {
        // The other side may be gone, or not listening.
        let _ = tokio::time::timeout(GOODBYE, self.connection.close()).await;
        self.driver.shared.with(|replica| replica.disconnected(false));
    }
}

async fn renewed(renewal: &mut Option<Renewal>) -> Result<String, String> {
    match renewal {
        Some(renewal) => renewal.await,
        None => std::future::pending().await,
    }
}

fn lost(why: &dyn fmt::Display) -> Ended {
    (End::Lost, Reason::Lost(why.to_string()))
}
