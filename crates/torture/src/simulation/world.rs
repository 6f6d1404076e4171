//! The steps of a run: what may happen next.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use draftwire_protocol::Timestamp;
use draftwire_server::auth::{TokenError, Verifier};
use draftwire_server::clock::{Now, Tick, simulated};
use draftwire_server::realtime::simulation::{ReadJoining, Simulation};
use draftwire_server::session::Hello;
use draftwire_store::{SqliteStore, Store, StoreError};
use draftwire_vfs::power_loss::End;
use fastrand::Rng;

use super::device::{Device, Stray};
use super::disk::Disk;
use super::ledger::Ledger;
use super::{Outcome, Plan};
use crate::check::{Check, Violation};
use crate::history::Record;

/// Where the simulated wall clock begins: 2026-01-01.
const BEGIN_MILLIS: i64 = 1_767_225_600_000;
/// Tokens outlive every run.
const EXPIRES_MILLIS: i64 = BEGIN_MILLIS + 400 * 24 * 3_600_000;

/// Devices come in through the door beside this one; nobody brings a token.
pub(super) struct NoTokens;

impl Verifier for NoTokens {
    fn verify(&self, _: &str, _: Timestamp) -> Result<draftwire_server::auth::Claims, TokenError> {
        Err(TokenError::Missing)
    }
}

/// A server that runs, with what it was opened on.
pub(super) struct Running {
    pub(super) server: Simulation,
    /// `None` while it has failed and was not opened anew.
    pub(super) store: Option<Arc<SqliteStore>>,
    /// What the reading thread has read and not handed over.
    pub(super) read: Option<ReadJoining>,
    pub(super) draining: bool,
}

/// One run.
pub struct World<'t> {
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    pub(super) disk: Disk,
    pub(super) running: Option<Running>,
    pub(super) users: Vec<Arc<str>>,
    pub(super) ledgers: Vec<Ledger>,
    pub(super) devices: Vec<Device>,
    pub(super) strays: Vec<Stray>,
    millis: u64,
    /// Steps for which nobody sends a command; then the power is cut.
    pub(super) hush: u32,
    /// The disk may fail.
    pub(super) has_trouble: bool,
    pub(super) outcome: Outcome,
    hasher: DefaultHasher,
    trace: Option<&'t mut dyn FnMut(&str)>,
}

impl<'t> World<'t> {
    pub fn new(seed: u64, trace: Option<&'t mut dyn FnMut(&str)>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan::draw(&mut rng);
        let users: Vec<Arc<str>> = (0..plan.users).map(|n| format!("user{n}").into()).collect();
        let devices = users.iter().flat_map(|user| {
            (0..plan.devices).map(move |n| Device::new(user, format!("{user}-{n}")))
        });
        Self {
            devices: devices.collect(),
            ledgers: users.iter().map(|_| Ledger::default()).collect(),
            users,
            disk: Disk::new(plan.limits.clone(), plan.log_pages),
            running: None,
            strays: Vec::new(),
            millis: 0,
            hush: 0,
            has_trouble: false,
            outcome: Outcome::default(),
            hasher: DefaultHasher::new(),
            trace,
            plan,
            rng,
        }
    }

    /// Writes a decision down.
    pub(super) fn note(&mut self, what: &str) {
        what.hash(&mut self.hasher);
        if let Some(trace) = &mut self.trace {
            trace(what);
        }
    }

    pub(super) fn violation(&mut self, check: Check, detail: impl Into<String>) {
        self.outcome.violations.push(Violation { check, detail: detail.into() });
    }

    pub fn run(mut self) -> Outcome {
        self.set_clock(0);
        self.start();
        for _ in 0..self.plan.steps {
            if !self.outcome.violations.is_empty() {
                break;
            }
            self.step();
        }
        if self.outcome.violations.is_empty() {
            self.settle();
            if self.outcome.violations.is_empty() {
                self.add_fresh_devices();
                self.settle();
            }
            self.judge();
        }
        self.disk.stop();
        self.running = None;
        simulated::set(None);
        self.outcome.trace = self.hasher.finish();
        self.count();
        self.outcome
    }

    fn count(&mut self) {
        let counts = &mut self.outcome.counts;
        for device in &self.devices {
            counts.commands += device.client.issued();
            counts.frames += device.client.seen;
            counts.deltas += device.client.recoveries.0;
            counts.snapshots += device.client.recoveries.1;
        }
        counts.events = self.ledgers.iter().map(|ledger| ledger.log.len() as u64).sum();
    }

    pub(super) fn set_clock(&mut self, millis: u64) {
        self.millis += millis;
        let wall = Timestamp::from_millis(BEGIN_MILLIS + self.millis as i64);
        simulated::set(Some(Now { wall, steady: Tick(self.millis) }));
    }

    /// Writes down what was committed.
    pub(super) fn gather(&mut self, again: bool) {
        let Some(Running { store: Some(store), server, .. }) = &self.running else { return };
        if self.disk.has_stopped() || server.has_failed() {
            return;
        }
        let mut found: Result<Vec<Violation>, StoreError> = Ok(Vec::new());
        for (user, ledger) in self.users.iter().zip(&mut self.ledgers) {
            match (ledger.gather(&**store, user, again), &mut found) {
                (Ok(broken), Ok(list)) => list.extend(broken),
                (Err(error), _) => found = Err(error),
                (Ok(_), Err(_)) => {}
            }
        }
        match found {
            Ok(list) => self.outcome.violations.extend(list),
            Err(error) => self.violation(Check::History, format!("can't be read: {error}")),
        }
    }

    fn happens(&mut self, every: u32) -> bool {
        every > 0 && self.rng.u32(..every) == 0
    }

    fn step(&mut self) {
        self.outcome.counts.steps += 1;
        self.end_drained();
        if self.hush > 0 {
            self.hush -= 1;
            if self.hush == 0 {
                let seed = self.rng.u64(..);
                return self.fall("power cut", End::PowerCut(seed));
            }
        }
        let plan = (self.plan.power_every, self.plan.crash_every, self.plan.drain_every);
        if self.happens(plan.0) {
            let seed = self.rng.u64(..);
            return self.fall("power cut", End::PowerCut(seed));
        }
        if self.happens(plan.1) {
            return self.fall("crash", End::Crash);
        }
        if self.happens(self.plan.trouble_every) {
            return self.plan_trouble();
        }
        if self.happens(plan.2) && self.running.as_ref().is_some_and(|r| !r.draining) {
            return self.drain();
        }
        if self.running.is_none() {
            if self.rng.u8(..6) == 0 {
                self.note("start");
                self.start();
            }
            return self.step_device();
        }
        self.step_server();
        if self.disk.has_stopped() {
            self.end_in_the_middle();
        }
    }

    fn step_server(&mut self) {
        if self.running.as_ref().is_some_and(|running| running.server.has_failed())
            && self.rng.u8(..8) == 0
        {
            return self.reopen();
        }
        match self.rng.u8(..100) {
            0..44 => self.step_device(),
            44..64 => self.work(),
            64..80 => self.commit(),
            80..88 => self.read(),
            88..92 => self.tasks(),
            92..95 => self.flow_stray(),
            95..98 => {
                let millis = if self.rng.u8(..10) == 0 { 60_000 } else { self.rng.u64(1..400) };
                self.note(&format!("{millis} ms pass"));
                self.set_clock(millis);
            }
            _ => self.tidy(),
        }
    }

    fn step_device(&mut self) {
        let index = self.rng.usize(..self.devices.len());
        if self.devices[index].client.issued() < self.plan.commands && self.rng.u8(..3) == 0 {
            self.devices[index].client.issue(&mut self.rng);
        }
        if self.happens(self.plan.cut_every) {
            return self.lose(index);
        }
        if self.happens(self.plan.sleep_every) {
            let turns = self.rng.u32(1..80);
            self.note(&format!("device {index} sleeps for {turns} turns"));
            self.devices[index].sleep(turns);
        }
        self.exchange(index);
    }

    /// A device loses its connection; the server may learn of it now, later, or never.
    fn lose(&mut self, index: usize) {
        let pause = if self.rng.u8(..4) == 0 { self.rng.u32(20..150) } else { self.rng.u32(1..20) };
        let Some(stray) = self.devices[index].lose(pause) else { return };
        self.note(&format!("device {index} loses its connection"));
        if self.rng.bool() {
            self.strays.push(stray);
        }
    }

    pub(super) fn exchange(&mut self, index: usize) {
        if self.devices[index].wants_to_connect() {
            self.connect(index);
        }
        let device = &mut self.devices[index];
        let seen = device.client.history.records.len();
        device.exchange(&mut self.rng, self.hush > 0);
        self.trace_device(index, seen);
    }

    /// What a device has seen since becomes part of the trace. Epochs differ from run to run, so
    /// they stand there by their place only.
    fn trace_device(&mut self, index: usize, from: usize) {
        let device = &self.devices[index];
        let epoch = device.client.position.as_ref().map(|position| position.epoch.to_string());
        let mut lines = Vec::new();
        for record in &device.client.history.records[from..] {
            let line = match record {
                Record::Sent(text) => format!("device {index} sends {text}"),
                Record::Received(text) => format!("device {index} gets {text}"),
                Record::Opened => continue,
                Record::Ended => format!("device {index} is cut off"),
            };
            lines.push(match &epoch {
                Some(epoch) => line.replace(epoch.as_str(), "EPOCH"),
                None => line,
            });
        }
        for line in lines {
            self.note(&line);
        }
    }

    fn connect(&mut self, index: usize) {
        let Some(running) = &mut self.running else { return };
        if running.draining {
            return;
        }
        let device = &mut self.devices[index];
        self.outcome.counts.connections += 1;
        let count = self.outcome.counts.connections;
        let hello = hello(device, &format!("connection{count}"));
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        // A small buffer, so that a device that does not read is noticed.
        let narrow = socket2::SockRef::from(&near).set_send_buffer_size(4_096);
        narrow.expect("a size that every system takes");
        running.server.connect(hello, near).expect("a socket");
        device.connected(far).expect("a socket");
        self.note(&format!("device {index} connects"));
    }

    pub(super) fn work(&mut self) {
        let Some(running) = &mut self.running else { return };
        let index = self.rng.usize(..running.server.workers());
        running.server.work(index);
        self.note(&format!("worker {index}"));
    }

    pub(super) fn commit(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.server.commit();
        self.note("commit");
        self.gather(false);
    }

    /// The reading thread reads, or hands over what it has read.
    pub(super) fn read(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        match running.read.take() {
            Some(read) => running.server.hand_over(read),
            None => {
                let disk = &self.disk;
                running.read = running.server.read_joining(|server| {
                    server.commit();
                    !disk.has_stopped()
                });
            }
        }
        self.running = Some(running);
        self.note("read");
        self.gather(false);
    }

    pub(super) fn tasks(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.server.run_tasks();
        self.note("tasks");
    }

    fn tidy(&mut self) {
        let Some(Running { store: Some(store), .. }) = &self.running else { return };
        if let Err(error) = store.checkpoint()
            && !self.has_trouble
        {
            self.violation(Check::History, format!("can't tidy up: {error}"));
        }
        self.note("tidy");
    }

    fn flow_stray(&mut self) {
        if self.strays.is_empty() {
            return;
        }
        let index = self.rng.usize(..self.strays.len());
        if !self.strays[index].flow(&mut self.rng) {
            self.strays.swap_remove(index);
        }
    }
}

fn hello(device: &Device, connection: &str) -> Hello {
    let ends = Timestamp::from_millis(EXPIRES_MILLIS);
    let position = device.client.position.clone();
    Hello { position, ..Hello::of_device(&device.user, &device.client.name, connection, ends) }
}
