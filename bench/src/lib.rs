//! What the programs of the benchmark share: the event they send, tokens, frames read and written.
//!
//! Owns what must be the same on both sides of a measurement. It never measures.

pub mod event;
pub mod frames;
pub mod token;
