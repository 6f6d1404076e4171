//! Documents that mean harm to whoever reads them: nesting, names and texts.

use draftwire_testing::raw::{FIN, TEXT, frame};
use draftwire_testing::{Value, json};

use crate::frames::raw;

/// Members that some languages take for something else than data.
const NAMES: &str = concat!(
    r#""__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}},"prototype":1,"#,
    r#""toString":"x","hasOwnProperty":1,"valueOf":null,"then":"x","toJSON":"x","length":-1,"#,
    r#""__class__":"x","$where":"1","$ref":"\#","":0,"\u0000":1,".":2,"..":3,"a.b":4,"id":"x","#,
    r#""type":"WELCOME","mutationId":9,"seq":99,"version":7"#
);

#[tokio::test]
async fn a_hundred_thousand_levels_are_an_error_like_any_other() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let levels = 100_000;
    let nested = [
        "[".repeat(levels),
        "[".repeat(levels) + &"]".repeat(levels),
        r#"{"a":"#.repeat(levels),
        format!("{}1{}", r#"{"a":"#.repeat(50_000), "}".repeat(50_000)),
        "[{\"a\":".repeat(50_000),
        "[[],".repeat(50_000),
        "]".repeat(levels),
        "\"".repeat(levels + 1),
        "{".repeat(levels),
        "-".repeat(levels),
        format!("1{}", "0".repeat(levels) + "x"),
        "\\".repeat(levels),
        ",".repeat(levels),
    ];
    let mut raw = raw(&server).await;
    for data in &nested {
        let payloads = [
            data.clone(),
            format!(r#"{{"type":"DRAFT_CREATE","payload":{{"data":{data}}}}}"#),
            format!(r#"{{"x":{data},"type":"DRAFT_CREATE","payload":{{"data":{{}}}}}}"#),
        ];
        for text in payloads {
            raw.write_bytes(&frame(FIN | TEXT, text.as_bytes())).await;
            let (_, answer) = raw.read_frame().await.expect("it is open");
            let answer: Value = String::from_utf8_lossy(&answer).parse().expect("JSON");
            assert_eq!(answer["type"], "ERROR", "{text:.40}: {answer}");
            assert_eq!(answer["payload"]["code"], "BAD_FRAME", "{text:.40}: {answer}");
        }
        let body = format!(r#"{{"data":{data}}}"#);
        let call = server.post("/api/drafts").user("ann").body(&body);
        call.send().await.problem(400, "INVALID");
        let body =
            format!(r#"{{"commands":[{{"type":"DRAFT_CREATE","payload":{{"data":{data}}}}}]}}"#);
        let call = server.post("/api/commands").user("ann").body(&body);
        call.send().await.problem(400, "INVALID");
    }
    let drafts = server.get("/api/drafts").user("ann").send().await.ok(200);
    assert_eq!(drafts["items"], json!([]));
    bystander.expect_unharmed().await;
}

/// `__proto__` and its like are data: they come back as they were given, and change nothing else.
#[tokio::test]
async fn names_that_mean_something_elsewhere_mean_nothing_here() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let names = NAMES.replace(r"\#", "#");
    let mut phone = server.connect("ann").client_id("phone").live().open().await;
    let mut desk = server.connect("ann").client_id("desk").live().open().await;
    let create = format!(
        r#"{{"type":"DRAFT_CREATE","mutationId":1,"payload":{{"id":"__proto__","data":{{{names}}}}}}}"#
    );
    phone.send_text(&create).await;
    for device in [&mut phone, &mut desk] {
        let event = device.expect("DRAFT_CREATED").await;
        assert!(event.text.contains(&names), "{}", event.text);
        assert_eq!(event.payload()["document"]["id"], "__proto__");
        assert_eq!(event.payload()["document"]["version"], 1, "the envelope is the server's");
        assert_eq!((event.seq(), event.kind()), (Some(1), "DRAFT_CREATED"));
    }
    phone.expect("ACK").await;
    // A merge (RFC 7396) into members of these names, and over them.
    let patch = r#"{"__proto__":{"isAdmin":null,"x":1},"constructor":null,"hasOwnProperty":2}"#;
    let update = format!(
        r#"{{"type":"DRAFT_UPDATE","mutationId":2,"payload":{{"id":"__proto__","patch":{patch}}}}}"#
    );
    phone.send_text(&update).await;
    let updated = desk.expect("DRAFT_UPDATED").await;
    let data = &updated.payload()["document"]["data"];
    assert_eq!(data["__proto__"], json!({"x": 1}), "{}", updated.text);
    assert_eq!((data.get("constructor"), &data["hasOwnProperty"]), (None, &json!(2)));
    assert_eq!(data["toString"], "x", "nothing else has changed");
    let snapshot = server.connect("ann").open().await.expect("SNAPSHOT").await;
    assert!(snapshot.text.contains(r#""__proto__":{"x":1}"#), "{}", snapshot.text);
    let read = server.get("/api/drafts/__proto__").user("ann").send().await;
    assert_eq!(read.ok(200)["data"], *data);
    // The rights are those of the token, whatever stands in a document.
    server.get("/api/websocket/stats").user("ann").send().await.problem(403, "FORBIDDEN");
    for id in ["constructor", "toString", "hasOwnProperty", "null", "undefined", "-"] {
        let body = json!({"id": id, "data": {}});
        server.post("/api/drafts").user("ann").json(&body).send().await.ok(201);
        server.get(&format!("/api/drafts/{id}")).user("ann").send().await.ok(200);
    }
    bystander.expect_unharmed().await;
}

/// Half a character in UTF-16 can't be given to everybody, so it is not taken from anybody: neither
/// as a value nor as a name, on any road.
#[tokio::test]
async fn lone_surrogates_are_refused_on_every_road() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let mut device = server.connect("ann").client_id("phone").live().open().await;
    for half in [
        r"\ud800",
        r"\udbff",
        r"\udc00",
        r"\udfff",
        r"\uD83D",
        r"\ud83d\ud83d\ude00",
        r"\ude00\ud83d",
        r"\ud83dx\ude00",
        r"\ud83d\n",
        r"\ud83d\u0041",
        r"\ud83d\u00",
        r"\u",
        r"\ud83",
        r"\uzzzz",
        r"\u+041",
        r"\x41",
        r"\ud83d\\ude00",
    ] {
        for member in [format!(r#""a":"{half}""#), format!(r#""{half}":1"#)] {
            let data = format!(r#"{{"data":{{{member}}}}}"#);
            device.send_text(&format!(r#"{{"type":"DRAFT_CREATE","payload":{data}}}"#)).await;
            device.expect_error("BAD_FRAME").await;
            let call = server.post("/api/drafts").user("ann").body(&data);
            call.send().await.problem(400, "INVALID");
        }
    }
    device.expect_nothing().await;
    bystander.expect_unharmed().await;
}
