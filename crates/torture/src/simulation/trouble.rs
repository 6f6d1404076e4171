//! Beginnings and ends of the server, and what goes wrong with its disk.

use std::sync::Arc;

use draftwire_server::realtime::simulation::Simulation;
use draftwire_store::{SqliteStore, Store};
use draftwire_vfs::power_loss::{End, Trouble};

use super::world::{NoTokens, Running, World};
use crate::check::Check;

impl World<'_> {
    pub(super) fn start(&mut self) {
        let Some(store) = self.open(false) else { return };
        let (settings, at_once_max) = (self.plan.settings.clone(), self.plan.at_once_max);
        let shared: Arc<dyn Store> = Arc::clone(&store) as _;
        let server = Simulation::start(settings, Arc::new(NoTokens), shared, at_once_max);
        let server = server.expect("settings that fit, and descriptors");
        let store = Some(store);
        self.running = Some(Running { server, store, read: None, draining: false });
        self.gather(true);
    }

    /// Opens the store; with trouble on the disk that may have to be tried again.
    pub(super) fn open(&mut self, check: bool) -> Option<Arc<SqliteStore>> {
        match self.disk.open(check) {
            // Opened or not, it is worth nothing.
            _ if self.disk.has_stopped() => self.end_in_the_middle(),
            Ok(store) => return Some(store),
            Err(error) if self.has_trouble => self.note(&format!("not open: {error}")),
            Err(error) => {
                self.violation(Check::History, format!("the store does not open: {error}"));
            }
        }
        None
    }

    /// The server lets a failed store go, and opens it anew.
    pub(super) fn reopen(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.store = None;
        self.note("reopen");
        let Some(store) = self.open(true) else { return };
        let Some(running) = &mut self.running else { return };
        running.store = Some(Arc::clone(&store));
        running.server.reopened(store);
        self.gather(true);
    }

    /// The process or the power has ended while something was written.
    pub(super) fn end_in_the_middle(&mut self) {
        let end = if self.rng.bool() { End::Crash } else { End::PowerCut(self.rng.u64(..)) };
        self.note(&format!("in the middle: {end:?}"));
        self.count_end(end);
        self.end(end);
        if end == End::Crash && self.rng.bool() {
            // What the process had written and not synced is told before anything else is written,
            // and then the power ends.
            self.hush = self.rng.u32(2..60);
        }
    }

    pub(super) fn plan_trouble(&mut self) {
        let trouble = [Trouble::Stop, Trouble::Error, Trouble::Full][self.rng.usize(..3)];
        let after = self.rng.u64(..25);
        self.note(&format!("{trouble:?} after {after}"));
        self.disk.plan_trouble(after, trouble);
        self.has_trouble = true;
    }

    /// The process or the power ends.
    pub(super) fn fall(&mut self, what: &str, end: End) {
        if self.running.is_none() {
            return;
        }
        self.note(what);
        self.count_end(end);
        self.end(end);
    }

    pub(super) fn count_end(&mut self, end: End) {
        match end {
            End::Crash => self.outcome.counts.crashes += 1,
            End::PowerCut(_) => self.outcome.counts.cuts += 1,
        }
    }

    pub(super) fn end(&mut self, end: End) {
        self.disk.stop();
        self.running = None;
        self.strays.clear();
        self.hush = 0;
        self.disk.start(end);
        self.has_trouble = false;
    }

    pub(super) fn drain(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.draining = true;
        running.server.drain();
        self.note("drain");
        self.outcome.counts.drains += 1;
    }

    /// A server that drains ends when all devices are gone, or when its patience is over.
    pub(super) fn end_drained(&mut self) {
        if self.running.as_ref().is_some_and(|running| running.draining) && self.rng.u8(..30) == 0 {
            self.note("stop");
            self.running = None;
            self.strays.clear();
        }
    }
}
