//! When to connect again, and when never.
//!
//! Owns the client's column of the close-code table of `docs/protocol.md`, the meaning of a refused
//! handshake, and the back-off. It is told what happened and at what time, and never waits, connects
//! or reads a clock itself.

use std::time::Duration;

use draftwire_protocol::CloseCode;

/// The back-off's first upper bound; it doubles with every attempt …
const BACK_OFF_FIRST: Duration = Duration::from_millis(500);
/// … up to this.
const BACK_OFF_MAX: Duration = Duration::from_secs(20);
/// A connection that lasted so long was a good one: the back-off starts anew.
const STABLE: Duration = Duration::from_secs(60);
/// The longest wait that a server may ask for.
const ASKED_MAX: Duration = Duration::from_secs(3600);

/// How a connection, or the attempt to make one, has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The token source failed or took too long.
    NoToken,
    /// There is no connection, or it was lost, or the server broke the protocol.
    Lost,
    /// The handshake was answered with this HTTP status.
    Refused {
        /// The status.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The server closed with this code.
    Closed(u16),
    /// The client itself wants a new connection.
    Restart,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Connect after this time.
    Retry(Duration),
    /// Not before the application asks for it.
    Stop,
    /// Not before the user has signed in again.
    Unauthorized,
}

/// The policy, with what it remembers from one attempt to the next.
#[derive(Debug, Default)]
pub struct Link {
    /// Attempts since the last good connection.
    attempts: u32,
    /// A refused token was followed by a new one already.
    token_renewed: bool,
    /// When the present connection was welcomed.
    welcomed: Option<Duration>,
    /// What `RECONNECT` asked for.
    asked: Option<Duration>,
}

impl Link {
    /// The server has sent `WELCOME`; `now` is the time since any fixed moment.
    pub fn welcomed(&mut self, now: Duration) {
        self.welcomed = Some(now);
        self.token_renewed = false;
        self.asked = None;
    }

    /// The server has sent `RECONNECT`.
    pub fn asked(&mut self, after: Duration) {
        self.asked = Some(after.min(ASKED_MAX));
    }

    /// What follows from an end. `random` is evenly spread from 0 to 1.
    pub fn ended(&mut self, end: &End, now: Duration, random: f64) -> Verdict {
        let welcomed = self.welcomed.take();
        if welcomed.is_some_and(|since| now.saturating_sub(since) >= STABLE) {
            self.attempts = 0;
        }
        let asked = self.asked.take();
        match end {
            End::Refused { status: 401, .. } if self.token_renewed => Verdict::Unauthorized,
            End::Refused { status: 401, .. } => {
                self.token_renewed = true;
                Verdict::Retry(Duration::ZERO)
            }
            End::Refused { status: 400 | 403 | 426, .. } => Verdict::Stop,
            End::Closed(code) => match advice(*code) {
                // The back-off counts here too: a server that closes every connection at once
                // must not be met by a storm.
                Advice::NewToken if self.attempts == 0 => {
                    self.attempts = 1;
                    Verdict::Retry(Duration::ZERO)
                }
                Advice::NewToken | Advice::Reconnect => self.retry(asked, random),
                Advice::Stop => Verdict::Stop,
                Advice::SignIn => Verdict::Unauthorized,
            },
            End::Refused { retry_after: Some(after), .. } => {
                // Many were told the same moment, so they are spread out behind it.
                let Verdict::Retry(spread) = self.retry(None, random) else { return Verdict::Stop };
                Verdict::Retry((*after).min(ASKED_MAX) + spread)
            }
            End::Restart if self.attempts == 0 => {
                self.attempts = 1;
                Verdict::Retry(Duration::ZERO)
            }
            End::Restart | End::NoToken | End::Lost | End::Refused { .. } => {
                self.retry(asked, random)
            }
        }
    }

    /// Full jitter: any time up to a bound that doubles.
    fn retry(&mut self, asked: Option<Duration>, random: f64) -> Verdict {
        let bound = BACK_OFF_FIRST.saturating_mul(1 << self.attempts.min(16)).min(BACK_OFF_MAX);
        self.attempts += 1;
        // `afterMs` is another one for each connection already.
        Verdict::Retry(asked.unwrap_or_else(|| bound.mul_f64(random.clamp(0.0, 1.0))))
    }
}

enum Advice {
    Reconnect,
    NewToken,
    Stop,
    SignIn,
}

/// The close-code table.
fn advice(code: u16) -> Advice {
    match CloseCode::from_code(code) {
        Some(
            CloseCode::ProtocolError
            | CloseCode::Unsupported
            | CloseCode::BadUtf8
            | CloseCode::Policy
            | CloseCode::Replaced
            | CloseCode::Disconnected,
        ) => Advice::Stop,
        Some(CloseCode::TokenExpired) => Advice::NewToken,
        Some(CloseCode::TokenRevoked) => Advice::SignIn,
        None if (4500..5000).contains(&code) => Advice::Stop,
        _ => Advice::Reconnect,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use draftwire_protocol::CloseCode;

    use super::{End, Link, Verdict};

    const LATER: Duration = Duration::from_secs(5);

    fn after(end: &End) -> Verdict {
        Link::default().ended(end, LATER, 1.0)
    }

    #[test]
    fn every_close_code_leads_where_the_protocol_says() {
        let retry = Verdict::Retry(Duration::from_millis(500));
        for code in CloseCode::ALL {
            let expected = match code.code() {
                1002 | 1003 | 1007 | 1008 | 4003 | 4502 => Verdict::Stop,
                4500 => Verdict::Retry(Duration::ZERO),
                4501 => Verdict::Unauthorized,
                _ => retry,
            };
            assert_eq!(after(&End::Closed(code.code())), expected, "{code:?}");
        }
        assert_eq!(after(&End::Closed(4499)), retry);
        assert_eq!(after(&End::Closed(4999)), Verdict::Stop);
        assert_eq!(after(&End::Closed(1005)), retry);
    }

    #[test]
    fn the_back_off_doubles_to_twenty_seconds_and_is_spread_over_all_of_it() {
        let mut link = Link::default();
        let mut bounds = Vec::new();
        for _ in 0..8 {
            let Verdict::Retry(after) = link.ended(&End::Lost, LATER, 1.0) else { panic!() };
            bounds.push(after.as_millis());
        }
        assert_eq!(bounds, [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]);
        assert_eq!(link.ended(&End::Lost, LATER, 0.0), Verdict::Retry(Duration::ZERO));
    }

    #[test]
    fn a_stable_minute_resets_the_back_off_and_a_short_connection_does_not() {
        let mut link = Link::default();
        for _ in 0..5 {
            link.ended(&End::Lost, LATER, 1.0);
        }
        link.welcomed(Duration::from_secs(10));
        let short = link.ended(&End::Lost, Duration::from_secs(69), 1.0);
        assert_eq!(short, Verdict::Retry(Duration::from_secs(16)));
        link.welcomed(Duration::from_secs(100));
        let long = link.ended(&End::Lost, Duration::from_secs(160), 1.0);
        assert_eq!(long, Verdict::Retry(Duration::from_millis(500)));
    }

    #[test]
    fn what_the_server_asks_for_is_honoured_once() {
        let mut link = Link::default();
        link.asked(Duration::from_millis(1_234));
        let asked = link.ended(&End::Closed(1012), LATER, 0.5);
        assert_eq!(asked, Verdict::Retry(Duration::from_millis(1_234)));
        let next = link.ended(&End::Lost, LATER, 0.5);
        assert_eq!(next, Verdict::Retry(Duration::from_millis(500)));
    }

    #[test]
    fn a_refused_token_is_renewed_once() {
        let mut link = Link::default();
        let refused = End::Refused { status: 401, retry_after: None };
        assert_eq!(link.ended(&refused, LATER, 1.0), Verdict::Retry(Duration::ZERO));
        assert_eq!(link.ended(&refused, LATER, 1.0), Verdict::Unauthorized);
        link.welcomed(LATER);
        assert_eq!(link.ended(&refused, LATER, 1.0), Verdict::Retry(Duration::ZERO));
    }

    #[test]
    fn refusals_stop_or_wait() {
        let refused = |status, retry_after| after(&End::Refused { status, retry_after });
        for status in [400, 403, 426] {
            assert_eq!(refused(status, None), Verdict::Stop, "{status}");
        }
        let two = Duration::from_secs(2);
        let spread = Verdict::Retry(two + Duration::from_millis(500));
        assert_eq!(refused(503, Some(two)), spread);
        assert_eq!(refused(429, Some(two)), spread);
        assert_eq!(refused(502, None), Verdict::Retry(Duration::from_millis(500)));
    }

    #[test]
    fn a_token_that_expires_at_once_every_time_is_no_storm() {
        let mut link = Link::default();
        link.welcomed(LATER);
        assert_eq!(link.ended(&End::Closed(4500), LATER, 1.0), Verdict::Retry(Duration::ZERO));
        link.welcomed(LATER);
        let again = link.ended(&End::Closed(4500), LATER, 1.0);
        assert_eq!(again, Verdict::Retry(Duration::from_secs(1)));
    }
}
