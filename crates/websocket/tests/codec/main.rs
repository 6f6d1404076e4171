//! The behaviours that this crate promises, one module for each.
//!
//! Owns nothing but the list of modules; they are one program because that is linked once and
//! because what they share is then used by it as a whole.

mod accepts_what_the_rfc_allows;
mod agrees_on_compression;
mod agrees_with_tungstenite;
mod common;
mod computes_handshake_keys;
mod fails_fast_on_bad_text;
mod frames;
mod inflates_within_bounds;
mod keeps_no_more_than_has_arrived;
mod never_panics;
mod refuses_what_the_rfc_forbids;
mod writes_the_shortest_frames;
