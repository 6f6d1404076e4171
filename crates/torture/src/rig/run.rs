//! One run: a server, users with their devices, a nemesis, and the verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::device::{Device, Orders, Tally};
use super::ground::Ground;
use super::nemesis::{Nemesis, Victim};
use super::proxy::Proxy;
use super::server::{HEARTBEAT, Server};
use super::socket::{token, user_name};
use crate::check::{Check, Violation, check};
use crate::client::Client;
use crate::history::{DeviceHistory, Final, Record, UserHistory};

/// Ids that the devices of a user work on, in each collection.
const IDS: usize = 24;
/// The device that comes in the end.
const FRESH: &str = "fresh";
/// Descriptors of a server that is to run out of them.
const DESCRIPTORS: u32 = 160;
/// How long everything may take to settle.
const SETTLING_MAX: Duration = Duration::from_secs(60);
/// The same where commands may be lost: their devices wait for an answer that never comes.
const SETTLING_MAX_IF_LOST: Duration = Duration::from_secs(5);

/// What a run is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program to torture: `draftwire`, or for [`Nemesis::PowerCut`] `torture`.
    pub binary: PathBuf,
    /// Where its data, the journals and the log go; emptied first.
    pub folder: PathBuf,
    /// Users.
    pub users: usize,
    /// Devices of each.
    pub devices: usize,
    /// How long the nemesis does its worst.
    pub span: Duration,
    /// For its choices.
    pub seed: u64,
    /// False to let the server acknowledge before anything is synced.
    pub durable: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Who did it.
    pub nemesis: &'static str,
    /// How long.
    pub seconds: f64,
    /// Commands that devices issued.
    pub commands: u64,
    /// Events that they led to.
    pub events: u64,
    /// Commands that were rejected for good.
    pub rejected: u64,
    /// Commands that were sent more than once.
    pub resent: u64,
    /// Answers that were given again.
    pub duplicates: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Of these, by what was missed.
    pub deltas: u64,
    /// Of these, by the whole state.
    pub snapshots: u64,
    /// Times the process was killed.
    pub kills: u64,
    /// Changes to files that were not synced when the power was cut.
    pub unsynced: u64,
    /// Closes for slowness.
    pub slow: u64,
    /// Closes for a token that had ended.
    pub expired: u64,
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// Why it could not be done here.
    pub skipped: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.skipped {
            return write!(out, "| {} | SKIPPED: {why} |||||||||", self.nemesis);
        }
        write!(
            out,
            "| {} | {:.0} | {} | {} | {} | {} | {} | {} | {} / {} | {} | {} |",
            self.nemesis,
            self.seconds,
            self.kills,
            self.commands,
            self.events,
            self.rejected,
            self.resent,
            self.connections,
            self.deltas,
            self.snapshots,
            self.slow + self.expired,
            self.violations.len()
        )
    }
}

/// The head of a table of reports.
pub const TABLE_HEAD: &str = "| nemesis | s | kills | commands | events | rejected | sent again | connections | by delta / snapshot | 4001, 4500 | broken promises |\n|---|---|---|---|---|---|---|---|---|---|---|";

/// Runs one nemesis from beginning to verdict.
///
/// # Errors
///
/// Where the rig itself fails: no port, no program, a server that does not come back.
pub async fn run(settings: &Settings, nemesis: Nemesis) -> Result<Report, String> {
    let begun = Instant::now();
    let ground = Ground::prepare(&settings.folder, nemesis)?;
    if let Some(why) = &ground.impossible {
        let skipped = Some(why.clone());
        return Ok(Report { nemesis: nemesis.name(), skipped, ..Report::default() });
    }
    let heartbeat = format!("{}ms", HEARTBEAT.as_millis());
    let mut flags = vec!["--heartbeat", &heartbeat, "--close-wait", "500ms", "--drain", "3s"];
    let mut document_bytes = 256 * 1024;
    if nemesis == Nemesis::SlowReader {
        document_bytes = 16 * 1024;
        flags.extend([
            "--document-bytes",
            "16384",
            "--frame-bytes",
            "32768",
            "--outbox-bytes",
            "32768",
        ]);
    }
    // Most logs are whole, so that every event can be looked up; these two are trimmed.
    if !matches!(nemesis, Nemesis::Reset | Nemesis::Reconnect) {
        flags.extend(["--log-events", "100000000", "--log-bytes", "4000000000"]);
    }
    // The devices command as fast as they can; these two meet the limits, and keep within them.
    if !matches!(nemesis, Nemesis::Nothing | Nemesis::Reconnect) {
        flags.extend([
            "--user-commands",
            "0",
            "--connection-commands",
            "0",
            "--user-handshakes",
            "0",
        ]);
    }
    if !settings.durable {
        flags.extend(["--durability", "process-crash"]);
    }
    let mut server = Server::new(&settings.binary, &settings.folder, &flags)
        .map_err(|error| format!("{}: {error}", settings.folder.display()))?;
    server.environment = ground.environment.clone();
    server.descriptors = (nemesis == Nemesis::Descriptors).then_some(DESCRIPTORS);
    server.start()?;
    let proxy = Proxy::start(server.address).await.map_err(|error| error.to_string())?;
    let (orders, _) = watch::channel(Orders {
        address: proxy.address,
        writing: true,
        heads: None,
        token_seconds: 4 * 24 * 3_600,
        sleepers: 0,
        reconnects: 0,
    });
    let tally = Arc::new(Tally::default());
    let mut devices = JoinSet::new();
    let mut journals: BTreeMap<usize, Vec<PathBuf>> = BTreeMap::new();
    for user in 0..settings.users {
        for number in 0..settings.devices {
            let (orders, tally) = (orders.subscribe(), Arc::clone(&tally));
            let client = Client::new(format!("device-{number}"), IDS, document_bytes + 100);
            let device = Device::new(user, number, client, &settings.folder, orders, tally);
            let device = device.map_err(|error| format!("no journal: {error}"))?;
            journals.entry(user).or_default().push(device.journal_path().to_owned());
            devices.spawn(async move { (user, device.run().await) });
        }
    }
    let mut rng = Rng::with_seed(settings.seed);
    let mut victim = Victim {
        server: &mut server,
        proxy: &proxy,
        orders: &orders,
        tally: &tally,
        clock: ground.clock.as_deref(),
        rng: &mut rng,
        kills: 0,
        unsynced: 0,
    };
    victim.suffer(nemesis, settings.span).await?;
    let (kills, unsynced) = (victim.kills, victim.unsynced);
    let mut report = Report { nemesis: nemesis.name(), kills, unsynced, ..Report::default() };

    orders.send_modify(|orders| orders.writing = false);
    let mut settled_devices = Vec::new();
    let settling_max = if settings.durable { SETTLING_MAX } else { SETTLING_MAX_IF_LOST };
    let settled = tokio::time::timeout(settling_max, async {
        // What is still unanswered moves the heads, so they are asked for until they stand still.
        tokio::time::sleep(Duration::from_millis(500)).await;
        while !devices.is_empty() {
            let heads = (0..settings.users).map(|user| head(server.address, &user_name(user)));
            let heads: Option<Vec<u64>> = heads.collect();
            if heads.is_some() {
                orders.send_modify(|orders| orders.heads = heads.map(Arc::new));
            }
            let round = Duration::from_millis(300);
            while let Ok(Some(done)) = tokio::time::timeout(round, devices.join_next()).await {
                let (user, client) = done.map_err(|error| error.to_string())?;
                report.deltas += client.recoveries.0;
                report.snapshots += client.recoveries.1;
                report.commands += client.issued();
                settled_devices.push((user, client));
            }
        }
        Ok::<(), String>(())
    })
    .await;
    if settled.is_err() {
        let detail =
            format!("{} devices do not settle; the log ends:\n{}", devices.len(), server.log_end());
        report.violations.push(Violation { check: Check::Answered, detail });
        devices.shutdown().await;
    }
    if settled.is_ok() {
        let documents = || Client::new(FRESH.into(), IDS, document_bytes + 100);
        for user in 0..settings.users {
            let (orders, tally) = (orders.subscribe(), Arc::clone(&tally));
            let fresh =
                Device::new(user, settings.devices, documents(), &settings.folder, orders, tally);
            let fresh = fresh.map_err(|error| format!("no journal: {error}"))?;
            journals.entry(user).or_default().push(fresh.journal_path().to_owned());
            let joined = tokio::time::timeout(SETTLING_MAX, fresh.run()).await;
            let joined = joined.map_err(|_| "a fresh device does not get to the head")?;
            settled_devices.push((user, joined));
        }
    }
    let finals = (0..settings.users).map(|user| told(server.address, &user_name(user)));
    let finals: Vec<Vec<Final>> = finals.collect::<Result<_, _>>()?;
    for (user, client) in &settled_devices {
        compare(client, &finals[*user][0], &mut report);
    }
    // With devices that do not settle there are connections that have to be cut.
    if !server.terminate() && settled.is_ok() {
        return Err(format!("the server did not end well; its log ends:\n{}", server.log_end()));
    }
    report.connections = tally.connections.load(Ordering::Relaxed);
    report.slow = tally.slow.load(Ordering::Relaxed);
    report.expired = tally.expired.load(Ordering::Relaxed);
    judge(settings, &server.data(), &journals, finals, &mut report)?;
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// A device believes to be there what the server says is there, in the same versions. One that was
/// at the head while others still had something unanswered has seen less: what it saw is judged with
/// the log.
fn compare(client: &Client, told: &Final, report: &mut Report) {
    let at = client.position.as_ref().map_or(0, |position| position.seq);
    if at != told.seq {
        if *client.name == *FRESH {
            let detail = format!("{FRESH} is at {at}, {} at {}", told.who, told.seq);
            report.violations.push(Violation { check: Check::Final, detail });
        }
        return;
    }
    let drafts = told.drafts.iter().map(|text| ("drafts", text));
    let pending = told.pending.iter().map(|text| ("pending", text));
    let versions = drafts.chain(pending).filter_map(|(collection, text)| {
        let document: Value = serde_json::from_str(text).ok()?;
        Some(((collection, document["id"].as_str()?.to_owned()), document["version"].as_u64()?))
    });
    let versions: BTreeMap<_, _> = versions.collect();
    if versions != *client.versions() {
        let detail =
            format!("{} has {:?}, {} says {versions:?}", client.name, client.versions(), told.who);
        report.violations.push(Violation { check: Check::Final, detail });
    }
}

/// What the checker says of everything that was seen.
fn judge(
    settings: &Settings,
    data: &Path,
    journals: &BTreeMap<usize, Vec<PathBuf>>,
    finals: Vec<Vec<Final>>,
    report: &mut Report,
) -> Result<(), String> {
    for (user, finals) in (0..settings.users).zip(finals) {
        let log = log(data, &user_name(user)).map_err(|error| format!("the log: {error}"))?;
        report.events += log.len() as u64;
        let mut devices = Vec::new();
        for path in journals.get(&user).into_iter().flatten() {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let name =
                name.strip_prefix(&format!("{}-", user_name(user))).unwrap_or(&name).to_owned();
            let journal = fs::read_to_string(path).map_err(|error| error.to_string())?;
            let history = DeviceHistory::read(name, &journal)
                .map_err(|line| format!("{}:{line} is no record", path.display()))?;
            count(&history, report);
            devices.push(history);
        }
        let user = user_name(user);
        report.violations.extend(check(&UserHistory { user, devices, log, finals }));
    }
    Ok(())
}

fn count(history: &DeviceHistory, report: &mut Report) {
    let mut sent = std::collections::BTreeSet::new();
    for record in &history.records {
        match record {
            Record::Sent(text) => {
                if !sent.insert(text.clone()) {
                    report.resent += 1;
                }
            }
            Record::Received(text) => {
                let duplicate = text.contains(r#""duplicate":true"#);
                report.duplicates += u64::from(duplicate);
                let rejected = text.starts_with(r#"{"type":"REJECTED""#) && !duplicate;
                report.rejected += u64::from(rejected);
            }
            Record::Opened | Record::Ended => {}
        }
    }
}

/// The event log as it lies in the server's file, in order.
fn log(data: &Path, user: &str) -> rusqlite::Result<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(data.join("draftwire.db"), flags)?;
    let mut select = database.prepare(
        "SELECT frame FROM events JOIN users ON users.id = events.user WHERE name = ? ORDER BY events.seq",
    )?;
    select.query_map([user], |row| row.get(0))?.collect()
}

fn head(server: SocketAddr, user: &str) -> Option<u64> {
    get(server, user, "/api/drafts").ok()?["seq"].as_u64()
}

/// What plain HTTP says at the end.
fn told(server: SocketAddr, user: &str) -> Result<Vec<Final>, String> {
    let list = |collection: &str| get(server, user, &format!("/api/{collection}"));
    let (drafts, pending) = (list("drafts")?, list("pending")?);
    let texts = |listing: &Value| {
        let items = listing["items"].as_array();
        items.into_iter().flatten().map(Value::to_string).collect()
    };
    let seq = drafts["seq"].as_u64().unwrap_or(0);
    Ok(vec![Final { who: "HTTP".into(), seq, drafts: texts(&drafts), pending: texts(&pending) }])
}

fn get(server: SocketAddr, user: &str, path: &str) -> Result<Value, String> {
    let request = format!(
        // Of version 1.0, so that the body comes in one piece and ends with the connection.
        "GET {path} HTTP/1.0\r\nHost: rig\r\nAuthorization: Bearer {}\r\n\r\n",
        token(user, 3_600)
    );
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = answer().map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if !head.lines().next().is_some_and(|status| status.contains(" 200 ")) {
        return Err(head.lines().next().unwrap_or_default().to_owned());
    }
    serde_json::from_str(body).map_err(|error| error.to_string())
}
