//! The alphabets: which texts may name a document, a device, a user, an event.
//!
//! One predicate a name; everything that takes a name from outside asks here.

use crate::limits::{
    CLIENT_ID_CHARS_MAX, DOCUMENT_ID_CHARS_MAX, EPOCH_CHARS_MAX, EVENT_TYPE_CHARS_MAX,
    USER_ID_BYTES_MAX,
};

/// 1–128 of `A-Z a-z 0-9 . _ : -`, but not `.` or `..` (which vanish from URLs).
pub fn is_document_id(id: &str) -> bool {
    is_word(id, DOCUMENT_ID_CHARS_MAX, b"._:-") && id != "." && id != ".."
}

/// What [`is_document_id`] wants, for error texts.
pub const DOCUMENT_ID_RULE: &str = "1 to 128 of A-Z a-z 0-9 . _ : - (but not . or ..)";

/// 1–64 of `A-Z a-z 0-9 . _ -`.
pub fn is_client_id(id: &str) -> bool {
    is_word(id, CLIENT_ID_CHARS_MAX, b"._-")
}

/// What [`is_client_id`] wants, for error texts.
pub const CLIENT_ID_RULE: &str = "1 to 64 of A-Z a-z 0-9 . _ -";

/// A non-empty string of at most 128 bytes without control characters.
pub fn is_user_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= USER_ID_BYTES_MAX && !id.chars().any(char::is_control)
}

/// What [`is_user_id`] wants, for error texts.
pub const USER_ID_RULE: &str = "1 to 128 bytes without control characters";

/// 1–64 of `A-Z a-z 0-9 _ . : -`. Whether the name is free is asked of [`crate::kind`].
pub fn is_event_type(name: &str) -> bool {
    is_word(name, EVENT_TYPE_CHARS_MAX, b"_.:-")
}

/// What [`is_event_type`] wants, for error texts.
pub const EVENT_TYPE_RULE: &str = "1 to 64 of A-Z a-z 0-9 _ . : -";

/// Any text of 1–64 characters: an epoch is opaque to everybody but the store that made it.
pub fn is_epoch(epoch: &str) -> bool {
    !epoch.is_empty() && epoch.chars().count() <= EPOCH_CHARS_MAX
}

fn is_word(text: &str, chars_max: usize, punctuation: &[u8]) -> bool {
    (1..=chars_max).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || punctuation.contains(&byte))
}
