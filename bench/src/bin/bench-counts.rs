//! Regressions caught without timing: how many instructions the four things cost that everything
//! else is made of. Counted by valgrind's callgrind, compared with `counts.txt`.
//!
//! ```text
//! bench-counts           compare; ends with 1 where one costs more than the tolerance allows
//! bench-counts --update  write what is counted into counts.txt
//! bench-counts run CASE N  (what valgrind runs)
//! ```
//!
//! Each case is counted with few and with many repetitions; the difference is the cost of one, and
//! what the start costs falls away. System calls are not counted: they are the benchmark's business.

use std::error::Error;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;

use draftwire_bench::{event, frames, token};
use draftwire_protocol::{ClientFrame, Timestamp};
use draftwire_server::auth::{ClaimRules, Hs256, Identity};
use draftwire_server::session::{Endpoint, Hello};
use draftwire_server::worker::Socket;
use draftwire_server::{Realtime, Settings, WebSocketMessage};
use draftwire_store::sqlite::SqliteOptions;
use draftwire_store::{Author, SqliteStore, Store, StoreLimits, Submission};
use draftwire_websocket::{Decoder, Item, Opcode, Role, encode};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What may be lost or won without a word, as a share. Processors for which the C library picks other
/// routines differ by less.
const TOLERANCE: f64 = 0.1;
const COUNTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");
/// Name, few repetitions, many.
const CASES: [(&str, u64, u64); 4] = [
    ("encode", 1_000, 11_000),
    ("parse", 1_000, 11_000),
    ("fan-out", 10, 150),
    ("apply", 200, 1_200),
];
const FAN_OUT: usize = 1_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", case, count] => run(case, count.parse()?),
        [] => compare(),
        ["--update"] => update(),
        _ => Err("see the top of bench/src/bin/bench-counts.rs".into()),
    }
}

fn update() -> Result<()> {
    let mut text = String::from("# Instructions; written by `make bench-counts UPDATE=1`.\n");
    for (case, few, many) in CASES {
        let count = count(case, few, many)?;
        println!("{case:<8} {count:>9.0}");
        text += &format!("{case} {count:.0}\n");
    }
    std::fs::write(COUNTS, text)?;
    Ok(())
}

fn compare() -> Result<()> {
    let known = std::fs::read_to_string(COUNTS)?;
    let mut worse = false;
    for (case, few, many) in CASES {
        let line = known.lines().find_map(|line| line.strip_prefix(case)?.strip_prefix(' '));
        let baseline: f64 = line.ok_or_else(|| format!("{COUNTS} has no {case}"))?.parse()?;
        let count = count(case, few, many)?;
        let change = count / baseline - 1.0;
        let verdict = if change > TOLERANCE {
            worse = true;
            "WORSE"
        } else if change < -TOLERANCE {
            "better: write it down with `make bench-counts UPDATE=1`"
        } else {
            "as before"
        };
        println!("{case:<8} {count:>9.0} {:>+6.1} %  {verdict}", change * 100.0);
    }
    if worse {
        return Err("more instructions than bench/counts.txt allows".into());
    }
    Ok(())
}

/// Instructions of one repetition.
fn count(case: &str, few: u64, many: u64) -> Result<f64> {
    let (less, more) = (callgrind(case, few)?, callgrind(case, many)?);
    Ok((more - less) / (many - few) as f64)
}

fn callgrind(case: &str, count: u64) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    let ended = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args(["run", case, &count.to_string()])
        .output()?;
    if !ended.status.success() {
        return Err(String::from_utf8_lossy(&ended.stderr).into());
    }
    let text = std::fs::read_to_string(out)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(totals.ok_or("callgrind wrote no totals")?.trim().parse()?)
}

fn run(case: &str, count: u64) -> Result<()> {
    match case {
        "encode" => run_encode(count),
        "parse" => run_parse(count),
        "fan-out" => run_fan_out(count),
        "apply" => run_apply(count),
        _ => Err(format!("there is no case {case}").into()),
    }
}

/// A published message, from its payload to the bytes of its frame.
fn run_encode(count: u64) -> Result<()> {
    let padding = event::padding(event::BYTES_DEFAULT);
    let mut bytes = 0;
    for n in 0..count {
        let payload = event::payload(n, &padding);
        let text =
            draftwire_protocol::reply::frame(event::TYPE, Timestamp::from_millis(0), &payload);
        bytes += std::hint::black_box(encode::text(&text)).len();
    }
    std::hint::black_box(bytes);
    Ok(())
}

const EDIT: &str = r#"{"type":"DRAFT_UPDATE","mutationId":7,"payload":{"id":"order","patch":{"lines":{"1":{"article":"85123A","description":"WHITE HANGING HEART T-LIGHT HOLDER","quantity":6,"price":2.55}}}}}"#;

/// A command, from the socket's bytes to its value.
fn run_parse(count: u64) -> Result<()> {
    let mut frame = Vec::new();
    frames::write_masked(Opcode::Text, EDIT.as_bytes(), &mut frame);
    let mut decoder = Decoder::new(Role::Server, 1 << 20);
    for _ in 0..count {
        let mut bytes = frame.clone();
        match decoder.next(&mut bytes) {
            Ok((_, Some(Item::Text(text)))) => {
                drop(std::hint::black_box(ClientFrame::decode(text)));
            }
            _ => return Err("no text".into()),
        }
    }
    Ok(())
}

/// An event to one user's 1,000 connections.
fn run_fan_out(count: u64) -> Result<()> {
    let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, hard) = nix::sys::resource::getrlimit(limit)?;
    nix::sys::resource::setrlimit(limit, hard, hard)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let _guard = runtime.enter();
    let verifier = Hs256::new(token::SECRET.as_bytes(), ClaimRules::default())?;
    let settings = Settings { workers: 1, ..Settings::default() };
    let realtime = Realtime::builder(settings, verifier).start()?;
    let mut far = Vec::new();
    for number in 0..FAN_OUT {
        let (near, other) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.push(other);
        let near = Socket::Pair(mio::net::UnixStream::from_std(near));
        realtime.register_connection(near, Vec::new(), hello(number), None);
    }
    let message = WebSocketMessage::new(event::TYPE, &event::payload(1, &event::padding(204)))?;
    for _ in 0..count {
        realtime.broadcast("user-0", &message)?;
    }
    // Without a goodbye: how far the threads get with it differs from run to run.
    std::process::exit(0);
}

fn hello(number: usize) -> Hello {
    let name: Arc<str> = format!("device-{number}").into();
    Hello {
        endpoint: Endpoint::Realtime,
        identity: Some(Identity {
            user: "user-0".into(),
            expires_at: Timestamp::from_millis(4_102_444_800_000),
            issued_at: f64::NAN,
            token_hash: 0,
            admin: false,
        }),
        connection_id: Arc::clone(&name),
        client_id: name,
        named: true,
        position: None,
        live: true,
        compression: None,
    }
}

/// A command in a commit of its own.
fn run_apply(count: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(&SqliteOptions::new(folder.path(), StoreLimits::default()))?;
    let create = r#"{"type":"DRAFT_CREATE","mutationId":1,"payload":{"id":"order","data":{}}}"#;
    store.apply(&[submission(create)?], Timestamp::from_millis(0))?;
    for number in 2..2 + count {
        let edit = EDIT.replacen("\"mutationId\":7", &format!("\"mutationId\":{number}"), 1);
        let applied = store.apply(&[submission(&edit)?], Timestamp::from_millis(0))?;
        if applied[0].answer.code.is_some() {
            return Err(applied[0].answer.payload.clone().into());
        }
    }
    Ok(())
}

fn submission(text: &str) -> Result<Submission> {
    let Ok(ClientFrame::Command { command, number }) = ClientFrame::decode(text) else {
        return Err(format!("{text} is no command").into());
    };
    Ok(Submission {
        user: "user-0".into(),
        author: Author::Device(Some("device-0".into())),
        number,
        idempotency: None,
        wants_document: false,
        command,
    })
}
