//! The two keys of the opening handshake (RFC 6455 §4).
//!
//! Owns the computation of `Sec-WebSocket-Accept` and the shape of `Sec-WebSocket-Key`. It never
//! reads or writes HTTP and never makes random numbers: the caller brings the header values and,
//! on the client side, sixteen random bytes. The server's upgrade and the client's connect call it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::{Digest as _, Sha1};

/// The fixed text that every accept key is hashed with (RFC 6455 §1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes a key stands for, and characters it has in base64 with its padding.
const KEY_BYTES: usize = 16;
const KEY_CHARACTERS: usize = 24;

/// The RFC's own example key (§4.1) leaves bits set behind its sixteenth byte, so a reader that
/// insists on zeros there would turn away a client that follows the text.
const KEY_READER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The `Sec-WebSocket-Accept` value for a `Sec-WebSocket-Key` value (RFC 6455 §4.2.2 step 5.4).
///
/// The key is taken as it stands, so the caller trims the white space of the header first. The
/// result is 28 ASCII characters, whatever the key.
pub fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(ACCEPT_SUFFIX);
    STANDARD.encode(hash.finalize())
}

/// True if the `Sec-WebSocket-Key` value is the base64 of exactly 16 bytes (RFC 6455 §4.2.1).
///
/// The answer to a false is HTTP 400. White space is not trimmed here.
pub fn is_valid_key(key: &str) -> bool {
    // The length is checked first so that a huge header costs nothing and the buffer is enough.
    let mut bytes = [0; KEY_CHARACTERS];
    key.len() == KEY_CHARACTERS && KEY_READER.decode_slice(key, &mut bytes) == Ok(KEY_BYTES)
}

/// A `Sec-WebSocket-Key` value for a client, 24 ASCII characters (RFC 6455 §4.1).
///
/// The bytes are to be random and new for every connection.
pub fn new_key(random: [u8; KEY_BYTES]) -> String {
    STANDARD.encode(random)
}
