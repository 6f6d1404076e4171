//! Bytes behind a handshake: behind one that was let in they are frames, behind one that was refused
//! they are nothing.

use draftwire_testing::{Value, json};

use crate::wire::{Head, Wire};

/// A proxy that takes any handshake for a switch of protocols lets through what comes next without a
/// look: a request that is smuggled in so must not be answered, however good it is.
#[tokio::test]
async fn behind_a_refused_handshake_nothing_is_read() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann");
    let request = format!(
        "GET /api/session HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        server.address(),
        server.token("ann")
    );
    let refused = [
        (
            "an old version",
            good.clone().with("sec-websocket-version", &["Sec-WebSocket-Version: 8"]),
        ),
        ("no key", good.clone().with("sec-websocket-key", &[])),
        ("a bad token", good.clone().with("authorization", &["Authorization: Bearer x"])),
        ("no token", good.clone().with("authorization", &[])),
        ("a foreign page", good.clone().with("origin", &["Origin: https://evil.test"])),
        ("bad parameters", good.clone().first("GET /ws/realtime?clientId= HTTP/1.1")),
        ("a body", good.clone().with("content-length", &["Content-Length: 10"])),
        ("POST", good.clone().first("POST /ws/realtime HTTP/1.1")),
        ("a bad token on the other path", {
            let head = good.clone().first("GET /ws/sync HTTP/1.1");
            head.with("authorization", &["Authorization: Bearer x"])
        }),
    ];
    let ping = "\u{89}\u{80}\0\0\0\0".chars().map(|byte| byte as u8).collect::<Vec<_>>();
    for (what, head) in refused {
        for (then, bytes) in [
            ("a request", request.clone().into_bytes()),
            ("a handshake", good.text().into_bytes()),
            ("a frame", ping.clone()),
            ("rubbish", vec![0xff; 2_000]),
        ] {
            let whole = [head.text().as_bytes(), &bytes].concat();
            let mut wire = Wire::said(&server, whole).await;
            let heard = wire.hear().await.expect("an answer");
            assert!((400..=426).contains(&heard.status), "{what}: {heard:?}");
            assert_eq!(heard.header("connection"), Some("close"), "{what}: {heard:?}");
            let rest = wire.hear_end(what).await;
            assert!(rest.is_empty(), "{what}, then {then}: {}", String::from_utf8_lossy(&rest));
        }
        // The same when it comes a moment later.
        let mut wire = Wire::said(&server, head.text()).await;
        wire.hear().await.expect("an answer");
        wire.say(&request).await;
        assert!(wire.hear_end(what).await.is_empty(), "{what}");
    }
    bystander.expect_unharmed().await;
}

/// Behind the one that is let in everything is a frame, and a request is a broken one.
#[tokio::test]
async fn behind_a_good_handshake_a_request_is_a_broken_frame() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann").text();
    for then in [
        good.clone(),
        "POST /api/drafts HTTP/1.1\r\nContent-Length: 11\r\n\r\n{\"data\":{}}".to_owned(),
        "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        "\r\n\r\n".to_owned(),
    ] {
        let mut wire = Wire::said(&server, format!("{good}{then}")).await;
        assert_eq!(wire.hear().await.expect("an answer").status, 101);
        let rest = wire.hear_end(&then).await;
        let end = [&[0x88, 2 + "protocol error".len() as u8][..], &1002_u16.to_be_bytes()].concat();
        let closed = rest.windows(end.len()).any(|window| window == end);
        assert!(closed, "{then:?}: {}", String::from_utf8_lossy(&rest));
        assert!(!rest.windows(8).any(|window| window == b"HTTP/1.1"), "{then:?}");
    }
    let drafts = server.get("/api/drafts").user("ann").send().await.ok(200);
    assert_eq!(drafts["items"], json!([]), "{drafts}");
    bystander.expect_unharmed().await;
}

/// Requests one behind the other are answered in their order, each with its own token.
#[tokio::test]
async fn every_pipelined_request_brings_its_own_token() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let request = |authorization: &str| {
        format!("GET /api/session HTTP/1.1\r\nHost: {}\r\n{authorization}\r\n", server.address())
    };
    let of = |user: &str| request(&format!("Authorization: Bearer {}\r\n", server.token(user)));
    let all =
        [of("ann"), request(""), of("eve"), request("Authorization: Bearer x\r\n"), of("ann")];
    let mut wire = Wire::said(&server, all.concat()).await;
    for (status, user) in [(200, "ann"), (401, ""), (200, "eve"), (401, ""), (200, "ann")] {
        let heard = wire.hear().await.expect("an answer");
        assert_eq!(heard.status, status, "{heard:?}");
        let body: Value = heard.body.parse().expect("JSON");
        assert_eq!(body["userId"].as_str().unwrap_or_default(), user);
    }
    // And a handshake behind them is one.
    wire.say(Head::of(&server, "ann").text()).await;
    assert_eq!(wire.hear().await.expect("an answer").status, 101);
    bystander.expect_unharmed().await;
}
