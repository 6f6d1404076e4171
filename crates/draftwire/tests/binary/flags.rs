//! Flags, their environment variables and the sentences that say what is wrong with them;
//! `draftwire token` and `serve --dev`.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use draftwire_client::{Connection, Message};
use serde_json::{Value, json};

use super::http::{get, handshake};
use super::server::{Home, SECRET, Server, draftwire, run, token};

fn error_of(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// `WELCOME`'s payload.
async fn welcome(server: &Server, token: &str) -> Value {
    let mut connection =
        Connection::open(&server.address(), "/ws/realtime", token).await.expect("let in");
    let Some(Message::Text(frame)) = connection.next().await.unwrap() else { panic!("no WELCOME") };
    let frame: Value = serde_json::from_str(&frame).unwrap();
    assert_eq!(frame["type"], "WELCOME");
    frame["payload"].clone()
}

#[test]
fn without_a_secret_it_says_how_to_make_one() {
    let home = Home::new();
    let mut command = draftwire();
    command.arg("serve").arg("--data").arg(home.path("data")).args(["--listen", "127.0.0.1:0"]);
    let error = error_of(&run(&mut command));
    for part in ["--jwt-secret-file", "openssl rand -hex 32", "--dev"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!home.path("data").exists(), "nothing was begun");
}

#[test]
fn a_short_or_unreadable_secret_is_refused() {
    let home = Home::new();
    let short = "x".repeat(31);
    for text in [short.clone(), format!("{short}\n"), String::new(), "\n".into()] {
        fs::write(home.path("secret"), &text).unwrap();
        let error = error_of(&run(&mut home.serve()));
        assert!(error.contains("at least 32") && error.contains("openssl rand -hex 32"), "{error}");
        assert!(error.contains("secret"), "it names the file: {error}");
        assert!(text.trim().is_empty() || !error.contains(&short), "it shows the secret");
    }
    fs::remove_file(home.path("secret")).unwrap();
    let error = error_of(&run(&mut home.serve()));
    assert!(error.contains("can't be read") && error.contains("No such file"), "{error}");
}

#[test]
fn one_newline_at_the_end_of_the_secret_file_does_not_count() {
    let home = Home::new();
    let two = format!("{SECRET}\n\n");
    for (text, accepted) in [(SECRET, 200), (&*format!("{SECRET}\n"), 200), (&*two, 401)] {
        fs::write(home.path("secret"), text).unwrap();
        let server = Server::start(home.serve());
        let answer = get(&server.authority, "/api/session", &token("anna"));
        assert_eq!(answer.status, accepted, "{text:?}: {answer:?}");
    }
}

#[test]
fn every_flag_of_serve_has_its_environment_variable() {
    let help = run(draftwire().args(["serve", "--help"]));
    let help = String::from_utf8(help.stdout).unwrap();
    let flags: BTreeSet<&str> = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("--"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(flags.len() > 20, "{help}");
    for flag in flags {
        let name = flag.trim_start_matches('-').to_uppercase().replace('-', "_");
        let variable = format!("[env: DRAFTWIRE_{name}=]");
        assert!(help.contains(&variable), "{flag} has no {variable}:\n{help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_sets_what_flags_set_and_flags_win() {
    let home = Home::new();
    let mut command = draftwire();
    let data = home.path("elsewhere");
    command
        .arg("serve")
        .env("DRAFTWIRE_LISTEN", "127.0.0.1:0")
        .env("DRAFTWIRE_DATA", &data)
        .env("DRAFTWIRE_JWT_SECRET_FILE", home.path("secret"))
        .env("DRAFTWIRE_LOG_FORMAT", "json")
        .env("DRAFTWIRE_HEARTBEAT", "1m 30s")
        .env("DRAFTWIRE_DOCUMENT_BYTES", "1000")
        .env("DRAFTWIRE_FRAME_BYTES", "5000")
        .env("DRAFTWIRE_IN_FLIGHT", "3")
        .env("DRAFTWIRE_ALLOW_ORIGIN", "https://a.test,https://b.test")
        .args(["--in-flight", "4"]);
    let server = Server::start(command);
    let welcome = welcome(&server, &token("anna")).await;
    assert_eq!(welcome["heartbeatMs"], 90_000);
    let limits = json!({ "frameBytes": 5000, "documentBytes": 1000, "inFlight": 4 });
    assert_eq!(welcome["limits"], limits);
    assert!(data.is_dir());
    assert!(server.log().iter().all(|line| line.starts_with('{')), "{:?}", server.log());
    for (origin, status) in
        [("https://a.test", 101), ("https://b.test", 101), ("https://c.test", 403)]
    {
        let headers = format!("Origin: {origin}\r\nAuthorization: Bearer {}\r\n", token("anna"));
        let (_socket, answer) = handshake(&server.authority, "/ws/realtime", &headers);
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[test]
fn a_wrong_value_is_named_with_what_would_be_right() {
    let home = Home::new();
    let table: [(&[&str], &[&str]); 9] = [
        (&["--heartbeat", "soon"], &["--heartbeat", "soon", "25s"]),
        (&["--heartbeat", "25"], &["--heartbeat", "25s"]),
        (&["--heartbeat", "0s"], &["heartbeat", "above zero"]),
        (&["--allow-origin", "example.com"], &["example.com", "scheme://host"]),
        (&["--allow-origin", "https://a.test/"], &["https://a.test/", "without a path"]),
        (&["--frame-bytes", "1000"], &["1000", "at least twice the document limit"]),
        (&["--in-flight", "0"], &["above zero"]),
        (&["--listen", "here"], &["--listen", "here"]),
        (&["--log-format", "xml"], &["--log-format", "json"]),
    ];
    for (flags, parts) in table {
        let error = error_of(&run(home.serve_on(&home.path("data")).args(flags)));
        for part in parts {
            assert!(error.contains(part), "{flags:?}: '{part}' is not in: {error}");
        }
    }
    let variable = run(home.serve().env("DRAFTWIRE_HEARTBEAT", "-5s"));
    assert!(error_of(&variable).contains("25s"), "{variable:?}");
}

#[test]
fn a_port_in_use_is_named() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = home.serve_on(&home.path("data"));
    let error = error_of(&run(command.args(["--listen", &address])));
    assert!(error.contains(&address) && error.contains("--listen"), "{error}");
}

fn token_command(home: &Home) -> Command {
    let mut command = draftwire();
    command.arg("token").arg("--jwt-secret-file").arg(home.path("secret"));
    command
}

#[test]
fn the_token_command_signs_what_the_server_accepts() {
    let home = Home::new();
    let server = Server::start(home.serve());
    let session = |flags: &[&str]| {
        let output = run(token_command(&home).args(flags));
        assert!(output.status.success(), "{output:?}");
        let token = String::from_utf8(output.stdout).unwrap();
        let answer = get(&server.authority, "/api/session", token.trim());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let anna = session(&["--user", "anna"]);
    assert_eq!((&anna["userId"], &anna["admin"]), (&json!("anna"), &json!(false)));
    assert_eq!(session(&["--user", "root", "--admin"])["admin"], true);
    let day = |session: &Value| session["expiresAt"].as_str().unwrap()[..10].to_owned();
    let long = session(&["--user", "anna", "--ttl", "240h"]);
    assert!(day(&long) > day(&anna), "{long} {anna}");

    let output = run(token_command(&home).args(["--user", "anna", "--ttl", "0s"]));
    let expired = String::from_utf8(output.stdout).unwrap();
    assert_eq!(expired.trim().split('.').count(), 3, "within the leeway it may still be accepted");
    assert!(error_of(&run(token_command(&home).args(["--user", ""]))).contains("user"));
    assert!(error_of(&run(&mut token_command(&home))).contains("--user"));
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_mode_prints_a_token_that_works() {
    let home = Home::new();
    let mut command = draftwire();
    command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"]).arg(home.path("data"));
    let server = Server::start(command);
    server.await_output("ey");
    let lines = server.stdout();
    let token = lines.last().unwrap().trim();
    assert_eq!(welcome(&server, token).await["userId"], "dev");
    let stats = get(&server.authority, "/api/websocket/stats", token);
    assert_eq!(stats.status, 200, "the token is an administrator's: {stats:?}");
    let log = server.log().join("\n");
    assert!(!log.contains(token), "a log is kept, a token must not be");
}
