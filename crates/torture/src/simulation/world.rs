//! The steps of a run: what may happen next, and everything settling in the end.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use draftwire_protocol::Timestamp;
use draftwire_server::auth::{Identity, TokenError, Verifier};
use draftwire_server::clock::{Now, Tick, simulated};
use draftwire_server::realtime::simulation::{ReadJoining, Simulation};
use draftwire_server::session::{Endpoint, Hello};
use draftwire_store::{SqliteStore, Store, StoreError};
use draftwire_vfs::power_loss::{End, Trouble};
use fastrand::Rng;

use super::device::{Device, Stray};
use super::disk::Disk;
use super::ledger::{Ledger, final_of};
use super::{Outcome, Plan};
use crate::check::{Check, Violation, check};
use crate::history::{Record, UserHistory};

/// Turns of everybody after which everything must have settled.
const SETTLING_ROUNDS_MAX: usize = 3_000;
/// Where the simulated wall clock begins: 2026-01-01.
const BEGIN_MILLIS: i64 = 1_767_225_600_000;
/// Tokens outlive every run.
const EXPIRES_MILLIS: i64 = BEGIN_MILLIS + 400 * 24 * 3_600_000;

/// Devices come in through the door beside this one; nobody brings a token.
struct NoTokens;

impl Verifier for NoTokens {
    fn verify(&self, _: &str, _: Timestamp) -> Result<draftwire_server::auth::Claims, TokenError> {
        Err(TokenError::Missing)
    }
}

/// A server that runs, with what it was opened on.
struct Running {
    server: Simulation,
    /// `None` while it has failed and was not opened anew.
    store: Option<Arc<SqliteStore>>,
    /// What the reading thread has read and not handed over.
    read: Option<ReadJoining>,
    draining: bool,
}

/// One run.
pub struct World<'t> {
    rng: Rng,
    plan: Plan,
    disk: Disk,
    running: Option<Running>,
    users: Vec<Arc<str>>,
    ledgers: Vec<Ledger>,
    devices: Vec<Device>,
    strays: Vec<Stray>,
    millis: u64,
    /// The disk may fail.
    has_trouble: bool,
    outcome: Outcome,
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
            has_trouble: false,
            outcome: Outcome::default(),
            hasher: DefaultHasher::new(),
            trace,
            plan,
            rng,
        }
    }

    /// Writes a decision down.
    fn note(&mut self, what: &str) {
        what.hash(&mut self.hasher);
        if let Some(trace) = &mut self.trace {
            trace(what);
        }
    }

    fn violation(&mut self, check: Check, detail: impl Into<String>) {
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

    fn set_clock(&mut self, millis: u64) {
        self.millis += millis;
        let wall = Timestamp::from_millis(BEGIN_MILLIS + self.millis as i64);
        simulated::set(Some(Now { wall, steady: Tick(self.millis) }));
    }

    fn start(&mut self) {
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
    fn open(&mut self, check: bool) -> Option<Arc<SqliteStore>> {
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
    fn reopen(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.store = None;
        self.note("reopen");
        let Some(store) = self.open(true) else { return };
        let Some(running) = &mut self.running else { return };
        running.store = Some(Arc::clone(&store));
        running.server.reopened(store);
        self.gather(true);
    }

    /// The power has ended while something was written.
    fn end_in_the_middle(&mut self) {
        self.note("the power ends in the middle");
        self.outcome.counts.cuts += 1;
        let seed = self.rng.u64(..);
        self.end(End::PowerCut(seed));
    }

    /// Writes down what was committed.
    fn gather(&mut self, again: bool) {
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

    fn exchange(&mut self, index: usize) {
        if self.devices[index].wants_to_connect() {
            self.connect(index);
        }
        let device = &mut self.devices[index];
        let seen = device.client.history.records.len();
        device.exchange(&mut self.rng);
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

    fn work(&mut self) {
        let Some(running) = &mut self.running else { return };
        let index = self.rng.usize(..running.server.workers());
        running.server.work(index);
        self.note(&format!("worker {index}"));
    }

    fn commit(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.server.commit();
        self.note("commit");
        self.gather(false);
    }

    /// The reading thread reads, or hands over what it has read.
    fn read(&mut self) {
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

    fn tasks(&mut self) {
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

    fn plan_trouble(&mut self) {
        let trouble = [Trouble::Stop, Trouble::Error, Trouble::Full][self.rng.usize(..3)];
        let after = self.rng.u64(..25);
        self.note(&format!("{trouble:?} after {after}"));
        self.disk.plan_trouble(after, trouble);
        self.has_trouble = true;
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

    /// The process or the power ends.
    fn fall(&mut self, what: &str, end: End) {
        if self.running.is_none() {
            return;
        }
        self.note(what);
        match end {
            End::Crash => self.outcome.counts.crashes += 1,
            End::PowerCut(_) => self.outcome.counts.cuts += 1,
        }
        self.end(end);
    }

    fn end(&mut self, end: End) {
        self.disk.stop();
        self.running = None;
        self.strays.clear();
        self.disk.start(end);
        self.has_trouble = false;
    }

    fn drain(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.draining = true;
        running.server.drain();
        self.note("drain");
        self.outcome.counts.drains += 1;
    }

    /// A server that drains ends when all devices are gone, or when its patience is over.
    fn end_drained(&mut self) {
        if self.running.as_ref().is_some_and(|running| running.draining) && self.rng.u8(..30) == 0 {
            self.note("stop");
            self.running = None;
            self.strays.clear();
        }
    }

    /// Nothing goes wrong any more: everybody has turns until everything is quiet.
    fn settle(&mut self) {
        self.devices.iter_mut().for_each(|device| device.sleep(0));
        self.note("settle");
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

    fn is_quiet(&self) -> bool {
        self.devices.iter().all(|device| {
            let user = self.users.iter().position(|user| *user == device.user);
            let head = user.map_or(0, |index| self.ledgers[index].log.len() as u64);
            let at = device.client.position.as_ref().map(|position| position.seq);
            device.is_welcome() && device.is_settled() && at == Some(head)
        })
    }

    /// A fresh device of each user will say what it is told.
    fn add_fresh_devices(&mut self) {
        for index in 0..self.users.len() {
            self.devices.push(Device::new(&self.users[index], format!("fresh-{index}")));
        }
    }

    /// What everybody saw is judged.
    fn judge(&mut self) {
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

fn hello(device: &Device, connection: &str) -> Hello {
    let identity = Identity {
        user: Arc::clone(&device.user),
        expires_at: Timestamp::from_millis(EXPIRES_MILLIS),
        issued_at: 0.0,
        token_hash: 0,
        admin: false,
    };
    Hello {
        endpoint: Endpoint::Realtime,
        identity: Some(identity),
        connection_id: connection.into(),
        client_id: Arc::clone(&device.client.name),
        named: true,
        position: device.client.position.clone(),
        live: false,
        compression: None,
    }
}
