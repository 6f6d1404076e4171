//! `draftwire replay`: agrees with a server that is right, and finds out one that is not.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::http::{get, request};
use super::server::{Home, Server, admin, draftwire, eventually, run};

/// The customer of the first orders in the file.
const CUSTOMER: &str = "customer-17850";

pub fn replay(home: &Home, url: &str, limit: &str) -> Command {
    let orders = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/orders.csv.gz");
    let mut command = draftwire();
    command.args(["replay", "--url", url]);
    command.arg("--jwt-secret-file").arg(home.path("secret")).arg("--orders").arg(orders);
    command.args(["--limit", limit]);
    command
}

fn url_of(server: &Server) -> String {
    format!("ws://{}", server.authority)
}

#[test]
fn real_orders_end_the_same_on_every_device() {
    let home = Home::new();
    let server = Server::start(home.serve());
    let output = run(&mut replay(&home, &url_of(&server), "60"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said.contains("verdict") && said.contains("agree with the orders"), "{said}");
    let pending = get(&server.authority, &format!("/api/users/{CUSTOMER}/pending"), &admin());
    assert!(!pending.json()["items"].as_array().unwrap().is_empty(), "{pending:?}");
    let rejected = server.log().join("\n");
    assert!(!rejected.contains("ERROR") && !rejected.contains("WARN"), "{rejected}");
}

#[test]
fn a_document_that_no_order_accounts_for_is_found() {
    let home = Home::new();
    let server = Server::start(home.serve());
    std::thread::scope(|scope| {
        let replaying = scope.spawn(|| run(&mut replay(&home, &url_of(&server), "300")));
        // In the middle: as soon as the customer's devices are there.
        let path = format!("/api/users/{CUSTOMER}");
        eventually("the replay has begun", || {
            let pending = get(&server.authority, &format!("{path}/pending"), &admin());
            !pending.json()["items"].as_array().unwrap().is_empty()
        });
        let body = json!({ "id": "nobody-ordered-this", "data": {} }).to_string();
        let answer = request(&server.authority, "POST", &format!("{path}/drafts"), &admin(), &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        let output = replaying.join().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said.contains("DIFFERENCES") && said.contains("customer 17850"), "{said}");
        assert!(!said.contains("agree"), "{said}");
    });
}

#[test]
fn a_second_replay_of_the_same_orders_is_told_apart_from_the_first() {
    let home = Home::new();
    let server = Server::start(home.serve());
    let again = |prefix: &str| {
        let mut command = replay(&home, &url_of(&server), "5");
        run(command.args(["--user-prefix", prefix])).status.code()
    };
    assert_eq!(again("monday-"), Some(0));
    assert_eq!(again("tuesday-"), Some(0));
    assert_ne!(again("monday-"), Some(0), "these orders are there already");
}

#[test]
fn what_can_not_be_replayed_is_said() {
    let home = Home::new();
    let mut server = Server::start(home.serve());
    let mut command = replay(&home, &url_of(&server), "5");
    let no_file = run(command.args(["--orders", "/nowhere.csv"]));
    // The later of two values counts, or the flag may stand only once: refused either way.
    assert_ne!(no_file.status.code(), Some(0));
    server.kill();
    let nobody = run(&mut replay(&home, &url_of(&server), "5"));
    assert_eq!(nobody.status.code(), Some(1));
    let error = String::from_utf8_lossy(&nobody.stderr);
    assert!(error.contains("connection failed"), "{error}");
}
