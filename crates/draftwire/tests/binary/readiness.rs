//! `/healthz` and `/readyz`: a store that can't be opened does not end the process, and is taken
//! into use as soon as it can.

use std::fs;

use draftwire_server::http::REALTIME_PATH;
use serde_json::json;

use super::device::{Device, listing};
use super::http::{get, handshake};
use super::server::{Home, Server, eventually, token};

const NOT_READY: &str = "the store is not ready";

fn check_not_ready(server: &mut Server) {
    let line = server.await_line(NOT_READY);
    assert!(line.contains("ERROR"), "{line}");
    assert_eq!(get(&server.authority, "/healthz", "").status, 200);
    let ready = get(&server.authority, "/readyz", "");
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.header("retry-after").is_some(), "{ready:?}");
    let headers = format!("Authorization: Bearer {}\r\n", token("anna"));
    let (_socket, refused) = handshake(&server.authority, REALTIME_PATH, &headers);
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("UNAVAILABLE")));
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(after >= 1);
    assert_eq!(get(&server.authority, "/api/session", &token("anna")).status, 503);
    let listed = get(&server.authority, "/api/drafts", &token("anna"));
    assert_eq!(listed.status, 503, "{listed:?}");
    let log = server.log().join("\n");
    assert!(!log.contains("initialized"), "{log}");
}

async fn check_usable(server: &mut Server) {
    eventually("ready", || get(&server.authority, "/readyz", "").status == 200);
    server.await_line("WebSocket server initialized on /ws/realtime");
    let mut device = Device::connected(server.address(), "anna", "checker").await;
    device.command("DRAFT_CREATE", &json!({ "id": "d1", "data": { "n": 1 } })).await;
    device.settle().await;
    assert_eq!(listing(&server.authority, "anna").0, device.documents);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_a_file_is_reported_until_it_is_a_folder() {
    let home = Home::new();
    let data = home.path("data");
    fs::write(&data, "not a folder").unwrap();
    let mut server = Server::start(home.serve());
    check_not_ready(&mut server);
    // It goes on trying.
    server.await_lines(NOT_READY, 3);
    fs::remove_file(&data).unwrap();
    check_usable(&mut server).await;
}

#[test]
fn a_place_where_nothing_can_be_written_is_reported() {
    let home = Home::new();
    // Not even root can make a folder there.
    let mut command = home.serve_on("/proc/draftwire".as_ref());
    command.args(["--listen", "127.0.0.1:0"]);
    let mut server = Server::start(command);
    check_not_ready(&mut server);
    server.signal("TERM");
    assert_eq!(server.await_exit().code(), Some(0), "it can be ended all the same");
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let home = Home::new();
    let file = home.path("data").join("draftwire.db");
    fs::create_dir(home.path("data")).unwrap();
    fs::write(&file, "dear diary, ".repeat(1000)).unwrap();
    let mut server = Server::start(home.serve());
    check_not_ready(&mut server);
    assert_eq!(fs::read_to_string(&file).unwrap(), "dear diary, ".repeat(1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_waits_for_the_folder_and_disturbs_nobody() {
    let home = Home::new();
    let mut first = Server::start(home.serve());
    let mut device = Device::connected(first.address(), "anna", "phone").await;
    device.command("DRAFT_CREATE", &json!({ "id": "before", "data": {} })).await;
    device.settle().await;

    let mut second = Server::start(home.serve());
    check_not_ready(&mut second);
    for number in 0..20 {
        let id = format!("meanwhile-{number}");
        device.command("DRAFT_CREATE", &json!({ "id": id, "data": {} })).await;
    }
    device.settle().await;
    assert_eq!(device.resent, 0, "the connection was never lost");
    assert_eq!(get(&first.authority, "/readyz", "").status, 200);
    let (documents, _) = listing(&first.authority, "anna");
    assert_eq!((documents.len(), &documents), (21, &device.documents));

    device.drop_connection();
    first.kill();
    check_usable(&mut second).await;
    device.address = second.address();
    device.connect().await;
    device.reach(22).await;
    assert_eq!(listing(&second.authority, "anna").0, device.documents);
}
