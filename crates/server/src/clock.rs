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
    #[cfg(feature = "simulation")]
    if let Some(now) = simulated::get() {
        return now.wall;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Reads the steady clock.
pub fn steady() -> Tick {
    #[cfg(feature = "simulation")]
    if let Some(now) = simulated::get() {
        return now.steady;
    }
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    Tick(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// Time that stands still until it is set: for simulations, which live in one thread.
#[cfg(feature = "simulation")]
pub mod simulated {
    use std::cell::Cell;

    use super::Now;

    thread_local! {
        static NOW: Cell<Option<Now>> = const { Cell::new(None) };
    }

    /// What this thread takes for the time from now on; `None` gives it the real clocks back.
    pub fn set(now: Option<Now>) {
        NOW.set(now);
    }

    /// True where this thread simulates.
    pub fn is_set() -> bool {
        NOW.get().is_some()
    }

    pub(super) fn get() -> Option<Now> {
        NOW.get()
    }
}
