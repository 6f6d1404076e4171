//! `--conformance-echo`: a second listener that sends every message back; off by default.

use std::net::TcpStream;

use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use super::http::{connect, get, handshake};
use super::server::{Home, Server};

const MIB: usize = 1024 * 1024;

fn open(address: &str) -> WebSocket<TcpStream> {
    let stream = connect(address);
    let config = WebSocketConfig::default()
        .max_message_size(Some(80 * MIB))
        .max_frame_size(Some(80 * MIB))
        .max_write_buffer_size(usize::MAX);
    let url = format!("ws://{address}/any/path?at=all");
    tungstenite::client::client_with_config(url, stream, Some(config)).expect("anybody is let in").0
}

fn echoing(home: &Home) -> (Server, String) {
    let mut command = home.serve();
    command.args(["--conformance-echo", "127.0.0.1:0"]);
    let mut server = Server::start(command);
    let line = server.await_line("the conformance echo listens on ws://");
    assert!(line.contains("WARN") && line.contains("not for production"), "{line}");
    let (_, rest) = line.split_once("ws://").unwrap();
    let address = rest.split(": not").next().unwrap().to_owned();
    (server, address)
}

#[test]
fn text_and_binary_come_back_up_to_32_mib() {
    let home = Home::new();
    let (_server, address) = echoing(&home);
    let mut socket = open(&address);
    for length in [0, 1, 125, 126, 65_535, 65_536, MIB, 32 * MIB] {
        // Three bytes a character, so that buffers cut characters.
        let text = "€".repeat(length / 3) + &"x".repeat(length % 3);
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        for message in [Message::text(text), Message::binary(bytes)] {
            socket.send(message.clone()).unwrap();
            let echo = socket.read().unwrap();
            assert!(echo == message, "{length} bytes came back as {}", echo.len());
        }
    }
    socket.send(Message::binary(vec![0; 32 * MIB + 1])).unwrap_or_default();
    let closed = loop {
        match socket.read() {
            Ok(Message::Close(Some(frame))) => break Some(u16::from(frame.code)),
            Ok(Message::Binary(_)) => panic!("more than the limit came back"),
            Ok(_) => {}
            Err(_) => break None,
        }
    };
    assert!(matches!(closed, Some(1009) | None), "{closed:?}");
}

#[test]
fn the_echo_is_no_way_into_the_server() {
    let home = Home::new();
    let (server, address) = echoing(&home);
    assert_ne!(server.authority, address);
    // Everything there is an echo: no documents, no health.
    for path in ["/api/session", "/healthz", "/ws/realtime"] {
        assert_eq!(get(&address, path, "").status, 400, "{path}");
    }
    let (_socket, answer) = handshake(&address, "/ws/realtime", "");
    assert_eq!(answer.status, 101);
    // And the other listener is none.
    let (_socket, answer) = handshake(&server.authority, "/", "");
    assert_eq!(answer.status, 404);
}

#[test]
fn it_is_off_by_default() {
    let home = Home::new();
    let server = Server::start(home.serve());
    let log = server.log().join("\n");
    assert!(!log.contains("echo"), "{log}");
}
