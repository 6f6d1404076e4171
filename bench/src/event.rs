//! The event that every server of the benchmark publishes: the same bytes, whoever builds them.
//!
//! `{"type":"PRICE_CHANGED","payload":{"n":…,"text":"…"},"timestamp":"…"}`; the text pads it to
//! the length that was asked for. `n` counts from 1 in each process and tells the receiver which
//! event this is. It never sends anything.

/// The type of the event.
pub const TYPE: &str = "PRICE_CHANGED";
/// Length of an event's text where none is asked for, in bytes.
pub const BYTES_DEFAULT: usize = 204;
/// What stands around the padding: with `n` of up to 10 digits, about.
const AROUND_BYTES: usize = 100;

/// The padding that makes an event about `bytes` long.
pub fn padding(bytes: usize) -> String {
    "x".repeat(bytes.saturating_sub(AROUND_BYTES))
}

/// The payload of event `n`.
pub fn payload(n: u64, padding: &str) -> String {
    format!(r#"{{"n":{n},"text":"{padding}"}}"#)
}

/// The `n` of an event's text; `None` in anything else.
pub fn number(text: &[u8]) -> Option<u64> {
    const MEMBER: &[u8] = b"\"n\":";
    let at = text.windows(MEMBER.len()).position(|window| window == MEMBER)? + MEMBER.len();
    let digits = text[at..].iter().skip_while(|byte| **byte == b' ');
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |n, byte| n * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_its_number() {
        let text = format!(r#"{{"type":"{TYPE}","payload":{}}}"#, payload(120, &padding(204)));
        assert_eq!(number(text.as_bytes()), Some(120));
        assert_eq!(number(br#"{"n":     7}"#), Some(7));
        assert_eq!(number(b"{}"), None);
    }
}
