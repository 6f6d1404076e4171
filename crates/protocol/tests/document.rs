//! Guards docs/protocol.md: every name and number that the code defines stands in it.
//!
//! The document is what users read, the definitions are what is sent; neither may know a code,
//! a close code or a frame type that the other does not.

use std::collections::BTreeSet;

use draftwire_protocol::kind::names;
use draftwire_protocol::{CloseCode, ErrorCode, RejectionCode};

const DOCUMENT: &str = include_str!("../../../docs/protocol.md");

/// The words of the document that look like a name of the protocol: `LIKE_THIS`.
fn words() -> BTreeSet<&'static str> {
    let name = |word: &&str| {
        word.len() > 2
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let separators = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    DOCUMENT
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(|code| code.split(separators))
        .filter(name)
        .collect()
}

#[test]
fn every_name_that_is_sent_is_documented() {
    let words = words();
    let frames = names::ALL.iter().copied();
    let rejections = RejectionCode::ALL.into_iter().map(RejectionCode::name);
    let errors =
        [ErrorCode::BadFrame, ErrorCode::NoClientId, ErrorCode::BadToken, ErrorCode::WrongUser];
    for name in frames.chain(rejections).chain(errors.map(ErrorCode::name)) {
        assert!(words.contains(name), "{name} is missing in docs/protocol.md");
    }
}

#[test]
fn every_document_event_and_rejection_in_the_document_is_defined() {
    let defined = |word: &&str| {
        let family = word.starts_with("DRAFT_") || word.starts_with("PENDING_");
        !family || names::ALL.contains(word)
    };
    let unknown: Vec<_> = words().into_iter().filter(|word| !defined(word)).collect();
    assert!(unknown.is_empty(), "not defined: {unknown:?}");
}

/// The rows of the table of close codes: `| 1001, 1006 | … |`.
fn documented_close_codes() -> BTreeSet<u16> {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| row.split_once(" |"))
        .filter_map(|(first, _)| first.split(", ").map(|code| code.parse().ok()).collect())
        .flat_map(|codes: Vec<u16>| codes)
        .collect()
}

#[test]
fn the_table_of_close_codes_is_the_one_that_is_sent() {
    let documented = documented_close_codes();
    // 1000 is no reason to do anything, and 1006 is never sent (RFC 6455 §7.4.1).
    let mut defined: BTreeSet<u16> = CloseCode::ALL.into_iter().map(CloseCode::code).collect();
    defined.remove(&1000);
    defined.insert(1006);
    assert_eq!(documented, defined);
}
