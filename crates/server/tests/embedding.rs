//! Guards embedding: the example application keeps its own routes and carries draftwire's beside
//! them, under `axum::serve` and nested below a path of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use draftwire_client::{Address, Connection, Message};
use draftwire_server::auth::{ClaimRules, Hs256};

const SECRET: &[u8] = b"an-example-secret-of-32-bytes-or-more";

/// The example, killed when the test ends however it ends.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the example, which `cargo test` has built beside this test.
fn start(folder: &std::path::Path) -> (Example, String) {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().unwrap().parent().unwrap().join("examples/embed");
    let secret = folder.join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let mut child = Command::new(built)
        .arg("127.0.0.1:0")
        .args([&secret, &folder.join("data")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    (Example(child), address)
}

fn http(address: &str, request: &str, token: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

async fn next(device: &mut Connection) -> String {
    let message = tokio::time::timeout(Duration::from_secs(5), device.next()).await;
    match message.expect("a frame within 5 s").unwrap() {
        Some(Message::Text(text)) => text,
        other => panic!("a frame was expected: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_axum_application_carries_draftwire_beside_its_own_routes() {
    let folder = tempfile::tempdir().unwrap();
    let (_example, address) = start(folder.path());
    assert!(http(&address, "GET /healthz", "", "").ends_with("the shop is open"));

    let exp = draftwire_server::clock::wall().as_millis() / 1000 + 600;
    let signer = Hs256::new(SECRET, ClaimRules::default()).unwrap();
    let token = signer.sign(&format!(r#"{{"sub":"ann","exp":{exp}}}"#)).unwrap();
    let server = Address::parse(&format!("ws://{address}")).unwrap();
    let mut device = Connection::open(&server, "/ws/realtime?clientId=a", &token).await.unwrap();
    assert!(next(&mut device).await.contains("WELCOME"));
    assert!(next(&mut device).await.contains("SNAPSHOT"));

    let created =
        http(&address, "POST /drafts-service/api/drafts", &token, r#"{"id":"d1","data":{}}"#);
    assert!(created.starts_with("HTTP/1.1 201"), "{created}");
    assert!(created.contains("location: /drafts-service/api/drafts/d1"), "{created}");
    assert!(next(&mut device).await.contains("DRAFT_CREATED"));

    assert!(http(&address, "POST /prices-changed", "", "").ends_with("1 connections\n"));
    let published = next(&mut device).await;
    assert!(published.contains("PRICES_CHANGED") && published.contains("winter"), "{published}");
    assert!(http(&address, "GET /api/drafts", &token, "").starts_with("HTTP/1.1 404"));
}
