//! Guards what was acknowledged when the disk fails: every write, truncation and sync of a piece of
//! work in turn fails, finds no room, or is the last one before the power ends.
//!
//! `DRAFTWIRE_SWEEP=1` tries every one of them, and not one in nine.

use draftwire_store::sqlite::SqliteOptions;
use draftwire_store::{SqliteStore, Store, StoreError, StoreLimits};
use draftwire_vfs::PowerLoss;
use draftwire_vfs::power_loss::{End, Trouble};
use serde_json::json;

use crate::support::{Desk, submission, time};

/// Commands of the work; after some of them the log is moved into the file.
const COMMANDS: u64 = 12;

fn command(number: u64) -> draftwire_store::Submission {
    let filler = "x".repeat((number as usize * 700) % 5_000);
    let payload = json!({"id": format!("d{number}"), "data": {"n": number, "filler": filler}});
    submission("u", Some(("phone", Some(number))), "DRAFT_CREATE", &payload)
}

/// Works until something fails or the power ends; the number of the last command that was
/// acknowledged before.
fn work(store: &SqliteStore, disk: &PowerLoss) -> (u64, Result<(), StoreError>) {
    for number in 1..=COMMANDS {
        if let Err(error) = store.apply(&[command(number)], time(number as i64)) {
            return (number - 1, Err(error));
        }
        if disk.has_stopped() {
            return (number - 1, Ok(()));
        }
        if number % 5 == 0
            && let Err(error) = store.checkpoint()
        {
            return (number, Err(error));
        }
    }
    (COMMANDS, Ok(()))
}

/// How many calls the work takes.
fn calls(disk: &PowerLoss, options: &SqliteOptions) -> u64 {
    let store = SqliteStore::open(options).expect("open");
    let before = disk.calls();
    assert!(work(&store, disk).1.is_ok());
    disk.calls() - before
}

#[test]
fn whatever_fails_what_was_acknowledged_is_there_once() {
    let disk = PowerLoss::new().expect("SQLite takes the layer");
    let options = |folder: &tempfile::TempDir| SqliteOptions {
        vfs: Some(disk.vfs().to_owned()),
        log_pages: 4,
        ..SqliteOptions::new(folder.path(), StoreLimits::default())
    };
    let folder = tempfile::tempdir().expect("a folder");
    let calls = calls(&disk, &options(&folder));
    assert!(calls > 60, "{calls}");
    let every = if std::env::var_os("DRAFTWIRE_SWEEP").is_some() { 1 } else { 9 };
    let (mut failed, mut runs) = (0, 0);
    for (begin, trouble) in [Trouble::Error, Trouble::Full, Trouble::Stop].into_iter().enumerate() {
        for after in (begin as u64 % every..calls).step_by(every as usize) {
            runs += 1;
            disk.forget();
            let folder = tempfile::tempdir().expect("a folder");
            let options = options(&folder);
            let store = SqliteStore::open(&options).expect("open");
            disk.plan_trouble(after, trouble);
            let (acknowledged, outcome) = work(&store, &disk);
            failed += u64::from(outcome.is_err() || disk.has_stopped());
            drop(store);
            if disk.has_stopped() {
                disk.start(End::PowerCut(after));
            }
            disk.make_room();
            let checked = SqliteOptions { check: true, ..options };
            let store = SqliteStore::open(&checked).expect("it opens when the trouble is over");
            let desk = Desk::new(&store, "u");
            let (log, last) = (desk.log(0).expect("whole"), desk.last_mutation("phone"));
            assert_eq!(log.len() as u64, last, "{trouble:?} {after}: log and numbers agree");
            assert_eq!(desk.state()[0].len() as u64, last, "{trouble:?} {after}: so do documents");
            assert!(
                (acknowledged..=acknowledged + 1).contains(&last),
                "{trouble:?} {after}: {last} is there, {acknowledged} were acknowledged"
            );
            // Everything is sent again, in order.
            for number in 1..=COMMANDS {
                let applied = store.apply(&[command(number)], time(100)).expect("sound");
                let payload = &applied[0].answer.payload;
                assert_eq!(payload.contains(r#""duplicate":true"#), number <= last, "{payload}");
            }
            assert_eq!(desk.log(0).expect("whole").len() as u64, COMMANDS);
        }
    }
    println!("{calls} calls, {runs} runs, of which {failed} did not come to their end");
    assert!(failed > runs / 2, "{failed} of {runs}");
}
