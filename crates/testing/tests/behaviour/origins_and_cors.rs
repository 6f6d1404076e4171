//! Which web pages may connect and call.

use draftwire_server::auth::OriginPolicy;
use draftwire_testing::{TestServer, json};

const APP: &str = "https://app.test";

async fn start() -> TestServer {
    let policy = OriginPolicy::new([APP]).unwrap();
    TestServer::builder().settings(|settings| settings.origins = policy).start().await
}

#[tokio::test]
async fn handshakes_of_other_pages_are_refused() {
    let server = start().await;
    let own = format!("http://{}", server.address());
    for (origin, status) in [
        (APP, 101),
        ("https://APP.test", 101),
        (&*own, 101),
        ("https://app.test.evil.test", 403),
        ("http://app.test", 403),
        ("https://app.test:8443", 403),
        ("null", 403),
        ("", 403),
    ] {
        for connect in [server.connect("ann"), server.watch("ann")] {
            let answer = connect.header("origin", origin).answer().await;
            assert_eq!(answer.status, status, "{origin}: {answer:?}");
            if status == 403 {
                answer.problem(403, "ORIGIN");
            }
        }
    }
    let two = server.connect("ann").more_header("origin", APP).more_header("origin", APP);
    two.answer().await.problem(403, "ORIGIN");
    assert_eq!(server.connect("ann").answer().await.status, 101, "who is no page sends no origin");
}

#[tokio::test]
async fn by_default_only_the_same_host_may_connect() {
    let server = TestServer::start().await;
    let own = format!("http://{}", server.address());
    assert_eq!(server.connect("ann").header("origin", &own).answer().await.status, 101);
    server.connect("ann").header("origin", APP).answer().await.problem(403, "ORIGIN");
}

#[tokio::test]
async fn cross_origin_calls_follow_the_same_list() {
    let server = start().await;
    let created = server
        .post("/api/drafts")
        .user("ann")
        .header("origin", APP)
        .json(&json!({"id": "d", "data": {}}))
        .send()
        .await;
    created.ok(201);
    assert_eq!(created.header("access-control-allow-origin"), Some(APP));
    let exposed = created.header("access-control-expose-headers").unwrap().to_ascii_lowercase();
    for name in ["etag", "retry-after", "location", "date"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    for path in ["/api/drafts/d", "/api/session", "/api/none-such", "/api/sync"] {
        let foreign =
            server.get(path).user("ann").header("origin", "https://evil.test").send().await;
        assert_eq!(foreign.header("access-control-allow-origin"), None, "{path}");
    }
    // A page must be able to read why it was refused.
    let refused = server.get("/api/session").header("origin", APP).send().await;
    refused.problem(401, "NO_TOKEN");
    assert_eq!(refused.header("access-control-allow-origin"), Some(APP));
}

#[tokio::test]
async fn preflights_name_methods_and_headers() {
    let server = start().await;
    for path in ["/api/drafts/d", "/api/commands", "/api/users/ann/revoke", "/api/sync/progress"] {
        let preflight = |origin: &str| {
            server
                .call("OPTIONS", path)
                .header("origin", origin)
                .header("access-control-request-method", "PATCH")
                .header("access-control-request-headers", "authorization,if-match,idempotency-key")
                .send()
        };
        let answer = preflight(APP).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP), "{path}");
        let methods = answer.header("access-control-allow-methods").unwrap().to_owned();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            assert!(methods.contains(method), "{path}: {methods}");
        }
        let headers = answer.header("access-control-allow-headers").unwrap().to_ascii_lowercase();
        for name in
            ["authorization", "content-type", "if-match", "if-none-match", "idempotency-key"]
        {
            assert!(headers.contains(name), "{path}: {headers}");
        }
        let foreign = preflight("https://evil.test").await;
        assert_eq!(foreign.header("access-control-allow-origin"), None, "{path}");
    }
}
