//! The end of a run: nothing goes wrong any more, everybody has turns until it is quiet, and what
//! was seen is judged.

use draftwire_vfs::power_loss::End;

use super::device::Device;
use super::ledger::final_of;
use super::world::{Running, World};
use crate::check::{Check, check};
use crate::history::UserHistory;

/// Turns of everybody after which everything must have settled.
const SETTLING_ROUNDS_MAX: usize = 3_000;

impl World<'_> {
    /// Nothing goes wrong any more: everybody has turns until everything is quiet.
    pub(super) fn settle(&mut self) {
        self.devices.iter_mut().for_each(|device| device.sleep(0));
        self.note("settle");
        self.hush = 0;
        self.strays.clear();
        self.disk.make_room();
        self.has_trouble = false;
        if self.disk.has_stopped() {
            // The power has ended while a server that was shut down closed its store.
            self.end_in_the_middle();
        }
        if self.running.as_ref().is_some_and(|running| running.draining) {
            self.end(End::Crash);
        }
        if self.running.is_none() {
            self.start();
        }
        if self.running.as_ref().is_some_and(|running| running.server.has_failed()) {
            self.reopen();
        }
        for _ in 0..SETTLING_ROUNDS_MAX {
            self.outcome.counts.steps += 1;
            for index in 0..self.devices.len() {
                self.exchange(index);
            }
            self.commit();
            self.read();
            for _ in 0..2 {
                self.tasks();
                self.work();
            }
            self.set_clock(10);
            if !self.outcome.violations.is_empty() || self.is_quiet() {
                return;
            }
        }
        let stuck: Vec<_> =
            self.devices.iter().filter(|d| !d.is_settled()).map(|d| &d.client.name).collect();
        let detail = format!("nothing settles: {stuck:?} have unanswered commands or lag behind");
        self.violation(Check::Answered, detail);
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.devices.iter().all(|device| {
            let user = self.users.iter().position(|user| *user == device.user);
            let head = user.map_or(0, |index| self.ledgers[index].log.len() as u64);
            let at = device.client.position.as_ref().map(|position| position.seq);
            device.is_welcome() && device.is_settled() && at == Some(head)
        })
    }

    /// A fresh device of each user will say what it is told.
    pub(super) fn add_fresh_devices(&mut self) {
        for index in 0..self.users.len() {
            self.devices.push(Device::new(&self.users[index], format!("fresh-{index}")));
        }
    }

    /// What everybody saw is judged.
    pub(super) fn judge(&mut self) {
        let devices = std::mem::take(&mut self.devices);
        let Some(Running { store: Some(store), .. }) = &self.running else { return };
        let mut violations = Vec::new();
        for (user, ledger) in self.users.iter().zip(&mut self.ledgers) {
            let told = final_of(&**store, user);
            let history = UserHistory {
                user: user.to_string(),
                devices: devices
                    .iter()
                    .filter(|d| d.user == *user)
                    .map(|d| d.client.history.clone())
                    .collect(),
                log: ledger.log.clone(),
                finals: told.into_iter().collect(),
            };
            violations.extend(check(&history));
        }
        self.devices = devices;
        self.outcome.violations.extend(violations);
    }
}
