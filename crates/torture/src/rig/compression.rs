//! What compressed messages cost the server and save on the wire, beside plain ones.
//!
//! Rounds with and without take turns on the same server. Devices here offer the extension by hand
//! and count what arrives without looking into it; others than these look into it in the tests.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::run::Settings;
use super::server::Server;
use super::socket::{self, Socket, token, user_name};

/// Commands of a round.
const COMMANDS: u64 = 2_000;
/// Devices that only listen, for each kind of round.
const LISTENERS: [usize; 2] = [2, 20];
/// Times that every kind of round is done.
const REPEATS: usize = 5;
/// Connections that are opened to see what one costs.
const IDLE: usize = 4_000;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of real orders, of which a document has twelve.
const LINES: [(&str, &str, f64); 6] = [
    ("85123A", "WHITE HANGING HEART T-LIGHT HOLDER", 2.55),
    ("71053", "WHITE METAL LANTERN", 3.39),
    ("84406B", "CREAM CUPID HEARTS COAT HANGER", 2.75),
    ("84029G", "KNITTED UNION FLAG HOT WATER BOTTLE", 3.39),
    ("22752", "SET 7 BABUSHKA NESTING BOXES", 7.65),
    ("21730", "GLASS STAR FROSTED T-LIGHT HOLDER", 4.25),
];

/// What one kind of round has shown: the medians.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// True where the devices agreed to compressed messages.
    pub compressed: bool,
    /// Devices that each event went to, without its sender.
    pub listeners: usize,
    /// Processor time of the server for each command with all its deliveries, in microseconds.
    pub command_micros: f64,
    /// Bytes of frames for each delivery.
    pub delivery_bytes: u64,
}

/// The head of a table of costs.
pub const TABLE_HEAD: &str = "| devices that listen | compressed | µs of CPU a command | bytes a delivery |\n|---|---|---|---|";

impl fmt::Display for Cost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compressed = if self.compressed { "yes" } else { "no" };
        write!(
            out,
            "| {} | {compressed} | {:.1} | {} |",
            self.listeners, self.command_micros, self.delivery_bytes
        )
    }
}

/// Measures all kinds of rounds, shows each, and returns the bytes of resident memory that an idle
/// connection costs: plain, and compressed.
///
/// # Errors
///
/// Where the server does not start, a device can't connect, or something does not arrive.
pub async fn measure(settings: &Settings, mut show: impl FnMut(Cost)) -> Result<[u64; 2], String> {
    let server = start(settings)?;
    let mut number = 0;
    let mut writer = writer(server.address).await?;
    for listeners in LISTENERS {
        let mut rounds: [Vec<(f64, u64)>; 2] = Default::default();
        for _ in 0..REPEATS {
            for compressed in [false, true] {
                let round = round(&server, &mut writer, &mut number, listeners, compressed).await?;
                rounds[usize::from(compressed)].push(round);
            }
        }
        for (compressed, mut rounds) in [false, true].into_iter().zip(rounds) {
            rounds.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
            let (command_micros, delivery_bytes) = rounds[REPEATS / 2];
            show(Cost { compressed, listeners, command_micros, delivery_bytes });
        }
    }
    drop((writer, server));
    Ok([idle_bytes(settings, false).await?, idle_bytes(settings, true).await?])
}

fn start(settings: &Settings) -> Result<Server, String> {
    drop(std::fs::remove_dir_all(&settings.folder));
    let unlimited = ["user-handshakes", "address-handshakes", "address-connections"];
    let unlimited = unlimited.into_iter().chain(["user-commands", "connection-commands"]);
    let mut flags = vec!["--compression".to_owned()];
    flags.extend(unlimited.flat_map(|limit| [format!("--{limit}"), "0".to_owned()]));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut server = Server::new(&settings.binary, &settings.folder, &flags)
        .map_err(|error| format!("{}: {error}", settings.folder.display()))?;
    server.start()?;
    Ok(server)
}

async fn idle_bytes(settings: &Settings, compressed: bool) -> Result<u64, String> {
    let server = start(settings)?;
    let mut sockets = Vec::new();
    let mut before = 0;
    // What the first ones bring into memory is not theirs.
    for number in 0..IDLE + IDLE / 10 {
        if number == IDLE / 10 {
            sleep(Duration::from_millis(300)).await;
            before = server.resident_bytes();
        }
        let name = format!("idle-{number}");
        sockets.push(listen(server.address, number, &name, compressed).await?);
    }
    sleep(Duration::from_millis(300)).await;
    Ok(server.resident_bytes().saturating_sub(before) / IDLE as u64)
}

/// Microseconds a command, and bytes a delivery.
async fn round(
    server: &Server,
    writer: &mut Socket,
    number: &mut u64,
    listeners: usize,
    compressed: bool,
) -> Result<(f64, u64), String> {
    let (frames, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut listening = JoinSet::new();
    for listener in 0..listeners {
        let name = format!("listener-{listener}");
        let socket = listen(server.address, 0, &name, compressed).await?;
        listening.spawn(count(socket, Arc::clone(&frames), Arc::clone(&bytes)));
    }
    // Their recoveries are over by then.
    sleep(Duration::from_millis(300)).await;
    let (begun, counted) = (server.processor_time(), frames.swap(0, Ordering::AcqRel));
    bytes.store(0, Ordering::Release);
    if counted < 2 * listeners as u64 {
        return Err("a listener was not greeted".into());
    }
    for _ in 0..COMMANDS {
        *number += 1;
        command(writer, *number).await?;
    }
    let expected = COMMANDS * listeners as u64;
    let all = async {
        while frames.load(Ordering::Acquire) < expected {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, all).await.map_err(|_| "not all deliveries arrive")?;
    let spent = server.processor_time().saturating_sub(begun);
    let micros = spent.as_secs_f64() * 1e6 / COMMANDS as f64;
    Ok((micros, bytes.load(Ordering::Acquire) / expected))
}

async fn writer(address: SocketAddr) -> Result<Socket, String> {
    let token = token(&user_name(0), 24 * 3_600);
    let socket = socket::open(address, &token, "writer", None).await;
    socket.map_err(|error| format!("the writer can't connect: {error}"))
}

async fn command(writer: &mut Socket, number: u64) -> Result<(), String> {
    let lines = (0..12_u64).map(|line| {
        let (sku, description, price) = LINES[(line % 6) as usize];
        let quantity = 1 + (number * 7 + line * 5) % 48;
        format!(
            r#"{{"sku":"{sku}","description":"{description}","quantity":{quantity},"price":{price}}}"#
        )
    });
    let lines = lines.collect::<Vec<_>>().join(",");
    let kind = if number == 1 { "DRAFT_CREATE" } else { "DRAFT_UPDATE" };
    let payload = format!(r#"{{"id":"one","data":{{"customer":"17850","lines":[{lines}]}}}}"#);
    let text = format!(r#"{{"type":"{kind}","payload":{payload},"mutationId":{number}}}"#);
    writer.send(Message::text(text)).await.map_err(|error| error.to_string())?;
    let answered = async {
        while let Some(Ok(message)) = writer.next().await {
            if matches!(&message, Message::Text(text) if text.starts_with(r#"{"type":"ACK""#)) {
                return Ok(());
            }
            if matches!(&message, Message::Text(text) if text.starts_with(r#"{"type":"REJECTED""#))
            {
                return Err(format!("the command was rejected: {message}"));
            }
        }
        Err("the writer's connection has ended".to_owned())
    };
    timeout(PATIENCE, answered).await.unwrap_or_else(|_| Err("no answer".into()))
}

/// A connection on which the handshake is over.
async fn listen(
    address: SocketAddr,
    user: usize,
    name: &str,
    compressed: bool,
) -> Result<BufReader<TcpStream>, String> {
    let token = token(&user_name(user), 24 * 3_600);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let head = format!(
        "GET /ws/realtime?clientId={name} HTTP/1.1\r\nHost: rig\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n{}\r\n",
        if compressed { offer } else { "" }
    );
    let opening = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await?);
        }
        Ok::<_, std::io::Error>((stream, String::from_utf8_lossy(&answer).into_owned()))
    };
    let opened = timeout(PATIENCE, opening).await.map_err(|_| "no answer to a handshake")?;
    let (stream, answer) = opened.map_err(|error| error.to_string())?;
    let agreed = answer.to_ascii_lowercase().contains("permessage-deflate");
    if !answer.starts_with("HTTP/1.1 101 ") || agreed != compressed {
        return Err(format!("the handshake of {name} was answered {answer}"));
    }
    Ok(BufReader::new(stream))
}

/// Counts frames and their bytes, until the connection or its task ends.
async fn count(mut stream: BufReader<TcpStream>, frames: Arc<AtomicU64>, bytes: Arc<AtomicU64>) {
    let mut payload = Vec::new();
    while let Ok(first) = stream.read_u16().await {
        let (head, length) = match first & 0x7f {
            126 => (4, stream.read_u16().await.map(u64::from)),
            127 => (10, stream.read_u64().await),
            short => (2, Ok(u64::from(short))),
        };
        let Ok(length) = length else { return };
        payload.resize(length as usize, 0);
        if stream.read_exact(&mut payload).await.is_err() {
            return;
        }
        bytes.fetch_add(head + length, Ordering::AcqRel);
        frames.fetch_add(1, Ordering::AcqRel);
    }
}
