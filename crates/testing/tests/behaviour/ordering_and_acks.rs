//! *Promises* 1 and 2: one order for all devices, events before their answers, also while a
//! device catches up.

use draftwire_testing::{TestServer, json};

use crate::{filling, joined};

#[tokio::test]
async fn all_devices_see_the_same_events_in_the_same_order() {
    let server = TestServer::start().await;
    let (devices, each) = (4_u64, 60_u64);
    let mut running = Vec::new();
    let mut joining = Vec::new();
    for index in 0..devices {
        joining.push(joined(&server, "ann", &format!("d{index}")).await);
    }
    for mut device in joining {
        running.push(tokio::spawn(async move {
            for number in 1..=each.min(64) {
                device.send("DRAFT_CREATE", json!({"data": {"n": number}}), number).await;
            }
            let (mut events, mut acks) = (Vec::new(), Vec::new());
            while events.len() < (devices * each) as usize || acks.len() < each as usize {
                let frame = device.next().await;
                if frame.kind() == "ACK" {
                    // The answer comes after its own event.
                    let seq = frame.payload()["seq"].as_u64().unwrap();
                    assert!(events.len() as u64 >= seq, "ACK {seq} before its event");
                    acks.push(frame.payload()["mutationId"].as_u64().unwrap());
                } else {
                    events.push(frame.text.clone());
                    assert_eq!(frame.seq(), Some(events.len() as u64));
                }
            }
            assert_eq!(acks, (1..=each).collect::<Vec<_>>(), "answers come in order");
            events
        }));
    }
    let mut seen = Vec::new();
    for one in running {
        seen.push(one.await.unwrap());
    }
    for events in &seen[1..] {
        assert!(events == &seen[0], "devices saw different histories");
    }
}

#[tokio::test]
async fn no_answer_comes_before_its_event_while_a_device_catches_up() {
    let server = TestServer::start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    let beginning = writer.position();
    for _ in 0..30 {
        writer.apply("DRAFT_CREATE", json!({"data": {"x": filling(60_000)}})).await;
    }
    let head = writer.position().seq;
    for round in 0..4 {
        // A device that sends commands at once, and reads its long recovery only later.
        let device = format!("late-{round}");
        let connect = server.connect("ann").client_id(&device);
        let connect = if round % 2 == 0 { connect.position(&beginning) } else { connect };
        let mut raw = connect.raw_with_receive_buffer(Some(4096)).await;
        for number in 1..=10_u64 {
            let frame = json!({
                "type": "DRAFT_CREATE", "mutationId": number,
                "payload": {"data": {"n": number}},
            });
            raw.write_frame(1, frame.to_string().as_bytes()).await;
        }
        // Others go on meanwhile.
        for _ in 0..5 {
            writer.apply("DRAFT_CREATE", json!({"data": {}})).await;
        }
        let mut given = 0;
        let mut answers = 0;
        let mut first = true;
        while answers < 10 {
            let (opcode, payload) = raw.read_frame().await.expect("the connection stays");
            if opcode != 1 {
                continue;
            }
            let frame: draftwire_testing::Value = serde_json::from_slice(&payload).unwrap();
            let seq = frame["seq"].as_u64();
            match frame["type"].as_str().unwrap() {
                "WELCOME" => assert!(first, "WELCOME comes first"),
                "SNAPSHOT" => given = seq.unwrap(),
                "ACK" => {
                    answers += 1;
                    assert_eq!(frame["payload"]["mutationId"], answers);
                    let acked = frame["payload"]["seq"].as_u64().unwrap();
                    assert!(acked <= given, "ACK for {acked} when {given} was given");
                }
                _ => {
                    assert_eq!(seq, Some(given + 1), "a gap or a repeat");
                    given += 1;
                }
            }
            first = false;
        }
        assert!(given > head);
    }
}

#[tokio::test]
async fn an_acknowledged_command_is_on_disk() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device.apply("DRAFT_CREATE", json!({"id": "d", "data": {"a": 1}})).await;
    // The files as they are at this moment, without a shutdown.
    let copy = server.folder().join("copy");
    std::fs::create_dir_all(&copy).unwrap();
    for entry in std::fs::read_dir(server.folder().join("data")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let other = TestServer::builder().folder(&copy).start().await;
    let read = other.get("/api/drafts/d").user("ann").send().await.ok(200);
    assert_eq!(read["data"], json!({"a": 1}));
    let same = other.connect("ann").client_id("phone").live().open().await;
    assert_eq!(same.welcome().payload()["lastMutationId"], 1);
}
