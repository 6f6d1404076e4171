//! *Promises* 1 at its edge: what is shown while a commit is under way, and when it fails.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use draftwire_protocol::reply::Head;
use draftwire_protocol::{Collection, Timestamp};
use draftwire_server::rate::Rate;
use draftwire_store::contract::{Ask, Found, Listing};
use draftwire_store::sqlite::SqliteOptions;
use draftwire_store::{
    Applied, Page, Recovered, Revocation, SqliteStore, Store, StoreError, StoreLimits, Submission,
};
use draftwire_testing::{Device, TestServer, TestServerBuilder, Value, eventually, json, raw};

use crate::joined;

type Result<T> = std::result::Result<T, StoreError>;

/// What becomes of commits from now on.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Sound,
    /// They wait before they begin.
    Held,
    /// They fail, with nothing written.
    Full,
    /// They are written, and then fail.
    Torn,
    /// They are written, and then wait before they return.
    Late,
}

/// A store's fault, in the hands of a test.
struct Fault {
    mode: Mutex<Mode>,
    changed: Condvar,
    /// Commits that were begun, and openings with a check.
    seen: Mutex<(usize, usize)>,
    /// Recoveries that have begun, which wait while the second is true.
    recoveries: Mutex<(usize, bool)>,
    released: Condvar,
}

impl Fault {
    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
        self.changed.notify_all();
    }

    fn commits(&self) -> usize {
        self.seen.lock().unwrap().0
    }

    fn hold_recoveries(&self, held: bool) {
        *self.recoveries.lock().unwrap() = (0, held);
        self.released.notify_all();
    }

    fn recoveries(&self) -> usize {
        self.recoveries.lock().unwrap().0
    }

    fn checks(&self) -> usize {
        self.seen.lock().unwrap().1
    }
}

struct Faulty {
    sound: SqliteStore,
    fault: Arc<Fault>,
}

impl Store for Faulty {
    fn apply(&self, batch: &[Submission], now: Timestamp) -> Result<Vec<Applied>> {
        self.fault.seen.lock().unwrap().0 += 1;
        let mode = self.fault.mode.lock().unwrap();
        let mode = *self.fault.changed.wait_while(mode, |mode| *mode == Mode::Held).unwrap();
        match mode {
            Mode::Sound | Mode::Held => self.sound.apply(batch, now),
            Mode::Full => Err(StoreError::Unavailable("the disk is full".into())),
            Mode::Torn => {
                self.sound.apply(batch, now)?;
                Err(StoreError::Poisoned("the disk said no".into()))
            }
            Mode::Late => {
                let applied = self.sound.apply(batch, now)?;
                self.fault.seen.lock().unwrap().0 += 1;
                let mode = self.fault.mode.lock().unwrap();
                drop(self.fault.changed.wait_while(mode, |mode| *mode == Mode::Late).unwrap());
                Ok(applied)
            }
        }
    }

    fn renew_epoch(&self, user: &str, lost: &str) -> Result<()> {
        self.sound.renew_epoch(user, lost)
    }

    fn recovery_bytes(&self, user: &str) -> Result<u64> {
        self.sound.recovery_bytes(user)
    }

    fn recover(&self, ask: &Ask<'_>) -> Result<Recovered> {
        let mut recoveries = self.fault.recoveries.lock().unwrap();
        recoveries.0 += 1;
        drop(self.fault.released.wait_while(recoveries, |recoveries| recoveries.1).unwrap());
        self.sound.recover(ask)
    }

    fn events_after(&self, user: &str, seq: u64, bytes_max: usize) -> Result<Page> {
        self.sound.events_after(user, seq, bytes_max)
    }

    fn list(&self, user: &str, collection: Collection) -> Result<Listing> {
        self.sound.list(user, collection)
    }

    fn get(&self, user: &str, collection: Collection, id: &str) -> Result<Option<Found>> {
        self.sound.get(user, collection, id)
    }

    fn head(&self, user: &str, client_id: Option<&str>) -> Result<(Head, u64)> {
        self.sound.head(user, client_id)
    }

    fn revoke(&self, user: &str, revocation: &Revocation) -> Result<()> {
        self.sound.revoke(user, revocation)
    }

    fn revocations(&self) -> Result<Vec<(String, Revocation)>> {
        self.sound.revocations()
    }

    fn maintain(&self, now: Timestamp) -> Result<bool> {
        self.sound.maintain(now)
    }
}

async fn start() -> (TestServer, Arc<Fault>, tempfile::TempDir) {
    start_with(TestServer::builder()).await
}

async fn start_with(builder: TestServerBuilder) -> (TestServer, Arc<Fault>, tempfile::TempDir) {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().to_owned();
    let fault = Arc::new(Fault {
        mode: Mutex::new(Mode::Sound),
        changed: Condvar::new(),
        seen: Mutex::default(),
        recoveries: Mutex::default(),
        released: Condvar::new(),
    });
    let kept = Arc::clone(&fault);
    let server = builder.store(move |check| {
        kept.seen.lock().unwrap().1 += usize::from(check);
        let options = SqliteOptions { check, ..SqliteOptions::new(&path, StoreLimits::default()) };
        let sound = SqliteStore::open(&options)?;
        Ok(Arc::new(Faulty { sound, fault: Arc::clone(&kept) }) as Arc<dyn Store>)
    });
    (server.start().await, fault, folder)
}

/// Checks that nothing has come, without asking the store.
async fn expect_nothing(device: &mut Device) {
    device.send("PING", json!({}), None).await;
    device.expect("PONG").await;
}

#[tokio::test]
async fn nothing_is_shown_to_anyone_before_it_is_committed() {
    let (server, fault, _folder) = start().await;
    let mut phone = joined(&server, "ann", "phone").await;
    let mut laptop = joined(&server, "ann", "laptop").await;
    fault.set(Mode::Held);
    phone.send("DRAFT_CREATE", json!({"id": "d", "data": {}}), 1).await;
    eventually("the commit to begin", || async { fault.commits() == 1 }).await;
    expect_nothing(&mut phone).await;
    expect_nothing(&mut laptop).await;
    server.get("/api/drafts/d").user("ann").send().await.problem(404, "NOT_FOUND");
    fault.set(Mode::Sound);
    phone.expect("DRAFT_CREATED").await;
    phone.expect("ACK").await;
    laptop.expect("DRAFT_CREATED").await;
}

#[tokio::test]
async fn commands_of_a_replaced_connection_that_were_not_begun_are_thrown_away() {
    let (server, fault, _folder) = start().await;
    let mut first = joined(&server, "ann", "phone").await;
    let mut other = joined(&server, "ann", "laptop").await;
    fault.set(Mode::Held);
    first.send("DRAFT_CREATE", json!({"id": "one", "data": {}}), 1).await;
    eventually("the commit to begin", || async { fault.commits() == 1 }).await;
    for number in 2..=5 {
        first.send("DRAFT_CREATE", json!({"data": {}}), number).await;
    }
    // They have all been read when this is answered.
    first.send("PING", json!({}), None).await;
    first.expect("PONG").await;
    let opening = server.connect("ann").client_id("phone").live();
    let opening = tokio::spawn(opening.open());
    first.expect_close(4003).await;
    assert!(!opening.is_finished(), "WELCOME waits for the commit");
    fault.set(Mode::Sound);
    let mut second = opening.await.unwrap();
    assert_eq!(second.welcome().payload()["lastMutationId"], 1);
    assert_eq!(second.welcome().payload()["seq"], 1);
    assert_eq!(other.expect("DRAFT_CREATED").await.payload()["document"]["id"], "one");
    other.expect_nothing().await;
    second.send("DRAFT_CREATE", json!({"id": "two", "data": {}}), 2).await;
    second.expect("DRAFT_CREATED").await;
    assert!(second.expect("ACK").await.payload().get("duplicate").is_none());
}

#[tokio::test]
async fn a_full_disk_refuses_without_using_up_the_number() {
    let (server, fault, _folder) = start().await;
    let mut phone = joined(&server, "ann", "phone").await;
    let mut laptop = joined(&server, "ann", "laptop").await;
    fault.set(Mode::Full);
    phone.send("DRAFT_CREATE", json!({"id": "d", "data": {}}), 1).await;
    let rejected = phone.expect_rejected("UNAVAILABLE").await;
    assert_eq!(rejected.payload()["mutationId"], 1);
    assert!(rejected.payload()["retryAfterMs"].is_u64());
    expect_nothing(&mut laptop).await;
    let body = json!({"data": {}});
    let answer = server.post("/api/drafts").user("ann").json(&body).send().await;
    answer.problem(503, "UNAVAILABLE");
    assert!(answer.header("retry-after").is_some());
    fault.set(Mode::Sound);
    phone.send("DRAFT_CREATE", json!({"id": "d", "data": {}}), 1).await;
    phone.expect("DRAFT_CREATED").await;
    assert!(phone.expect("ACK").await.payload().get("duplicate").is_none());
    assert_eq!(laptop.expect("DRAFT_CREATED").await.seq(), Some(1));
}

#[tokio::test]
async fn after_a_failed_write_everybody_recovers_from_what_is_on_disk() {
    let (server, fault, _folder) = start().await;
    let mut phone = joined(&server, "ann", "phone").await;
    let mut laptop = joined(&server, "ann", "laptop").await;
    let position = laptop.position();
    fault.set(Mode::Torn);
    phone.send("DRAFT_CREATE", json!({"id": "d", "data": {}}), 1).await;
    let (frames, code) = phone.read_to_close().await;
    assert_eq!(code, 1011);
    assert!(frames.iter().all(|frame| frame.kind() == "REJECTED"), "{frames:?}");
    laptop.expect_close(1011).await;
    fault.set(Mode::Sound);
    eventually("the store to be opened again", || async {
        server.get("/readyz").send().await.status == 200
    })
    .await;
    assert_eq!(fault.checks(), 1, "it was checked");
    let mut laptop = server.connect("ann").client_id("laptop").position(&position).open().await;
    assert_eq!(laptop.expect("DRAFT_CREATED").await.seq(), Some(1));
    let mut phone = server.connect("ann").client_id("phone").live().open().await;
    assert_eq!(phone.welcome().payload()["lastMutationId"], 1);
    phone.send("DRAFT_CREATE", json!({"id": "d", "data": {}}), 1).await;
    assert_eq!(phone.expect("ACK").await.payload()["duplicate"], true);
    laptop.expect_nothing().await;
}

#[tokio::test]
async fn an_event_that_a_recovery_held_already_is_not_given_again() {
    let (server, fault, _folder) = start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    let position = {
        writer.apply("DRAFT_CREATE", json!({"id": "a", "data": {}})).await;
        writer.position()
    };
    // The joiner is about to read when an event is written, and has read before it is delivered.
    fault.hold_recoveries(true);
    let opening = server.connect("ann").client_id("joiner").position(&position);
    let opening = tokio::spawn(opening.open());
    eventually("the recovery to begin", || async { fault.recoveries() == 1 }).await;
    fault.set(Mode::Late);
    let commits = fault.commits();
    writer.send("DRAFT_CREATE", json!({"id": "b", "data": {}}), None).await;
    eventually("the event to be written", || async { fault.commits() == commits + 2 }).await;
    fault.hold_recoveries(false);
    let mut joiner = opening.await.unwrap();
    assert_eq!(joiner.welcome().payload()["seq"], 2);
    assert_eq!(joiner.expect("DRAFT_CREATED").await.seq(), Some(2));
    expect_nothing(&mut joiner).await;
    expect_nothing(&mut writer).await;
    fault.set(Mode::Sound);
    assert_eq!(writer.expect("DRAFT_CREATED").await.seq(), Some(2));
    joiner.expect_nothing().await;
}

#[tokio::test]
async fn over_so_many_unanswered_commands_the_server_stops_reading() {
    let builder = TestServer::builder().settings(|settings| settings.limits.in_flight = 4);
    let (server, fault, _folder) = start_with(builder).await;
    let mut phone = joined(&server, "ann", "phone").await;
    fault.set(Mode::Held);
    for number in 1..=20 {
        phone.send("DRAFT_CREATE", json!({"data": {}}), number).await;
    }
    let taken = || async {
        let stats = server.get("/api/websocket/stats").admin().send().await.ok(200);
        stats["messagesIn"].as_u64().unwrap()
    };
    eventually("the commands to be read", || async { taken().await >= 4 }).await;
    // Long enough for a server that reads on to have read on.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(taken().await, 4);
    fault.set(Mode::Sound);
    for number in 1..=20 {
        let (_, ack) = phone.read_until("ACK").await;
        assert_eq!(ack.payload()["mutationId"], number);
    }
}

#[tokio::test]
async fn a_shutdown_waits_for_the_commit_that_is_under_way() {
    let (mut server, fault, _folder) = start().await;
    let mut phone = joined(&server, "ann", "phone").await;
    fault.set(Mode::Held);
    phone.send("DRAFT_CREATE", json!({"data": {}}), 1).await;
    eventually("the commit to begin", || async { fault.commits() == 1 }).await;
    let served = server.shut_down();
    phone.expect("RECONNECT").await;
    // Long enough for a server that does not wait to have closed.
    tokio::time::sleep(Duration::from_millis(200)).await;
    fault.set(Mode::Sound);
    phone.expect("DRAFT_CREATED").await;
    phone.expect("ACK").await;
    phone.expect_close(1012).await;
    drop(phone);
    assert!(served.await.unwrap());
}

/// A refusal for the rate waits until what was sent before it is answered. What comes behind it must
/// not overtake it meanwhile, although there is room for one more by then.
#[tokio::test]
async fn no_command_overtakes_one_that_was_over_the_rate() {
    let builder = TestServer::builder().settings(|settings| {
        settings.connection_commands = Rate::new(1_000, 1);
    });
    let (server, fault, _folder) = start_with(builder).await;
    let mut ann = server.connect("ann").client_id("phone").live().raw().await;
    ann.read_frame().await.expect("WELCOME");
    let skip = |number: u64| {
        let skip = json!({"type": "SKIP", "mutationId": number}).to_string();
        raw::frame(raw::FIN | raw::TEXT, skip.as_bytes())
    };
    fault.set(Mode::Held);
    // Both at once: there is room for the first.
    ann.write_bytes(&[skip(1), skip(2)].concat()).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    ann.write_bytes(&skip(3)).await;
    ann.write_bytes(&raw::frame(raw::FIN | raw::PING, b"read")).await;
    assert_eq!(ann.read_frame().await, Some((raw::PONG, b"read".to_vec())));
    fault.set(Mode::Sound);
    for (number, code) in [(1, None), (2, Some("RATE_LIMITED")), (3, Some("RATE_LIMITED"))] {
        let (_, answer) = ann.read_frame().await.expect("it is open");
        let answer: Value = String::from_utf8_lossy(&answer).parse().expect("JSON");
        assert_eq!(answer["payload"]["mutationId"], number, "{answer}");
        assert_eq!(answer["payload"]["code"].as_str(), code, "{answer}");
    }
}
