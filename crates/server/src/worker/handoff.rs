//! An inbox and the state that works it off, for threads of which whoever comes first does the work.
//!
//! Whoever has put a job in works the inbox off if nobody is at it. Whoever holds the state looks
//! into the inbox once more after he has let it go: so no job stays behind, and jobs are worked off
//! in the order in which they were put in. Owns that promise and nothing of what a job is.
//! `crates/torture/tests/handoff.rs` tries every interleaving of it, with another `sync` above it.

use std::collections::VecDeque;

use super::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Jobs `J` and the state `S` that they are for.
pub(super) struct Handoff<J, S> {
    inbox: Mutex<VecDeque<J>>,
    state: Mutex<S>,
}

impl<J, S> Handoff<J, S> {
    pub(super) fn new(state: S) -> Self {
        Self { inbox: Mutex::new(VecDeque::new()), state: Mutex::new(state) }
    }

    /// The jobs that wait.
    pub(super) fn inbox(&self) -> MutexGuard<'_, VecDeque<J>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, for the thread that waits for it.
    pub(super) fn state(&self) -> MutexGuard<'_, S> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes jobs out, the oldest first.
    pub(super) fn take(&self, max: usize) -> VecDeque<J> {
        let mut inbox = self.inbox();
        if inbox.len() <= max {
            return std::mem::take(&mut *inbox);
        }
        inbox.drain(..max).collect()
    }

    /// Lets `turn` work the inbox off, unless somebody is at it, who then looks into it before he
    /// leaves. `turn` says whether what is left is to be left to the thread that waits for the
    /// state: true is returned then, and the caller has to wake it.
    pub(super) fn work_off(&self, turn: impl Fn(&mut S) -> bool) -> bool {
        loop {
            let mut state = match self.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return false,
            };
            let left = turn(&mut state);
            drop(state);
            if left {
                return true;
            }
            if self.inbox().is_empty() {
                return false;
            }
        }
    }
}
