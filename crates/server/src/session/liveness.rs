//! Heartbeat and token expiry of one connection: what is due, and when.
//!
//! Keeps moments of steady time only, so setting the wall clock neither ends nor prolongs a
//! connection. Whoever sweeps asks [`Liveness::due`]; there is no timer per connection.

use draftwire_protocol::CloseCode;

use crate::auth::Identity;
use crate::clock::{Now, Tick};
use crate::settings::Settings;

/// A token's end is announced at most this long ahead …
const WARNING_MILLIS_MAX: u64 = 60_000;
/// … or this part of its life.
const WARNING_PART_OF_LIFE: u64 = 5;
/// Heartbeats without a sign of life.
const SILENT_HEARTBEATS_MAX: u64 = 2;

/// When what is due.
pub(super) struct Liveness {
    heartbeat_millis: u64,
    heard: Tick,
    ping: Tick,
    warn: Tick,
    expire: Tick,
}

/// What a sweep has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    Ping,
    Warn,
    Close(CloseCode),
}

impl Liveness {
    pub(super) fn new(settings: &Settings, now: Now) -> Self {
        let heartbeat_millis = u64::try_from(settings.heartbeat.as_millis()).unwrap_or(u64::MAX);
        Self {
            heartbeat_millis,
            heard: now.steady,
            ping: now.steady.after(heartbeat_millis),
            warn: Tick::MAX,
            expire: Tick::MAX,
        }
    }

    /// A token is in force from now on.
    pub(super) fn take_token(&mut self, identity: &Identity, now: Now) {
        let until = |moment: i64| u64::try_from(moment - now.wall.as_millis()).unwrap_or(0);
        let expires = identity.expires_at.as_millis();
        let left = until(expires);
        let issued = identity.issued_at * 1000.0;
        // Without `iat` the life is counted from the moment the token was first seen.
        let life = if issued.is_finite() {
            u64::try_from(expires.saturating_sub(issued as i64)).unwrap_or(left)
        } else {
            left
        };
        let ahead = WARNING_MILLIS_MAX.min(life / WARNING_PART_OF_LIFE);
        self.warn = now.steady.after(left.saturating_sub(ahead));
        self.expire = now.steady.after(until(identity.good_until().as_millis()));
    }

    pub(super) fn heard(&mut self, now: Tick) {
        self.heard = now;
    }

    fn silent(&self) -> Tick {
        self.heard.after(SILENT_HEARTBEATS_MAX * self.heartbeat_millis)
    }

    pub(super) fn due(&self) -> Tick {
        self.ping.min(self.warn).min(self.expire).min(self.silent())
    }

    /// What is due at `now`, most grave first; each duty once.
    pub(super) fn next_duty(&mut self, now: Tick) -> Option<Duty> {
        if now >= self.expire {
            return Some(Duty::Close(CloseCode::TokenExpired));
        }
        if now >= self.silent() {
            return Some(Duty::Close(CloseCode::HeartbeatTimeout));
        }
        if now >= self.warn {
            self.warn = Tick::MAX;
            return Some(Duty::Warn);
        }
        if now >= self.ping {
            self.ping = now.after(self.heartbeat_millis);
            return Some(Duty::Ping);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use draftwire_protocol::Timestamp;

    use super::*;

    fn at(millis: u64) -> Now {
        Now { wall: Timestamp::from_millis(millis as i64), steady: Tick(millis) }
    }

    fn identity(expires_millis: i64, issued_seconds: f64) -> Identity {
        Identity {
            user: "u".into(),
            expires_at: Timestamp::from_millis(expires_millis),
            issued_at: issued_seconds,
            token_hash: 0,
            admin: false,
        }
    }

    fn liveness() -> Liveness {
        let settings =
            Settings { heartbeat: std::time::Duration::from_millis(100), ..Settings::default() };
        Liveness::new(&settings, at(0))
    }

    #[test]
    fn pings_every_heartbeat_and_closes_after_two_of_silence() {
        let mut liveness = liveness();
        assert_eq!(liveness.due(), Tick(100));
        assert_eq!(liveness.next_duty(Tick(99)), None);
        assert_eq!(liveness.next_duty(Tick(100)), Some(Duty::Ping));
        assert_eq!(liveness.next_duty(Tick(100)), None);
        liveness.heard(Tick(150));
        assert_eq!(liveness.next_duty(Tick(200)), Some(Duty::Ping));
        assert_eq!(liveness.next_duty(Tick(300)), Some(Duty::Ping));
        assert_eq!(liveness.due(), Tick(350));
        assert_eq!(liveness.next_duty(Tick(349)), None);
        let timeout = Some(Duty::Close(CloseCode::HeartbeatTimeout));
        assert_eq!(liveness.next_duty(Tick(350)), timeout);
    }

    #[test]
    fn warns_once_a_fifth_of_the_life_ahead_and_ends_after_the_leeway() {
        let mut liveness = liveness();
        liveness.take_token(&identity(5_000, 0.0), at(0));
        liveness.heard(Tick(1_000_000));
        liveness.ping = Tick::MAX;
        assert_eq!(liveness.next_duty(Tick(3_999)), None);
        assert_eq!(liveness.next_duty(Tick(4_000)), Some(Duty::Warn));
        assert_eq!(liveness.next_duty(Tick(14_999)), None);
        let expired = Some(Duty::Close(CloseCode::TokenExpired));
        assert_eq!(liveness.next_duty(Tick(15_000)), expired);
    }

    #[test]
    fn a_long_token_is_announced_a_minute_ahead_and_again_after_renewal() {
        let mut liveness = liveness();
        liveness.take_token(&identity(8 * 3_600_000, 0.0), at(0));
        assert_eq!(liveness.warn, Tick(8 * 3_600_000 - 60_000));
        liveness.take_token(&identity(16 * 3_600_000, f64::NAN), at(8 * 3_600_000));
        assert_eq!(liveness.warn, Tick(16 * 3_600_000 - 60_000));
    }
}
