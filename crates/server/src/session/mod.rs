//! One connection's life, without its socket.
//!
//! A [`Session`] is told what has arrived, what was committed and what time it is, and puts
//! ready-made frames into the outbox it is lent. It never reads or writes a socket, never asks a
//! store, and knows no other session.
//!
//! ```text
//!            recovered               all of it was taken,
//!            (WELCOME goes out)      nothing has happened meanwhile
//!  Joining ──────────────▶ CatchingUp ──────────────▶ Live
//!     │                        │  ▲ read on              │
//!     │                        └──┘                      │
//!     └───────────────▶ Closing ◀────────────────────────┘
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `closing` | how it ends |
//! | `commands` | what a client's frame leads to |
//! | `liveness` | heartbeat, token expiry |
//! | `recovery` | the frames that bring a device up to the head |

mod closing;
mod commands;
mod liveness;
pub mod recovery;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
#[cfg(any(test, feature = "simulation"))]
use draftwire_protocol::Timestamp;
use draftwire_protocol::{CloseCode, Position};
use draftwire_websocket::{WindowBits, encode};
use tokio::sync::OwnedSemaphorePermit;

use crate::auth::{Gate, Identity};
use crate::clock::{Now, Tick};
use crate::committer::Committer;
use crate::compression::SharedFrame;
use crate::outbox::Outbox;
use crate::rate::{Bucket, Buckets};
use crate::settings::Settings;
use crate::stats::Stats;
use closing::Closing;
use liveness::{Duty, Liveness};

/// What sessions need of the server around them.
pub struct Desk {
    /// Limits and intervals.
    pub settings: Settings,
    /// Checks the tokens that `AUTH` brings.
    pub gate: Gate,
    /// Takes commands; `None` in relay mode.
    pub committer: Option<Arc<Committer>>,
    /// How often each user may command.
    pub user_commands: Buckets<Arc<str>>,
    /// Counters.
    pub stats: Arc<Stats>,
}

/// Which path a connection came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/ws/realtime`.
    Realtime,
    /// `/ws/sync`: the server only sends.
    Progress,
    /// The conformance listener: every message comes back.
    Echo,
}

/// What a client said at the handshake.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Which path.
    pub endpoint: Endpoint,
    /// Whose; `None` for a `/ws/sync` client without a token and for the echo.
    pub identity: Option<Identity>,
    /// Made by the server for this connection.
    pub connection_id: Arc<str>,
    /// The device; made up for this connection where it gave no name.
    pub client_id: Arc<str>,
    /// True where the device named itself, and may number its commands.
    pub named: bool,
    /// Where it stands.
    pub position: Option<Position>,
    /// `sync=live`.
    pub live: bool,
    /// The window of the compressed messages that were agreed on, if they were.
    pub compression: Option<WindowBits>,
}

#[cfg(any(test, feature = "simulation"))]
impl Hello {
    /// A device of this user that has passed the handshake with a token that ends then, and has
    /// never connected before: for tests.
    pub fn of_device(user: &str, client_id: &str, connection_id: &str, ends: Timestamp) -> Self {
        let identity = Identity {
            user: user.into(),
            expires_at: ends,
            issued_at: 0.0,
            token_hash: 0,
            admin: false,
        };
        Self {
            endpoint: Endpoint::Realtime,
            identity: Some(identity),
            connection_id: connection_id.into(),
            client_id: client_id.into(),
            named: true,
            position: None,
            live: false,
            compression: None,
        }
    }
}

enum Phase {
    Joining,
    CatchingUp(Box<CatchUp>),
    Live,
    Closing(Closing),
}

/// Kept only while a connection catches up.
struct CatchUp {
    /// Answers that must wait until their events were given.
    held: Vec<Bytes>,
    /// Memory set aside for the recovery; given back when it was taken by the socket.
    reserved: Option<OwnedSemaphorePermit>,
    /// A further page of the log was asked for and has not come yet.
    asked: bool,
}

/// One connection's life.
pub struct Session {
    /// Which path.
    pub endpoint: Endpoint,
    /// Whose.
    pub identity: Option<Identity>,
    /// The device.
    pub client_id: Arc<str>,
    /// True where the device named itself.
    pub named: bool,
    /// Made by the server for this connection.
    pub connection_id: Arc<str>,
    /// The window of the compressed messages that were agreed on, if they were.
    pub compression: Option<WindowBits>,
    phase: Phase,
    /// The last event that was given to this connection.
    seq: u64,
    in_flight: u32,
    draining: bool,
    liveness: Liveness,
    /// How often this connection may command.
    commands: Bucket,
    /// How often it may send what is no command.
    frames: Bucket,
    /// Refusals that wait for the answers to the commands before them.
    late: Vec<Bytes>,
    /// Shared with this connection's queued commands, once there were any.
    cancel: Option<Arc<AtomicBool>>,
}

impl Session {
    /// A session that has yet to join (realtime) or is live at once (the others).
    pub fn new(hello: &Hello, desk: &Desk, now: Now) -> Self {
        let phase = match hello.endpoint {
            Endpoint::Realtime => Phase::Joining,
            Endpoint::Progress | Endpoint::Echo => Phase::Live,
        };
        let mut liveness = Liveness::new(&desk.settings, now);
        if let Some(identity) = &hello.identity {
            liveness.take_token(identity, now);
        }
        Self {
            endpoint: hello.endpoint,
            identity: hello.identity.clone(),
            client_id: Arc::clone(&hello.client_id),
            named: hello.named,
            connection_id: Arc::clone(&hello.connection_id),
            compression: hello.compression,
            phase,
            seq: 0,
            in_flight: 0,
            draining: false,
            liveness,
            commands: Bucket::default(),
            frames: Bucket::default(),
            late: Vec::new(),
            cancel: None,
        }
    }

    /// The user; empty for a connection without one.
    pub fn user(&self) -> Arc<str> {
        self.identity.as_ref().map_or_else(|| "".into(), |identity| Arc::clone(&identity.user))
    }

    /// True while frames from the client are to be read. Not before `WELCOME`, nor while as many
    /// commands are unanswered as may be.
    pub fn is_reading(&self, desk: &Desk) -> bool {
        let in_flight_max = desk.settings.limits.in_flight as u32;
        matches!(self.phase, Phase::CatchingUp(_) | Phase::Live)
            && self.in_flight < in_flight_max
            && !self.draining
    }

    /// Recovery frames have come, up to `seq`: the first time with `WELCOME`, then pages.
    pub fn recovered(
        &mut self,
        frames: Vec<Bytes>,
        seq: u64,
        reserved: Option<OwnedSemaphorePermit>,
        outbox: &mut Outbox,
        now: Now,
    ) {
        match &mut self.phase {
            Phase::Joining => {
                let catch_up = CatchUp { held: Vec::new(), reserved, asked: false };
                self.phase = Phase::CatchingUp(Box::new(catch_up));
                self.liveness.heard(now.steady);
            }
            Phase::CatchingUp(catch_up) => {
                catch_up.asked = false;
                catch_up.reserved = reserved;
            }
            Phase::Live | Phase::Closing(_) => return,
        }
        self.seq = seq;
        for frame in frames {
            outbox.push_exempt(frame);
        }
    }

    /// The socket has taken everything. `fanned` is the last event the other devices were given.
    /// Goes live where this device has it too; otherwise returns the `seq` to read on from.
    pub fn recovery_taken(&mut self, fanned: u64, outbox: &mut Outbox) -> Option<u64> {
        let Phase::CatchingUp(catch_up) = &mut self.phase else { return None };
        if catch_up.asked {
            return None;
        }
        catch_up.reserved = None;
        if fanned > self.seq {
            catch_up.asked = true;
            return Some(self.seq);
        }
        for answer in std::mem::take(&mut catch_up.held) {
            self.in_flight = self.in_flight.saturating_sub(1);
            outbox.push(answer);
        }
        self.phase = Phase::Live;
        self.answer_late(outbox);
        None
    }

    /// True while recovery is still on its way.
    pub fn is_catching_up(&self) -> bool {
        matches!(self.phase, Phase::CatchingUp(_))
    }

    /// An event was committed. Connections that catch up read it from the log.
    #[inline]
    pub fn event(&mut self, seq: u64, frame: &mut SharedFrame, outbox: &mut Outbox) -> bool {
        let wanted = self.endpoint == Endpoint::Realtime
            && matches!(self.phase, Phase::Live)
            && seq > self.seq;
        if wanted {
            self.seq = seq;
            outbox.push(frame.get(self.compression).clone());
        }
        wanted
    }

    /// A command of this connection was answered. An answer that is held back still counts as
    /// in flight: the client has not seen it, and only so many may gather here.
    pub fn answer(&mut self, frame: Bytes, outbox: &mut Outbox) {
        match &mut self.phase {
            Phase::CatchingUp(catch_up) => return catch_up.held.push(frame),
            Phase::Live => outbox.push(frame),
            Phase::Joining | Phase::Closing(_) => {}
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answer_late(outbox);
    }

    /// Refuses a command behind those that are not answered yet, so that answers come in order.
    fn answer_behind(&mut self, frame: Bytes, outbox: &mut Outbox) {
        self.in_flight += 1;
        self.late.push(frame);
        self.answer_late(outbox);
    }

    /// Refusals go out once nothing before them is unanswered.
    fn answer_late(&mut self, outbox: &mut Outbox) {
        if self.in_flight as usize == self.late.len() && matches!(self.phase, Phase::Live) {
            for frame in std::mem::take(&mut self.late) {
                outbox.push(frame);
            }
            self.in_flight = 0;
        }
    }

    /// A frame without a place in the history: progress, an application's own event.
    #[expect(clippy::inline_always, reason = "called once a delivery; counted by bench-counts")]
    #[inline(always)]
    pub fn publish(&mut self, frame: &mut SharedFrame, outbox: &mut Outbox) -> bool {
        let open = matches!(self.phase, Phase::CatchingUp(_) | Phase::Live);
        if open {
            outbox.push(frame.get(self.compression).clone());
        }
        open
    }

    /// A frame has come that is no command. Too many of them end the connection.
    pub fn count_frame(&mut self, outbox: &mut Outbox, desk: &Desk, now: Tick) {
        let rate = desk.settings.connection_frames;
        if self.endpoint != Endpoint::Echo && self.frames.take(rate, 1, now).is_err() {
            desk.stats.rate_closes.increment();
            self.close(CloseCode::RateLimit, outbox, desk, now);
        }
    }

    /// Something has arrived, or a socket that was full has taken something.
    pub fn heard(&mut self, now: Tick) {
        self.liveness.heard(now);
    }

    /// When [`Session::tick`] is wanted next.
    pub fn due(&self) -> Tick {
        match &self.phase {
            Phase::Closing(closing) => closing.deadline,
            _ => self.liveness.due(),
        }
    }

    /// Does what is due. False where the socket is to be cut.
    pub fn tick(&mut self, outbox: &mut Outbox, desk: &Desk, now: Now) -> bool {
        if let Phase::Closing(closing) = &self.phase {
            return now.steady < closing.deadline;
        }
        if matches!(self.phase, Phase::Joining) {
            return true;
        }
        if !self.is_reading(desk) {
            // The server itself does not listen: that is no silence.
            self.liveness.heard(now.steady);
        }
        while let Some(duty) = self.liveness.next_duty(now.steady) {
            match duty {
                // Whatever else waits: a ping that was left out would be taken for silence.
                Duty::Ping => outbox.push(encode::ping(b"").into()),
                Duty::Warn => self.warn_of_expiry(outbox, now),
                Duty::Close(code) => {
                    self.close(code, outbox, desk, now.steady);
                    return true;
                }
            }
        }
        true
    }

    fn warn_of_expiry(&self, outbox: &mut Outbox, now: Now) {
        if let Some(identity) = &self.identity {
            let text = draftwire_protocol::reply::token_notice(
                draftwire_protocol::kind::names::TOKEN_EXPIRING,
                identity.expires_at,
                now.wall,
            );
            outbox.push(crate::delivery::text_frame(&text));
        }
    }

    /// Throws away the commands of this connection that have not reached the store: the device
    /// has connected anew and will send them again.
    pub fn cancel_commands(&self) {
        if let Some(cancel) = &self.cancel {
            cancel.store(true, Ordering::Release);
        }
    }

    /// Announces a restart; from now on no further command is taken.
    pub fn drain(&mut self, reconnect: Bytes, outbox: &mut Outbox) {
        if self.is_closing() || self.draining {
            return;
        }
        self.draining = true;
        if self.endpoint != Endpoint::Echo && !matches!(self.phase, Phase::Joining) {
            outbox.push(reconnect);
        }
    }

    /// True when the restart's close may follow: every command taken was answered.
    pub fn is_drained(&self) -> bool {
        self.draining && self.in_flight == 0 && !self.is_closing()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::{ClaimRules, Hs256};
    use crate::rate::Rate;

    fn at(millis: u64) -> Now {
        Now { wall: Timestamp::from_millis(millis as i64), steady: Tick(millis) }
    }

    /// A live session whose token is announced to end at the very moment of a ping: the ping was
    /// once left out then, and the client that answered every ping was closed with 4000.
    #[test]
    fn a_ping_goes_out_beside_the_announcement_of_a_tokens_end() {
        let verifier = Hs256::new(&[1; 32], ClaimRules::default()).unwrap();
        let settings = Settings { heartbeat: Duration::from_secs(8), ..Settings::default() };
        let desk = Desk {
            settings,
            gate: Gate::new(Arc::new(verifier)),
            committer: None,
            user_commands: Buckets::new(Rate::UNLIMITED),
            stats: Arc::default(),
        };
        let hello = Hello::of_device("ann", "a", "c", at(10_000).wall);
        let mut session = Session::new(&hello, &desk, at(0));
        let mut outbox = Outbox::default();
        session.recovered(Vec::new(), 0, None, &mut outbox, at(0));
        assert_eq!(session.recovery_taken(0, &mut outbox), None);
        assert!(session.tick(&mut outbox, &desk, at(8_000)));
        let mut scratch = Vec::new();
        let sent = outbox.next_write(&mut scratch).unwrap();
        assert!(String::from_utf8_lossy(sent).contains("TOKEN_EXPIRING"));
        assert!(sent.ends_with(&encode::ping(b"")));
    }
}
