//! One device of a customer: a real WebSocket, its own copy of the documents, and a clock.
//!
//! Sends numbered commands, applies every event to its copy, checks that `seq` goes up by exactly
//! one, and measures how long another device's command took to arrive here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use draftwire_client::{Address, Connection, Message};
use draftwire_protocol::kind::names;
use draftwire_server::http::REALTIME_PATH;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

/// Documents by collection and id.
pub(super) type Documents = BTreeMap<(String, String), Value>;

/// What all devices of all customers share: when commands were sent, what arrived.
#[derive(Default)]
pub(super) struct Measurements {
    sent: Mutex<HashMap<(String, u64), Instant>>,
    /// Command → other device.
    pub(super) latencies: Mutex<Vec<Duration>>,
    /// Events that arrived, over all devices.
    pub(super) events: std::sync::atomic::AtomicU64,
}

impl Measurements {
    fn sent(&self, client_id: &str, number: u64) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.insert((client_id.to_owned(), number), Instant::now());
    }
}

/// A command on its way to a device's task.
struct Ask {
    kind: &'static str,
    payload: Value,
    answer: oneshot::Sender<Result<u64, String>>,
}

/// A handle to a connected device.
pub(super) struct Device {
    asks: mpsc::Sender<Ask>,
    /// The last event that was applied, or why the device has given up.
    pub(super) seq: watch::Receiver<Result<u64, String>>,
    documents: Arc<Mutex<Documents>>,
}

impl Device {
    /// Connects and waits for the first state, which must be empty.
    pub(super) async fn connect(
        address: &Address,
        token: &str,
        client_id: &str,
        measurements: Arc<Measurements>,
    ) -> Result<Self, String> {
        let path = format!("{REALTIME_PATH}?clientId={client_id}");
        let mut connection = Connection::open(address, &path, token)
            .await
            .map_err(|error| format!("a device can't connect: {error}"))?;
        let welcome = frame(&mut connection).await?;
        let snapshot = frame(&mut connection).await?;
        let empty = [welcome["type"] == names::WELCOME, snapshot["type"] == names::SNAPSHOT]
            == [true, true]
            && ["drafts", "pending"].iter().all(|name| snapshot["payload"][name] == json!([]));
        if !empty {
            return Err("the server already holds documents of these customers: replay into a \
                        fresh data folder, or with another --user-prefix"
                .into());
        }
        let (asks, asked) = mpsc::channel(64);
        let (seq_changed, seq) =
            watch::channel(Ok(welcome["payload"]["seq"].as_u64().unwrap_or(0)));
        let documents = Arc::new(Mutex::new(Documents::new()));
        let task = Task {
            connection,
            client_id: client_id.to_owned(),
            next_mutation: 1,
            unanswered: HashMap::new(),
            seq: 0,
            seq_changed,
            documents: Arc::clone(&documents),
            measurements,
        };
        tokio::spawn(task.run(asked));
        Ok(Self { asks, seq, documents })
    }

    /// Sends a command; completes with its event's `seq`.
    pub(super) async fn command(&self, kind: &'static str, payload: Value) -> Result<u64, String> {
        let (answer, answered) = oneshot::channel();
        let gone = || "a device has lost its connection".to_owned();
        self.asks.send(Ask { kind, payload, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// What this device has.
    pub(super) fn documents(&self) -> Documents {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn frame(connection: &mut Connection) -> Result<Value, String> {
    match connection.next().await {
        Ok(Some(Message::Text(text))) => serde_json::from_str(&text).map_err(|e| e.to_string()),
        Ok(Some(Message::Closed(code, reason))) => Err(format!("closed with {code} {reason}")),
        Ok(None) => Err("the connection was lost".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// What owns the connection.
struct Task {
    connection: Connection,
    client_id: String,
    next_mutation: u64,
    unanswered: HashMap<u64, oneshot::Sender<Result<u64, String>>>,
    seq: u64,
    seq_changed: watch::Sender<Result<u64, String>>,
    documents: Arc<Mutex<Documents>>,
    measurements: Arc<Measurements>,
}

impl Task {
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        if let Err(error) = self.work(&mut asked).await {
            drop(self.seq_changed.send_replace(Err(error)));
        }
    }

    async fn work(&mut self, asked: &mut mpsc::Receiver<Ask>) -> Result<(), String> {
        loop {
            tokio::select! {
                ask = asked.recv() => match ask {
                    Some(ask) => self.send(ask).await?,
                    None => {
                        return self.connection.close().await.map_err(|error| error.to_string());
                    }
                },
                frame = frame(&mut self.connection) => self.arrived(&frame?)?,
            }
        }
    }

    async fn send(&mut self, ask: Ask) -> Result<(), String> {
        let number = self.next_mutation;
        self.next_mutation += 1;
        let text = json!({ "type": ask.kind, "payload": ask.payload, "mutationId": number });
        self.measurements.sent(&self.client_id, number);
        self.unanswered.insert(number, ask.answer);
        self.connection.send(&text.to_string()).await.map_err(|error| error.to_string())
    }

    fn arrived(&mut self, frame: &Value) -> Result<(), String> {
        let payload = &frame["payload"];
        match frame["type"].as_str().unwrap_or_default() {
            names::ACK => self.answer(payload, Ok(payload["seq"].as_u64().unwrap_or(0))),
            names::REJECTED => self.answer(payload, Err(payload.to_string())),
            kind if frame["seq"].is_u64() => self.event(kind, frame)?,
            names::ERROR => return Err(format!("a frame was not understood: {payload}")),
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, payload: &Value, result: Result<u64, String>) {
        let number = payload["mutationId"].as_u64().unwrap_or(0);
        if let Some(answer) = self.unanswered.remove(&number) {
            // The one who asked may have given up.
            drop(answer.send(result));
        }
    }

    fn event(&mut self, kind: &str, frame: &Value) -> Result<(), String> {
        let seq = frame["seq"].as_u64().unwrap_or(0);
        if seq != self.seq + 1 {
            return Err(format!("event {seq} came after event {}", self.seq));
        }
        self.seq = seq;
        self.measure(&frame["payload"]["origin"]);
        apply(
            &mut self.documents.lock().unwrap_or_else(PoisonError::into_inner),
            kind,
            &frame["payload"],
        );
        drop(self.seq_changed.send_replace(Ok(seq)));
        Ok(())
    }

    fn measure(&self, origin: &Value) {
        self.measurements.events.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (Some(client), Some(number)) =
            (origin["clientId"].as_str(), origin["mutationId"].as_u64())
        else {
            return;
        };
        if client == self.client_id {
            return;
        }
        let sent = self.measurements.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = sent.get(&(client.to_owned(), number)) {
            let elapsed = sent.elapsed();
            let mut latencies =
                self.measurements.latencies.lock().unwrap_or_else(PoisonError::into_inner);
            latencies.push(elapsed);
        }
    }
}

fn apply(documents: &mut Documents, kind: &str, payload: &Value) {
    let collection = if kind.starts_with("DRAFT") { "drafts" } else { "pending" };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let document = &payload["document"];
    let id = text(&document["id"]);
    match kind {
        names::DRAFT_CONVERTED => {
            documents.remove(&("drafts".into(), text(&payload["draftId"])));
            documents.insert(("pending".into(), id), document.clone());
        }
        names::DRAFT_DELETED | names::PENDING_DELETED => {
            documents.remove(&(collection.into(), text(&payload["id"])));
        }
        _ => {
            documents.insert((collection.into(), id), document.clone());
        }
    }
}
