//! Events to connected devices: W1 to W5, all in one session of one server.
//!
//! Every figure but the latency is processor time or memory of the server's process.

use std::time::{Duration, Instant};

use draftwire_bench::event;
use hdrhistogram::Histogram;

use crate::http::Publisher;
use crate::results::Results;
use crate::subject::{Subject, Who};
use crate::swarm::{Device, HANDSHAKES, Swarm};
use crate::system;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Size {
    /// Connections in all.
    pub connections: u32,
    /// Devices of each user.
    pub devices: u32,
    /// W1: events, one at a time.
    pub events: usize,
    /// W1b: rounds of [`IN_FLIGHT`] events.
    pub bursts: usize,
    /// W2: events to one user.
    pub user_events: usize,
    /// W2h: requests.
    pub requests: usize,
    /// W5: how long.
    pub latency: Duration,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            connections: 10_000,
            devices: 2,
            events: 16,
            bursts: 6,
            user_events: 20_000,
            requests: 6_000,
            latency: Duration::from_secs(4),
        }
    }
}

/// W1b: events that are published in one go.
pub const IN_FLIGHT: usize = 16;
/// W2: users that are named in one line.
const USERS_AT_ONCE: usize = 32;
/// Connections before memory and handshakes are measured, so that what is made once is made.
const WARM_CONNECTIONS: u32 = 1_000;
/// A load generator that is busier than this may be the bottleneck itself.
pub const LOAD_MAX: f64 = 0.9;
const SETTLE: Duration = Duration::from_millis(700);
const PATIENCE: Duration = Duration::from_secs(30);

/// A generator of numbers that is the same in every run (Numerical Recipes' constants).
pub struct Dice(u32);

impl Dice {
    /// Starts with a seed.
    pub fn new(seed: u32) -> Self {
        Self(seed)
    }

    /// A number below `below`.
    pub fn roll(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(self.0) * u64::from(below)) >> 32) as u32
    }
}

/// Devices `from..to`, in turn one of each user: user 0's devices are not neighbours.
pub fn devices(from: u32, to: u32, per_user: u32, connections: u32) -> Vec<Device> {
    let users = connections / per_user;
    let device =
        |index: u32| Device { user: index % users, device: index / users, query: String::new() };
    (from..to).map(device).collect()
}

/// A server with its connections.
pub struct Session {
    /// The server.
    pub subject: Subject,
    /// Its clients.
    pub swarm: Swarm,
    size: Size,
    deliveries: u64,
}

impl Session {
    /// Starts a server and connects everybody, measuring memory and handshakes (W3, W4).
    pub fn start(
        who: Who,
        arguments: &[&str],
        size: &Size,
        results: &mut Results,
    ) -> Result<Self, String> {
        let subject = Subject::start(who, arguments, true)?;
        let swarm = Swarm::new(subject.port, who.dialect());
        let mut session = Self { subject, swarm, size: size.clone(), deliveries: 0 };
        let warm = WARM_CONNECTIONS.min(size.connections / 2);
        session.connect(0, warm)?;
        std::thread::sleep(SETTLE);
        let (memory, cpu) = (session.subject.memory(), session.subject.cpu());
        session.connect(warm, size.connections)?;
        let handshakes = session.subject.cpu() - cpu;
        std::thread::sleep(SETTLE);
        let count = f64::from(size.connections - warm);
        let grown = session.subject.memory().saturating_sub(memory);
        results.add("W3", who.name(), grown as f64 / count);
        results.add("W4", who.name(), micros(handshakes) / count);
        Ok(session)
    }

    fn connect(&mut self, from: u32, to: u32) -> Result<(), String> {
        let list = devices(from, to, self.size.devices, self.size.connections);
        self.swarm.connect(&list, HANDSHAKES, &mut |_, _| {})
    }

    /// Waits until so many more events have arrived.
    pub fn await_deliveries(&mut self, count: u64) -> Result<(), String> {
        let goal = self.deliveries + count;
        let mut moved = Instant::now();
        while self.deliveries < goal {
            let before = self.deliveries;
            let deliveries = &mut self.deliveries;
            self.swarm.turn(Some(Duration::from_millis(50)), &mut |_, _| *deliveries += 1);
            if self.deliveries > before {
                moved = Instant::now();
            }
            if moved.elapsed() > PATIENCE || self.swarm.gone() > 0 {
                return Err(format!(
                    "{} of {count} deliveries are missing, {} connections were closed",
                    goal - self.deliveries,
                    self.swarm.gone()
                ));
            }
        }
        match self.deliveries - goal {
            0 => Ok(()),
            more => Err(format!("{more} deliveries too many")),
        }
    }

    /// Processor time of the server per delivery, for `turns` times `work`.
    fn cost(
        &mut self,
        name: &str,
        turns: usize,
        results: &mut Results,
        mut work: impl FnMut(&mut Self) -> Result<u64, String>,
    ) -> Result<f64, String> {
        // Once before, so that what is made once is made.
        work(self)?;
        let (cpu, load, begun) = (self.subject.cpu(), own_cpu(), Instant::now());
        let mut deliveries = 0;
        for _ in 0..turns {
            deliveries += work(self)?;
        }
        let spent = self.subject.cpu() - cpu;
        results.note_load(name, share(own_cpu() - load, begun.elapsed()));
        Ok(micros(spent) / deliveries as f64)
    }

    /// W1: one event at a time to everybody, in µs per delivery.
    pub fn one_at_a_time(&mut self, results: &mut Results) -> Result<f64, String> {
        let (turns, reached) = (self.size.events, u64::from(self.size.connections));
        self.cost("W1", turns, results, |session| {
            session.subject.command("all 1");
            session.await_deliveries(reached)?;
            Ok(reached)
        })
    }

    /// W1b: 16 events at a time to everybody, in µs per delivery.
    pub fn in_flight(&mut self, results: &mut Results) -> Result<f64, String> {
        let reached = u64::from(self.size.connections) * IN_FLIGHT as u64;
        self.cost("W1b", self.size.bursts, results, |session| {
            session.subject.command(&format!("all {IN_FLIGHT}"));
            session.await_deliveries(reached)?;
            Ok(reached)
        })
    }

    /// W2: events to the devices of random users, in µs per delivery.
    pub fn users(&mut self, results: &mut Results) -> Result<f64, String> {
        let users = self.size.connections / self.size.devices;
        let mut dice = Dice::new(1);
        self.cost("W2", self.size.user_events / USERS_AT_ONCE, results, |session| {
            let mut line = String::from("users");
            for _ in 0..USERS_AT_ONCE {
                line += &format!(" {}", dice.roll(users));
            }
            session.subject.command(&line);
            let reached = USERS_AT_ONCE as u64 * u64::from(session.size.devices);
            session.await_deliveries(reached)?;
            Ok(reached)
        })
    }

    /// W2h: the same, published over HTTP, in µs per request.
    pub fn over_http(&mut self, results: &mut Results) -> Result<f64, String> {
        let mut publisher = Publisher::connect(&self.subject)?;
        let users = self.size.connections / self.size.devices;
        let mut dice = Dice::new(2);
        let deliveries = self.size.requests as u64 * u64::from(self.size.devices);
        // Once before, so that what is compiled when it is hot is compiled.
        for requests in [self.size.requests / 4, self.size.requests] {
            let before = self.deliveries;
            let (cpu, load, begun) = (self.subject.cpu(), own_cpu(), Instant::now());
            let Self { swarm, deliveries, .. } = self;
            publisher.publish(requests, &mut || dice.roll(users), &mut || {
                swarm.turn(Some(Duration::ZERO), &mut |_, _| *deliveries += 1);
            })?;
            let missing = requests as u64 * u64::from(self.size.devices);
            let missing = missing.saturating_sub(self.deliveries - before);
            self.await_deliveries(missing)?;
            let spent = self.subject.cpu() - cpu;
            if requests == self.size.requests {
                results.note_load("W2h", share(own_cpu() - load, begun.elapsed()));
                return Ok(micros(spent) / requests as f64);
            }
        }
        Err(format!("{deliveries} deliveries were not measured"))
    }

    /// W5: from the moment an event was due until a device has it, at so many events a second, in
    /// ms: median and 99th percentile. An event that is published late because the server was
    /// busy counts from when it was due (no coordinated omission).
    pub fn latency(&mut self, events_per_second: f64) -> Result<(f64, f64), String> {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)
            .map_err(|error| error.to_string())?;
        let users = self.size.connections / self.size.devices;
        let mut dice = Dice::new(3);
        let count = (self.size.latency.as_secs_f64() * events_per_second) as u64;
        // The next number is learned from an event, since the server has counted the earlier ones.
        self.subject.command("users 0");
        let mut last = 0;
        let devices = u64::from(self.size.devices);
        let mut seen = 0;
        while seen < devices {
            self.swarm.turn(Some(Duration::from_millis(50)), &mut |_, text| {
                last = event::number(text).unwrap_or(0);
                seen += 1;
            });
        }
        let begun = Instant::now() + Duration::from_millis(20);
        let due = |n: u64| begun + Duration::from_secs_f64(n as f64 / events_per_second);
        let (mut sent, mut received) = (0, 0);
        let goal = count * devices;
        let mut moved = Instant::now();
        while received < goal {
            while sent < count && Instant::now() >= due(sent) {
                self.subject.command(&format!("users {}", dice.roll(users)));
                sent += 1;
            }
            let before = received;
            self.swarm.turn(Some(Duration::ZERO), &mut |_, text| {
                let Some(n) = event::number(text) else { return };
                let late = Instant::now().saturating_duration_since(due(n - last - 1));
                histogram.saturating_record(late.as_nanos() as u64);
                received += 1;
            });
            if received > before {
                moved = Instant::now();
            }
            if moved.elapsed() > PATIENCE {
                return Err(format!("{} of {goal} deliveries are missing", goal - received));
            }
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        Ok((at(0.5), at(0.99)))
    }
}

/// Measures one server once: W1 to W4, and W5 where a rate is given.
pub fn measure(
    who: Who,
    size: &Size,
    rate: Option<f64>,
    wanted: &dyn Fn(&str) -> bool,
    results: &mut Results,
) -> Result<(), String> {
    let mut session = Session::start(who, &[], size, results)?;
    if wanted("W1") {
        let cost = session.one_at_a_time(results)?;
        results.add("W1", who.name(), cost);
    }
    if wanted("W1b") {
        let cost = session.in_flight(results)?;
        results.add("W1b", who.name(), cost);
    }
    if wanted("W2") {
        let cost = session.users(results)?;
        results.add("W2", who.name(), cost);
    }
    if wanted("W2h") && !matches!(who, Who::Floor | Who::JoinedFloor) {
        let cost = session.over_http(results)?;
        results.add("W2h", who.name(), cost);
    }
    if let Some(rate) = rate.filter(|_| wanted("W5")) {
        let (median, p99) = session.latency(rate)?;
        results.add("W5", who.name(), p99);
        results.add("W5 p50", who.name(), median);
    }
    Ok(())
}

/// Events a second to users at which this server is half busy, from its cost in W2.
pub fn half_saturation(who: Who, size: &Size, results: &Results) -> Option<f64> {
    let per_delivery = results.spread("W2", who.name())?.median;
    Some(0.5 * 1e6 / (per_delivery * f64::from(size.devices)))
}

/// Processor time of this process.
pub fn own_cpu() -> Duration {
    system::cpu_time(std::process::id())
}

/// A share of one core.
pub fn share(cpu: Duration, wall: Duration) -> f64 {
    cpu.as_secs_f64() / wall.as_secs_f64().max(1e-9)
}

/// Microseconds with a fraction.
pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
