//! How a connection ends: close frames of both sides, in the order that RFC 6455 §7.1 has them.
//!
//! Owns that part of a session's life. When it begins is decided elsewhere; the socket is cut by
//! the worker.

use draftwire_protocol::CloseCode;
use draftwire_websocket::encode;

use super::{Desk, Phase, Session};
use crate::clock::Tick;
use crate::outbox::Outbox;

/// What is known of a connection that ends.
pub(super) struct Closing {
    /// When the socket is cut, whatever the other side does.
    pub(super) deadline: Tick,
    /// The other side has sent its close frame.
    answered: bool,
    /// The other side has broken the protocol: nothing more is expected of it.
    failed: bool,
}

impl Session {
    /// True once a close frame has been queued.
    #[inline]
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing(_))
    }

    /// True when both close frames have passed.
    #[inline]
    pub fn is_closed_by_both(&self) -> bool {
        matches!(&self.phase, Phase::Closing(closing) if closing.answered)
    }

    /// Says goodbye: queues a close frame behind what already waits.
    pub fn close(&mut self, code: CloseCode, outbox: &mut Outbox, desk: &Desk, now: Tick) {
        if !self.is_closing() {
            outbox.push(encode::close(Some(code.code()), code.reason()).into());
            self.begin_closing(false, desk, now);
        }
    }

    /// The other side has broken the protocol: says so, and expects nothing more of it.
    pub fn fail(&mut self, code: CloseCode, outbox: &mut Outbox, desk: &Desk, now: Tick) {
        self.close(code, outbox, desk, now);
        if let Phase::Closing(closing) = &mut self.phase {
            closing.failed = true;
        }
    }

    /// True after [`Session::fail`].
    #[inline]
    pub fn has_failed(&self) -> bool {
        matches!(&self.phase, Phase::Closing(closing) if closing.failed)
    }

    /// The other side said goodbye: answers in kind (RFC 6455 §5.5.1).
    pub fn peer_closed(&mut self, code: Option<u16>, outbox: &mut Outbox, desk: &Desk, now: Tick) {
        match &mut self.phase {
            Phase::Closing(closing) => closing.answered = true,
            _ => {
                outbox.push(encode::close(code, "").into());
                self.begin_closing(true, desk, now);
            }
        }
    }

    fn begin_closing(&mut self, answered: bool, desk: &Desk, now: Tick) {
        let wait = u64::try_from(desk.settings.close_wait.as_millis()).unwrap_or(u64::MAX);
        self.phase = Phase::Closing(Closing { deadline: now.after(wait), answered, failed: false });
    }
}
