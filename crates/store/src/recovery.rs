//! Delta or snapshot: what a device at some position has to be sent.
//!
//! Pure, so that every store decides alike. The rules are *Promises* 3 of the protocol.

use draftwire_protocol::Timestamp;
use draftwire_protocol::reply::SnapshotReason;

/// A delta up to this size is sent even where the snapshot would be smaller: it fits the first
/// packets either way, and a device that missed one edit should see one edit.
pub const SMALL_DELTA_BYTES: u64 = 4 * 1024;

/// How to bring a device up to the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Send all events after its position.
    Delta,
    /// Send the whole state.
    Snapshot(SnapshotReason),
    /// Send nothing.
    Live,
    /// The position proves that history was lost: the epoch must be renewed first, then ask
    /// again with this reason.
    Lost(SnapshotReason),
}

/// What the log can say about a position of its own epoch.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// The last event.
    pub head: u64,
    /// The last event that was trimmed; 0 where the log is whole.
    pub floor: u64,
    /// The timestamp of the event at the position, where it is still known.
    pub at: Option<Timestamp>,
    /// Bytes of the events after the position.
    pub delta_bytes: u64,
    /// Bytes of a snapshot.
    pub snapshot_bytes: u64,
}

/// Decides for a device that has applied `seq`, on whose event `at` stood.
pub fn plan(seq: u64, at: Option<Timestamp>, log: Log) -> Plan {
    if seq > log.head {
        return Plan::Lost(SnapshotReason::Ahead);
    }
    let forked = seq > 0 && matches!((at, log.at), (Some(theirs), Some(ours)) if theirs != ours);
    if forked {
        return Plan::Lost(SnapshotReason::Forked);
    }
    let smaller = log.delta_bytes > SMALL_DELTA_BYTES && log.snapshot_bytes < log.delta_bytes;
    if seq < log.floor || smaller {
        return Plan::Snapshot(SnapshotReason::Behind);
    }
    Plan::Delta
}
