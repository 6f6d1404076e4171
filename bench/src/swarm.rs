//! Thousands of client connections in one thread.
//!
//! Owns connecting (over many loopback addresses, so that ports don't run out), reading and
//! writing. What a frame means is the caller's business: every text frame is handed to a function.
//! It never measures time.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use draftwire_bench::frames::{self, FrameReader};
use draftwire_bench::token;
use draftwire_websocket::Opcode;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::subject::Dialect;

/// Handshakes under way at a time, where nothing else is asked for.
pub const HANDSHAKES: usize = 64;
/// Connections per loopback address.
const PER_ADDRESS: usize = 10_000;
/// How long nothing may happen before a measurement is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 256 * 1024;

/// One device to connect.
#[derive(Debug, Clone)]
pub struct Device {
    /// Whose.
    pub user: u32,
    /// Which of the user's.
    pub device: u32,
    /// What follows in the query (`&epoch=…`).
    pub query: String,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshake,
    Joining,
    Ready,
    Gone,
}

struct Connection {
    stream: TcpStream,
    reader: FrameReader,
    head: Vec<u8>,
    phase: Phase,
    waiting: Vec<u8>,
}

/// The connections.
pub struct Swarm {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    dialect: Dialect,
    port: u16,
    outgoing: VecDeque<(usize, Vec<u8>)>,
    gone: usize,
    number: u32,
}

/// Swarms so far; begins somewhere else in each process.
static SWARMS: AtomicU32 = AtomicU32::new(0);

impl Swarm {
    /// None yet.
    pub fn new(port: u16, dialect: Dialect) -> Self {
        Self {
            poll: Poll::new().expect("the system has an epoll"),
            events: Events::with_capacity(1024),
            connections: Vec::new(),
            buffer: vec![0; READ_BYTES],
            dialect,
            port,
            outgoing: VecDeque::new(),
            gone: 0,
            number: std::process::id().wrapping_mul(61) + SWARMS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Connects these devices, so many at a time, and waits until all are ready. Frames that come meanwhile go to
    /// `on_text`, as the connection's number and the text.
    pub fn connect(
        &mut self,
        devices: &[Device],
        parallel: usize,
        on_text: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), String> {
        let first = self.connections.len();
        let requests: Vec<String> = devices.iter().map(|device| self.request(device)).collect();
        let mut requests = requests.iter();
        let (mut started, mut ready) = (0, 0);
        let mut moved = Instant::now();
        while ready < devices.len() {
            while started < devices.len() && started - ready < parallel {
                let request = requests.next().expect("one for each device");
                self.start(request).map_err(|error| format!("a connection failed: {error}"))?;
                started += 1;
            }
            self.turn(Some(Duration::from_millis(100)), on_text);
            // Only the last ones can be under way.
            let before = ready;
            let from = first + ready;
            let phases = self.connections[from..].iter();
            ready += phases.take_while(|c| c.phase == Phase::Ready).count();
            if ready > before {
                moved = Instant::now();
            }
            if self.gone > 0 {
                return Err(format!("{} connections were refused or closed", self.gone));
            }
            if moved.elapsed() > PATIENCE {
                return Err(format!("only {ready} of {} connections came", devices.len()));
            }
        }
        Ok(())
    }

    /// The head of the request, made before the clock runs.
    fn request(&self, device: &Device) -> String {
        let path = match self.dialect {
            Dialect::SocketIo => "/socket.io/?EIO=4&transport=websocket".to_owned(),
            Dialect::Plain | Dialect::Draftwire => {
                format!("/ws/realtime?clientId=device-{}{}", device.device, device.query)
            }
        };
        format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Authorization: Bearer {}\r\n\r\n",
            token::for_user(device.user)
        )
    }

    fn start(&mut self, request: &str) -> io::Result<()> {
        let index = self.connections.len();
        let source = self.source(index);
        let mut stream = connect_from(source, self.port)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), both)?;
        self.connections.push(Connection {
            stream,
            reader: FrameReader::default(),
            head: Vec::new(),
            phase: Phase::Handshake,
            waiting: request.as_bytes().to_vec(),
        });
        Ok(())
    }

    /// Sends a text message.
    pub fn send(&mut self, index: usize, text: &str) {
        self.queue(index, text);
        self.connections[index].flush();
    }

    /// A loopback address of this swarm's own: the system looks long for a free port where an
    /// earlier swarm's connections have just ended.
    fn source(&self, index: usize) -> Ipv4Addr {
        let last = 2 + (index / PER_ADDRESS) % 250;
        Ipv4Addr::new(
            127,
            1 + (self.number / 250 % 250) as u8,
            (self.number % 250) as u8,
            last as u8,
        )
    }

    /// Puts a text message behind what waits; it leaves with the next flush.
    pub fn queue(&mut self, index: usize, text: &str) {
        let waiting = &mut self.connections[index].waiting;
        frames::write_masked(Opcode::Text, text.as_bytes(), waiting);
    }

    /// Writes what waits, in one write where the socket takes it.
    pub fn flush(&mut self, index: usize) {
        self.connections[index].flush();
    }

    /// Closes all without a goodbye.
    pub fn drop_all(&mut self) {
        self.connections.clear();
    }

    /// Waits for input and hands out what has come. Returns early only with something.
    pub fn turn(&mut self, timeout: Option<Duration>, on_text: &mut dyn FnMut(usize, &[u8])) {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            other => other.expect("epoll works"),
        }
        let Self { events, connections, buffer, dialect, outgoing, gone, .. } = self;
        for event in events.iter() {
            let index = event.token().0;
            let Some(connection) = connections.get_mut(index) else { continue };
            if connection.phase == Phase::Gone {
                continue;
            }
            if event.is_writable() {
                connection.flush();
            }
            if event.is_readable() && !connection.read(index, buffer, *dialect, outgoing, on_text) {
                connection.phase = Phase::Gone;
                *gone += 1;
            }
        }
        while let Some((index, bytes)) = self.outgoing.pop_front() {
            self.connections[index].write(&bytes);
        }
    }

    /// Connections that the server has closed.
    pub fn gone(&self) -> usize {
        self.gone
    }
}

fn connect_from(source: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    use mio::net::TcpStream;
    let target = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::V4(SocketAddrV4::new(source, 0)).into())?;
    match socket.connect(&target.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

impl Connection {
    fn write(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        self.flush();
    }

    fn flush(&mut self) {
        while !self.waiting.is_empty() {
            match self.stream.write(&self.waiting) {
                Ok(written) => drop(self.waiting.drain(..written)),
                // What is wrong is seen when reading.
                Err(_) => return,
            }
        }
        self.waiting = Vec::new();
    }

    /// False where the connection has ended.
    fn read(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        dialect: Dialect,
        outgoing: &mut VecDeque<(usize, Vec<u8>)>,
        on_text: &mut dyn FnMut(usize, &[u8]),
    ) -> bool {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    if !self.take(index, &buffer[..count], dialect, outgoing, on_text) {
                        return false;
                    }
                    if count < buffer.len() {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }

    fn take(
        &mut self,
        index: usize,
        bytes: &[u8],
        dialect: Dialect,
        outgoing: &mut VecDeque<(usize, Vec<u8>)>,
        on_text: &mut dyn FnMut(usize, &[u8]),
    ) -> bool {
        if self.phase != Phase::Handshake {
            return self.frames(index, bytes, dialect, outgoing, on_text);
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = self.head.windows(4).position(|window| window == b"\r\n\r\n") else {
            return true;
        };
        if !self.head.starts_with(b"HTTP/1.1 101") {
            eprintln!("refused: {}", String::from_utf8_lossy(&self.head[..end]));
            return false;
        }
        let rest = self.head.split_off(end + 4);
        self.head = Vec::new();
        self.phase = if dialect == Dialect::Plain { Phase::Ready } else { Phase::Joining };
        self.frames(index, &rest, dialect, outgoing, on_text)
    }

    fn frames(
        &mut self,
        index: usize,
        bytes: &[u8],
        dialect: Dialect,
        outgoing: &mut VecDeque<(usize, Vec<u8>)>,
        on_text: &mut dyn FnMut(usize, &[u8]),
    ) -> bool {
        let Self { reader, phase, .. } = self;
        let mut open = true;
        reader.feed(bytes, |opcode, payload| match opcode {
            Some(Opcode::Text) => match (dialect, *phase) {
                (Dialect::SocketIo, _) => match payload {
                    // Engine.IO open → Socket.IO connect; connect confirmed; Engine.IO ping → pong.
                    [b'0', ..] => outgoing.push_back((index, text(b"40"))),
                    [b'4', b'0', ..] => *phase = Phase::Ready,
                    [b'2'] => outgoing.push_back((index, text(b"3"))),
                    _ => on_text(index, payload),
                },
                (Dialect::Draftwire, Phase::Joining) => {
                    if is_last_of_joining(payload) {
                        *phase = Phase::Ready;
                    }
                    on_text(index, payload);
                }
                _ => on_text(index, payload),
            },
            Some(Opcode::Ping) => {
                let mut pong = Vec::new();
                frames::write_masked(Opcode::Pong, payload, &mut pong);
                outgoing.push_back((index, pong));
            }
            Some(Opcode::Close) => open = false,
            _ => {}
        });
        open
    }
}

fn text(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames::write_masked(Opcode::Text, payload, &mut bytes);
    bytes
}

/// True for the last `SNAPSHOT` part, and for a `WELCOME` that announces none.
fn is_last_of_joining(payload: &[u8]) -> bool {
    let has = |needle: &[u8]| payload.windows(needle.len()).any(|window| window == needle);
    if has(br#""type":"SNAPSHOT""#) {
        return has(br#""more":false"#);
    }
    has(br#""type":"WELCOME""#) && !has(br#""recovery":"snapshot""#)
}
