//! Documents over plain HTTP: statuses, tags, conditions, places, and calls on a user's behalf.

use draftwire_testing::{TestServer, json};

use crate::{filling, joined};

#[tokio::test]
async fn a_document_lives_over_http_and_devices_see_it() {
    let server = TestServer::start().await;
    for (path, kind) in [("drafts", "DRAFT"), ("pending", "PENDING")] {
        let user = format!("ann-{path}");
        let mut device = joined(&server, &user, "phone").await;
        let epoch = device.position().epoch;
        let tag = |version: u64| format!("\"{epoch}.{version}\"");
        let base = format!("/api/{path}");
        let one = format!("{base}/d");

        let body = json!({"id": "d", "data": {"a": 1, "b": {"c": 2}}});
        let created = server.post(&base).user(&user).json(&body).send().await;
        let document = created.ok(201);
        assert_eq!(created.header("location"), Some(&*one));
        assert_eq!(created.header("etag"), Some(&*tag(1)));
        assert_eq!(created.header("content-type"), Some("application/json"));
        let event = device.expect(&format!("{kind}_CREATED")).await;
        assert_eq!(event.payload()["document"], document);
        assert_eq!(event.payload()["origin"], json!({}), "an unnamed caller");

        let read = server.get(&one).user(&user).send().await;
        assert_eq!(read.ok(200), document);
        assert_eq!(read.header("etag"), Some(&*tag(1)));
        let list = server.get(&base).user(&user).send().await;
        assert_eq!(list.ok(200), json!({"items": [document], "epoch": epoch, "seq": 1}));
        assert_eq!(list.header("etag"), Some(&*tag(1)));

        let patch = json!({"a": null, "b": {"d": 3}});
        let patched = server.patch(&one).user(&user).json(&patch).send().await;
        assert_eq!(patched.ok(200)["data"], json!({"b": {"c": 2, "d": 3}}));
        assert_eq!(patched.header("etag"), Some(&*tag(2)));
        device.expect(&format!("{kind}_UPDATED")).await;

        let put = server.put(&one).user(&user).json(&json!({"e": 4})).send().await;
        assert_eq!(put.ok(200)["data"], json!({"e": 4}));
        assert_eq!(put.header("etag"), Some(&*tag(3)));
        device.expect(&format!("{kind}_UPDATED")).await;

        let deleted = server.delete(&one).user(&user).send().await;
        assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
        assert_eq!(device.expect(&format!("{kind}_DELETED")).await.payload()["id"], "d");
        server.get(&one).user(&user).send().await.problem(404, "NOT_FOUND");
        server.delete(&one).user(&user).send().await.problem(404, "NOT_FOUND");
        server.patch(&one).user(&user).json(&json!({})).send().await.problem(404, "NOT_FOUND");
        let again = server.post(&base).user(&user).json(&json!({"data": {}})).send().await;
        let id = again.ok(201)["id"].as_str().unwrap().to_owned();
        assert_eq!(again.header("location"), Some(&*format!("{base}/{id}")));
    }
}

#[tokio::test]
async fn a_draft_is_converted_over_http() {
    let server = TestServer::start().await;
    let create = json!({"id": "d", "data": {"a": 1}});
    server.post("/api/drafts").user("ann").json(&create).send().await.ok(201);
    let mut device = joined_with_state(&server).await;
    let body = json!({"pendingId": "p", "patch": {"b": 2}});
    let answer = server.post("/api/drafts/d/convert").user("ann").json(&body).send().await;
    let document = answer.ok(201);
    assert_eq!((&document["id"], &document["version"]), (&json!("p"), &json!(2)));
    assert_eq!(document["data"], json!({"a": 1, "b": 2}));
    assert_eq!(answer.header("location"), Some("/api/pending/p"));
    assert_eq!(answer.header("etag"), Some(&*format!("\"{}.2\"", device.position().epoch)));
    assert_eq!(device.expect("DRAFT_CONVERTED").await.payload()["document"], document);
    server.post("/api/drafts/d/convert").user("ann").send().await.problem(404, "NOT_FOUND");
    server.post("/api/drafts").user("ann").json(&create).send().await.ok(201);
    let taken = server.post("/api/drafts/d/convert").user("ann").json(&body).send().await;
    assert_eq!(taken.problem(409, "ALREADY_EXISTS")["document"]["id"], "p");
    let plain = server.post("/api/drafts/d/convert").user("ann").send().await;
    assert_eq!(plain.ok(201)["data"], json!({"a": 1}), "no body is no patch");
}

async fn joined_with_state(server: &TestServer) -> draftwire_testing::Device {
    server.connect("ann").client_id("phone").live().open().await
}

#[tokio::test]
async fn if_none_match_answers_304_until_something_changes() {
    let server = TestServer::start().await;
    let create = json!({"id": "d", "data": {"a": 1}});
    server.post("/api/drafts").user("ann").json(&create).send().await.ok(201);
    for path in ["/api/drafts", "/api/drafts/d"] {
        let tag = server.get(path).user("ann").send().await.header("etag").unwrap().to_owned();
        let ask =
            |value: String| server.get(path).user("ann").header("if-none-match", &value).send();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
            let answer = ask(known.clone()).await;
            assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{path} {known}");
            assert_eq!(answer.header("etag"), Some(&*tag));
        }
        assert_eq!(ask("\"other.1\"".into()).await.status, 200);
        let patch = server.patch("/api/drafts/d").user("ann").json(&json!({"a": 2}));
        patch.send().await.ok(200);
        let changed = ask(tag.clone()).await;
        assert_eq!(changed.status, 200, "{path}");
        assert_ne!(changed.header("etag"), Some(&*tag));
    }
}

#[tokio::test]
async fn if_match_is_a_compare_and_set() {
    let server = TestServer::start().await;
    let create = json!({"id": "d", "data": {"a": 1}});
    let created = server.post("/api/drafts").user("ann").json(&create).send().await;
    let tag = created.header("etag").unwrap().to_owned();
    let epoch = tag.trim_matches('"').rsplit_once('.').unwrap().0.to_owned();
    let path = "/api/drafts/d";
    let stale =
        [format!("\"{epoch}.2\""), "\"other.1\"".into(), format!("W/{tag}"), "\"1\"".into()];
    for wrong in &stale {
        let patch = server.patch(path).user("ann").header("if-match", wrong).json(&json!({"a": 2}));
        let conflict = patch.send().await.problem(412, "VERSION_CONFLICT");
        assert_eq!(conflict["document"]["version"], 1, "{wrong}");
        assert_eq!(conflict["document"]["data"], json!({"a": 1}), "{wrong}");
    }
    let put = server.put(path).user("ann").header("if-match", &stale[0]).json(&json!({}));
    put.send().await.problem(412, "VERSION_CONFLICT");
    let delete = server.delete(path).user("ann").header("if-match", &stale[0]);
    delete.send().await.problem(412, "VERSION_CONFLICT");
    let convert = server.post("/api/drafts/d/convert").user("ann").header("if-match", &stale[0]);
    convert.send().await.problem(412, "VERSION_CONFLICT");
    for bad in ["1", "\"a\", \"b\"", ""] {
        let patch = server.patch(path).user("ann").header("if-match", bad).json(&json!({"a": 2}));
        patch.send().await.problem(400, "INVALID");
    }
    let patch = server.patch(path).user("ann").header("if-match", &tag).json(&json!({"a": 2}));
    assert_eq!(patch.send().await.ok(200)["version"], 2);
    let any = server.patch(path).user("ann").header("if-match", "*").json(&json!({"a": 3}));
    assert_eq!(any.send().await.ok(200)["version"], 3);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told() {
    let server = TestServer::start().await;
    let create = json!({"id": "d", "data": {}});
    server.post("/api/drafts").user("ann").json(&create).send().await.ok(201);
    let post = |body: &str| server.post("/api/drafts").user("ann").body(body).send();
    for bad in [
        "",
        "nonsense",
        "[]",
        "null",
        "{}",
        r#"{"data":[]}"#,
        r#"{"data":{},"data":{}}"#,
        r#"{"data":{"a":1,"a":2}}"#,
        r#"{"data":{"a":"\ud800"}}"#,
        r#"{"id":"a/b","data":{}}"#,
        r#"{"id":7,"data":{}}"#,
    ] {
        let answer = post(bad).await;
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
        answer.problem(400, "INVALID");
    }
    for bad in ["", "[]", "1", "null", r#"{"a":1,"a":2}"#] {
        for method in ["PATCH", "PUT"] {
            let answer = server.call(method, "/api/drafts/d").user("ann").body(bad).send().await;
            assert_eq!(answer.status, 400, "{method} {bad}: {answer:?}");
        }
    }
    let taken = server.post("/api/drafts").user("ann").json(&create).send().await;
    assert_eq!(taken.problem(409, "ALREADY_EXISTS")["document"]["id"], "d");
    server.get("/api/drafts/a%2Fb").user("ann").send().await.problem(400, "INVALID");
    let long = format!("/api/drafts/{}", filling(129));
    server.get(&long).user("ann").send().await.problem(400, "INVALID");
    server.get("/api/drafts").send().await.problem(401, "NO_TOKEN");
    server.get("/api/none").user("ann").send().await.problem(404, "NOT_FOUND");
    server.delete("/api/drafts").user("ann").send().await.problem(405, "METHOD_NOT_ALLOWED");
    server.get("/api/drafts/d/convert").user("ann").send().await.problem(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn a_token_in_the_query_is_for_handshakes_only() {
    let server = TestServer::start().await;
    let target = format!("/api/drafts?token={}", server.token("ann"));
    server.get(&target).send().await.problem(401, "NO_TOKEN");
}

#[tokio::test]
async fn a_backend_works_on_a_users_behalf() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let origin = json!({"service": "backend"});
    let body = json!({"id": "d", "data": {"a": 1}});
    let created = server.post("/api/users/ann/drafts").admin().json(&body).send().await;
    created.ok(201);
    assert_eq!(created.header("location"), Some("/api/users/ann/drafts/d"));
    assert_eq!(device.expect("DRAFT_CREATED").await.payload()["origin"], origin);
    let patch = server.patch("/api/users/ann/drafts/d").admin().json(&json!({"b": 2}));
    patch.send().await.ok(200);
    assert_eq!(device.expect("DRAFT_UPDATED").await.payload()["origin"], origin);
    let put = server.put("/api/users/ann/drafts/d").admin().json(&json!({"c": 3}));
    put.send().await.ok(200);
    assert_eq!(device.expect("DRAFT_UPDATED").await.payload()["origin"], origin);
    let read = server.get("/api/users/ann/drafts/d").admin().send().await.ok(200);
    assert_eq!(read["data"], json!({"c": 3}));
    let convert = server.post("/api/users/ann/drafts/d/convert").admin();
    let converted = convert.json(&json!({"pendingId": "p"})).send().await;
    converted.ok(201);
    assert_eq!(converted.header("location"), Some("/api/users/ann/pending/p"));
    assert_eq!(device.expect("DRAFT_CONVERTED").await.payload()["origin"], origin);
    let list = server.get("/api/users/ann/pending").admin().send().await.ok(200);
    assert_eq!(list["items"][0]["id"], "p");
    let deleted = server.delete("/api/users/ann/pending/p").admin().send().await;
    assert_eq!(deleted.status, 204);
    assert_eq!(device.expect("PENDING_DELETED").await.payload()["origin"], origin);
    for method in ["GET", "POST"] {
        let call = server.call(method, "/api/users/ann/drafts").user("ann").json(&body);
        call.send().await.problem(403, "FORBIDDEN");
        let call = server.call(method, "/api/users/ann/drafts").json(&body);
        call.send().await.problem(401, "NO_TOKEN");
    }
    // A user's name may hold anything that a URL can carry.
    let created = server.post("/api/users/%D0%96%20%2F1/drafts").admin().json(&body).send().await;
    created.ok(201);
    let location = created.header("location").unwrap().to_owned();
    server.get(&location).admin().send().await.ok(200);
    server.get("/api/drafts/d").user("Ж /1").send().await.ok(200);
    server.get("/api/users/a%0Ab/drafts").admin().send().await.problem(400, "INVALID");
}
