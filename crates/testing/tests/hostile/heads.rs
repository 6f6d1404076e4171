//! Requests whose head is too long, too wide, or takes long to read.

use crate::wire::{Head, Wire};

/// ws CVE-2024-37890: more headers than are looked at broke the server down, where those of the
/// handshake were among the ones that were left out.
#[tokio::test]
async fn two_thousand_headers_are_refused() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann").text();
    let (first, rest) = good.split_once("\r\n").unwrap();
    let headers = rest.trim_end();
    for count in [95, 101, 2_000, 20_000] {
        let many: String = (0..count).map(|number| format!("X-{number}: y\r\n")).collect();
        for text in [
            format!("{first}\r\n{headers}\r\n{many}\r\n"),
            format!("{first}\r\n{many}{headers}\r\n\r\n"),
        ] {
            let heard = Wire::said(&server, text).await.hear().await;
            match heard {
                Some(heard) => heard.is_refusal(&format!("{count} headers"), 431, ""),
                // The rest was not read any more, and the answer may be lost over that.
                None => assert!(count > 2_000, "{count} headers were not answered"),
            }
        }
    }
    // As many as there may be.
    let many: String = (0..90).map(|number| format!("X-{number}: y\r\n")).collect();
    let text = format!("{first}\r\n{many}{headers}\r\n\r\n");
    assert_eq!(Wire::said(&server, text).await.hear().await.expect("an answer").status, 101);
    bystander.expect_unharmed().await;
}

/// tungstenite CVE-2023-43669: a head without an end was read without a bound, and again from its
/// beginning with every piece that came.
#[tokio::test]
async fn a_head_of_twenty_megabytes_is_refused_soon() {
    let (server, bystander) = crate::begin_alone(8 * 1024 * 1024, |_| {}).await;
    let good = Head::of(&server, "ann").text();
    let beginnings = [
        format!("{}\r\nX-A: ", good.trim_end()),
        "GET /ws/realtime HTTP/1.1\r\nX-A: ".to_owned(),
        "GET /ws/realtime?token=".to_owned(),
        "GET".to_owned(),
    ];
    for piece in [vec![b'a'; 64 * 1024], b"X-A: b\r\n".repeat(8 * 1024)] {
        for beginning in &beginnings {
            let mut wire = Wire::said(&server, beginning).await;
            let mut taken = 0;
            while taken < 20 * 1024 * 1024 && wire.say(&piece).await {
                taken += piece.len();
            }
            // What lies in the sockets' buffers was never read.
            assert!(taken < 20 * 1024 * 1024, "all of it was taken");
            let answer = wire.hear_end("who talks on").await;
            assert!(!answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        }
    }
    // A piece over what is read, in one: that much can be answered.
    let text = format!("{}{}\r\n\r\n", beginnings[0], "a".repeat(66 * 1024));
    let heard = Wire::said(&server, text).await.hear().await.expect("an answer");
    heard.is_refusal("66 KiB", 431, "");
    bystander.expect_unharmed().await;
}

/// The same hole from the other side: a head of many small pieces is looked through once, not once
/// for each piece.
#[tokio::test]
async fn a_long_head_may_come_a_byte_at_a_time() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let head = Head::of(&server, "ann").with("x-a", &[&format!("X-A: {}", "a".repeat(8_000))]);
    let mut wire = Wire::open(&server).await;
    for byte in head.text().bytes() {
        assert!(wire.say([byte]).await, "it was cut off");
        // So that the server sees each for itself.
        tokio::task::yield_now().await;
    }
    assert_eq!(wire.hear().await.expect("an answer").status, 101);
    bystander.expect_unharmed().await;
}

/// ws CVE-2021-32640: white space in `Sec-WebSocket-Protocol` took time that grew with its square.
#[tokio::test]
async fn white_space_in_a_list_costs_no_more_than_it_is_long() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann");
    let blank = " ".repeat(30_000);
    let mixed = " \t".repeat(15_000);
    let commas = ",".repeat(30_000);
    let spaced = " , ".repeat(10_000);
    for name in ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Connection", "Upgrade"] {
        for filling in [&blank, &mixed, &commas, &spaced] {
            for line in [
                format!("{name}: a{filling}b"),
                format!("{name}: {filling}b"),
                format!("{name}: a{filling}"),
                format!("{name}: draftwire.v1,{filling}draftwire.v1"),
            ] {
                let lowered = name.to_ascii_lowercase();
                let text = good.clone().with("x", &[&line]).text();
                let heard = Wire::said(&server, text).await.hear().await.expect("an answer");
                assert!([101, 400].contains(&heard.status), "{lowered}: {heard:?}");
            }
        }
    }
    bystander.expect_unharmed().await;
}
