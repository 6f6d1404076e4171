//! The keys of the opening handshake (RFC 6455 §4).
//!
//! Checks the accept key against the RFC's example and against tungstenite, and the judging of
//! client keys, among them the RFC's own odd one.

use draftwire_websocket::{accept_key, is_valid_key, new_key};
use proptest::prelude::*;
use tungstenite::handshake::derive_accept_key;

#[test]
fn the_accept_key_is_that_of_the_rfc() {
    assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn the_keys_of_the_rfc_are_valid() {
    assert!(is_valid_key("dGhlIHNhbXBsZSBub25jZQ=="));
    // RFC 6455 §4.1 gives this for the bytes 1 to 16, although its last character should be an A.
    assert!(is_valid_key("AQIDBAUGBwgJCgsMDQ4PEC=="));
}

#[test]
fn anything_but_sixteen_bytes_of_base64_is_no_key() {
    let not_keys = [
        "",
        "x",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        " dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ== ",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25jZSEh",
        "dGhlIHNhbXBsZSBub25jZQ=a",
        "dGhlIHNhbXBsZSBub25j_w==",
        "dGhlIHNhbXBsZSBub25\u{e9}ZQ=",
        "========================",
    ];
    for key in not_keys {
        assert!(!is_valid_key(key), "{key:?}");
    }
    assert!(!is_valid_key(&"A".repeat(1 << 20)));
}

proptest! {
    #[test]
    fn a_new_key_is_valid_and_accepted_as_by_tungstenite(random: [u8; 16]) {
        let key = new_key(random);
        prop_assert!(is_valid_key(&key));
        prop_assert_eq!(accept_key(&key), derive_accept_key(key.as_bytes()));
    }

    #[test]
    fn any_header_value_is_judged_without_a_panic(key in ".{0,40}") {
        let _ = is_valid_key(&key);
        prop_assert_eq!(accept_key(&key).len(), 28);
    }
}
