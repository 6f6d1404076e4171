//! Hours of coming and going, and what they do to the server's memory.
//!
//! Devices of ever other users connect, work, lose their connections in the middle of everything,
//! come back by delta or snapshot, and go for good, each in its own time. Each looks at its own
//! order meanwhile; the whole checker is not at work here, since nothing is written down.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::run::Settings;
use super::server::Server;
use super::socket::{self, token, user_name};
use crate::client::Client;

/// Ids that the devices of a user work on, in each collection.
const IDS: usize = 24;
/// Users that there are; each comes again when so many others have come.
const USERS: u64 = 600;
/// Seconds that a user works before the next one takes his place.
const SHIFT_SECONDS: std::ops::Range<u64> = 20..120;
/// Milliseconds between two commands of a device.
const PACE_MILLIS: std::ops::Range<u64> = 100..900;
/// One in so many turns of a device ends its connection, without a goodbye.
const TURNS_PER_LOSS: u32 = 30;

/// What all devices count together.
#[derive(Debug, Default)]
struct Tally {
    users: AtomicU64,
    connections: AtomicU64,
    commands: AtomicU64,
    events: AtomicU64,
    out_of_order: AtomicU64,
}

/// What was seen at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Seconds since the beginning.
    pub seconds: u64,
    /// Resident memory of the process.
    pub resident_bytes: u64,
    /// So far: users that came, connections, commands, events that were received.
    pub counts: [u64; 4],
    /// Events that did not follow the one before, so far.
    pub out_of_order: u64,
}

/// The head of a table of samples.
pub const TABLE_HEAD: &str = "| s | resident MiB | users | connections | commands | events | out of order |\n|---|---|---|---|---|---|---|";

impl fmt::Display for Sample {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.resident_bytes as f64 / f64::from(1 << 20);
        let [users, connections, commands, events] = self.counts;
        let (seconds, wrong) = (self.seconds, self.out_of_order);
        write!(
            out,
            "| {seconds} | {mib:.1} | {users} | {connections} | {commands} | {events} | {wrong} |"
        )
    }
}

/// Lets devices come and go for `settings.span`, and shows what is seen in between.
///
/// # Errors
///
/// Where the server does not start, or ends.
pub async fn soak(settings: &Settings, mut show: impl FnMut(Sample)) -> Result<(), String> {
    drop(std::fs::remove_dir_all(&settings.folder));
    let flags = ["--heartbeat", "5s", "--user-handshakes", "0", "--address-handshakes", "0"];
    let mut server = Server::new(&settings.binary, &settings.folder, &flags)
        .map_err(|error| format!("{}: {error}", settings.folder.display()))?;
    server.start()?;
    let tally = Arc::new(Tally::default());
    let mut shifts = JoinSet::new();
    for place in 0..settings.users {
        let (tally, address, devices) = (Arc::clone(&tally), server.address, settings.devices);
        let rng = Rng::with_seed(settings.seed.wrapping_mul(1_000_003).wrapping_add(place as u64));
        shifts.spawn(shifts_at(address, devices, tally, rng));
    }
    let (begun, samples) = (Instant::now(), 60);
    for _ in 0..samples {
        sleep(settings.span / samples).await;
        if !server.is_running() {
            return Err(format!("the server has ended:\n{}", server.log_end()));
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        show(Sample {
            seconds: begun.elapsed().as_secs(),
            resident_bytes: server.resident_bytes(),
            counts: [
                count(&tally.users),
                count(&tally.connections),
                count(&tally.commands),
                count(&tally.events),
            ],
            out_of_order: count(&tally.out_of_order),
        });
    }
    shifts.abort_all();
    if server.terminate() {
        Ok(())
    } else {
        Err(format!("the server did not end well:\n{}", server.log_end()))
    }
}

/// One place, at which one user after the other works.
async fn shifts_at(address: SocketAddr, devices: usize, tally: Arc<Tally>, mut rng: Rng) {
    loop {
        let user = (tally.users.fetch_add(1, Ordering::Relaxed) % USERS) as usize;
        let shift = Duration::from_secs(rng.u64(SHIFT_SECONDS));
        let mut working = JoinSet::new();
        for number in 0..devices {
            // A device of an earlier shift has gone for good: this one has a name of its own.
            let name = format!("{number}-{}", rng.u32(..));
            let client = Client::new(name, IDS, 256 * 1024 + 100);
            working.spawn(work(address, user, client, Arc::clone(&tally), rng.fork()));
        }
        sleep(shift).await;
        // All of them go at once, in the middle of whatever they do.
    }
}

async fn work(
    address: SocketAddr,
    user: usize,
    mut client: Client,
    tally: Arc<Tally>,
    mut rng: Rng,
) {
    loop {
        let token = token(&user_name(user), 3_600);
        let position = client.position.clone();
        if let Ok(socket) = socket::open(address, &token, &client.name, position.as_ref()).await {
            tally.connections.fetch_add(1, Ordering::Relaxed);
            client.opened();
            converse(socket, &mut client, &tally, &mut rng).await;
            client.ended();
        }
        sleep(Duration::from_millis(rng.u64(10..3_000))).await;
    }
}

/// Works until the connection ends or is let go.
async fn converse(mut socket: socket::Socket, client: &mut Client, tally: &Tally, rng: &mut Rng) {
    loop {
        if client.unanswered() == 0 {
            client.issue(rng);
            tally.commands.fetch_add(1, Ordering::Relaxed);
        }
        while let Some(text) = client.next_due() {
            if socket.send(Message::text(text)).await.is_err() {
                return;
            }
        }
        let turn = tokio::time::Instant::now() + Duration::from_millis(rng.u64(PACE_MILLIS));
        while let Ok(arrived) = tokio::time::timeout_at(turn, socket.next()).await {
            match arrived {
                Some(Ok(Message::Text(text))) => {
                    if !take(client, text.to_string(), tally) {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
        // Nothing is kept of what was said: it would grow for hours.
        client.history.records.clear();
        match rng.u32(..TURNS_PER_LOSS) {
            0 => return,
            1 => {
                // The goodbye need not arrive.
                drop(timeout(Duration::from_secs(1), socket.close(None)).await);
                return;
            }
            _ => {}
        }
    }
}

/// False where the device has to connect anew.
fn take(client: &mut Client, text: String, tally: &Tally) -> bool {
    let is_event = ["DRAFT_", "PENDING_"]
        .iter()
        .any(|kind| text.get(9..).is_some_and(|rest| rest.starts_with(kind)));
    let before = client.position.as_ref().map_or(0, |position| position.seq);
    let goes_on = client.receive(text);
    if is_event {
        tally.events.fetch_add(1, Ordering::Relaxed);
        let follows = client.position.as_ref().is_some_and(|at| at.seq == before + 1);
        tally.out_of_order.fetch_add(u64::from(!follows), Ordering::Relaxed);
    }
    goes_on
}
