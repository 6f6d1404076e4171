//! Publishing over HTTP: keep-alive connections, one request each at a time.
//!
//! Owns the request each server understands. It reads as much of an answer as it must.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use draftwire_bench::{event, token};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::subject::{Subject, Who};

/// Requests under way at a time.
const CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(30);

/// The publisher.
pub struct Publisher {
    poll: Poll,
    events: Events,
    connections: Vec<(TcpStream, Vec<u8>)>,
    who: Who,
    token: String,
    body: String,
}

impl Publisher {
    /// Opens the connections.
    pub fn connect(subject: &Subject) -> Result<Self, String> {
        let poll = Poll::new().map_err(|error| error.to_string())?;
        let mut connections = Vec::new();
        for index in 0..CONNECTIONS {
            let stream = std::net::TcpStream::connect(("127.0.0.1", subject.port))
                .map_err(|error| error.to_string())?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            stream.set_nonblocking(true).map_err(|error| error.to_string())?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(index), Interest::READABLE)
                .map_err(|error| error.to_string())?;
            connections.push((stream, Vec::new()));
        }
        let payload = event::payload(1, &event::padding(event::BYTES_DEFAULT));
        let body = format!(r#"{{"type":"{}","payload":{payload}}}"#, event::TYPE);
        let (who, token) = (subject.who, token::for_admin());
        Ok(Self { poll, events: Events::with_capacity(64), connections, who, token, body })
    }

    /// Makes `count` requests; `meanwhile` is called between them.
    pub fn publish(
        &mut self,
        count: usize,
        next_user: &mut dyn FnMut() -> u32,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<(), String> {
        let (mut sent, mut answered) = (0, 0);
        for index in 0..CONNECTIONS.min(count) {
            self.request(index, next_user());
            sent += 1;
        }
        let mut moved = Instant::now();
        while answered < count {
            let timeout = Some(Duration::from_millis(1));
            match self.poll.poll(&mut self.events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other.map_err(|error| error.to_string())?,
            }
            let ready: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
            for index in ready {
                if self.answer(index)? {
                    answered += 1;
                    moved = Instant::now();
                    if sent < count {
                        self.request(index, next_user());
                        sent += 1;
                    }
                }
            }
            meanwhile();
            if moved.elapsed() > PATIENCE {
                return Err(format!("{} requests are not answered", count - answered));
            }
        }
        Ok(())
    }

    fn request(&mut self, index: usize, user: u32) {
        let user = token::user_name(user);
        let path = match self.who {
            Who::Draftwire => format!("/api/users/{user}/events"),
            _ => format!("/publish/{user}"),
        };
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{}",
            self.token,
            self.body.len(),
            self.body
        );
        let written = self.connections[index].0.write(request.as_bytes());
        assert_eq!(written.ok(), Some(request.len()), "a small request fits the socket");
    }

    /// True where a whole answer is there.
    fn answer(&mut self, index: usize) -> Result<bool, String> {
        let (stream, received) = &mut self.connections[index];
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Err("the server has closed a publisher's connection".into()),
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(false);
        };
        let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(format!("publishing was refused: {head}"));
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|n| n.trim().parse().ok()).ok_or("no length")?;
        if received.len() < end + 4 + length {
            return Ok(false);
        }
        received.clear();
        Ok(true)
    }
}
