//! `draftwire replay`: real orders, live on every device, checked at the end.
//!
//! Every customer is a user with three devices. An order is a draft that one device creates; the
//! two others add its lines at the same time, as merge patches keyed by line id; the first turns
//! it into a pending order. A cancellation deletes the pending order it means. At the end every
//! device, `GET /api/drafts` and `GET /api/pending` must hold what the orders alone say.
//!
//! | file | owns |
//! |---|---|
//! | `orders` | reading the orders |
//! | `expectation` | what must be there at the end |
//! | `device` | one device on a real WebSocket |
//! | `fetch` | plain HTTP |
//! | `report` | progress bar and table |

mod device;
mod expectation;
mod fetch;
mod orders;
mod report;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use draftwire_client::Address;
use draftwire_protocol::kind::names;
use draftwire_server::auth::{ClaimRules, Hs256};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::flags::ReplayFlags;
use crate::{limits, secret, token};
use device::{Device, Documents, Measurements};
use expectation::Pending;
use orders::{Customer, Order};
use report::{Progress, Summary};

const DEVICES: [&str; 3] = ["phone", "tablet", "desk"];
/// How long the devices may take to get the last events.
const SETTLE: Duration = Duration::from_secs(30);
const TOKEN_TTL: Duration = Duration::from_secs(3600);
/// Handshakes at a time.
const CONNECTS_AT_ONCE: usize = 32;

/// What one replay works with.
struct Replay {
    address: Address,
    signer: Hs256,
    user_prefix: String,
    ahead: usize,
    measurements: Arc<Measurements>,
    progress: Progress,
    connected: AtomicUsize,
    commands: AtomicU64,
    cancelled: AtomicUsize,
    nothing_to_cancel: AtomicUsize,
}

pub(crate) async fn run(flags: ReplayFlags) -> Result<ExitCode, String> {
    limits::raise_descriptors();
    let customers = orders::read(&flags.orders, flags.limit)?;
    let count: usize = customers.iter().map(|customer| customer.orders.len()).sum();
    let names = customers.len();
    eprintln!("replaying {count} orders of {names} customers, each on {} devices", DEVICES.len());
    let replay = Arc::new(Replay {
        address: Address::parse(&flags.url)?,
        signer: secret::from_file(&flags.jwt_secret_file, ClaimRules::default())?,
        user_prefix: flags.user_prefix,
        ahead: flags.ahead.max(1),
        measurements: Arc::default(),
        progress: Progress::new(count),
        connected: AtomicUsize::new(0),
        commands: AtomicU64::new(0),
        cancelled: AtomicUsize::new(0),
        nothing_to_cancel: AtomicUsize::new(0),
    });
    let connected = connect_all(&replay, customers).await?;
    let written = write_all(&replay, connected, flags.customers_at_once.max(1)).await?;
    let elapsed = replay.progress.elapsed();
    let verdict = check_all(&replay, &written).await;
    replay.summary(written.len(), count, elapsed).print();
    Ok(print_verdict(&verdict))
}

fn print_verdict(differences: &[String]) -> ExitCode {
    if differences.is_empty() {
        println!(
            "  {:<24}every device, GET /api/drafts and /api/pending agree with the orders ✔",
            "verdict"
        );
        return ExitCode::SUCCESS;
    }
    println!("  {:<24}{} DIFFERENCES ✘", "verdict", differences.len());
    for difference in differences.iter().take(20) {
        println!("    {difference}");
    }
    ExitCode::FAILURE
}

/// A customer with his devices, and what he must have at the end.
struct Writer {
    customer: Customer,
    token: String,
    devices: Vec<Arc<Device>>,
    pending: Pending,
    /// The last event that was acknowledged.
    head: u64,
}

async fn connect_all(
    replay: &Arc<Replay>,
    customers: Vec<Customer>,
) -> Result<Vec<Writer>, String> {
    at_once(customers, CONNECTS_AT_ONCE, |customer| {
        let replay = Arc::clone(replay);
        async move { replay.connect(customer).await }
    })
    .await
}

async fn write_all(
    replay: &Arc<Replay>,
    writers: Vec<Writer>,
    at_a_time: usize,
) -> Result<Vec<Writer>, String> {
    at_once(writers, at_a_time, |mut writer| {
        let replay = Arc::clone(replay);
        async move { replay.write(&mut writer).await.map(|()| writer) }
    })
    .await
}

/// Runs `work` on every item, so many at a time; ends at the first error.
async fn at_once<T, R, F>(
    items: Vec<T>,
    at_a_time: usize,
    work: impl Fn(T) -> F,
) -> Result<Vec<R>, String>
where
    R: Send + 'static,
    F: Future<Output = Result<R, String>> + Send + 'static,
{
    let seats = Arc::new(Semaphore::new(at_a_time));
    let mut tasks = JoinSet::new();
    for item in items {
        let (seats, task) = (Arc::clone(&seats), work(item));
        tasks.spawn(async move {
            let _seat = seats.acquire().await.map_err(|error| error.to_string())?;
            task.await
        });
    }
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result.map_err(|error| error.to_string())??);
    }
    Ok(results)
}

async fn check_all(replay: &Replay, writers: &[Writer]) -> Vec<String> {
    let mut differences = Vec::new();
    for writer in writers {
        if let Err(difference) = replay.check(writer).await {
            differences.push(format!("customer {}: {difference}", writer.customer.id));
        }
    }
    differences
}

impl Replay {
    async fn connect(&self, customer: Customer) -> Result<Writer, String> {
        let user = format!("{}{}", self.user_prefix, customer.id);
        let token = token::sign(&self.signer, &user, false, TOKEN_TTL)?;
        let number = self.connected.fetch_add(1, Ordering::Relaxed);
        let mut devices = Vec::new();
        for name in DEVICES {
            // The measurements of all customers share one table, so device names are told apart.
            let client_id = format!("{name}-{number}");
            let measurements = Arc::clone(&self.measurements);
            let device = Device::connect(&self.address, &token, &client_id, measurements).await?;
            devices.push(Arc::new(device));
        }
        Ok(Writer { customer, token, devices, pending: Pending::new(), head: 0 })
    }

    async fn write(&self, writer: &mut Writer) -> Result<(), String> {
        for (index, order) in writer.customer.orders.clone().iter().enumerate() {
            // Each order begins on another device.
            let mut devices = writer.devices.clone();
            devices.rotate_left(index % DEVICES.len());
            let head = if order.is_cancellation() {
                self.cancel(&devices[0], &mut writer.pending, order).await
            } else {
                expectation::add(&mut writer.pending, order);
                self.place(&devices, order).await.map(Some)
            };
            let head = head.map_err(|error| format!("order {}: {error}", order.number))?;
            writer.head = head.unwrap_or(writer.head);
            self.progress.step();
        }
        Ok(())
    }

    async fn command(
        &self,
        device: &Device,
        kind: &'static str,
        payload: Value,
    ) -> Result<u64, String> {
        self.commands.fetch_add(1, Ordering::Relaxed);
        device.command(kind, payload).await
    }

    async fn cancel(
        &self,
        device: &Device,
        pending: &mut Pending,
        cancellation: &Order,
    ) -> Result<Option<u64>, String> {
        let Some(id) = expectation::cancelled_by(pending, cancellation) else {
            self.nothing_to_cancel.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        };
        let head = self.command(device, names::PENDING_DELETE, json!({ "id": id })).await?;
        pending.remove(&id);
        self.cancelled.fetch_add(1, Ordering::Relaxed);
        Ok(Some(head))
    }

    async fn place(&self, devices: &[Arc<Device>], order: &Order) -> Result<u64, String> {
        let create = json!({ "id": order.number, "data": expectation::head(order) });
        self.command(&devices[0], names::DRAFT_CREATE, create).await?;
        let (even, odd) = tokio::join!(
            self.add_lines(&devices[1], order, 0),
            self.add_lines(&devices[2], order, 1),
        );
        even.and(odd)?;
        let convert = json!({ "id": order.number, "pendingId": order.number });
        self.command(&devices[0], names::DRAFT_CONVERT, convert).await
    }

    /// Adds every second line, so many ahead of the answers.
    async fn add_lines(&self, device: &Device, order: &Order, first: usize) -> Result<(), String> {
        let places: Vec<usize> = (first..order.lines.len()).step_by(2).collect();
        for ahead in places.chunks(self.ahead) {
            let commands = ahead.iter().map(|&place| {
                let (id, line) =
                    (expectation::line_id(place), expectation::line(&order.lines[place]));
                let patch = json!({ "id": order.number, "patch": { "lines": { id: line } } });
                self.command(device, names::DRAFT_UPDATE, patch)
            });
            for result in join_in_order(commands).await {
                result?;
            }
        }
        Ok(())
    }

    /// Compares every device and the server's own answers with the expectation.
    async fn check(&self, writer: &Writer) -> Result<(), String> {
        let mut server = Documents::new();
        for collection in ["drafts", "pending"] {
            let path = format!("/api/{collection}");
            let listing = fetch::get(&self.address, &path, &writer.token).await?;
            for document in listing["items"].as_array().into_iter().flatten() {
                let id = document["id"].as_str().unwrap_or_default().to_owned();
                server.insert((collection.to_owned(), id), document.clone());
            }
        }
        let found: Pending = server
            .iter()
            .map(|((collection, id), document)| {
                let name = if collection == "pending" { id.clone() } else { format!("draft {id}") };
                (name, document["data"].clone())
            })
            .collect();
        if found != writer.pending {
            return Err("GET /api/drafts and /api/pending differ from the orders".into());
        }
        for (name, device) in DEVICES.iter().zip(&writer.devices) {
            self.await_head(device, writer.head).await.map_err(|why| format!("{name}: {why}"))?;
            if device.documents()? != server {
                return Err(format!("the {name} differs from GET /api/drafts and /api/pending"));
            }
        }
        Ok(())
    }

    async fn await_head(&self, device: &Device, head: u64) -> Result<(), String> {
        let mut seq = device.seq.clone();
        let reached = |seq: &Result<u64, String>| seq.as_ref().map_or(true, |seq| *seq >= head);
        let waited = tokio::time::timeout(SETTLE, seq.wait_for(reached)).await;
        let late = || format!("did not get event {head} within {} s", SETTLE.as_secs());
        let seq = waited.map_err(|_| late())?.map_err(|_| "the device has ended".to_owned())?;
        seq.clone().map(drop)
    }

    fn summary(&self, customers: usize, orders: usize, elapsed: Duration) -> Summary {
        let latencies = &self.measurements.latencies;
        let (cancelled, nothing_to_cancel) = (
            self.cancelled.load(Ordering::Relaxed),
            self.nothing_to_cancel.load(Ordering::Relaxed),
        );
        Summary {
            customers,
            devices: customers * DEVICES.len(),
            orders: orders - cancelled - nothing_to_cancel,
            cancelled,
            nothing_to_cancel,
            commands: self.commands.load(Ordering::Relaxed),
            events: self.measurements.events.load(Ordering::Relaxed),
            elapsed,
            latencies: latencies.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Polls the futures in order, so that commands are sent in order, and completes with all results.
async fn join_in_order<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    use std::pin::Pin;
    use std::task::Poll;
    let mut waiting: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, result) in waiting.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *result = Some(value),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    results.into_iter().flatten().collect()
}
