//! Agreeing on compressed messages: `Sec-WebSocket-Extensions` (RFC 6455 §9.1, RFC 7692 §7.1).
//!
//! Owns the reading of what a client offers and the header that answers it. An offer that is
//! unknown, wrong or can't be met is declined by silence: it never fails a handshake. It neither
//! reads HTTP nor compresses anything; the server's handshake calls it.

use std::fmt;

/// The extension's name.
const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// How far back compressed data may refer: 2^9 to 2^15 bytes, ordered by that.
///
/// RFC 7692 knows 2^8 too, which no zlib can compress with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// The smallest window, 512 bytes.
    pub const MIN: Self = Self(9);
    /// The largest window, 32 KiB; what holds where nothing was said.
    pub const MAX: Self = Self(15);
    /// How many sizes there are.
    pub(crate) const COUNT: usize = (Self::MAX.0 - Self::MIN.0) as usize + 1;

    /// `None` outside of 9 to 15.
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= Self::MIN.0 && bits <= Self::MAX.0 { Some(Self(bits)) } else { None }
    }

    /// The logarithm of the window's bytes: 9 to 15.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Counted from the smallest.
    pub(crate) const fn index(self) -> usize {
        (self.0 - Self::MIN.0) as usize
    }
}

/// What a server agrees to: each message, in both directions, is compressed by itself.
///
/// It displays as the value of `Sec-WebSocket-Extensions` in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// The window that the client has asked the server to keep to.
    server_max_window_bits: Option<WindowBits>,
}

impl Agreement {
    /// The first offer of a client that can be met, from the values of all its
    /// `Sec-WebSocket-Extensions` headers in their order; `None` where there is none.
    ///
    /// What is not written as RFC 6455 §9.1 has it ends the reading of its header.
    pub fn on_first_of<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        headers.into_iter().find_map(|header| Offers { rest: header }.find_map(|offer| offer.met))
    }

    /// The largest window that the server may compress with.
    pub fn window_bits(&self) -> WindowBits {
        self.server_max_window_bits.unwrap_or(WindowBits::MAX)
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 7692 §7.1.1.2 lets a server ask for the latter even where it was not offered.
        write!(out, "{NAME}; {SERVER_NO_CONTEXT_TAKEOVER}; {CLIENT_NO_CONTEXT_TAKEOVER}")?;
        if let Some(window) = self.server_max_window_bits {
            write!(out, "; {SERVER_MAX_WINDOW_BITS}={}", window.bits())?;
        }
        Ok(())
    }
}

/// One extension of the list.
struct Offer {
    met: Option<Agreement>,
}

/// The extensions of one header; ends at its end or at what can't be read.
struct Offers<'a> {
    rest: &'a str,
}

impl Iterator for Offers<'_> {
    type Item = Offer;

    fn next(&mut self) -> Option<Offer> {
        // RFC 9110 §5.6.1: elements of a list may be empty.
        while self.take(',') {}
        let name = self.token()?;
        let mut terms = Terms::default();
        while self.take(';') {
            let parameter = self.token()?;
            let value = if self.take('=') { Some(self.value()?) } else { None };
            terms.add(parameter, value);
        }
        self.skip_spaces();
        if !self.rest.is_empty() && !self.rest.starts_with(',') {
            return None;
        }
        let is_met = name == NAME && !terms.unmet;
        Some(Offer { met: is_met.then(|| terms.agreement()) })
    }
}

impl<'a> Offers<'a> {
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, sign: char) -> bool {
        self.skip_spaces();
        let behind = self.rest.strip_prefix(sign);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    /// A token of RFC 9110 §5.6.2.
    fn token(&mut self) -> Option<&'a str> {
        self.skip_spaces();
        let end = self.rest.find(|sign| !is_token_sign(sign)).unwrap_or(self.rest.len());
        let (token, behind) = self.rest.split_at(end);
        self.rest = behind;
        (!token.is_empty()).then_some(token)
    }

    /// A token, or one in quotes. A backslash, which could only stand before a sign that needs
    /// none, is not read.
    fn value(&mut self) -> Option<&'a str> {
        if !self.take('"') {
            return self.token();
        }
        let (value, behind) = self.rest.split_once('"')?;
        self.rest = behind;
        (!value.is_empty() && value.chars().all(is_token_sign)).then_some(value)
    }
}

fn is_token_sign(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(sign)
}

/// The parameters of one offer.
#[derive(Default)]
struct Terms {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    client_max_window_bits: bool,
    server_max_window_bits: Option<WindowBits>,
    /// One of them is unknown, repeated, wrong, or more than can be done.
    unmet: bool,
}

impl Terms {
    fn add(&mut self, parameter: &str, value: Option<&str>) {
        let is_met = match (parameter, value) {
            (SERVER_NO_CONTEXT_TAKEOVER, None) => is_first(&mut self.server_no_context_takeover),
            (CLIENT_NO_CONTEXT_TAKEOVER, None) => is_first(&mut self.client_no_context_takeover),
            // What the client itself keeps to: any window of its fits into the server's.
            (CLIENT_MAX_WINDOW_BITS, value) => {
                is_first(&mut self.client_max_window_bits)
                    && value.is_none_or(|value| window_bits(value).is_some())
            }
            (SERVER_MAX_WINDOW_BITS, Some(value)) => {
                let window = window_bits(value).and_then(WindowBits::new);
                let before = std::mem::replace(&mut self.server_max_window_bits, window);
                window.is_some() && before.is_none()
            }
            _ => false,
        };
        self.unmet |= !is_met;
    }

    fn agreement(&self) -> Agreement {
        Agreement { server_max_window_bits: self.server_max_window_bits }
    }
}

/// Sets a flag; false where it was set already.
fn is_first(seen: &mut bool) -> bool {
    !std::mem::replace(seen, true)
}

/// 8 to 15, in decimal without leading zeros (RFC 7692 §7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    if value.starts_with(['0', '+']) {
        return None;
    }
    value.parse().ok().filter(|bits| (8..=15).contains(bits))
}
