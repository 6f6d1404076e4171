//! SIGTERM and SIGINT: devices are told, what was read is answered, then the process ends.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::device::{Device, Step, listing};
use super::http::{connect, handshake, read_some, read_to_end};
use super::server::{Home, Server, token};

const COMMANDS: u64 = 300;

/// Cut: the warning in the log.
const CUT: &str = "connections that did not answer in time were cut";

async fn ends_gracefully(signal: &str) {
    let home = Home::new();
    let serve = || {
        let mut command = home.serve();
        command.args(["--drain", "50s"]);
        Server::start(command)
    };
    let mut server = serve();
    let mut devices = Vec::new();
    for name in ["phone", "tablet", "desk"] {
        let mut device = Device::connected(server.address(), "anna", name).await;
        for number in 1..=COMMANDS {
            let id = format!("{name}-{number}");
            device.command("DRAFT_CREATE", &json!({ "id": id, "data": {} })).await;
        }
        devices.push(device);
    }
    // Some are answered before the signal.
    while devices[0].answers.len() < 10 {
        assert_eq!(devices[0].step().await, Step::Frame);
    }
    server.signal(signal);
    for device in &mut devices {
        assert_eq!(device.until_closed().await, Step::Closed(1012), "{}", device.client_id);
        let after = device.reconnect_after.expect("RECONNECT comes before the close");
        assert!((1_000..=2_000).contains(&after), "{after}");
    }
    assert_eq!(server.await_exit().code(), Some(0));
    let last = server.await_line("stopped");
    assert!(!last.contains(CUT), "{last}");

    let unanswered: usize = devices.iter().map(Device::unanswered).sum();
    println!("{unanswered} of {} commands were not read", 3 * COMMANDS);
    let server = serve();
    for device in &mut devices {
        device.address = server.address();
        device.connect().await;
        device.settle().await;
        let acknowledged = device.answers.values().filter(|answer| answer["type"] == "ACK").count();
        assert_eq!(acknowledged as u64, COMMANDS, "{}", device.client_id);
    }
    assert_eq!(unanswered as u64, devices.iter().map(|device| device.resent).sum::<u64>());
    let duplicates: u64 = devices.iter().map(|device| device.duplicates).sum();
    assert_eq!(duplicates, 0, "what was read before the end was answered before the end");
    let (documents, head) = listing(&server.authority, "anna");
    assert_eq!((documents.len() as u64, head), (3 * COMMANDS, 3 * COMMANDS));
    for device in &mut devices {
        device.reach(head).await;
        assert!(device.documents == documents, "{}", device.client_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_gracefully() {
    ends_gracefully("TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_ends_gracefully() {
    ends_gracefully("INT").await;
}

/// A client that will never answer a close frame.
fn knock(server: &Server) -> TcpStream {
    let headers = format!("Authorization: Bearer {}\r\n", token("anna"));
    let (socket, answer) = handshake(&server.authority, "/ws/realtime", &headers);
    assert_eq!(answer.status, 101);
    socket
}

/// The same, and it has joined.
fn mute(server: &Server) -> TcpStream {
    let mut socket = knock(server);
    let mut frames = String::new();
    while !frames.contains("SNAPSHOT") {
        let more = read_some(&mut socket);
        assert!(!more.is_empty(), "cut while it was joining: {frames}");
        frames += &String::from_utf8_lossy(&more);
    }
    socket
}

/// A request for a handshake, and whatever comes until the server hangs up.
fn knock_and_listen(authority: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(authority).ok()?;
    let request = format!(
        "GET /ws/realtime?sync=live HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {}\r\n\r\n",
        token("anna")
    );
    stream.write_all(request.as_bytes()).ok()?;
    Some(read_to_end(&mut stream))
}

#[test]
fn who_was_let_in_a_moment_before_is_told_as_well() {
    let mut told = 0;
    for round in 0..20 {
        let home = Home::new();
        let mut command = home.serve();
        command.args(["--close-wait", "10ms"]);
        let mut server = Server::start(command);
        let authority = server.authority.clone();
        // The handshake and the signal meet at one moment or another, the first of them right
        // after the start.
        let knocking = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(100 * round));
            knock_and_listen(&authority)
        });
        server.signal("TERM");
        let heard = knocking.join().unwrap().unwrap_or_default();
        if heard.starts_with(b"HTTP/1.1 101") {
            // Who had no WELCOME yet gets no RECONNECT before it.
            let closed = heard.windows(2).any(|pair| pair == 1012_u16.to_be_bytes());
            assert!(closed, "cut without a word: {:?}", String::from_utf8_lossy(&heard));
            told += 1;
        }
        assert_eq!(server.await_exit().code(), Some(0));
    }
    assert!(told > 0, "nobody was let in: the test shows nothing");
}

#[test]
fn clients_that_never_answer_are_cut_when_the_drain_is_over() {
    let home = Home::new();
    let mut command = home.serve();
    command.args(["--drain", "700ms", "--close-wait", "100h"]);
    let mut server = Server::start(command);
    let mut sockets: Vec<_> = (0..3).map(|_| mute(&server)).collect();
    server.signal("TERM");
    assert_eq!(server.await_exit().code(), Some(0));
    server.await_line(CUT);
    for socket in &mut sockets {
        let frames = String::from_utf8_lossy(&read_to_end(socket)).into_owned();
        assert!(frames.contains("RECONNECT"), "{frames}");
        assert!(frames.contains("\u{3}\u{fffd}"), "a close frame with 1012: {frames:?}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let home = Home::new();
        let mut command = home.serve();
        command.args(["--drain", "100h", "--close-wait", "100h"]);
        let mut server = Server::start(command);
        let _socket = mute(&server);
        server.signal(first);
        server.await_line("a second signal ends at once");
        std::thread::sleep(Duration::from_millis(100));
        assert!(server.is_running(), "it waits for the client");
        server.signal(second);
        assert_eq!(server.await_exit().code(), Some(130), "{first} {second}");
    }
}

#[test]
fn while_it_drains_it_takes_nobody_new_and_is_not_ready() {
    let home = Home::new();
    let mut command = home.serve();
    command.args(["--drain", "100h", "--close-wait", "100h"]);
    let mut server = Server::start(command);
    let _socket = mute(&server);
    // A connection that was made before, and asks afterwards.
    let mut early = connect(&server.authority);
    early.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    server.await_line("a second signal ends at once");
    std::thread::sleep(Duration::from_millis(100));
    early.write_all(b"Connection: close\r\n\r\n").unwrap();
    let answer = String::from_utf8_lossy(&read_to_end(&mut early)).to_lowercase();
    assert!(answer.starts_with("http/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after:"), "{answer}");
    assert!(TcpStream::connect(&server.authority).is_err(), "nobody listens any more");
}
