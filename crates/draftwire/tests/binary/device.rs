//! A device as the protocol wants it: it keeps its documents, gives its position when it comes
//! back, and sends every unanswered command again, in order.
//!
//! Each promise it can see by itself is checked on the way: `seq` without gap or repeat, the own
//! event before its `ACK`, an answered command never forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use draftwire_client::{Address, ConnectError, Connection, Message};
use serde_json::{Value, json};

use super::server::{PATIENCE, token};

/// `(collection, id)` → document.
pub type Documents = BTreeMap<(String, String), Value>;

/// What a step has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Frame,
    Closed(u16),
    Lost,
}

pub struct Device {
    pub client_id: String,
    pub address: Address,
    token: String,
    connection: Option<Connection>,
    pub epoch: String,
    pub seq: u64,
    at: String,
    pub documents: Documents,
    /// Parts of a snapshot that is not complete.
    parts: Documents,
    /// Every event as it was given to this device, in order.
    pub events: Vec<Value>,
    unanswered: VecDeque<(u64, String)>,
    /// The last `mutationId` that was given out.
    pub issued: u64,
    /// Answers by `mutationId`.
    pub answers: BTreeMap<u64, Value>,
    /// `afterMs` of the last `RECONNECT`.
    pub reconnect_after: Option<u64>,
    pub recovery: String,
    pub resent: u64,
    pub duplicates: u64,
}

impl Device {
    pub fn new(address: Address, user: &str, client_id: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            address,
            token: token(user),
            connection: None,
            epoch: String::new(),
            seq: 0,
            at: String::new(),
            documents: Documents::new(),
            parts: Documents::new(),
            events: Vec::new(),
            unanswered: VecDeque::new(),
            issued: 0,
            answers: BTreeMap::new(),
            reconnect_after: None,
            recovery: String::new(),
            resent: 0,
            duplicates: 0,
        }
    }

    /// Connected, with everything there is.
    pub async fn connected(address: Address, user: &str, client_id: &str) -> Self {
        let mut device = Self::new(address, user, client_id);
        device.connect().await;
        device
    }

    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Connects, however often that takes, recovers, and sends again what was not answered.
    pub async fn connect(&mut self) {
        let mut path = format!("/ws/realtime?clientId={}", self.client_id);
        if !self.epoch.is_empty() {
            path += &format!("&epoch={}&seq={}&at={}", self.epoch, self.seq, self.at);
        }
        let trying = async {
            loop {
                match Connection::open(&self.address, &path, &self.token).await {
                    Ok(connection) => return connection,
                    Err(ConnectError::Refused { status: 503, .. } | ConnectError::Io(_)) => {}
                    // A server that is killed in the middle of its answer.
                    Err(ConnectError::NotWebSocket("the answer broke off")) => {}
                    Err(error) => panic!("{}: {error}", self.client_id),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let opened = tokio::time::timeout(PATIENCE, trying).await;
        self.connection = Some(opened.expect("the server can be reached"));
        self.parts.clear();
        self.recovery.clear();
        while self.recovery.is_empty() {
            if self.step().await != Step::Frame {
                return;
            }
        }
        let frames: Vec<String> = self.unanswered.iter().map(|(_, frame)| frame.clone()).collect();
        for frame in frames {
            self.resent += 1;
            self.put(&frame).await;
        }
    }

    /// Sends a command with the next number.
    pub async fn command(&mut self, kind: &str, payload: &Value) {
        self.issued += 1;
        let frame = json!({ "type": kind, "mutationId": self.issued, "payload": payload });
        let frame = frame.to_string();
        self.unanswered.push_back((self.issued, frame.clone()));
        self.put(&frame).await;
    }

    /// Sends any text.
    pub async fn put(&mut self, frame: &str) {
        if let Some(connection) = &mut self.connection
            && connection.send(frame).await.is_err()
        {
            self.connection = None;
        }
    }

    /// Hangs up without a word.
    pub fn drop_connection(&mut self) {
        self.connection = None;
    }

    /// Takes one message from the server.
    pub async fn step(&mut self) -> Step {
        let Some(connection) = &mut self.connection else { return Step::Lost };
        let next = tokio::time::timeout(PATIENCE, connection.next()).await;
        match next.unwrap_or_else(|_| panic!("{} waits in vain", self.client_id)) {
            Ok(Some(Message::Text(text))) => {
                let frame = serde_json::from_str(&text).expect("frames are JSON");
                self.take(&frame);
                Step::Frame
            }
            Ok(Some(Message::Closed(code, _))) => {
                // The server waits for the answer; it may be gone.
                drop(connection.close().await);
                self.connection = None;
                Step::Closed(code)
            }
            Ok(None) | Err(_) => {
                self.connection = None;
                Step::Lost
            }
        }
    }

    /// Reads, and connects anew where needed, until every command is answered.
    pub async fn settle(&mut self) {
        while !self.unanswered.is_empty() {
            if self.step().await != Step::Frame {
                self.connect().await;
            }
        }
    }

    /// Reads until the device has the event with that `seq`.
    pub async fn reach(&mut self, head: u64) {
        while self.seq < head {
            if self.step().await != Step::Frame {
                self.connect().await;
            }
        }
    }

    /// Reads until the server closes.
    pub async fn until_closed(&mut self) -> Step {
        loop {
            let step = self.step().await;
            if step != Step::Frame {
                return step;
            }
        }
    }

    fn take(&mut self, frame: &Value) {
        let payload = &frame["payload"];
        match frame["type"].as_str().unwrap() {
            "WELCOME" => self.welcome(payload),
            "SNAPSHOT" => {
                for collection in ["drafts", "pending"] {
                    for document in payload[collection].as_array().unwrap() {
                        self.parts.insert(key(collection, &document["id"]), document.clone());
                    }
                }
                if payload["more"] == false {
                    self.documents = std::mem::take(&mut self.parts);
                    self.seq = frame["seq"].as_u64().unwrap();
                    self.at = frame["timestamp"].as_str().unwrap().to_owned();
                }
            }
            "ACK" => self.answer(frame, true),
            "REJECTED" => self.answer(frame, false),
            "RECONNECT" => self.reconnect_after = payload["afterMs"].as_u64(),
            "ERROR" => panic!("{}: {frame}", self.client_id),
            _ if frame["seq"].is_u64() => self.event(frame.clone()),
            _ => {}
        }
    }

    fn welcome(&mut self, payload: &Value) {
        let last = payload["lastMutationId"].as_u64().unwrap();
        let answered = self.answers.keys().last().copied().unwrap_or(0);
        let name = &self.client_id;
        assert!(last >= answered, "{name}: command {answered} was answered, and forgotten");
        assert!(last <= self.issued, "{name}: {last} was never sent");
        let epoch = payload["epoch"].as_str().unwrap();
        if self.epoch.is_empty() {
            self.epoch = epoch.to_owned();
        }
        assert_eq!(self.epoch, epoch, "{name}: the history has changed");
        self.recovery = payload["recovery"].as_str().unwrap().to_owned();
    }

    fn event(&mut self, frame: Value) {
        let (seq, name) = (frame["seq"].as_u64().unwrap(), &self.client_id);
        assert_eq!(seq, self.seq + 1, "{name}: after event {} came {frame}", self.seq);
        let payload = &frame["payload"];
        let document = &payload["document"];
        let kind = frame["type"].as_str().unwrap();
        let collection = if kind.starts_with("DRAFT_") { "drafts" } else { "pending" };
        match kind.rsplit_once('_').unwrap().1 {
            "CREATED" | "UPDATED" => {
                self.documents.insert(key(collection, &document["id"]), document.clone());
            }
            "DELETED" => {
                let gone = self.documents.remove(&key(collection, &payload["id"]));
                assert!(gone.is_some(), "{name}: there was no such document: {frame}");
            }
            "CONVERTED" => {
                let gone = self.documents.remove(&key("drafts", &payload["draftId"]));
                assert!(gone.is_some(), "{name}: there was no such draft: {frame}");
                self.documents.insert(key("pending", &document["id"]), document.clone());
            }
            _ => panic!("{name}: {frame}"),
        }
        self.seq = seq;
        self.at = frame["timestamp"].as_str().unwrap().to_owned();
        self.events.push(frame);
    }

    fn answer(&mut self, frame: &Value, acknowledged: bool) {
        let (payload, name) = (&frame["payload"], &self.client_id);
        let id = payload["mutationId"].as_u64().unwrap_or_else(|| panic!("{name}: {frame}"));
        if payload["code"] == "UNAVAILABLE" {
            // Everything is sent again, in order, on the next connection.
            self.connection = None;
            return;
        }
        let (waiting, _) = self.unanswered.pop_front().unwrap_or_else(|| panic!("{frame}"));
        assert_eq!(waiting, id, "{name}: answers come in order: {frame}");
        if acknowledged && let Some(seq) = payload["seq"].as_u64() {
            assert!(seq <= self.seq, "{name}: the ACK came before its event: {frame}");
        }
        if payload["duplicate"] == true {
            self.duplicates += 1;
        }
        let earlier = self.answers.insert(id, frame.clone());
        assert!(earlier.is_none(), "{name}: answered twice: {frame}");
    }
}

fn key(collection: &str, id: &Value) -> (String, String) {
    (collection.to_owned(), id.as_str().unwrap().to_owned())
}

/// What the server says over HTTP: the documents and the last `seq`.
pub fn listing(authority: &str, user: &str) -> (Documents, u64) {
    let mut documents = Documents::new();
    let mut seqs = Vec::new();
    for collection in ["drafts", "pending"] {
        let path = format!("/api/{collection}");
        let answer = super::http::get(authority, &path, &token(user));
        assert_eq!(answer.status, 200, "{answer:?}");
        let listing = answer.json();
        seqs.push(listing["seq"].as_u64().unwrap());
        for document in listing["items"].as_array().unwrap() {
            documents.insert(key(collection, &document["id"]), document.clone());
        }
    }
    assert_eq!(seqs[0], seqs[1], "nobody writes any more");
    (documents, seqs[0])
}
