//! The floor: the least that any server can do. One thread, one epoll, frames that are ready.
//!
//! It reads the handshake, checks the token with the same code as draftwire, and writes ready-made
//! frames: one write each, or with `--joined` one write per socket and turn. It echoes what a
//! client sends (for the price of a round trip). It knows no limits, no heartbeats, no slow
//! readers: that is what the others are compared with.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use draftwire_bench::{event, token};
use draftwire_protocol::Timestamp;
use draftwire_server::auth::{ClaimRules, Hs256, Verifier};
use draftwire_websocket::{Decoder, Item, Role, accept_key, encode};
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);
const STDIN: Token = Token(usize::MAX - 1);
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Digits of an event's number, patched into the ready-made frame.
const DIGITS: usize = 10;

struct Connection {
    stream: TcpStream,
    /// The request's head until it is whole.
    head: Option<Vec<u8>>,
    decoder: Option<Box<Decoder>>,
    user: Option<u32>,
    /// What the socket did not take.
    waiting: Vec<u8>,
}

struct Floor {
    poll: Poll,
    verifier: Hs256,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    users: HashMap<u32, Vec<usize>>,
    frame: Vec<u8>,
    digits_at: usize,
    n: u64,
    joined: bool,
    buffer: Vec<u8>,
}

fn main() -> io::Result<()> {
    let mut joined = false;
    let (mut bytes, mut port) = (event::BYTES_DEFAULT, 0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok()).expect("a number");
        match argument.as_str() {
            "--joined" => joined = true,
            "--event-bytes" => bytes = number(),
            "--port" => port = number(),
            other => panic!("unknown argument {other}"),
        }
    }
    let port = u16::try_from(port).expect("a port");
    let secret = std::env::var(token::SECRET_VARIABLE).expect("BENCH_SECRET is set");
    let verifier = Hs256::new(secret.as_bytes(), ClaimRules::default()).expect("a long secret");
    let std_listener = listen(port)?;
    let mut listener = TcpListener::from_std(std_listener);
    println!("listening {}", listener.local_addr()?.port());
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let stdin = io::stdin();
    poll.registry().register(&mut SourceFd(&stdin.as_raw_fd()), STDIN, Interest::READABLE)?;
    let (frame, digits_at) = ready_made(bytes);
    let mut floor = Floor {
        poll,
        verifier,
        connections: Vec::new(),
        free: Vec::new(),
        users: HashMap::new(),
        frame,
        digits_at,
        n: 0,
        joined,
        buffer: vec![0; 64 * 1024],
    };
    let mut events = Events::with_capacity(1024);
    let mut line = Vec::new();
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            match event.token() {
                LISTENER => while floor.accept(&listener)? {},
                STDIN => {
                    let mut chunk = [0; 64 * 1024];
                    match stdin.lock().read(&mut chunk)? {
                        0 => return Ok(()),
                        count => line.extend_from_slice(&chunk[..count]),
                    }
                    while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                        let command: Vec<u8> = line.drain(..=end).collect();
                        floor.command(&String::from_utf8_lossy(&command));
                    }
                    // Edge-triggered: what is still in the pipe must be asked for again.
                    let fd = stdin.as_raw_fd();
                    floor.poll.registry().reregister(
                        &mut SourceFd(&fd),
                        STDIN,
                        Interest::READABLE,
                    )?;
                }
                Token(index) => {
                    if event.is_writable() {
                        floor.flush(index);
                    }
                    if event.is_readable() {
                        floor.read(index);
                    }
                }
            }
        }
    }
}

fn listen(port: u16) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(("0.0.0.0", port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn ready_made(bytes: usize) -> (Vec<u8>, usize) {
    let payload = event::payload(0, &event::padding(bytes)).replacen(
        "\"n\":0",
        &format!("\"n\":{}", " ".repeat(DIGITS)),
        1,
    );
    let text = format!(
        r#"{{"type":"{}","payload":{payload},"timestamp":"2026-01-01T00:00:00.000Z"}}"#,
        event::TYPE
    );
    let frame = encode::text(&text);
    let member = b"\"n\":";
    let at = frame.windows(4).position(|window| window == member).expect("a number") + 4;
    (frame, at)
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<bool> {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), both)?;
        self.connections[index] = Some(Connection {
            stream,
            head: Some(Vec::new()),
            decoder: None,
            user: None,
            waiting: Vec::new(),
        });
        Ok(true)
    }

    fn read(&mut self, index: usize) {
        loop {
            let Some(connection) = self.connections[index].as_mut() else { return };
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => return self.remove(index),
                Ok(count) => {
                    let mut bytes = self.buffer[..count].to_vec();
                    if !self.take(index, &mut bytes) {
                        return self.remove(index);
                    }
                    if count < self.buffer.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.remove(index),
            }
        }
    }

    /// False where the connection is to be dropped.
    fn take(&mut self, index: usize, bytes: &mut [u8]) -> bool {
        let Some(connection) = self.connections[index].as_mut() else { return false };
        if let Some(head) = &mut connection.head {
            head.extend_from_slice(bytes);
            if !head.ends_with(b"\r\n\r\n") {
                return head.len() < MESSAGE_BYTES_MAX;
            }
            let head = String::from_utf8_lossy(head).into_owned();
            connection.head = None;
            return self.upgrade(index, &head);
        }
        let decoder = connection
            .decoder
            .get_or_insert_with(|| Box::new(Decoder::new(Role::Server, MESSAGE_BYTES_MAX)));
        let (mut at, mut answer) = (0, Vec::new());
        loop {
            match decoder.next(&mut bytes[at..]) {
                Ok((_, None)) => break,
                Ok((taken, Some(item))) => {
                    at += taken;
                    match item {
                        Item::Text(text) => answer.extend(encode::text(text)),
                        Item::Close(_) => return false,
                        _ => {}
                    }
                }
                Err(_) => return false,
            }
        }
        self.write(index, &answer);
        true
    }

    fn upgrade(&mut self, index: usize, head: &str) -> bool {
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (field, value) = line.split_once(':')?;
                field.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let Some(key) = field("sec-websocket-key") else { return false };
        let bearer = field("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = Timestamp::from_millis(now.map_or(0, |now| now.as_millis() as i64));
        let Some(Ok(claims)) = bearer.map(|token| self.verifier.verify(token, now)) else {
            self.write(index, b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
            return false;
        };
        let user = claims.user.rsplit('-').next().and_then(|number| number.parse().ok());
        let user = user.unwrap_or(0);
        if let Some(connection) = self.connections[index].as_mut() {
            connection.user = Some(user);
        }
        self.users.entry(user).or_default().push(index);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept_key(key)
        );
        self.write(index, answer.as_bytes());
        true
    }

    fn command(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("all") => {
                let count = words.next().and_then(|count| count.parse().ok()).unwrap_or(1);
                self.all(count);
            }
            Some("users") => {
                for user in words.filter_map(|word| word.parse::<u32>().ok()) {
                    let frame = self.next_frame();
                    for index in self.users.get(&user).cloned().unwrap_or_default() {
                        self.write(index, &frame);
                    }
                }
            }
            _ => {}
        }
    }

    fn all(&mut self, count: usize) {
        let frames: Vec<Vec<u8>> = (0..count).map(|_| self.next_frame()).collect();
        let turns = if self.joined { vec![frames.concat()] } else { frames };
        for bytes in &turns {
            for index in 0..self.connections.len() {
                if self.connections[index].as_ref().is_some_and(|c| c.user.is_some()) {
                    self.write(index, bytes);
                }
            }
        }
    }

    fn next_frame(&mut self) -> Vec<u8> {
        self.n += 1;
        let digits = format!("{:>DIGITS$}", self.n);
        self.frame[self.digits_at..self.digits_at + DIGITS].copy_from_slice(digits.as_bytes());
        self.frame.clone()
    }

    fn write(&mut self, index: usize, bytes: &[u8]) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        if bytes.is_empty() {
            return;
        }
        let written = match connection.waiting.is_empty() {
            true => connection.stream.write(bytes).unwrap_or(0),
            false => 0,
        };
        if written < bytes.len() {
            connection.waiting.extend_from_slice(&bytes[written..]);
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        while !connection.waiting.is_empty() {
            match connection.stream.write(&connection.waiting) {
                Ok(written) => drop(connection.waiting.drain(..written)),
                Err(_) => return,
            }
        }
    }

    fn remove(&mut self, index: usize) {
        let Some(connection) = self.connections[index].take() else { return };
        if let Some(list) = connection.user.and_then(|user| self.users.get_mut(&user)) {
            list.retain(|place| *place != index);
        }
        self.free.push(index);
    }
}
