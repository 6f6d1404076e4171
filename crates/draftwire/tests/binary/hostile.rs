//! Clients that mean no good: what holds a place without saying anything is sent away, and the
//! server serves everybody else meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::http::{connect, get, handshake, read_to_end};
use super::server::{Home, Server, eventually, token};

fn quick(home: &Home) -> Server {
    let mut command = home.serve();
    command.args(["--handshake-time", "300ms", "--close-wait", "300ms"]);
    Server::start(command)
}

fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.id())).map_or(0, Iterator::count)
}

#[test]
fn who_sends_no_whole_request_is_sent_away() {
    let home = Home::new();
    let server = quick(&home);
    let beginnings: [&[u8]; 4] = [
        b"",
        b"G",
        b"GET /ws/realtime HTTP/1.1\r\n",
        b"GET /ws/realtime HTTP/1.1\r\nHost: a\r\nUpg",
    ];
    let mut sockets: Vec<TcpStream> = Vec::new();
    for beginning in beginnings {
        for _ in 0..20 {
            let mut socket = connect(&server.authority);
            socket.write_all(beginning).unwrap();
            sockets.push(socket);
        }
    }
    assert_eq!(get(&server.authority, "/healthz", "").status, 200, "everybody else is served");
    for socket in &mut sockets {
        // Ends, or the test hangs until its patience ends and the read fails.
        let mut answer = Vec::new();
        let ended = socket.read_to_end(&mut answer);
        let waited = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!waited, "the server waits for ever");
    }
}

#[test]
fn only_http_1_is_spoken() {
    let home = Home::new();
    let server = quick(&home);
    for bytes in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"]
    {
        let mut socket = connect(&server.authority);
        socket.write_all(bytes).unwrap();
        let answer = read_to_end(&mut socket);
        let refused = answer.is_empty() || answer.starts_with(b"HTTP/1.1 400");
        assert!(refused, "{:?}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn too_many_or_too_long_headers_are_refused() {
    let home = Home::new();
    let server = quick(&home);
    let long = "x".repeat(60 * 1024);
    let many: String = (0..2_000).map(|number| format!("X-{number}: y\r\n")).collect();
    let bearer = format!("Authorization: Bearer {long}\r\n");
    assert_eq!(handshake(&server.authority, "/ws/realtime", &many).1.status, 431);
    assert_eq!(handshake(&server.authority, "/ws/realtime", &bearer).1.status, 401);
    let (_socket, answer) = handshake(&server.authority, &format!("/ws/realtime?token={long}"), "");
    assert_eq!(answer.status, 401);
}

#[test]
fn nothing_is_left_of_connections_that_are_gone() {
    let home = Home::new();
    let server = quick(&home);
    let before = descriptors(&server);
    assert!(before > 5, "descriptors can be counted");
    let bearer = format!("Authorization: Bearer {}\r\n", token("anna"));
    // Frames that promise much, break the rules, or end in the middle; then silence.
    let endings: [&[u8]; 5] = [
        b"",
        b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        b"\x81\xff\0\0\0\0\0\x08\0\0\0\0\0\0{",
        b"\x81\x85\0\0\0\0{}",
        b"\xff\xff\xff\xff\xff",
    ];
    for round in 0..20 {
        for (number, ending) in endings.iter().enumerate() {
            let path = format!("/ws/realtime?clientId=c{number}");
            let (mut socket, answer) = handshake(&server.authority, &path, &bearer);
            assert_eq!(answer.status, 101, "round {round}");
            socket.write_all(ending).unwrap();
        }
    }
    // The store keeps up to four connections for reading, of three files each.
    eventually("all descriptors are given back", || descriptors(&server) <= before + 14);
}
