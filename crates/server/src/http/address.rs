//! Where a request comes from: the peer, or who a trusted proxy says it speaks for.
//!
//! `X-Forwarded-For` counts only from proxies that are named in the settings, and of it only what
//! they have appended: the right-most address that is none of theirs. Whatever a client writes there
//! itself stands further left, and is never looked at. `Forwarded` (RFC 7239) is not read.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whom limits per address are for; `None` where that can't be known (a host that does not tell),
/// or for this machine itself.
pub(super) fn limited_address(request: &Request, proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip();
    let address = client_address(peer.to_canonical(), request.headers(), proxies);
    (!address.is_loopback()).then(|| group_of(address))
}

fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut client = peer;
    // Several header lines are one list (RFC 9110 §5.2). From right to left: each hop was written
    // down by the one behind it, and counts as long as that one is trusted. As bytes: whatever a
    // client writes on the left (it need not be text) must not hide what is on the right.
    let lines = headers.get_all(X_FORWARDED_FOR).into_iter().map(HeaderValue::as_bytes);
    let hops: Vec<&[u8]> = lines.flat_map(|line| line.split(|byte| *byte == b',')).collect();
    for hop in hops.into_iter().rev() {
        if !is_proxy(&client) {
            break;
        }
        // What is no address was not written by a proxy that knows one: its own is the last known.
        let Some(address) = str::from_utf8(hop).ok().and_then(parse) else { break };
        client = address;
    }
    client
}

/// An address as proxies write it: with a port or without, IPv6 in brackets or without.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    address.or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

/// An IPv6 network of 64 bits is one customer's (RFC 6177), so it counts as one address.
fn group_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn limited(peer: &str, lines: &[&str], proxies: &[&str]) -> Option<String> {
        let mut request = Request::new(Body::empty());
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        for line in lines {
            request.headers_mut().append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        let proxies: Vec<IpNet> = proxies.iter().map(|network| network.parse().unwrap()).collect();
        limited_address(&request, &proxies).map(|address| address.to_string())
    }

    #[test]
    fn only_named_proxies_speak_for_others() {
        let proxies = ["10.0.0.0/8", "::1/128", "127.0.0.1/32"];
        let table: &[(&str, &[&str], Option<&str>)] = &[
            ("203.0.113.7:5", &[], Some("203.0.113.7")),
            // A client that is no proxy can write what it likes.
            ("203.0.113.7:5", &["198.51.100.1"], Some("203.0.113.7")),
            ("10.0.0.2:5", &["198.51.100.1"], Some("198.51.100.1")),
            // What the client wrote itself stands on the left of what the proxy has seen.
            ("10.0.0.2:5", &["192.0.2.66, 198.51.100.1"], Some("198.51.100.1")),
            ("10.0.0.2:5", &["192.0.2.66", "198.51.100.1"], Some("198.51.100.1")),
            ("10.0.0.2:5", &["10.0.0.1, 198.51.100.1"], Some("198.51.100.1")),
            // Through two proxies.
            ("10.0.0.2:5", &["192.0.2.66, 198.51.100.1, 10.9.9.9"], Some("198.51.100.1")),
            ("10.0.0.2:5", &["192.0.2.66, 198.51.100.1,10.9.9.9 ,10.1.1.1"], Some("198.51.100.1")),
            // Without the header, and with rubbish in it, it is the proxy itself.
            ("10.0.0.2:5", &[], Some("10.0.0.2")),
            ("10.0.0.2:5", &["unknown"], Some("10.0.0.2")),
            ("10.0.0.2:5", &["198.51.100.1, "], Some("10.0.0.2")),
            ("10.0.0.2:5", &["198.51.100.1, _hidden, 10.9.9.9"], Some("10.9.9.9")),
            ("10.0.0.2:5", &["198.51.100.1:4711"], Some("198.51.100.1")),
            ("10.0.0.2:5", &["[2001:db8:1:2:3::9]:4711"], Some("2001:db8:1:2::")),
            ("10.0.0.2:5", &["[2001:db8:1:2:3::9]"], Some("2001:db8:1:2::")),
            ("10.0.0.2:5", &["2001:db8:1:2:3::9"], Some("2001:db8:1:2::")),
            ("10.0.0.2:5", &["::ffff:198.51.100.1"], Some("198.51.100.1")),
            ("[::ffff:10.0.0.2]:5", &["198.51.100.1"], Some("198.51.100.1")),
            ("[2001:db8:1:2:3::9]:5", &["198.51.100.1"], Some("2001:db8:1:2::")),
            // This machine is not limited, unless it is a proxy that speaks for somebody.
            ("127.0.0.1:5", &[], None),
            ("[::1]:5", &[], None),
            ("127.0.0.1:5", &["198.51.100.1"], Some("198.51.100.1")),
        ];
        for (peer, lines, expected) in table {
            let found = limited(peer, lines, &proxies);
            assert_eq!(found.as_deref(), *expected, "{peer} {lines:?}");
        }
        assert_eq!(limited("127.0.0.1:5", &["198.51.100.1"], &[]), None, "nobody is trusted");
    }

    #[test]
    fn a_host_that_does_not_tell_is_not_limited_by_address() {
        assert_eq!(limited_address(&Request::new(Body::empty()), &[]), None);
    }
}
