//! One open connection of a device, frame by frame.
//!
//! Pings are answered by the client library while it is read from; a device nobody reads from
//! answers nothing.

use std::ops::Index;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::within;

/// A frame from the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// As it came.
    pub text: String,
    /// As JSON.
    pub json: Value,
}

impl Frame {
    /// Reads a frame and checks its envelope.
    ///
    /// # Panics
    ///
    /// Where it is no frame of the protocol.
    pub fn of(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).expect("the server sends JSON");
        let whole = json["type"].is_string() && json["payload"].is_object();
        assert!(whole, "type or payload is missing in {text}");
        let timestamp = json["timestamp"].as_str().unwrap_or_default();
        let in_form = timestamp.len() == 24 && timestamp.ends_with('Z');
        assert!(in_form, "the timestamp is not UTC with milliseconds in {text}");
        Self { text: text.to_owned(), json }
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        self.json["type"].as_str().unwrap_or_default()
    }

    /// Its payload.
    pub fn payload(&self) -> &Value {
        &self.json["payload"]
    }

    /// Its `seq`, where it has one.
    pub fn seq(&self) -> Option<u64> {
        self.json["seq"].as_u64()
    }

    /// Its `timestamp`.
    pub fn timestamp(&self) -> &str {
        self.json["timestamp"].as_str().unwrap_or_default()
    }
}

impl Index<&str> for Frame {
    type Output = Value;

    fn index(&self, name: &str) -> &Value {
        &self.json[name]
    }
}

/// Where a device stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The history.
    pub epoch: String,
    /// The last event in it that was applied.
    pub seq: u64,
    /// The timestamp on that event.
    pub at: Option<String>,
}

/// What can come from the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// A frame.
    Frame(Frame),
    /// A close frame with its code.
    Closed(Option<u16>),
    /// The connection's end without one.
    Gone,
}

/// An open connection.
pub struct Device {
    stream: WebSocketStream<TcpStream>,
    subprotocol: Option<String>,
    welcome: Option<Frame>,
    position: Option<Position>,
    mutation_id: u64,
}

impl Device {
    /// Takes a connection on which the handshake is over.
    pub fn new(stream: WebSocketStream<TcpStream>, subprotocol: Option<String>) -> Self {
        Self { stream, subprotocol, welcome: None, position: None, mutation_id: 0 }
    }

    pub(crate) async fn read_welcome(&mut self, given: Option<Position>) {
        let welcome = self.expect("WELCOME").await;
        let payload = welcome.payload();
        self.mutation_id = payload["lastMutationId"].as_u64().unwrap_or_default();
        let head = payload["epoch"].as_str().map(|epoch| Position {
            epoch: epoch.to_owned(),
            seq: payload["seq"].as_u64().unwrap_or_default(),
            at: payload["at"].as_str().map(str::to_owned),
        });
        // What is to come moves it to the head.
        self.position = if payload["recovery"] == "live" { head } else { given };
        self.welcome = Some(welcome);
    }

    /// An event is applied as it comes, a snapshot when its last part is there.
    fn advance(&mut self, frame: &Frame) {
        let Some(seq) = frame.seq() else { return };
        let epoch = self.welcome.as_ref().and_then(|welcome| welcome.payload()["epoch"].as_str());
        let (Some(epoch), false) = (epoch, frame.payload()["more"] == true) else { return };
        let at = Some(frame.timestamp().to_owned());
        self.position = Some(Position { epoch: epoch.to_owned(), seq, at });
    }

    /// The `WELCOME` of this connection.
    ///
    /// # Panics
    ///
    /// On `/ws/sync`, which has none.
    pub fn welcome(&self) -> &Frame {
        self.welcome.as_ref().expect("a connection on /ws/realtime")
    }

    /// The subprotocol that the server chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The position after everything that was read.
    ///
    /// # Panics
    ///
    /// Before a first snapshot is complete, and on a relay.
    pub fn position(&self) -> Position {
        self.position.clone().expect("a device that knows the state")
    }

    /// What comes next, pings and pongs aside.
    ///
    /// # Panics
    ///
    /// Where nothing comes, or something that is no frame.
    pub async fn incoming(&mut self) -> Incoming {
        within("a frame", self.incoming_patiently()).await
    }

    async fn incoming_patiently(&mut self) -> Incoming {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    let frame = Frame::of(text.as_str());
                    self.advance(&frame);
                    return Incoming::Frame(frame);
                }
                Some(Ok(Message::Close(frame))) => {
                    return Incoming::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("the server sends text only, not {other:?}"),
                Some(Err(_)) | None => return Incoming::Gone,
            }
        }
    }

    /// The next frame.
    ///
    /// # Panics
    ///
    /// Where the connection ends instead.
    pub async fn next(&mut self) -> Frame {
        match self.incoming().await {
            Incoming::Frame(frame) => frame,
            other => panic!("expected a frame, got {other:?}"),
        }
    }

    /// The next frame, which must be of this type.
    ///
    /// # Panics
    ///
    /// Where it is another.
    pub async fn expect(&mut self, kind: &str) -> Frame {
        match self.incoming().await {
            Incoming::Frame(frame) if frame.kind() == kind => frame,
            other => panic!("expected {kind}, got {other:?}"),
        }
    }

    /// Reads on until a frame of this type comes, and returns it with all that came before.
    ///
    /// # Panics
    ///
    /// Where none comes.
    pub async fn read_until(&mut self, kind: &str) -> (Vec<Frame>, Frame) {
        let mut before = Vec::new();
        loop {
            let frame = self.next().await;
            if frame.kind() == kind {
                return (before, frame);
            }
            before.push(frame);
        }
    }

    /// Checks that `REJECTED` with this code comes next.
    ///
    /// # Panics
    ///
    /// Where it does not.
    pub async fn expect_rejected(&mut self, code: &str) -> Frame {
        let frame = self.expect("REJECTED").await;
        assert_eq!(frame.payload()["code"], code, "{}", frame.text);
        assert!(frame.payload()["message"].is_string(), "{}", frame.text);
        frame
    }

    /// Checks that `ERROR` with this code comes next.
    ///
    /// # Panics
    ///
    /// Where it does not.
    pub async fn expect_error(&mut self, code: &str) -> Frame {
        let frame = self.expect("ERROR").await;
        assert_eq!(frame.payload()["code"], code, "{}", frame.text);
        assert!(frame.payload()["message"].is_string(), "{}", frame.text);
        frame
    }

    /// Checks that a close frame with this code comes next.
    ///
    /// # Panics
    ///
    /// Where it does not.
    pub async fn expect_close(&mut self, code: u16) {
        let incoming = self.incoming().await;
        assert_eq!(incoming, Incoming::Closed(Some(code)));
    }

    /// Reads to the close frame and returns what came before it, with the code.
    ///
    /// # Panics
    ///
    /// Where the connection ends without one.
    pub async fn read_to_close(&mut self) -> (Vec<Frame>, u16) {
        let mut frames = Vec::new();
        loop {
            match self.incoming().await {
                Incoming::Frame(frame) => frames.push(frame),
                Incoming::Closed(Some(code)) => return (frames, code),
                other => panic!("expected a close frame with a code, got {other:?}"),
            }
        }
    }

    /// Checks that nothing has come up to now: a `SKIP` goes the whole way through the store, and
    /// its `ACK` must be the next frame.
    ///
    /// # Panics
    ///
    /// Where something else comes first.
    pub async fn expect_nothing(&mut self) {
        self.send("SKIP", json!({}), None).await;
        let ack = self.expect("ACK").await;
        assert_eq!(ack.payload()["mutationId"], Value::Null, "{}", ack.text);
    }

    /// Sends a frame.
    pub async fn send(&mut self, kind: &str, payload: Value, mutation_id: impl Into<Option<u64>>) {
        let mut frame = json!({"type": kind, "payload": payload});
        if let Some(mutation_id) = mutation_id.into() {
            frame["mutationId"] = mutation_id.into();
        }
        self.send_text(&frame.to_string()).await;
    }

    /// Sends a command with the device's next number, and returns the number.
    pub async fn command(&mut self, kind: &str, payload: Value) -> u64 {
        self.mutation_id += 1;
        self.send(kind, payload, self.mutation_id).await;
        self.mutation_id
    }

    /// Sends a command with the device's next number, reads to its answer, which must be `ACK`,
    /// and returns that.
    ///
    /// # Panics
    ///
    /// Where it is not acknowledged.
    pub async fn apply(&mut self, kind: &str, payload: Value) -> Frame {
        let number = self.command(kind, payload).await;
        loop {
            let frame = self.next().await;
            if frame.payload()["mutationId"] == number {
                assert_eq!(frame.kind(), "ACK", "{}", frame.text);
                return frame;
            }
        }
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.send_message(Message::binary(bytes.to_vec())).await;
    }

    /// Sends any message.
    ///
    /// # Panics
    ///
    /// Where the connection is gone.
    pub async fn send_message(&mut self, message: Message) {
        let sending = self.stream.send(message);
        within("room to send", sending).await.expect("the connection is open");
    }

    /// Says goodbye and waits for the answer: the code that came back.
    ///
    /// # Panics
    ///
    /// Where the server cuts the connection instead.
    pub async fn close(mut self) -> Option<u16> {
        within("room to close", self.stream.close(None)).await.expect("the connection is open");
        loop {
            match self.incoming().await {
                Incoming::Frame(_) => {}
                Incoming::Closed(code) => return code,
                Incoming::Gone => panic!("the server did not answer the close frame"),
            }
        }
    }
}
