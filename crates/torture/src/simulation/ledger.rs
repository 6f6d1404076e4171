//! What was really committed, written down right after each commit, before anything can be lost;
//! and what the store holds in the end.
//!
//! The log is read through the store's own contract, so that a trimmed log is whole here.

use std::sync::Arc;

use draftwire_protocol::Collection;
use draftwire_store::{Page, Store, StoreError};

use crate::check::{Check, Violation};
use crate::history::Final;

/// More than any log of a simulation.
const LOG_BYTES_MAX: usize = usize::MAX / 2;

/// One user's history as it was committed.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Frames, the first is `seq` 1.
    pub log: Vec<String>,
}

impl Ledger {
    /// Writes down what was committed since. What is known already must still be there.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn gather(
        &mut self,
        store: &dyn Store,
        user: &Arc<str>,
        again: bool,
    ) -> Result<Option<Violation>, StoreError> {
        let known = self.log.len() as u64;
        let head = store.head(user, None)?.0.seq;
        if head < known {
            let detail = format!("{user}: {known} events were committed, the store has {head}");
            return Ok(Some(Violation { check: Check::History, detail }));
        }
        let mut from = if again { 0 } else { known };
        loop {
            match store.events_after(user, from, LOG_BYTES_MAX)? {
                Page::Trimmed => from += 1,
                Page::Events(events) => {
                    for event in events {
                        match self.log.get(event.seq as usize - 1) {
                            Some(known) if *known == event.frame => {}
                            Some(known) => {
                                let detail = format!("{user}: {known} became {}", event.frame);
                                return Ok(Some(Violation { check: Check::SameEvents, detail }));
                            }
                            None => self.log.push(event.frame),
                        }
                    }
                    return Ok(None);
                }
            }
        }
    }
}

/// What the store itself says at the end.
///
/// # Errors
///
/// The store's.
pub fn final_of(store: &dyn Store, user: &str) -> Result<Final, StoreError> {
    let drafts = store.list(user, Collection::Drafts)?;
    let pending = store.list(user, Collection::Pending)?;
    Ok(Final {
        who: "the store".into(),
        seq: drafts.head.seq,
        drafts: drafts.items,
        pending: pending.items,
    })
}
