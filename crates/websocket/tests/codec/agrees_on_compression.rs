//! Which offers of permessage-deflate are met (RFC 7692 §7.1), and how.

use draftwire_websocket::{Agreement, WindowBits};

/// The answer to one header, or `None` where the extension is not agreed on.
fn answer(offers: &str) -> Option<String> {
    Agreement::on_first_of([offers]).map(|agreement| agreement.to_string())
}

const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn offers_that_can_be_met_are_met_without_context_takeover() {
    for offers in [
        "permessage-deflate",
        "  permessage-deflate\t",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate;client_max_window_bits=8",
        "permessage-deflate ; client_max_window_bits = \"15\"",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        "x-webkit-deflate-frame, permessage-deflate",
        ", ,permessage-deflate, ",
        "other; with=\"value\"; and, permessage-deflate",
        // What stands behind the first offer that can be met is not asked for.
        "permessage-deflate, permessage-deflate; server_max_window_bits=9",
        "permessage-deflate; server_max_window_bits=8, permessage-deflate",
        "permessage-deflate; unknown, permessage-deflate",
    ] {
        assert_eq!(answer(offers).as_deref(), Some(PLAIN), "{offers}");
    }
}

#[test]
fn every_window_that_can_be_kept_to_is_agreed_on() {
    for bits in 9..=15 {
        for value in [format!("{bits}"), format!("\"{bits}\"")] {
            let offer = format!("permessage-deflate; server_max_window_bits={value}");
            let agreement = Agreement::on_first_of([offer.as_str()]).unwrap();
            assert_eq!(agreement.window_bits().bits(), bits);
            let answer = format!("{PLAIN}; server_max_window_bits={bits}");
            assert_eq!(agreement.to_string(), answer);
        }
    }
    let agreement = Agreement::on_first_of(["permessage-deflate"]).unwrap();
    assert_eq!(agreement.window_bits(), WindowBits::MAX);
    assert_eq!(WindowBits::new(8), None);
    assert_eq!(WindowBits::new(16), None);
}

#[test]
fn offers_are_read_over_all_headers_in_their_order() {
    let headers = ["other", "permessage-deflate; unknown", "permessage-deflate"];
    assert_eq!(Agreement::on_first_of(headers).unwrap().to_string(), PLAIN);
    let headers = ["permessage-deflate; =", "permessage-deflate"];
    assert_eq!(Agreement::on_first_of(headers).unwrap().to_string(), PLAIN);
    assert_eq!(Agreement::on_first_of([]), None);
}

/// Silence declines them all.
#[test]
fn what_is_unknown_repeated_or_wrong_is_declined() {
    for parameters in [
        "unknown",
        "server_no_context_takeover=1",
        "client_no_context_takeover=\"\"",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits; client_max_window_bits=10",
        "server_max_window_bits=10; server_max_window_bits=10",
        "server_max_window_bits=16; server_max_window_bits=10",
        "server_max_window_bits",
        "server_max_window_bits=",
        "server_max_window_bits=\"\"",
        "server_max_window_bits=8",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=+10",
        "server_max_window_bits=-10",
        "server_max_window_bits=1e1",
        "server_max_window_bits=10.0",
        "server_max_window_bits=99999999999999999999",
        "server_max_window_bits=\"10",
        "server_max_window_bits=10\"",
        "server_max_window_bits=\"1\\0\"",
        "server_max_window_bits=1 0",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=09",
        "client_max_window_bits=",
        "Server_No_Context_Takeover",
        "=",
        ";",
        "",
        "constructor",
        "__proto__=10",
    ] {
        let offer = format!("permessage-deflate; {parameters}");
        assert_eq!(answer(&offer), None, "{offer}");
    }
    for offers in
        ["", ",", ";", "permessage", "permessage-deflate2", "a b", "\"permessage-deflate\""]
    {
        assert_eq!(answer(offers), None, "{offers}");
    }
}

#[test]
fn a_long_header_is_read_once() {
    let offers = "permessage-deflate; unknown, ".repeat(100_000) + "permessage-deflate";
    assert_eq!(answer(&offers).as_deref(), Some(PLAIN));
    let parameters = format!("permessage-deflate{}", "; client_max_window_bits".repeat(100_000));
    assert_eq!(answer(&parameters), None);
}
