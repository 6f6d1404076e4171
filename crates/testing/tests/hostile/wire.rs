//! A TCP connection on which anything may be said, and the head of a handshake line by line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use draftwire_testing::{TestServer, Value, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// A good handshake whose lines can be made bad one by one.
#[derive(Clone)]
pub struct Head {
    first: String,
    lines: Vec<String>,
}

impl Head {
    /// What lets this user in.
    pub fn of(server: &TestServer, user: &str) -> Self {
        let lines = vec![
            format!("Host: {}", server.address()),
            "Connection: Upgrade".to_owned(),
            "Upgrade: websocket".to_owned(),
            "Sec-WebSocket-Version: 13".to_owned(),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
            format!("Authorization: Bearer {}", server.token(user)),
        ];
        Self { first: "GET /ws/realtime HTTP/1.1".to_owned(), lines }
    }

    /// With another request line.
    pub fn first(mut self, line: &str) -> Self {
        line.clone_into(&mut self.first);
        self
    }

    /// With these lines in the place of those of that name.
    pub fn with(mut self, name: &str, lines: &[&str]) -> Self {
        let is_named = |line: &str| {
            line.split_once(':').is_some_and(|(present, _)| present.eq_ignore_ascii_case(name))
        };
        self.lines.retain(|line| !is_named(line));
        self.lines.extend(lines.iter().map(|line| (*line).to_owned()));
        self
    }

    /// As it goes over the wire.
    pub fn text(&self) -> String {
        format!("{}\r\n{}\r\n\r\n", self.first, self.lines.join("\r\n"))
    }
}

/// What the server has answered.
#[derive(Debug)]
pub struct Heard {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Heard {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (present, value) = line.split_once(':')?;
            present.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Checks that this is a refusal with that status, and, where the request could be read at all,
    /// with a code for programs and a sentence for people.
    pub fn is_refusal(&self, what: &str, status: u16, code: &str) {
        assert_eq!(self.status, status, "{what}: {self:?}");
        if code.is_empty() {
            return;
        }
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{what}");
        let body: Value = self.body.parse().expect("JSON");
        assert_eq!(body["code"], code, "{what}: {self:?}");
        let detail = body["detail"].as_str().unwrap_or_default();
        assert!(detail.len() > 20, "{what}: what is there to do? {self:?}");
    }
}

/// A connection.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    /// Connects.
    pub async fn open(server: &TestServer) -> Self {
        Self::open_from(Ipv4Addr::LOCALHOST, server.address()).await
    }

    /// Connects from one of this machine's addresses.
    pub async fn open_from(source: Ipv4Addr, server: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0)).expect("an address of this machine");
        let stream = within("a connection", socket.connect(server)).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream: BufReader::new(stream) }
    }

    /// Connects and says all of this.
    pub async fn said(server: &TestServer, bytes: impl AsRef<[u8]>) -> Self {
        let mut wire = Self::open(server).await;
        wire.say(bytes).await;
        wire
    }

    /// Says something; false where the server does not listen any more.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        within("room to write", self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// The next answer; `None` where the connection ends instead.
    pub async fn hear(&mut self) -> Option<Heard> {
        within("an answer", self.hear_patiently()).await
    }

    async fn hear_patiently(&mut self) -> Option<Heard> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).expect("text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut heard = Heard { status: status.expect("a status"), head, body: String::new() };
        let length = heard.header("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body).await.ok()?;
        heard.body = String::from_utf8(body).expect("text");
        Some(heard)
    }

    /// Everything up to the connection's end.
    pub async fn hear_end(&mut self, what: &str) -> Vec<u8> {
        let mut rest = Vec::new();
        let what = format!("the connection's end: {what}");
        // A reset is an end as well.
        let _ = within(&what, self.stream.read_to_end(&mut rest)).await;
        rest
    }
}
