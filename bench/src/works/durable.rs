//! Commands that are on disk before they are acknowledged: W6 and W7.
//!
//! W6: many devices, each with several commands in flight, against draftwire and against Node ws
//! with Redis (`appendfsync always`); and what SQLite alone does with the same rows in batches of
//! the same size. W7: one command at a time, against one commit of SQLite and one round trip.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::live::{micros, own_cpu, share};
use crate::results::{self, Results};
use crate::sqlite_alone::{self, Alone};
use crate::subject::{Subject, Who};
use crate::swarm::{Device, HANDSHAKES, Swarm};

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Size {
    /// Users.
    pub users: u32,
    /// Devices of each, all of which write.
    pub devices: u32,
    /// Commands of each device that are unanswered at a time.
    pub in_flight: u32,
    /// W6: how long.
    pub time: Duration,
    /// W7: commands.
    pub single: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { users: 200, devices: 3, in_flight: 4, time: Duration::from_secs(5), single: 2_000 }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
/// The order that all devices of a user edit.
const DOCUMENT: &str = "order";

/// What a device knows.
#[derive(Clone, Copy, Default)]
struct Writer {
    sent: u32,
    acknowledged: u32,
}

/// W6: acknowledged commands a second. Figures: `W6` commands a second, `W6 cpu` µs of the
/// server's processor time a command, `W6 batch` commands a commit.
pub fn many(
    who: Who,
    redis: Option<&Redis>,
    size: &Size,
    results: &mut Results,
) -> Result<(), String> {
    let mut subject = match redis {
        Some(redis) => Subject::start_redis_peer(&redis.url)?,
        None => Subject::start(who, &[], false)?,
    };
    let name = if redis.is_some() { "ws + Redis" } else { who.name() };
    let mut swarm = Swarm::new(subject.port, who.dialect());
    let count = size.users * size.devices;
    let list: Vec<Device> = (0..count).map(|index| device(index, size.users)).collect();
    swarm.connect(&list, HANDSHAKES, &mut |_, _| {})?;
    let mut writers = vec![Writer::default(); count as usize];
    create_documents(&mut swarm, &mut writers, size.users)?;
    // Once round, so that what is made once is made.
    write_for(&mut swarm, &mut writers, size, Duration::from_millis(700))?;
    let before = counters(&mut subject, redis.is_some());
    let (cpu, load, begun) = (subject.cpu(), own_cpu(), Instant::now());
    let acknowledged = write_for(&mut swarm, &mut writers, size, size.time)?;
    let wall = begun.elapsed();
    let spent = subject.cpu() - cpu;
    results.note_load("W6", share(own_cpu() - load, wall));
    results.add("W6", name, f64::from(acknowledged) / wall.as_secs_f64());
    results.add("W6 cpu", name, micros(spent) / f64::from(acknowledged));
    if let (Some(before), Some(after)) = (before, counters(&mut subject, redis.is_some())) {
        let batch = (after.0 - before.0) / (after.1 - before.1).max(1.0);
        results.add("W6 batch", name, batch);
        let alone = sqlite_alone::throughput(size.users, size.devices, batch.round() as usize)?;
        results.add("W6", "SQLite alone", alone);
    }
    Ok(())
}

fn device(index: u32, users: u32) -> Device {
    Device { user: index % users, device: index / users, query: String::new() }
}

/// Commands and commits so far, where the server tells.
fn counters(subject: &mut Subject, foreign: bool) -> Option<(f64, f64)> {
    if foreign {
        return None;
    }
    let answer = subject.ask("stats");
    let (commands, commits) = answer.split_once(' ')?;
    Some((commands.parse().ok()?, commits.parse().ok()?))
}

/// Each user's first device writes the order that all will edit.
fn create_documents(swarm: &mut Swarm, writers: &mut [Writer], users: u32) -> Result<(), String> {
    for (index, writer) in writers.iter_mut().enumerate().take(users as usize) {
        let text = format!(
            r#"{{"type":"DRAFT_CREATE","mutationId":1,"payload":{{"id":"{DOCUMENT}","data":{{"customer":"17850","note":"","lines":{{}}}}}}}}"#
        );
        swarm.send(index, &text);
        writer.sent = 1;
    }
    settle(swarm, writers)
}

/// Waits until nothing is unanswered.
fn settle(swarm: &mut Swarm, writers: &mut [Writer]) -> Result<(), String> {
    let mut moved = Instant::now();
    let mut refused = None;
    while writers.iter().any(|writer| writer.acknowledged < writer.sent) {
        swarm.turn(Some(Duration::from_millis(20)), &mut |index, text| {
            if is(text, "ACK") {
                writers[index].acknowledged += 1;
                moved = Instant::now();
            } else if is(text, "REJECTED") {
                refused = Some(String::from_utf8_lossy(text).into_owned());
            }
        });
        if let Some(refused) = refused {
            return Err(format!("a command was refused: {refused}"));
        }
        if moved.elapsed() > PATIENCE {
            return Err("commands are not acknowledged".into());
        }
    }
    Ok(())
}

/// Keeps every device's window full for so long, then waits for the rest. Returns what was
/// acknowledged within the time.
fn write_for(
    swarm: &mut Swarm,
    writers: &mut [Writer],
    size: &Size,
    time: Duration,
) -> Result<u32, String> {
    let before: u32 = writers.iter().map(|writer| writer.acknowledged).sum();
    let begun = Instant::now();
    let mut due: Vec<usize> = (0..writers.len()).collect();
    while begun.elapsed() < time {
        for index in due.drain(..) {
            while writers[index].sent - writers[index].acknowledged < size.in_flight {
                writers[index].sent += 1;
                swarm.queue(index, &edit(index as u32 / size.users, writers[index].sent));
            }
            swarm.flush(index);
        }
        let mut refused = None;
        swarm.turn(Some(Duration::from_millis(20)), &mut |index, text| {
            if is(text, "ACK") {
                writers[index].acknowledged += 1;
                due.push(index);
            } else if is(text, "REJECTED") {
                refused = Some(String::from_utf8_lossy(text).into_owned());
            }
        });
        if let Some(refused) = refused {
            return Err(format!("a command was refused: {refused}"));
        }
    }
    let after: u32 = writers.iter().map(|writer| writer.acknowledged).sum();
    settle(swarm, writers)?;
    Ok(after - before)
}

/// A device changes the quantity of its own line: the order does not grow.
fn edit(device: u32, number: u32) -> String {
    let quantity = number % 90 + 10;
    format!(
        r#"{{"type":"DRAFT_UPDATE","mutationId":{number},"payload":{{"id":"{DOCUMENT}","patch":{{"lines":{{"{device}":{{"article":"85123A","description":"WHITE HANGING HEART T-LIGHT HOLDER","quantity":{quantity},"price":2.55}}}}}}}}}}"#
    )
}

/// True for a frame of this type.
pub fn is(text: &[u8], kind: &str) -> bool {
    text.strip_prefix(b"{\"type\":\"").is_some_and(|rest| rest.starts_with(kind.as_bytes()))
}

/// Rounds of W7, in which the server, SQLite alone and the round trip take turns.
const ROUNDS: usize = 5;

/// W7: medians in ms, one of each round: `W7 ack` command → `ACK`, `W7` command → the other device,
/// and for comparison one commit of the same rows and one round trip.
pub fn one(size: &Size, results: &mut Results) -> Result<(), String> {
    let server = Subject::start(Who::Draftwire, &[], false)?;
    let mut swarm = Swarm::new(server.port, Who::Draftwire.dialect());
    let list: Vec<Device> = (0..2).map(|index| device(index, 1)).collect();
    swarm.connect(&list, HANDSHAKES, &mut |_, _| {})?;
    let mut writers = [Writer::default(); 2];
    create_documents(&mut swarm, &mut writers, 1)?;
    let floor = Subject::start(Who::Floor, &[], false)?;
    let mut echo = Swarm::new(floor.port, Who::Floor.dialect());
    echo.connect(&[device(0, 1)], HANDSHAKES, &mut |_, _| {})?;
    let mut alone = Alone::open(1, 2)?;
    let count = size.single / ROUNDS;
    for round in 0..ROUNDS {
        let first = 2 + (round * count) as u32;
        let (mut acks, mut others) = (Vec::new(), Vec::new());
        for number in first..first + count as u32 {
            let (ack, other) = exchange(&mut swarm, number)?;
            acks.push(ack);
            others.push(other);
        }
        let mut commits = Vec::new();
        for _ in 0..count {
            let begun = Instant::now();
            alone.commit(1)?;
            commits.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let mut trips = Vec::new();
        for number in 0..count {
            trips.push(round_trip(&mut echo, number as u32)?);
        }
        let median = |times: &[f64]| results::spread(times).map_or(f64::NAN, |s| s.median);
        results.add("W7 ack", "draftwire", median(&acks));
        results.add("W7", "draftwire", median(&others));
        results.add("W7", "commit + trip", median(&commits) + median(&trips));
        results.add("W7 trip", "floor", median(&trips));
    }
    Ok(())
}

/// One command: ms to its `ACK`, ms to the other device.
fn exchange(swarm: &mut Swarm, number: u32) -> Result<(f64, f64), String> {
    let sent = Instant::now();
    swarm.send(0, &edit(0, number));
    let (mut acknowledged, mut arrived) = (None, None);
    while acknowledged.is_none() || arrived.is_none() {
        swarm.turn(Some(Duration::ZERO), &mut |index, text| {
            if index == 0 && is(text, "ACK") {
                acknowledged = Some(sent.elapsed());
            } else if index == 1 {
                arrived = Some(sent.elapsed());
            }
        });
        if sent.elapsed() > PATIENCE {
            return Err(format!("command {number} was not acknowledged and delivered"));
        }
    }
    let millis = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1e3;
    Ok((millis(acknowledged), millis(arrived)))
}

/// One message to the floor and back, in ms.
fn round_trip(echo: &mut Swarm, number: u32) -> Result<f64, String> {
    let sent = Instant::now();
    echo.send(0, &edit(0, number));
    let mut back = false;
    while !back {
        echo.turn(Some(Duration::ZERO), &mut |_, _| back = true);
        if sent.elapsed() > PATIENCE {
            return Err("the floor does not answer".into());
        }
    }
    Ok(sent.elapsed().as_secs_f64() * 1e3)
}

/// A Redis server (or Valkey) of the benchmark's own.
pub struct Redis {
    /// Where it is.
    pub url: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one that syncs every write; `None` where there is none on this machine.
    pub fn start() -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let port = free_port()?;
        let program = ["valkey-server", "redis-server"]
            .into_iter()
            .find(|program| Command::new(program).arg("--version").output().is_ok())?;
        let child = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let redis = Self { url: format!("redis://127.0.0.1:{port}"), child, _folder: folder };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > Duration::from_secs(5) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

fn free_port() -> Option<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
    Some(listener.local_addr().ok()?.port())
}

/// Where the figures' disk is.
pub fn disk() -> String {
    let folder = std::env::temp_dir();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let best = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (device, place, kind) = (words.next()?, words.next()?, words.next()?);
            folder
                .starts_with(Path::new(place))
                .then(|| (place.len(), format!("{kind} on {device}")))
        })
        .max();
    best.map_or_else(|| "unknown".into(), |(_, text)| text)
}
