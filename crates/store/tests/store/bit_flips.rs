//! Guards that damage is noticed: one bit of a stopped store's file is changed, and whatever the
//! store then says is an error or the truth. And that a backup is no damage, whoever made it.
//!
//! `DRAFTWIRE_FLIPS=1000` tries more flips.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use draftwire_protocol::Collection;
use draftwire_store::sqlite::SqliteOptions;
use draftwire_store::{
    Ask, Page, Revocation, SqliteStore, Store, StoreError, StoreLimits, Submission,
};
use serde_json::json;

use crate::support::{submission, time};

const FLIPS: usize = 80;
const USERS: [&str; 3] = ["ann", "bob", "zoë"];

fn limits() -> StoreLimits {
    // Small, so that logs are trimmed and old answers forgotten.
    StoreLimits { log_events_max: 20, log_bytes_max: 60_000, ..StoreLimits::default() }
}

fn open(folder: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&SqliteOptions::new(folder, limits()))
}

fn command(user: &str, number: u64) -> Submission {
    let id = format!("d{}", number % 9);
    let filler = "x".repeat((number as usize * 977) % 9_000);
    let (name, payload) = match number % 5 {
        0 | 1 => ("DRAFT_CREATE", json!({"id": id, "data": {"n": number, "filler": filler}})),
        2 => ("DRAFT_UPDATE", json!({"id": id, "patch": {"m": number}})),
        3 => ("PENDING_CREATE", json!({"id": id, "data": {"n": number}})),
        _ => ("DRAFT_DELETE", json!({"id": id})),
    };
    submission(user, Some(("phone", Some(number))), name, &payload)
}

/// Everything that the store says, reading and writing.
fn told(store: &SqliteStore) -> Result<String, StoreError> {
    let mut told = String::new();
    for user in USERS {
        for collection in Collection::ALL {
            let listing = store.list(user, collection)?;
            writeln!(told, "{:?} {:?}", listing.head, listing.items).unwrap();
            writeln!(told, "{:?}", store.get(user, collection, "d1")?).unwrap();
        }
        writeln!(told, "{:?}", store.head(user, Some("phone"))?).unwrap();
        let ask = Ask { user, client_id: Some("phone"), position: None, live: false, reason: None };
        writeln!(told, "{:?} {}", store.recover(&ask)?, store.recovery_bytes(user)?).unwrap();
        for seq in [0, 25, 35] {
            match store.events_after(user, seq, usize::MAX)? {
                Page::Trimmed => writeln!(told, "trimmed"),
                Page::Events(events) => writeln!(told, "{events:?}"),
            }
            .unwrap();
        }
        // The latest commands sent again, a new one, and one that was sent out of order.
        let again: Vec<Submission> =
            [38, 39, 40, 41, 50].into_iter().map(|number| command(user, number)).collect();
        for applied in store.apply(&again, time(9_000_000))? {
            writeln!(told, "{:?}", applied.answer).unwrap();
        }
        writeln!(told, "{:?}", store.list(user, Collection::Drafts)?.items).unwrap();
    }
    writeln!(told, "{:?}", store.revocations()?).unwrap();
    Ok(told)
}

fn filled(folder: &Path) {
    let store = open(folder).expect("open");
    for number in 1..=40 {
        for user in USERS {
            let now = time(1_000_000 + number as i64);
            store.apply(&[command(user, number)], now).expect("applied");
        }
    }
    store.revoke("ann", &Revocation::Token("t".into())).expect("revoked");
    store.revoke("bob", &Revocation::IssuedBefore(1.25)).expect("revoked");
}

/// Bits that look random and are the same each time (PCG's output function over a counter).
fn random(state: u64) -> u64 {
    let mixed =
        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

#[test]
fn a_bit_that_was_changed_is_noticed_or_changes_nothing() {
    let flips = std::env::var("DRAFTWIRE_FLIPS").ok();
    let flips = flips.map_or(FLIPS, |text| text.parse().expect("DRAFTWIRE_FLIPS is a number"));
    let folder = tempfile::tempdir().expect("a folder");
    filled(folder.path());
    let sound = fs::read(folder.path().join("draftwire.db")).expect("read");
    assert!(!folder.path().join("draftwire.db-wal").exists(), "it was closed");
    let expected = told(&open(folder.path()).expect("open")).expect("sound");

    let (mut noticed, mut harmless) = (0, 0);
    for flip in 0..flips {
        let bit = random(flip as u64) as usize % (sound.len() * 8);
        let folder = tempfile::tempdir().expect("a folder");
        let mut damaged = sound.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(folder.path().join("draftwire.db"), &damaged).expect("written");
        match open(folder.path()).and_then(|store| told(&store)) {
            Err(_) => noticed += 1,
            Ok(told) => {
                let (page, place) = (bit / 8 / 4096 + 1, bit / 8 % 4096);
                assert!(told == expected, "bit {bit} (page {page}, byte {place}) went unnoticed");
                harmless += 1;
            }
        }
    }
    println!("{} bytes, {flips} flips: {noticed} noticed, {harmless} harmless", sound.len());
    assert!(noticed > flips / 4, "the file was hardly read: {noticed} of {flips}");
}

/// Another program's connection knows nothing of checksums, and finds most pages in the log.
#[test]
fn a_backup_that_another_tool_makes_while_the_store_works_can_be_put_back() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(folder.path());
    let store = open(folder.path()).expect("open");
    for number in 41..=60 {
        store.apply(&[command("ann", number)], time(2_000_000)).expect("applied");
    }
    assert!(fs::metadata(folder.path().join("draftwire.db-wal")).unwrap().len() > 10_000);
    let other = rusqlite::Connection::open(folder.path().join("draftwire.db")).expect("open");
    let target = copy.path().join("draftwire.db");
    other.backup("main", target, None::<fn(rusqlite::backup::Progress)>).expect("copied");
    drop(other);
    let expected = told(&store).expect("sound");
    let restored = open(copy.path()).expect("restored");
    assert!(told(&restored).expect("sound") == expected);
    drop(restored);
    let checked = SqliteOptions { check: true, ..SqliteOptions::new(copy.path(), limits()) };
    SqliteStore::open(&checked).expect("sound");
}
