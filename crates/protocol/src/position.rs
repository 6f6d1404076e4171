//! A place in a user's history.
//!
//! `seq` alone is not enough: a store that was wiped and has grown again reaches seq 17 a second
//! time, with other events before it, and a device that stopped at the first 17 would be told
//! that nothing is missing. The epoch names the history in which `seq` counts.

use std::sync::Arc;

use crate::time::Timestamp;

/// What a device says it has applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Names the history; opaque, 1–64 characters.
    pub epoch: Arc<str>,
    /// The last event applied; 0 for none.
    pub seq: u64,
    /// The timestamp that stood on that event, where the device kept it: tells two histories
    /// apart that share an epoch (a copy put back by hand).
    pub at: Option<Timestamp>,
}
