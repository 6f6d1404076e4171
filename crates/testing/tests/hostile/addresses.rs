//! Whose address counts: `X-Forwarded-For` is believed from named proxies only, and of it only what
//! they have seen themselves.

use std::net::Ipv4Addr;

use draftwire_server::Settings;
use draftwire_server::rate::Rate;
use draftwire_testing::TestServer;

use crate::wire::{Head, Heard, Wire};

/// The proxy that is named.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
/// Another peer on this machine, which is not.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Each address may knock once, so that one which is counted is seen.
fn limited(proxies: &[&str]) -> impl FnOnce(&mut Settings) {
    let proxies = proxies.iter().map(|network| network.parse().expect("a network")).collect();
    |settings| {
        settings.address_handshakes = Rate::new(1, 1);
        settings.trusted_proxies = proxies;
    }
}

/// Knocks from there with these lines, through the front door or past it.
async fn knock(server: &TestServer, peer: Ipv4Addr, lines: &[&str], front_door: bool) -> Heard {
    let head = Head::of(server, "ann").with("x-forwarded-for", lines);
    let head = if front_door { head } else { head.first("GET /ws/sync HTTP/1.1") };
    let mut wire = Wire::open_from(peer, server.address()).await;
    wire.say(head.text()).await;
    wire.hear().await.expect("an answer")
}

/// From which address a handshake counts. `None` for a peer on this machine itself, which has no
/// limit.
async fn check(lines: &[&str], peer: Ipv4Addr, proxies: &[&str], counts_as: Option<&str>) {
    for front_door in [true, false] {
        // A relay: many are started here, and no document is needed.
        let server = TestServer::builder().relay().settings(limited(proxies)).start().await;
        let what = format!("{lines:?} from {peer} with {proxies:?}");
        assert_eq!(knock(&server, peer, lines, front_door).await.status, 101, "{what}");
        let again = knock(&server, peer, lines, front_door).await;
        let Some(address) = counts_as else {
            assert_eq!(again.status, 101, "{what} is not to be counted");
            continue;
        };
        again.is_refusal(&what, 429, "TOO_MANY_HANDSHAKES");
        // It is that very address: the only proxy there is tells the same of it.
        let plain = format!("X-Forwarded-For: {address}");
        let same = knock(&server, PROXY, &[&plain], front_door).await;
        same.is_refusal(&format!("{what} is {address}"), 429, "TOO_MANY_HANDSHAKES");
        let other = knock(&server, PROXY, &["X-Forwarded-For: 192.0.2.200"], front_door).await;
        assert_eq!(other.status, 101, "{what}: others are not meant");
    }
}

#[tokio::test]
async fn who_is_no_proxy_speaks_for_itself() {
    let (server, bystander) = crate::begin(limited(&["127.0.0.1/32"])).await;
    for lines in [
        &["X-Forwarded-For: 203.0.113.7"][..],
        &["X-Forwarded-For: 127.0.0.1"],
        &["X-Forwarded-For: 203.0.113.7, 127.0.0.1"],
        &["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 127.0.0.1"],
        &["X-Forwarded-For: rubbish"],
    ] {
        check(lines, STRANGER, &["127.0.0.1/32"], None).await;
        check(lines, PROXY, &[], None).await;
    }
    // Nobody can use up the places of others by writing their address.
    for _ in 0..3 {
        let forged = ["X-Forwarded-For: 203.0.113.7"];
        assert_eq!(knock(&server, STRANGER, &forged, true).await.status, 101);
    }
    let honest = knock(&server, PROXY, &["X-Forwarded-For: 203.0.113.7"], true).await;
    assert_eq!(honest.status, 101, "it was used up by a stranger");
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn of_what_a_proxy_sends_the_rightmost_that_is_no_proxy_counts() {
    let (_server, bystander) = crate::begin(|_| {}).await;
    let proxies = ["127.0.0.1/32", "10.0.0.0/8"];
    for (lines, counts_as) in [
        (&["X-Forwarded-For: 203.0.113.7"][..], Some("203.0.113.7")),
        (&["X-Forwarded-For: 198.51.100.1, 203.0.113.7"], Some("203.0.113.7")),
        (&["X-Forwarded-For: 127.0.0.1, 203.0.113.7"], Some("203.0.113.7")),
        (&["X-Forwarded-For: rubbish, 203.0.113.7"], Some("203.0.113.7")),
        // No text at all: it must not hide what the proxy has written behind it.
        (&["X-Forwarded-For: \u{e4}, 203.0.113.7"], Some("203.0.113.7")),
        (&["X-Forwarded-For: \u{e4}", "X-Forwarded-For: 203.0.113.7"], Some("203.0.113.7")),
        (&["X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.7"], Some("203.0.113.7")),
        (&["X-Forwarded-For: 203.0.113.7, 10.1.2.3"], Some("203.0.113.7")),
        (&["X-Forwarded-For: 198.51.100.1, 203.0.113.7,10.1.2.3 , 10.9.9.9"], Some("203.0.113.7")),
        (&["x-forwarded-for: 203.0.113.7", "X-FORWARDED-FOR: 10.1.2.3"], Some("203.0.113.7")),
        (&["X-Forwarded-For: 203.0.113.7:4711"], Some("203.0.113.7")),
        (&["X-Forwarded-For: ::ffff:203.0.113.7"], Some("203.0.113.7")),
        (&["X-Forwarded-For: [2001:db8:1:2:3::9]:4711"], Some("2001:db8:1:2::77")),
        // All of them proxies: the last that is known.
        (&["X-Forwarded-For: 10.1.2.3"], Some("10.1.2.3")),
        (&["X-Forwarded-For: 10.1.2.3, 10.9.9.9"], Some("10.1.2.3")),
    ] {
        check(lines, PROXY, &proxies, counts_as).await;
    }
    bystander.expect_unharmed().await;
}

/// What is no address was written by nobody who knows one: then it is the proxy itself that counts,
/// and nothing further left is looked at.
#[tokio::test]
async fn rubbish_from_a_proxy_counts_as_the_proxy() {
    let (_server, bystander) = crate::begin(|_| {}).await;
    let long = format!("X-Forwarded-For: {}", "203.0.113.7, ".repeat(3_000));
    for lines in [
        &["X-Forwarded-For:"][..],
        &["X-Forwarded-For: unknown"],
        &["X-Forwarded-For: _hidden"],
        &["X-Forwarded-For: 203.0.113.7, unknown"],
        &["X-Forwarded-For: 203.0.113.7, "],
        &["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: "],
        &["X-Forwarded-For: 203.0.113.7 198.51.100.1"],
        &["X-Forwarded-For: 203.0.113"],
        &["X-Forwarded-For: 203.0.113.256"],
        &["X-Forwarded-For: 203.0.113.07"],
        &["X-Forwarded-For: 0xcb007107"],
        &["X-Forwarded-For: 203.0.113.7:99999"],
        &["X-Forwarded-For: 203.0.113.7:"],
        &["X-Forwarded-For: [203.0.113.7]"],
        &["X-Forwarded-For: \"203.0.113.7\""],
        &["X-Forwarded-For: 203.0.113.7/32"],
        &["X-Forwarded-For: 203.0.113.7;198.51.100.1"],
        &["X-Forwarded-For: \u{e4}"],
        &["X-Forwarded-For: 203.0.113.7, \u{e4}"],
        &["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: \u{e4}"],
        &[&long],
        // Other headers are not read.
        &["Forwarded: for=203.0.113.7"],
        &["X-Real-IP: 203.0.113.7"],
        &["X-Forwarded: 203.0.113.7"],
        &["True-Client-IP: 203.0.113.7"],
    ] {
        check(lines, PROXY, &["127.0.0.1/32"], None).await;
    }
    bystander.expect_unharmed().await;
}
