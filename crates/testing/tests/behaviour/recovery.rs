//! *Promises* 3: from its position a device is brought to the head, with what it missed or with
//! everything, and lost history is found out.

use draftwire_testing::{Device, Frame, Incoming, Position, TestServer, json};

use crate::{filling, joined};

async fn create(device: &mut Device, id: &str) -> Frame {
    device.send("DRAFT_CREATE", json!({"id": id, "data": {"n": id}}), None).await;
    let event = device.expect("DRAFT_CREATED").await;
    device.expect("ACK").await;
    event
}

fn at(device: &Device, event: &Frame) -> Position {
    let epoch = device.position().epoch;
    let seq = event.seq().unwrap();
    Position { epoch, seq, at: Some(event.timestamp().to_owned()) }
}

#[tokio::test]
async fn without_a_position_a_device_gets_everything() {
    let server = TestServer::start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    create(&mut writer, "a").await;
    let last = create(&mut writer, "b").await;
    writer.send("PENDING_CREATE", json!({"id": "p", "data": {}}), None).await;
    let last = {
        let _ = last;
        writer.expect("PENDING_CREATED").await
    };
    let mut fresh = server.connect("ann").client_id("fresh").open().await;
    assert_eq!(fresh.welcome().payload()["recovery"], "snapshot");
    assert_eq!(fresh.welcome().payload()["seq"], 3);
    assert_eq!(fresh.welcome().payload()["at"], last["timestamp"]);
    let snapshot = fresh.expect("SNAPSHOT").await;
    assert_eq!(snapshot.seq(), Some(3));
    assert_eq!(snapshot["timestamp"], last["timestamp"]);
    let payload = snapshot.payload();
    assert_eq!(payload["reason"], "initial");
    assert_eq!(payload["more"], false);
    assert_eq!(payload["drafts"][0]["id"], "a");
    assert_eq!(payload["drafts"][1]["id"], "b");
    assert_eq!(payload["pending"], json!([last.payload()["document"]]));
    fresh.expect_nothing().await;
}

#[tokio::test]
async fn from_its_position_a_device_gets_exactly_what_it_missed() {
    let server = TestServer::start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    let mut events = Vec::new();
    for id in ["a", "b", "c", "d"] {
        events.push(create(&mut writer, id).await);
    }
    for (index, event) in events.iter().enumerate() {
        let position = at(&writer, event);
        let mut device = server.connect("ann").client_id("r").position(&position).open().await;
        assert_eq!(device.welcome().payload()["recovery"], "delta");
        assert_eq!(device.welcome().payload()["seq"], 4);
        for missed in &events[index + 1..] {
            assert_eq!(&device.next().await.text, &missed.text, "the same bytes as live");
        }
        device.expect_nothing().await;
        assert_eq!(device.position().seq, 4);
    }
    // From the beginning of this epoch, and without `at`.
    for position in [
        Position { epoch: writer.position().epoch, seq: 0, at: None },
        Position { epoch: writer.position().epoch, seq: 1, at: None },
    ] {
        let skipped = position.seq as usize;
        let mut device = server.connect("ann").client_id("r").position(&position).open().await;
        assert_eq!(device.welcome().payload()["recovery"], "delta");
        for missed in &events[skipped..] {
            assert_eq!(&device.next().await.text, &missed.text);
        }
        device.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_device_that_only_wants_what_comes_gets_neither() {
    let server = TestServer::start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    let first = create(&mut writer, "a").await;
    let mut live = server.connect("ann").client_id("live").live().open().await;
    assert_eq!(live.welcome().payload()["recovery"], "live");
    assert_eq!(live.welcome().payload()["seq"], 1);
    live.expect_nothing().await;
    let second = create(&mut writer, "b").await;
    assert_eq!(live.expect("DRAFT_CREATED").await.text, second.text);
    let old = Position { seq: 0, at: None, ..at(&writer, &first) };
    let mut live = server.connect("ann").client_id("l").position(&old).live().open().await;
    assert_eq!(live.welcome().payload()["recovery"], "live");
    live.expect_nothing().await;
}

#[tokio::test]
async fn a_device_whose_events_are_no_longer_kept_gets_everything() {
    let server =
        TestServer::builder().store_limits(|limits| limits.log_events_max = 3).start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    let mut events = Vec::new();
    for index in 0..40 {
        events.push(create(&mut writer, &format!("d{index}")).await);
    }
    let position = at(&writer, &events[0]);
    let mut behind = server.connect("ann").client_id("r").position(&position).open().await;
    let snapshot = behind.expect("SNAPSHOT").await;
    assert_eq!(snapshot.payload()["reason"], "behind");
    assert_eq!(snapshot.payload()["drafts"].as_array().unwrap().len(), 40);
    assert_eq!(behind.welcome().payload()["epoch"], position.epoch, "nothing was lost");
    let position = at(&writer, &events[38]);
    let mut close = server.connect("ann").client_id("r").position(&position).open().await;
    assert_eq!(close.expect("DRAFT_CREATED").await.text, events[39].text);
}

#[tokio::test]
async fn a_snapshot_is_sent_where_it_is_smaller() {
    let server = TestServer::start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    let first = create(&mut writer, "d").await;
    for round in 0..20 {
        let data = json!({"round": round, "x": filling(1000)});
        writer.apply("DRAFT_UPDATE", json!({"id": "d", "data": data})).await;
    }
    let position = at(&writer, &first);
    let mut device = server.connect("ann").client_id("r").position(&position).open().await;
    assert_eq!(device.welcome().payload()["recovery"], "snapshot");
    assert_eq!(device.expect("SNAPSHOT").await.payload()["reason"], "behind");
    let near = writer.position();
    writer.apply("DRAFT_UPDATE", json!({"id": "d", "patch": {"x": 1}})).await;
    let mut device = server.connect("ann").client_id("r").position(&near).open().await;
    assert_eq!(device.welcome().payload()["recovery"], "delta");
    device.expect("DRAFT_UPDATED").await;
}

#[tokio::test]
async fn another_epoch_gets_everything_and_disturbs_nobody() {
    let server = TestServer::start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    create(&mut writer, "a").await;
    let foreign = Position { epoch: "another".into(), seq: 900, at: None };
    let mut device = server.connect("ann").client_id("r").position(&foreign).open().await;
    assert_eq!(device.expect("SNAPSHOT").await.payload()["reason"], "epoch");
    assert_eq!(device.welcome().payload()["epoch"], writer.position().epoch);
    writer.expect_nothing().await;
}

async fn lost(reason: &str, position: impl Fn(&Device, &Frame) -> Position) {
    let server = TestServer::start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    let mut neighbour = joined(&server, "bob", "writer").await;
    let mut watcher = server.watch("ann").open_quietly().await;
    let event = create(&mut writer, "a").await;
    let old = writer.position();
    let position = position(&writer, &event);
    let mut device = server.connect("ann").client_id("r").position(&position).open().await;
    let epoch = device.welcome().payload()["epoch"].as_str().unwrap().to_owned();
    assert_ne!(epoch, old.epoch, "the user has a new epoch");
    assert_eq!(device.welcome().payload()["recovery"], "snapshot");
    assert_eq!(device.welcome().payload()["seq"], 1, "seq counts on");
    let snapshot = device.expect("SNAPSHOT").await;
    assert_eq!(snapshot.payload()["reason"], reason);
    assert_eq!(snapshot.payload()["drafts"][0]["id"], "a");
    writer.expect_close(1012).await;
    neighbour.expect_nothing().await;
    // What was told of the old epoch is no position any more.
    let mut back = server.connect("ann").client_id("writer").position(&old).open().await;
    assert_eq!(back.expect("SNAPSHOT").await.payload()["reason"], "epoch");
    device.expect_nothing().await;
    back.apply("DRAFT_CREATE", json!({"id": "b", "data": {}})).await;
    let event = device.expect("DRAFT_CREATED").await;
    assert_eq!(event.seq(), Some(2));
    let report = server.post("/api/sync/progress").admin().json(&json!({"jobId": "j"}));
    report.send().await.ok(200);
    watcher.expect("SYNC_PROGRESS").await;
    let server = server.restart().await;
    let device = server.connect("ann").client_id("r").live().open().await;
    assert_eq!(device.welcome().payload()["epoch"], epoch, "the new epoch is durable");
}

#[tokio::test]
async fn a_device_that_is_ahead_proves_a_loss() {
    lost("ahead", |device, _| Position { seq: 2, at: None, ..device.position() }).await;
}

#[tokio::test]
async fn a_device_on_another_branch_proves_a_loss() {
    lost("forked", |device, _| Position {
        at: Some("2020-01-01T00:00:00.000Z".into()),
        ..device.position()
    })
    .await;
}

#[tokio::test]
async fn a_loss_found_over_http_closes_every_connection() {
    let server = TestServer::start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    create(&mut writer, "a").await;
    let old = writer.position().epoch;
    let target = format!("/api/sync?epoch={old}&seq=7");
    let answer = server.get(&target).user("ann").send().await.ok(200);
    assert_eq!(answer["snapshot"]["reason"], "ahead");
    assert_ne!(answer["epoch"], old);
    writer.expect_close(1012).await;
}

#[tokio::test]
async fn a_store_that_was_put_back_is_noticed_and_its_devices_renumber() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device.apply("DRAFT_CREATE", json!({"id": "kept", "data": {}})).await;
    device.close().await;
    let server = server.restart().await;
    let mut server = server;
    // The copy is taken while nothing runs.
    server.shut_down().await.unwrap();
    let copy = server.folder().join("copy");
    copy_folder(&server.folder().join("data"), &copy);
    let server = TestServer::builder().folder(&server.folder().join("data")).start().await;
    let mut device = server.connect("ann").client_id("phone").open().await;
    device.expect("SNAPSHOT").await;
    device.apply("DRAFT_CREATE", json!({"id": "lost", "data": {}})).await;
    let position = device.position();
    device.close().await;
    let mut server = server;
    server.shut_down().await.unwrap();
    let server = TestServer::builder().folder(&copy).start().await;
    let mut device = server.connect("ann").client_id("phone").position(&position).open().await;
    assert_eq!(device.welcome().payload()["lastMutationId"], 1, "below what was acknowledged");
    assert_eq!(device.expect("SNAPSHOT").await.payload()["reason"], "ahead");
    assert_ne!(device.welcome().payload()["epoch"], position.epoch);
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn a_large_snapshot_comes_in_parts() {
    let server = TestServer::start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    for index in 0..20 {
        let kind = if index % 2 == 0 { "DRAFT_CREATE" } else { "PENDING_CREATE" };
        let id = format!("d{index}");
        writer.apply(kind, json!({"id": id, "data": {"x": filling(40_000)}})).await;
    }
    let large = json!({"id": "large", "data": {"x": filling(262_000)}});
    writer.apply("DRAFT_CREATE", large).await;
    let mut device = server.connect("ann").client_id("r").open().await;
    let (mut drafts, mut pending, mut parts) = (Vec::new(), Vec::new(), 0);
    loop {
        let part = device.expect("SNAPSHOT").await;
        parts += 1;
        assert_eq!(part.seq(), Some(21));
        assert_eq!(part.payload()["reason"], "initial");
        let here = |name: &str| -> Vec<String> {
            let list = part.payload()[name].as_array().unwrap();
            list.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
        };
        let count = here("drafts").len() + here("pending").len();
        assert!(count > 0, "no part is empty");
        assert!(part.text.len() <= 256 * 1024 || count == 1, "{} bytes", part.text.len());
        drafts.extend(here("drafts"));
        pending.extend(here("pending"));
        if part.payload()["more"] == false {
            break;
        }
    }
    assert!(parts >= 5, "{parts} parts");
    let even: Vec<_> =
        (0..20).step_by(2).map(|i| format!("d{i}")).chain(["large".into()]).collect();
    let odd: Vec<_> = (1..20).step_by(2).map(|i| format!("d{i}")).collect();
    assert_eq!((drafts, pending), (even, odd));
    device.expect_nothing().await;
}

#[tokio::test]
async fn devices_that_come_and_go_while_others_write_miss_nothing() {
    let server = TestServer::start().await;
    let writers = 3;
    let each = 250;
    let total = writers * each;
    let mut writing = Vec::new();
    for index in 0..writers {
        let mut device = server.connect("ann").client_id(&format!("w{index}")).live().open().await;
        writing.push(tokio::spawn(async move {
            let (mut sent, mut answered) = (0, 0);
            while answered < each {
                while sent < each && sent - answered < 32 {
                    sent += 1;
                    let data = json!({"n": sent, "x": filling(700)});
                    device.command("DRAFT_CREATE", json!({"data": data})).await;
                }
                if device.next().await.kind() == "ACK" {
                    answered += 1;
                }
            }
        }));
    }
    let reading: Vec<_> = (0..4_u64)
        .map(|reader| {
            let connect =
                move |server: &TestServer| server.connect("ann").client_id(&format!("r{reader}"));
            let server = &server;
            async move { read_all(server, connect, reader, total).await }
        })
        .collect();
    futures_util::future::join_all(reading).await;
    for writer in writing {
        writer.await.unwrap();
    }
}

/// Reads the whole history in pieces of changing length over many connections: `seq` goes up by
/// one, whatever is cut where.
async fn read_all(
    server: &TestServer,
    connect: impl Fn(&TestServer) -> draftwire_testing::Connect,
    seed: u64,
    total: u64,
) {
    let epoch = connect(server).live().open().await.position().epoch;
    let mut position = Position { epoch, seq: 0, at: None };
    let mut random = seed + 1;
    let mut reconnects = 0;
    while position.seq < total {
        let mut device = connect(server).position(&position).open().await;
        reconnects += 1;
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wanted = (random >> 33) % 40;
        for _ in 0..wanted {
            if position.seq == total {
                break;
            }
            match device.incoming().await {
                Incoming::Frame(frame) if frame.kind() == "SNAPSHOT" => {
                    assert_eq!(frame.payload()["reason"], "behind");
                    assert!(frame.seq().unwrap() > position.seq);
                }
                Incoming::Frame(frame) => {
                    let next = position.seq + 1;
                    let last = device.position();
                    assert_eq!(frame.seq(), Some(next), "a gap or a repeat");
                    assert_eq!(last.seq, next);
                }
                other => panic!("the connection ended: {other:?}"),
            }
            position = device.position();
        }
    }
    assert!(reconnects > 3, "{reconnects}");
}
