//! JSON as text that has been looked at once.
//!
//! A [`Value`] is a slice of text that has passed the scanner: well-formed (RFC 8259), no deeper
//! than asked, no repeated member, no lone surrogate. Everything here works on that text, so a
//! number keeps the digits its author wrote. Nothing here builds a tree, and nothing here parses
//! a number into a float.

mod canonical;
mod cursor;
mod fault;
mod merge;
mod scan;
mod value;
mod write;

pub use canonical::{DIGEST_BYTES, Digest, digest};
pub use fault::{JsonError, JsonFault};
pub use merge::merge_patch;
pub use value::{Kind, Member, Value};
pub use write::{ObjectWriter, object};

/// Appends `text` to `out` as a JSON string, quotes included.
pub fn push_string(out: &mut String, text: &str) {
    if cursor::plain_bytes(text.as_bytes()) == text.len() {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // A string always serialises, so the empty default is never taken.
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// Appends a decimal integer.
pub fn push_integer(out: &mut String, number: u64) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = write!(out, "{number}");
}
