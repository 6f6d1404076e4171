//! Broken frames (RFC 6455 §5, §7.4 and §8.1).

use draftwire_testing::raw::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RawSocket, TEXT, frame, unmasked_frame,
};
use draftwire_testing::{TestServer, Value};

/// What is wrong, the bytes, and the code that the connection is closed with.
type Row = (String, Vec<u8>, u16);

/// A connection on which nothing more comes by itself.
pub async fn raw(server: &TestServer) -> RawSocket {
    let mut raw = server.connect("ann").live().raw().await;
    let (_, welcome) = raw.read_frame().await.expect("it is open");
    assert!(welcome.starts_with(b"{\"type\":\"WELCOME\""), "{}", String::from_utf8_lossy(&welcome));
    raw
}

/// Every row closes the connection with its code, on both paths, whole and a byte at a time; what
/// follows is not acted on.
async fn refuse_all(server: &TestServer, table: &[Row]) {
    let command = frame(FIN | TEXT, br#"{"type":"DRAFT_CREATE","payload":{"data":{}}}"#);
    for (what, bytes, code) in table {
        let mut whole = raw(server).await;
        whole.try_write_bytes(&[&bytes[..], &command].concat()).await;
        assert_eq!(whole.read_to_end().await, (Vec::new(), Some(*code)), "{what}");
        whole.try_write_bytes(&frame(FIN | CLOSE, &code.to_be_bytes())).await;
        whole.expect_end().await;
        let mut watching = server.watch("ann").raw().await;
        watching.try_write_bytes(bytes).await;
        assert_eq!(watching.read_to_end().await, (Vec::new(), Some(*code)), "{what} on /ws/sync");
        let mut pieces = raw(server).await;
        let (single, rest) = bytes.split_at(bytes.len().min(100));
        for byte in single.chunks(1) {
            pieces.try_write_bytes(byte).await;
        }
        pieces.try_write_bytes(rest).await;
        assert_eq!(pieces.read_to_end().await, (Vec::new(), Some(*code)), "{what} in pieces");
    }
    let drafts = server.get("/api/drafts").user("ann").send().await.ok(200);
    assert_eq!(drafts["items"].as_array().map(Vec::len), Some(0), "{drafts}");
}

/// A masked frame's head that claims so many bytes, in eight.
pub fn claiming(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat()
}

/// NATS CVE-2026-27889 (a length of 64 bits ran over, before anybody had signed in). The reserved bit
/// of compression without compression: NATS CVE-2026-27571 inflated such without a bound.
#[tokio::test]
async fn a_broken_head_is_a_protocol_error() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let mut table: Vec<Row> = Vec::new();
    for bits in 1..8_u8 {
        for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
            let bytes = frame(FIN | bits << 4 | opcode, b"");
            table.push((format!("reserved bits {bits} on {opcode}"), bytes, 1002));
        }
        let begun = frame(TEXT, b"{");
        let bytes = [begun, frame(FIN | bits << 4 | CONTINUATION, b"}")].concat();
        table.push((format!("reserved bits {bits} on a continuation"), bytes, 1002));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        table.push((format!("opcode {opcode}"), frame(FIN | opcode, b""), 1002));
        table.push((format!("opcode {opcode}, not the last"), frame(opcode, b"x"), 1002));
    }
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        table.push((format!("{opcode} without mask"), unmasked_frame(FIN | opcode, b""), 1002));
        let long = unmasked_frame(FIN | opcode, &[b'x'; 125]);
        table.push((format!("{opcode} without mask, long"), long, 1002));
    }
    for (length, code) in [
        (0_u64, 1002),
        (5, 1002),
        (125, 1002),
        (126, 1002),
        (65_535, 1002),
        (524_289, 1009),
        (u64::from(u32::MAX), 1009),
        (u64::from(u32::MAX) + 6, 1009),
        (1 << 53, 1009),
        (1 << 62, 1009),
        ((1 << 63) - 15, 1009),
        ((1 << 63) - 1, 1009),
        (1 << 63, 1002),
        ((1 << 63) + 5, 1002),
        (u64::MAX - 13, 1002),
        (u64::MAX, 1002),
    ] {
        for opcode in [TEXT, BINARY] {
            table.push((format!("{length} bytes in eight"), claiming(FIN | opcode, length), code));
            table.push((format!("{length}, not the last"), claiming(opcode, length), code));
        }
        table.push((format!("a ping of {length} in eight"), claiming(FIN | PING, length), 1002));
    }
    for length in [0_u16, 5, 125] {
        let short = [&[FIN | TEXT, 0x80 | 126][..], &length.to_be_bytes(), &[0; 4]].concat();
        table.push((format!("{length} bytes in two"), short, 1002));
    }
    refuse_all(&server, &table).await;
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn fragments_in_disorder_are_a_protocol_error() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let begun = || frame(TEXT, b"{\"type\":");
    let mut table: Vec<Row> = Vec::new();
    for (what, frames) in [
        ("a continuation of nothing", vec![frame(FIN | CONTINUATION, b"x")]),
        ("a beginning that continues nothing", vec![frame(CONTINUATION, b"x")]),
        ("an empty continuation of nothing", vec![frame(FIN | CONTINUATION, b"")]),
        ("text in a text", vec![begun(), frame(FIN | TEXT, b"{}")]),
        ("a beginning in a text", vec![begun(), begun()]),
        ("binary in a text", vec![begun(), frame(FIN | BINARY, b"x")]),
        ("text in binary", vec![frame(BINARY, b"x"), frame(FIN | TEXT, b"{}")]),
        ("a reserved opcode in a text", vec![begun(), frame(FIN | 3, b"x")]),
        ("a ping in parts", vec![frame(PING, b"x"), frame(FIN | CONTINUATION, b"x")]),
        ("a pong in parts", vec![frame(PONG, b"x")]),
        ("a close in parts", vec![frame(CLOSE, &1000_u16.to_be_bytes())]),
        ("a ping of 126", vec![frame(FIN | PING, &[b'x'; 126])]),
        ("a pong of 126", vec![frame(FIN | PONG, &[b'x'; 126])]),
        ("a close of 126", vec![frame(FIN | CLOSE, &[&[3, 232][..], &[b'x'; 124]].concat())]),
        ("a ping of 65536 in a text", vec![begun(), frame(FIN | PING, &[b'x'; 65_536])]),
    ] {
        table.push((what.into(), frames.concat(), 1002));
    }
    let part = [b'x'; 8_192];
    for opcode in [TEXT, BINARY] {
        let endless =
            (0..65).map(|number| frame(if number == 0 { opcode } else { CONTINUATION }, &part));
        let endless: Vec<Vec<u8>> = endless.collect();
        table.push((format!("a message of {opcode} without an end"), endless.concat(), 1009));
    }
    refuse_all(&server, &table).await;
    // Control frames may come in between, and parts may be empty.
    let mut fine = raw(&server).await;
    let (empty, ping) = (frame(CONTINUATION, b""), frame(FIN | PING, b"hi"));
    let parts = [begun(), empty.clone(), ping, empty, frame(FIN | CONTINUATION, b"\"PING\"}")];
    fine.write_bytes(&parts.concat()).await;
    assert_eq!(fine.read_frame().await, Some((PONG, b"hi".to_vec())));
    let (_, pong) = fine.read_frame().await.expect("it is open");
    assert!(pong.starts_with(b"{\"type\":\"PONG\""), "{}", String::from_utf8_lossy(&pong));
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn only_good_close_codes_are_given_back() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let close =
        |code: u16, reason: &[u8]| frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat());
    let mut table: Vec<Row> = Vec::new();
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        table.push((format!("close code {code}"), close(code, b""), 1002));
        table.push((format!("close code {code} with a reason"), close(code, b"bye"), 1002));
    }
    table.push(("half a close code".into(), frame(FIN | CLOSE, &[3]), 1002));
    for reason in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"] {
        table.push((format!("a reason of {reason:x?}"), close(1000, reason), 1007));
    }
    refuse_all(&server, &table).await;
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 3000, 3999, 4000, 4999] {
        let mut raw = raw(&server).await;
        raw.write_bytes(&close(code, "\u{20ac}".repeat(41).as_bytes())).await;
        let (texts, given_back) = raw.read_to_end().await;
        assert_eq!((texts.len(), given_back), (0, Some(code)));
        raw.expect_end().await;
    }
    let mut none = raw(&server).await;
    none.write_bytes(&frame(FIN | CLOSE, b"")).await;
    assert_eq!(none.read_to_end().await, (Vec::new(), None));
    none.expect_end().await;
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn a_text_is_utf_8_however_it_is_cut() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let mut table: Vec<Row> = Vec::new();
    for bad in [
        &b"\x80"[..],
        b"\xbf\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc3",
        b"\xe0\x80\x80",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xed\xa0\xbd\xed\xb8\x80",
        b"\xed\xbf\xbf",
        b"\xf0\x80\x80\x80",
        b"\xf0\x9f\x98",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe",
        b"\xff\xff\xff\xff",
    ] {
        let text = [&b"{\"type\":\"PING\",\"x\":\""[..], bad, b"\"}"].concat();
        table.push((format!("{bad:x?}"), frame(FIN | TEXT, &text), 1007));
        let from = text.len() - 2 - bad.len();
        for cut in from..text.len() - 1 {
            let (first, second) = text.split_at(cut);
            let parts = [frame(TEXT, first), frame(FIN | CONTINUATION, second)].concat();
            table.push((format!("{bad:x?} cut after {cut}"), parts, 1007));
        }
        let middle = [
            frame(TEXT, &text[..from]),
            frame(CONTINUATION, b""),
            frame(CONTINUATION, bad),
            frame(FIN | CONTINUATION, &text[from + bad.len()..]),
        ];
        table.push((format!("{bad:x?} in a part of its own"), middle.concat(), 1007));
    }
    // A message that ends within a character.
    let cut = [frame(TEXT, b"\"\xe2\x82"), frame(FIN | CONTINUATION, b"")].concat();
    table.push(("the end within a character".into(), cut, 1007));
    refuse_all(&server, &table).await;
    let good = "{\"type\":\"PING\",\"x\":\"\u{e9}\u{20ac}\u{1f600}\u{10ffff}\u{0}\u{fffe}\"}";
    let good = good.replace('\0', "\\u0000");
    let mut raw = raw(&server).await;
    for cut in 1..good.len() {
        let (first, second) = good.as_bytes().split_at(cut);
        raw.write_bytes(&frame(TEXT, first)).await;
        raw.write_bytes(&frame(FIN | CONTINUATION, second)).await;
        let (_, pong) = raw.read_frame().await.expect("it is open");
        let pong: Value = serde_json_of(&pong);
        assert_eq!(pong["type"], "PONG", "cut after {cut}");
    }
    bystander.expect_unharmed().await;
}

fn serde_json_of(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).parse().expect("JSON")
}

#[tokio::test]
async fn binary_is_not_spoken() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let command = br#"{"type":"DRAFT_CREATE","payload":{"data":{}}}"#;
    let parts = [frame(BINARY, &command[..9]), frame(FIN | CONTINUATION, &command[9..])].concat();
    let table = [
        ("a command".to_owned(), frame(FIN | BINARY, command), 1003),
        ("nothing".to_owned(), frame(FIN | BINARY, b""), 1003),
        ("no UTF-8".to_owned(), frame(FIN | BINARY, &[0xff; 2_000]), 1003),
        ("a command in parts".to_owned(), parts, 1003),
    ];
    refuse_all(&server, &table).await;
    bystander.expect_unharmed().await;
}
