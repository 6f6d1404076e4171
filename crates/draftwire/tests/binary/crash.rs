//! Promises 1 to 4 across `kill -9`: what was acknowledged is there, everything is there once,
//! every device sees the same history without a gap.
//!
//! `DRAFTWIRE_KILLS=1000` runs longer, `DRAFTWIRE_SEED=n` repeats the moments of an earlier run.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::crash_writers::{SHARED, check_answers, check_log, check_state, write};
use super::device::{Device, Documents, listing};
use super::http::request;
use super::server::{Home, Server, token};

const USERS: usize = 3;
const DEVICES: usize = 3;
const KILLS: u64 = 10;
/// So large that a device that was away gets what it missed and never a snapshot: then it has
/// seen every single event.
const BALLAST: usize = 240 * 1024;
/// Documents that a user has before anybody writes, the shared draft among them.
const FURNITURE: u64 = 9;

/// Moments by chance that can be repeated (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// A port that no outgoing connection is given by the system, so that the server gets it again.
fn steady_port(chance: &mut Chance) -> u16 {
    loop {
        let port = 20_000 + u16::try_from(chance.below(12_000)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_happens_twice_when_the_server_is_killed() {
    let clock = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let seed = number("DRAFTWIRE_SEED").unwrap_or(u64::from(clock) | 1);
    let kills = number("DRAFTWIRE_KILLS").unwrap_or(KILLS);
    println!("DRAFTWIRE_SEED={seed} DRAFTWIRE_KILLS={kills}");
    let mut chance = Chance(seed);
    let home = Home::new();
    let port = steady_port(&mut chance);
    let start = || {
        let mut command = home.serve_on(&home.path("data"));
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        Server::start(command)
    };
    let mut server = start();

    let stop = Arc::new(AtomicBool::new(false));
    let (mut devices, mut first_versions) = (Vec::new(), Vec::new());
    for user in 0..USERS {
        let user = format!("user-{user}");
        first_versions.push(furnish(&server.authority, &user));
        for device in 0..DEVICES {
            let name = format!("device-{device}");
            let mut device = Device::connected(server.address(), &user, &name).await;
            // Nobody writes before everybody is there: each device sees the whole history.
            device.reach(FURNITURE).await;
            devices.push(device);
        }
    }
    let writers: Vec<_> = devices
        .into_iter()
        .map(|device| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move { write(device, &stop).await })
        })
        .collect();
    for _ in 0..kills {
        // Also moments in which devices are still coming back.
        tokio::time::sleep(Duration::from_millis(5 + chance.below(250))).await;
        server.kill();
        server = start();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.store(true, Ordering::Release);
    let mut devices = Vec::new();
    for writer in writers {
        devices.push(writer.await.expect("the device has kept to the protocol"));
    }

    let resent: u64 = devices.iter().map(|device| device.resent).sum();
    let duplicates: u64 = devices.iter().map(|device| device.duplicates).sum();
    let commands: u64 = devices.iter().map(|device| device.issued).sum();
    println!("{commands} commands, {resent} sent again, {duplicates} of them done before");
    assert!(resent > 0, "no kill has hit a command: the test shows nothing");
    for (user, devices) in devices.chunks_mut(DEVICES).enumerate() {
        let user = format!("user-{user}");
        let first_version = first_versions.remove(0);
        agree(&server, &user, devices, first_version).await;
    }
}

/// Gives a user the draft that everybody patches, and the ballast; returns the draft's version.
fn furnish(authority: &str, user: &str) -> u64 {
    let token = token(user);
    for number in 1..FURNITURE {
        let body =
            json!({ "id": format!("ballast-{number}"), "data": { "x": "x".repeat(BALLAST) } });
        let answer = request(authority, "POST", "/api/pending", &token, &body.to_string());
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let body = json!({ "id": SHARED, "data": { "lines": {} } }).to_string();
    let answer = request(authority, "POST", "/api/drafts", &token, &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["version"].as_u64().unwrap()
}

/// All devices, a fresh one, and HTTP say the same; the history holds each command once.
async fn agree(server: &Server, user: &str, devices: &mut [Device], first_version: u64) {
    let (documents, head) = listing(&server.authority, user);
    let numbers: BTreeMap<String, u64> =
        devices.iter().map(|device| (device.client_id.clone(), device.issued)).collect();
    for device in devices.iter_mut() {
        device.reach(head).await;
        check_answers(device);
        let seqs = device.events.iter().map(|event| event["seq"].as_u64().unwrap());
        // A gap would mean that a device that was away was given a snapshot.
        assert!(seqs.eq(FURNITURE + 1..=head), "{}: it has not seen all", device.client_id);
        same(&device.documents, &documents, &device.client_id);
    }
    for device in devices.iter() {
        let first = &devices[0].events;
        assert!(*first == device.events, "{} and another saw different events", device.client_id);
    }
    check_log(&devices[0].events, &numbers);
    let mut fresh = Device::connected(server.address(), user, "fresh").await;
    fresh.reach(head).await;
    same(&fresh.documents, &documents, "a fresh device");
    check_state(&documents, &numbers, first_version);
}

fn same(found: &Documents, expected: &Documents, who: &str) {
    assert!(found == expected, "{who} differs:\n{found:?}\n{expected:?}");
}
