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
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

/// Documents by collection and id.
pub(super) type Documents = BTreeMap<(String, String), Value>;

/// The same as the texts in which they came: parsed only when they are compared, since the
/// replay shares the machine with the server it measures.
type Texts = BTreeMap<(String, String), Box<RawValue>>;

/// A frame from the server, as far as it is looked at.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    seq: Option<u64>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The payload of an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    document: Option<&'a RawValue>,
    id: Option<String>,
    draft_id: Option<String>,
    origin: Origin,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Origin {
    client_id: Option<String>,
    mutation_id: Option<u64>,
}

/// The payload of an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    mutation_id: u64,
    #[serde(default)]
    seq: u64,
}

#[derive(Deserialize)]
struct Document {
    id: String,
}

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
    documents: Arc<Mutex<Texts>>,
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
        let welcome: Value = parse(&frame(&mut connection).await?)?;
        let snapshot: Value = parse(&frame(&mut connection).await?)?;
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
        let documents = Arc::new(Mutex::new(Texts::new()));
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
    pub(super) fn documents(&self) -> Result<Documents, String> {
        let texts = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        texts.iter().map(|(key, text)| Ok((key.clone(), parse(text.get())?))).collect()
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

async fn frame(connection: &mut Connection) -> Result<String, String> {
    match connection.next().await {
        Ok(Some(Message::Text(text))) => Ok(text),
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
    documents: Arc<Mutex<Texts>>,
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

    fn arrived(&mut self, text: &str) -> Result<(), String> {
        let frame: Frame<'_> = parse(text)?;
        let payload = frame.payload.get();
        match (frame.kind, frame.seq) {
            (names::ACK, _) => {
                let answer: Answer = parse(payload)?;
                self.answer(&answer, Ok(answer.seq));
            }
            (names::REJECTED, _) => self.answer(&parse(payload)?, Err(payload.to_owned())),
            (names::ERROR, _) => return Err(format!("a frame was not understood: {payload}")),
            (kind, Some(seq)) => self.event(kind, seq, &parse(payload)?)?,
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, answer: &Answer, result: Result<u64, String>) {
        if let Some(asked) = self.unanswered.remove(&answer.mutation_id) {
            // The one who asked may have given up.
            drop(asked.send(result));
        }
    }

    fn event(&mut self, kind: &str, seq: u64, event: &Event<'_>) -> Result<(), String> {
        if seq != self.seq + 1 {
            return Err(format!("event {seq} came after event {}", self.seq));
        }
        self.seq = seq;
        self.measure(&event.origin);
        apply(&mut self.documents.lock().unwrap_or_else(PoisonError::into_inner), kind, event)?;
        drop(self.seq_changed.send_replace(Ok(seq)));
        Ok(())
    }

    fn measure(&self, origin: &Origin) {
        self.measurements.events.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (Some(client), Some(number)) = (&origin.client_id, origin.mutation_id) else { return };
        if *client == self.client_id {
            return;
        }
        let sent = self.measurements.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = sent.get(&(client.clone(), number)) {
            let elapsed = sent.elapsed();
            let latencies = &self.measurements.latencies;
            latencies.lock().unwrap_or_else(PoisonError::into_inner).push(elapsed);
        }
    }
}

fn apply(documents: &mut Texts, kind: &str, event: &Event<'_>) -> Result<(), String> {
    let collection = if kind.starts_with("DRAFT") { "drafts" } else { "pending" };
    let named = |id: &Option<String>| id.clone().unwrap_or_default();
    let Some(document) = event.document else {
        documents.remove(&(collection.into(), named(&event.id)));
        return Ok(());
    };
    let Document { id } = parse(document.get())?;
    let collection = if kind == names::DRAFT_CONVERTED {
        documents.remove(&("drafts".into(), named(&event.draft_id)));
        "pending"
    } else {
        collection
    };
    documents.insert((collection.into(), id), document.to_owned());
    Ok(())
}
