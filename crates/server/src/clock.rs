//! What time it is: the wall clock for what people read, a steady one for everything that waits.
//!
//! A wall clock that is set must not end or prolong a connection, so tokens are turned into
//! steady time when they are verified.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use draftwire_protocol::Timestamp;

/// Milliseconds of steady time since the process began to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(pub u64);

impl Tick {
    /// Never.
    pub const MAX: Self = Self(u64::MAX);

    /// So many milliseconds later.
    pub fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For frames and tokens.
    pub wall: Timestamp,
    /// For waiting.
    pub steady: Tick,
}

/// Reads both clocks.
pub fn now() -> Now {
    Now { wall: wall(), steady: steady() }
}

/// Reads the wall clock.
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Reads the steady clock.
pub fn steady() -> Tick {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    Tick(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
