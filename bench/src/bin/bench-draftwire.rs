//! draftwire as the library it is, in a host of a few lines that the benchmark can command.
//!
//! It serves all routes, with a store (`--data FOLDER`) or as a relay, and publishes what stdin
//! asks for: `all K` (K events to everybody), `users 17 4 …` (one event to each of these users).
//! Commands of a backend, each of which prints `done`: `create USERS DRAFTS` (so many drafts of each of
//! the users 0 … USERS−1), `edit USERS EDITS` (so many changes of the first draft of each). `stats`
//! prints commands and commits. It dies when stdin closes.

use std::io::{BufRead, Write};

use draftwire_bench::{event, token};
use draftwire_protocol::{ClientFrame, Command};
use draftwire_server::auth::{ClaimRules, Hs256};
use draftwire_server::rate::Rate;
use draftwire_server::{Realtime, Settings, WebSocketMessage, http};
use draftwire_store::{Author, Submission};

/// Commands that are handed over at once.
const EDITS_AT_ONCE: usize = 500;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut data, mut bytes, mut port, mut devices) = (None, event::BYTES_DEFAULT, 0, 100);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--data" => data = Some(value()?),
            "--event-bytes" => bytes = value()?.parse()?,
            "--port" => port = value()?.parse()?,
            "--user-connections-max" => devices = value()?.parse()?,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let secret = std::env::var(token::SECRET_VARIABLE)?;
    let verifier = Hs256::new(secret.as_bytes(), ClaimRules::default())?;
    let guard = runtime.enter();
    // What is measured is the road of a frame, as fast as it goes: nobody is limited.
    let settings = Settings {
        user_connections_max: devices,
        user_handshakes: Rate::UNLIMITED,
        connection_commands: Rate::UNLIMITED,
        user_commands: Rate::UNLIMITED,
        ..Settings::default()
    };
    let builder = Realtime::builder(settings, verifier);
    let realtime = match data {
        Some(folder) => builder.sqlite(folder).start()?,
        None => builder.start()?,
    };
    let listener = runtime.block_on(tokio::net::TcpListener::bind(("0.0.0.0", port)))?;
    while !realtime.is_ready() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    println!("listening {}", listener.local_addr()?.port());
    let served = realtime.clone();
    runtime.spawn(async move {
        http::serve_alone(listener, &served, std::future::pending()).await;
    });
    drop(guard);
    let padding = event::padding(bytes);
    let mut n = 0;
    let mut next = || {
        n += 1;
        WebSocketMessage::new(event::TYPE, &event::payload(n, &padding))
    };
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("all") => {
                for _ in 0..words.next().ok_or("how many")?.parse()? {
                    realtime.broadcast_to_all(&next()?)?;
                }
            }
            Some("users") => {
                for user in words {
                    realtime.broadcast(&token::user_name(user.parse()?), &next()?)?;
                }
            }
            Some(kind @ ("create" | "edit")) => {
                let users = words.next().ok_or("how many users")?.parse()?;
                let count = words.next().ok_or("how many each")?.parse()?;
                let text = if kind == "create" { creation } else { change };
                runtime.block_on(write(&realtime, users, count, text))?;
                println!("done");
                std::io::stdout().flush()?;
            }
            Some("stats") => {
                let counters = realtime.counters();
                println!("{} {}", counters.commands.get(), counters.commits.get());
                std::io::stdout().flush()?;
            }
            _ => return Err(format!("unknown command {line}").into()),
        }
    }
    Ok(())
}

fn creation(number: usize) -> String {
    format!(
        r#"{{"type":"DRAFT_CREATE","payload":{{"id":"order-{number}","data":{{"customer":"17850","lines":{{}}}}}}}}"#
    )
}

fn change(number: usize) -> String {
    format!(
        r#"{{"type":"DRAFT_UPDATE","payload":{{"id":"order-0","patch":{{"lines":{{"a":{{"quantity":{number}}}}}}}}}}}"#
    )
}

/// `count` commands for each user.
async fn write(
    realtime: &Realtime,
    users: u32,
    count: usize,
    text: fn(usize) -> String,
) -> Result<(), String> {
    let mut submissions = Vec::new();
    for number in 0..count {
        for user in 0..users {
            submissions.push(submission(user, &text(number))?);
            if submissions.len() == EDITS_AT_ONCE {
                submit(realtime, &mut submissions).await?;
            }
        }
    }
    submit(realtime, &mut submissions).await
}

async fn submit(realtime: &Realtime, submissions: &mut Vec<Submission>) -> Result<(), String> {
    for answer in realtime.submit(std::mem::take(submissions)).await {
        if answer.code.is_some() {
            return Err(format!("an edit was refused: {}", answer.payload));
        }
    }
    Ok(())
}

fn submission(user: u32, text: &str) -> Result<Submission, String> {
    let Ok(ClientFrame::Command { command, .. }) = ClientFrame::decode(text) else {
        return Err(format!("{text} is no command"));
    };
    let command: Command = command;
    Ok(Submission {
        user: token::user_name(user).into(),
        author: Author::Service("bench".into()),
        number: None,
        idempotency: None,
        wants_document: false,
        command,
    })
}
