//! W8: everybody comes back at once, each with events that were missed, while others work on.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::durable;
use super::live::devices;
use crate::results::Results;
use crate::subject::{Subject, Who};
use crate::swarm::{Device, HANDSHAKES, Swarm};

/// Devices that come back.
pub const DEVICES: u32 = 10_000;
const DEVICES_PER_USER: u32 = 2;
/// Events that each of them has missed.
pub const MISSED: usize = 20;
/// Drafts of each user: so many that what was missed is less than a snapshot.
const DRAFTS: usize = 40;
/// Connections that are asked for at a time: as many as the kernel queues for a listener by default.
const AT_ONCE: usize = 1_000;
/// Users who work on meanwhile, with two devices each.
const BYSTANDERS: u32 = 100;
/// Their commands a second, all together.
const BYSTANDERS_RATE: f64 = 200.0;
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures it once: `W8` seconds until the last one has everything, `W8 p99` and `W8 p99 before`
/// of the bystanders in ms, from when a command was due until the other device has its event.
pub fn measure(results: &mut Results) -> Result<(), String> {
    let users = DEVICES / DEVICES_PER_USER;
    let mut subject = Subject::start(Who::Draftwire, &[], false)?;
    subject.ask(&format!("create {} {DRAFTS}", users + BYSTANDERS));
    let list = devices(0, DEVICES, DEVICES_PER_USER, DEVICES);
    let mut swarm = Swarm::new(subject.port, Who::Draftwire.dialect());
    let mut positions = vec![String::new(); list.len()];
    swarm.connect(&list, HANDSHAKES, &mut |index, text| {
        if let Some(position) = position(text) {
            positions[index] = position;
        }
    })?;
    swarm.drop_all();
    subject.ask(&format!("edit {users} {MISSED}"));
    let back: Vec<Device> =
        list.into_iter().zip(positions).map(|(device, query)| Device { query, ..device }).collect();

    let (stop, storm) = (AtomicBool::new(false), AtomicBool::new(false));
    let port = subject.port;
    std::thread::scope(|scope| {
        let bystanders = scope.spawn(|| bystanders(port, users, &stop, &storm));
        std::thread::sleep(Duration::from_secs(2));
        storm.store(true, Ordering::Relaxed);
        let came_back = come_back(port, &back);
        stop.store(true, Ordering::Relaxed);
        let [before, during] = bystanders.join().map_err(|_| "the bystanders panicked")??;
        results.add("W8", "draftwire", came_back?);
        results.add("W8 p99 before", "draftwire", before);
        results.add("W8 p99", "draftwire", during);
        Ok(())
    })
}

/// Seconds until every device has its `WELCOME` and what it has missed.
fn come_back(port: u16, back: &[Device]) -> Result<f64, String> {
    let mut swarm = Swarm::new(port, Who::Draftwire.dialect());
    let mut events = vec![0_usize; back.len()];
    let complete = Cell::new(0);
    let mut count = |index: usize, text: &[u8]| {
        if durable::is(text, "DRAFT_UPDATED") {
            events[index] += 1;
            complete.set(complete.get() + usize::from(events[index] == MISSED));
        }
    };
    let begun = Instant::now();
    swarm.connect(back, AT_ONCE, &mut count)?;
    while begun.elapsed() < PATIENCE {
        swarm.turn(Some(Duration::from_millis(5)), &mut count);
        if complete.get() == back.len() {
            return Ok(begun.elapsed().as_secs_f64());
        }
    }
    Err(format!("only {} of {} devices have what they missed", complete.get(), back.len()))
}

/// Works on until told to stop: p99 in ms before and during the storm.
fn bystanders(
    port: u16,
    first: u32,
    stop: &AtomicBool,
    storm: &AtomicBool,
) -> Result<[f64; 2], String> {
    let mut swarm = Swarm::new(port, Who::Draftwire.dialect());
    let list: Vec<Device> = (0..2 * BYSTANDERS)
        .map(|index| Device {
            user: first + index % BYSTANDERS,
            device: index / BYSTANDERS,
            query: String::new(),
        })
        .collect();
    swarm.connect(&list, HANDSHAKES, &mut |_, _| {})?;
    let mut late = [histogram(), histogram()];
    let (begun, mut sent) = (Instant::now(), 0_u32);
    let due = |n: u32| begun + Duration::from_secs_f64(f64::from(n) / BYSTANDERS_RATE);
    let mut waiting = vec![None; BYSTANDERS as usize];
    let mut arrived = 0;
    while !stop.load(Ordering::Relaxed) {
        while Instant::now() >= due(sent) {
            let user = sent % BYSTANDERS;
            let number = sent / BYSTANDERS + 1;
            swarm.send(user as usize, &change(number));
            waiting[user as usize] = Some((due(sent), storm.load(Ordering::Relaxed)));
            sent += 1;
        }
        swarm.turn(Some(Duration::from_millis(1)), &mut |index, text| {
            let user = index.checked_sub(BYSTANDERS as usize);
            if let Some(user) = user.filter(|_| durable::is(text, "DRAFT_UPDATED"))
                && let Some((due, storm)) = waiting[user].take()
            {
                let nanos = Instant::now().saturating_duration_since(due).as_nanos();
                late[usize::from(storm)].saturating_record(nanos as u64);
                arrived += 1;
            }
        });
    }
    if arrived == 0 || late[1].is_empty() {
        return Err("nothing reached the bystanders".into());
    }
    Ok(late.map(|histogram| histogram.value_at_quantile(0.99) as f64 / 1e6))
}

fn change(number: u32) -> String {
    format!(
        r#"{{"type":"DRAFT_UPDATE","mutationId":{number},"payload":{{"id":"order-0","patch":{{"note":"{number}"}}}}}}"#
    )
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("sound bounds")
}

/// The position that a `WELCOME` tells, as the query with which to come back.
fn position(text: &[u8]) -> Option<String> {
    if !durable::is(text, "WELCOME") {
        return None;
    }
    let frame: serde_json::Value = serde_json::from_slice(text).ok()?;
    let payload = frame.get("payload")?;
    let string = |name: &str| payload.get(name)?.as_str().map(str::to_owned);
    let seq = payload.get("seq")?.as_u64()?;
    Some(format!("&epoch={}&seq={seq}&at={}", string("epoch")?, string("at")?))
}
