//! One device that reads nothing, among a thousand of the same user.
//!
//! Rounds with it and without it take turns, so that what else the machine does falls on both. Each
//! round measures the server's memory, and how long an event takes from its command to each of the
//! others. It judges nothing: it shows what it has measured.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::run::Settings;
use super::server::Server;
use super::socket::{self, Socket, token, user_name};

/// Devices that read.
const READERS: usize = 999;
/// Events of a round.
const EVENTS: u64 = 1_200;
/// Time between two events.
const PAUSE: Duration = Duration::from_millis(10);
/// What a document carries beside its number: a round is more than the kernel holds for one
/// connection and the outbox behind it.
const FILLER_BYTES: usize = 8_000;
/// What the kernel takes for the one that reads nothing.
const RECEIVE_BYTES: u32 = 4_096;
/// Longer than any event takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a round has shown.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// True where one device read nothing.
    pub stopped: bool,
    /// From a command to its event on another device: half of them, and 99 of 100, took no longer.
    pub p50: Duration,
    /// See `p50`.
    pub p99: Duration,
    /// Deliveries that were measured.
    pub deliveries: usize,
    /// Memory of the process at the most, looked at after each event.
    pub resident_bytes: u64,
    /// With what the server has closed the one that read nothing, if it has.
    pub closed: Option<u16>,
}

/// The head of a table of rounds.
pub const TABLE_HEAD: &str = "| one reads nothing | deliveries | p50 ms | p99 ms | resident MiB at most | closed with |\n|---|---|---|---|---|---|";

impl fmt::Display for Round {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
        write!(
            out,
            "| {} | {} | {:.2} | {:.2} | {:.2} | {} |",
            if self.stopped { "yes" } else { "no" },
            self.deliveries,
            millis(self.p50),
            millis(self.p99),
            self.resident_bytes as f64 / f64::from(1 << 20),
            self.closed.map_or_else(String::new, |code| code.to_string())
        )
    }
}

/// Runs so many pairs of rounds, and shows each.
///
/// # Errors
///
/// Where the server does not start, a device can't connect, or an event does not arrive.
pub async fn rounds(
    settings: &Settings,
    pairs: usize,
    mut show: impl FnMut(Round),
) -> Result<(), String> {
    drop(std::fs::remove_dir_all(&settings.folder));
    let flags = [
        "--user-connections",
        "2000",
        "--user-handshakes",
        "0",
        "--address-handshakes",
        "0",
        "--address-connections",
        "0",
        "--user-commands",
        "0",
        "--connection-commands",
        "0",
    ];
    let mut server = Server::new(&settings.binary, &settings.folder, &flags)
        .map_err(|error| format!("{}: {error}", settings.folder.display()))?;
    server.start()?;
    let (sent, _) = watch::channel((0_u64, Instant::now()));
    let mut readers = JoinSet::new();
    let barrier = Arc::new(Barrier::new(READERS + 1));
    let (measures, mut measured) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..READERS {
        let socket = join(server.address, &format!("reader-{number}")).await?;
        let (sent, barrier) = (sent.subscribe(), Arc::clone(&barrier));
        readers.spawn(read(socket, sent, barrier, measures.clone()));
    }
    let mut writer = join(server.address, "writer").await?;
    let mut number = 0;
    for round in 0..pairs * 2 + 1 {
        let stopped = round % 2 == 0;
        let sleeper = if stopped { Some(stopped_reader(server.address).await?) } else { None };
        let mut resident_bytes = 0;
        for _ in 0..EVENTS {
            number += 1;
            sent.send_replace((number, Instant::now()));
            write(&mut writer, number).await?;
            let all = timeout(PATIENCE, barrier.wait()).await;
            all.map_err(|_| format!("event {number} does not arrive"))?;
            resident_bytes = resident_bytes.max(server.resident_bytes());
            sleep(PAUSE).await;
        }
        let closed = match sleeper {
            Some(socket) => closed_with(socket).await,
            None => None,
        };
        let mut times = Vec::with_capacity(READERS * EVENTS as usize);
        while let Ok(time) = measured.try_recv() {
            times.push(time);
        }
        times.sort_unstable();
        // What the first round brings into memory stays there for all others.
        if round > 0 {
            let at = |part: usize| times[(times.len() - 1) * part / 100];
            let (p50, p99) = (at(50), at(99));
            show(Round { stopped, p50, p99, deliveries: times.len(), resident_bytes, closed });
        }
    }
    readers.abort_all();
    server.terminate();
    Ok(())
}

async fn join(address: SocketAddr, name: &str) -> Result<Socket, String> {
    let token = token(&user_name(0), 24 * 3_600);
    let socket = socket::open(address, &token, name, None).await;
    socket.map_err(|error| format!("{name} can't connect: {error}"))
}

async fn stopped_reader(address: SocketAddr) -> Result<Socket, String> {
    let token = token(&user_name(0), 24 * 3_600);
    let socket = socket::open_narrow(address, &token, "stopped", RECEIVE_BYTES).await;
    socket.map_err(|error| format!("the one that is to read nothing can't connect: {error}"))
}

/// Reads at last what has come, and how it ends: 4001 or, where its patience with that was over and
/// it has cut the connection, 1006. `None` where it has not ended.
async fn closed_with(mut socket: Socket) -> Option<u16> {
    let read = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| frame.code.into());
            }
        }
        Some(1006)
    };
    timeout(PATIENCE, read).await.ok().flatten()
}

/// Takes the time of every event until it is aborted, and waits for all others after each.
async fn read(
    mut socket: Socket,
    sent: watch::Receiver<(u64, Instant)>,
    barrier: Arc<Barrier>,
    measures: tokio::sync::mpsc::UnboundedSender<Duration>,
) {
    while let Some(Ok(message)) = socket.next().await {
        let arrived = Instant::now();
        let Message::Text(text) = message else { continue };
        let is_event = text.starts_with(r#"{"type":"DRAFT_"#);
        if is_event {
            let (_, at) = *sent.borrow();
            if measures.send(arrived.saturating_duration_since(at)).is_err() {
                return;
            }
            barrier.wait().await;
        }
    }
}

/// Sends the command that leads to the event of that number, and takes what has arrived.
async fn write(writer: &mut Socket, number: u64) -> Result<(), String> {
    let filler = "#".repeat(FILLER_BYTES);
    let payload = format!(r#"{{"id":"one","data":{{"number":{number},"filler":"{filler}"}}}}"#);
    let kind = if number == 1 { "DRAFT_CREATE" } else { "DRAFT_UPDATE" };
    let text = format!(r#"{{"type":"{kind}","payload":{payload},"mutationId":{number}}}"#);
    let told = async {
        writer.send(Message::text(text)).await.map_err(|error| error.to_string())?;
        loop {
            match writer.next().await {
                Some(Ok(Message::Text(text))) if text.starts_with(r#"{"type":"ACK""#) => {
                    return Ok(());
                }
                Some(Ok(Message::Text(text))) if text.starts_with(r#"{"type":"REJECTED""#) => {
                    return Err(format!("the command was rejected: {text}"));
                }
                Some(Ok(_)) => {}
                ended => return Err(format!("the writer's connection has ended: {ended:?}")),
            }
        }
    };
    timeout(PATIENCE, told).await.unwrap_or_else(|_| Err("no answer".into()))
}
