//! Guards Promise 1, *An acknowledged command is durable*, and what the store does when its file
//! or folder is not as it should be: it refuses in a sentence, and never guesses.

use std::fs;
use std::path::Path;

use draftwire_protocol::Position;
use draftwire_protocol::code::RejectionCode as Code;
use draftwire_store::{
    IdempotencyKey, Plan, Revocation, SqliteStore, Store, StoreError, StoreLimits, Submission,
};
use serde_json::json;

use crate::support::{Desk, open, open_checked, submission, time};

fn defaults(folder: &Path) -> SqliteStore {
    open(folder, &StoreLimits::default()).expect("open")
}

fn refusal(opened: Result<SqliteStore, StoreError>) -> String {
    match opened {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_reopened_store_says_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = defaults(folder.path());
    let desk = Desk::new(&store, "u");
    desk.numbered("phone", 1, "DRAFT_CREATE", &json!({"id": "a", "data": {"n": 1.5, "s": "é\n"}}));
    desk.numbered("phone", 2, "DRAFT_UPDATE", &json!({"id": "a", "patch": {"m": []}}));
    desk.numbered("phone", 3, "DRAFT_CONVERT", &json!({"id": "gone"}));
    desk.send("PENDING_CREATE", &json!({"id": "p", "data": {}}));
    store.revoke("u", &Revocation::Token("t".into())).expect("revoked");
    store.revoke("u", &Revocation::IssuedBefore(1.25)).expect("revoked");
    let lost = Desk::new(&store, "lost");
    lost.create("x");
    store.renew_epoch("lost", &lost.head().epoch).expect("renewed");
    let told = |store: &SqliteStore| {
        let (desk, lost) = (Desk::new(store, "u"), Desk::new(store, "lost"));
        let recovered = desk.recover(None, None);
        let revocations = store.revocations().expect("read");
        format!(
            "{:?}",
            (
                desk.state(),
                desk.head(),
                desk.log(0),
                desk.last_mutation("phone"),
                recovered,
                lost.head(),
                lost.state(),
                revocations,
                store.recovery_bytes("u").expect("bytes")
            )
        )
    };
    let before = told(&store);
    drop(store);
    for _ in 0..2 {
        let store = defaults(folder.path());
        assert_eq!(told(&store), before);
    }
    let store = open_checked(folder.path()).expect("sound");
    let desk = Desk::new(&store, "u");
    let again = desk.numbered("phone", 3, "DRAFT_CONVERT", &json!({"id": "gone"}));
    again.rejected(Code::NotFound, &json!({"mutationId": 3, "duplicate": true}));
    assert_eq!(desk.numbered("phone", 4, "SKIP", &json!({})).code, None);
}

/// What lies on the disk at the moment `apply` returns, without the store being closed in order:
/// the folder is copied away under it, as a power cut would leave it to the next start.
#[test]
fn what_was_answered_is_on_disk_before_the_store_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = defaults(folder.path());
    let desk = Desk::new(&store, "u");
    for number in 1..=3 {
        desk.numbered(
            "phone",
            number,
            "DRAFT_CREATE",
            &json!({"id": format!("d{number}"), "data": {}}),
        );
        let copy = tempfile::tempdir().expect("a folder");
        for name in ["draftwire.db", "draftwire.db-wal"] {
            fs::copy(folder.path().join(name), copy.path().join(name)).expect("copied");
        }
        let after = open_checked(copy.path()).expect("sound");
        let after = Desk::new(&after, "u");
        assert_eq!(
            (after.state(), after.head(), after.log(0)),
            (desk.state(), desk.head(), desk.log(0))
        );
        assert_eq!(after.last_mutation("phone"), number);
    }
}

#[test]
fn a_copy_put_back_is_recognised_by_what_devices_have_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("draftwire.db");
    let store = defaults(folder.path());
    Desk::new(&store, "u").create("a");
    drop(store);
    let backup = fs::read(&file).expect("read");
    let store = defaults(folder.path());
    let desk = Desk::new(&store, "u");
    desk.wait(5_000);
    desk.create("b");
    let (epoch, at) = (desk.head().epoch, desk.head().at);
    drop(store);
    fs::write(&file, backup).expect("put back");

    let store = defaults(folder.path());
    let desk = Desk::new(&store, "u");
    let ahead = Plan::Lost(draftwire_protocol::reply::SnapshotReason::Ahead);
    assert_eq!(desk.plan(&epoch, 2, at), ahead);
    desk.wait(60_000);
    assert_eq!(desk.create("c").payload["seq"], 2);
    let forked = Plan::Lost(draftwire_protocol::reply::SnapshotReason::Forked);
    assert_eq!(desk.plan(&epoch, 2, at), forked);
    let old = Position { epoch: epoch.as_str().into(), seq: 1, at: desk.time_of(1) };
    assert_eq!(
        desk.recover(Some(&old), None).plan,
        Plan::Delta,
        "who saw only what is left goes on"
    );
}

#[test]
fn every_store_counts_in_an_epoch_of_its_own() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let epochs =
        folders.each_ref().map(|folder| Desk::new(&defaults(folder.path()), "u").head().epoch);
    assert_ne!(epochs[0], epochs[1]);
    assert!(epochs.iter().all(|epoch| draftwire_protocol::names::is_epoch(epoch)), "{epochs:?}");
}

#[test]
fn a_folder_is_opened_once_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("made/on/the/way");
    let store = defaults(&deep);
    let why = refusal(open(&deep, &StoreLimits::default()));
    assert!(why.contains("in use by another process") && why.contains("made/on/the/way"), "{why}");
    Desk::new(&store, "u").create("a");
    drop(store);
    assert_eq!(Desk::new(&defaults(&deep), "u").state()[0].len(), 1);
}

#[test]
fn a_folder_that_is_none_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a-file");
    fs::write(&file, "not a folder").expect("written");
    let why = refusal(open(&file, &StoreLimits::default()));
    assert!(why.contains("a-file") && why.contains("can't be"), "{why}");
    let why = refusal(open(&file.join("below"), &StoreLimits::default()));
    assert!(why.contains("a-file"), "{why}");
    assert_eq!(fs::read_to_string(&file).expect("read"), "not a folder");
}

#[test]
fn another_format_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    Desk::new(&defaults(folder.path()), "u").create("a");
    let file = folder.path().join("draftwire.db");
    let sound = fs::read(&file).expect("read");
    for format in [1_u32, 2, 99] {
        let mut other = sound.clone();
        // Where SQLite keeps `user_version` (https://sqlite.org/fileformat2.html).
        other[60..64].copy_from_slice(&format.to_be_bytes());
        fs::write(&file, &other).expect("written");
        let why = refusal(open(folder.path(), &StoreLimits::default()));
        assert!(why.contains(&format!("format {format}")) && why.contains("format 3"), "{why}");
        assert!(fs::read(&file).expect("read") == other, "it was touched");
    }
    fs::write(&file, &sound).expect("written");
    assert_eq!(Desk::new(&defaults(folder.path()), "u").state()[0].len(), 1);
}

/// More than a batch keeps in memory: part of it is written while the batch goes on.
#[test]
fn a_batch_larger_than_its_memory_is_still_one_commit_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = defaults(folder.path());
    let filler = "x".repeat(250_000);
    let command = |kind, payload| submission("u", None, kind, &payload);
    let mut batch = Vec::new();
    for number in 0..80 {
        let id = format!("d{number}");
        batch.push(command("DRAFT_CREATE", json!({"id": id, "data": {"x": filler}})));
    }
    // Deleted and made anew: it is the youngest then.
    batch.push(command("DRAFT_DELETE", json!({"id": "d0"})));
    batch.push(command("DRAFT_CREATE", json!({"id": "d0", "data": {"again": true}})));
    batch.push(command("DRAFT_UPDATE", json!({"id": "d1", "patch": {"x": 1}})));
    let applied = store.apply(&batch, time(1)).expect("applied");
    assert!(applied.iter().all(|one| one.answer.code.is_none()));
    let [drafts, _] = Desk::new(&store, "u").state();
    let ids: Vec<_> = drafts.iter().map(|draft| draft["id"].as_str().expect("an id")).collect();
    assert_eq!((ids.len(), ids[0], ids[79]), (80, "d1", "d0"));
    assert_eq!(drafts[0]["data"], json!({"x": 1}));
    assert_eq!(drafts[79]["data"], json!({"again": true}));
}

#[test]
fn the_write_ahead_log_is_written_anew_after_it_was_moved() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = defaults(folder.path());
    let log = folder.path().join("draftwire.db-wal");
    let filler = "x".repeat(250_000);
    let mut number = 0;
    let mut write = |count: usize| {
        for _ in 0..count {
            number += 1;
            let payload = json!({"id": format!("d{}", number % 50), "data": {"x": filler}});
            let kind = if number < 50 { "DRAFT_CREATE" } else { "DRAFT_UPDATE" };
            store.apply(&[submission("u", None, kind, &payload)], time(1)).expect("applied");
        }
    };
    // A document and its event are 0.5 MB. What a reader may still want is not moved at first.
    write(60);
    let reader = rusqlite::Connection::open(folder.path().join("draftwire.db")).expect("open");
    reader.execute_batch("BEGIN; SELECT count(*) FROM documents").expect("it reads");
    write(20);
    store.checkpoint().expect("moved");
    reader.execute_batch("COMMIT").expect("it has read");
    // This commit moves the rest, the next begins the log anew.
    write(1);
    let grown = fs::metadata(&log).expect("a log").len();
    assert!(grown > 30_000_000, "{grown}");
    write(40);
    assert_eq!(fs::metadata(&log).expect("a log").len(), grown, "it began anew");
}

/// Lets the file's own tables fail on one command, at its very last statement.
#[test]
fn a_command_that_fails_leaves_the_rest_of_its_batch_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = defaults(folder.path());
    let desk = Desk::new(&store, "u");
    let beside = rusqlite::Connection::open(folder.path().join("draftwire.db")).expect("open");
    let trigger = "CREATE TRIGGER bad BEFORE INSERT ON answers WHEN NEW.mutation_id = 2
         BEGIN SELECT RAISE(ABORT, 'bad'); END";
    beside.execute_batch(trigger).expect("set");
    let create = |client, number, id: &str| {
        submission(
            "u",
            Some((client, Some(number))),
            "DRAFT_CREATE",
            &json!({"id": id, "data": {}}),
        )
    };
    let batch = [
        create("phone", 1, "a"),
        create("phone", 2, "bad"),
        create("phone", 3, "too early"),
        create("tablet", 1, "b"),
        submission("other", None, "DRAFT_CREATE", &json!({"id": "a", "data": {}})),
        create("laptop", 1, "c"),
    ];
    let applied = store.apply(&batch, time(1)).expect("applied");
    let codes: Vec<_> = applied.iter().map(|applied| applied.answer.code).collect();
    let (failed, early) = (Some(Code::Unavailable), Some(Code::OutOfOrder));
    assert_eq!(codes, [None, failed, early, None, None, None]);
    let seqs: Vec<_> =
        applied.iter().map(|one| one.event.as_ref().map(|event| event.seq)).collect();
    assert_eq!(seqs, [Some(1), None, None, Some(2), Some(1), Some(3)], "no gap where it failed");
    assert_eq!(desk.log(0).map(|log| log.len()), Some(3));
    assert_eq!(desk.draft("bad"), None, "what it had written before it failed is gone");
    assert_eq!((desk.last_mutation("phone"), desk.last_mutation("laptop")), (1, 1));

    beside.execute_batch("DROP TRIGGER bad").expect("mended");
    let again = desk.submit(create("phone", 2, "bad"));
    again.acked(&json!({"mutationId": 2, "seq": 4, "id": "bad", "version": 4}));
    drop((beside, store));
    let store = defaults(folder.path());
    let desk = Desk::new(&store, "u");
    assert_eq!((desk.state()[0].len(), desk.head().seq), (4, 4));
}

#[test]
fn a_first_command_that_fails_leaves_no_user_and_no_device_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), &StoreLimits { user_devices_max: 1, ..StoreLimits::default() })
        .expect("open");
    let beside = rusqlite::Connection::open(folder.path().join("draftwire.db")).expect("open");
    let trigger = "CREATE TRIGGER bad BEFORE INSERT ON documents WHEN NEW.name = 'bad'
         BEGIN SELECT RAISE(ABORT, 'bad'); END;
         CREATE TRIGGER worse BEFORE INSERT ON answers WHEN NEW.payload LIKE '%NOT_FOUND%'
         BEGIN SELECT RAISE(ABORT, 'worse'); END";
    beside.execute_batch(trigger).expect("set");
    let first = |client, name: &str, id: &str| {
        submission("u", Some((client, Some(1))), name, &json!({"id": id, "data": {}}))
    };
    let batch = [
        first("phone", "DRAFT_CREATE", "bad"),
        first("tablet", "DRAFT_UPDATE", "missing"),
        first("laptop", "DRAFT_CREATE", "good"),
    ];
    let applied = store.apply(&batch, time(1)).expect("applied");
    let codes: Vec<_> = applied.iter().map(|applied| applied.answer.code).collect();
    assert_eq!(codes, [Some(Code::Unavailable), Some(Code::Unavailable), None]);
    let devices: i64 =
        beside.query_row("SELECT count(*) FROM devices", [], |row| row.get(0)).expect("counted");
    let users: (i64, i64) = beside
        .query_row("SELECT count(*), sum(devices) FROM users", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("counted");
    assert_eq!((devices, users), (1, (1, 1)), "only the device whose command was applied");
}

/// Fails after the answer was kept under its number: the number must be free again.
#[test]
fn a_command_that_fails_last_of_all_gives_its_number_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = defaults(folder.path());
    let beside = rusqlite::Connection::open(folder.path().join("draftwire.db")).expect("open");
    let trigger = "CREATE TRIGGER bad BEFORE INSERT ON idempotency
         BEGIN SELECT RAISE(ABORT, 'bad'); END";
    beside.execute_batch(trigger).expect("set");
    let skip = |number| submission("u", Some(("phone", Some(number))), "SKIP", &json!({}));
    let key = IdempotencyKey { key: "k".into(), digest: [0; 16] };
    let keyed = |number| Submission { idempotency: Some(key.clone()), ..skip(number) };
    let batch = [keyed(1), skip(2), skip(1), keyed(2), skip(3), skip(2)];
    let applied = store.apply(&batch, time(1)).expect("applied");
    let codes: Vec<_> = applied.iter().map(|applied| applied.answer.code).collect();
    let (failed, early) = (Some(Code::Unavailable), Some(Code::OutOfOrder));
    assert_eq!(codes, [failed, early, None, failed, early, None]);
    assert_eq!(Desk::new(&store, "u").last_mutation("phone"), 2);
    assert!(!applied[5].answer.payload.contains("duplicate"));
}

#[test]
fn a_busy_file_is_unavailable_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = defaults(folder.path());
    let desk = Desk::new(&store, "u");
    desk.create("a");
    let beside = rusqlite::Connection::open(folder.path().join("draftwire.db")).expect("open");
    beside.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let create = submission("u", None, "DRAFT_CREATE", &json!({"id": "b", "data": {}}));
    let busy = store.apply(std::slice::from_ref(&create), time(1));
    assert!(matches!(busy, Err(StoreError::Unavailable(_))), "{busy:?}");
    assert_eq!(desk.state()[0].len(), 1, "reads go on");
    beside.execute_batch("ROLLBACK").expect("unlocked");
    store.apply(&[create], time(1)).expect("the store is sound");
    assert_eq!(desk.head().seq, 2);
}

#[test]
fn a_damaged_store_says_nothing_more_until_it_is_reopened() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("draftwire.db");
    let filler = "x".repeat(20_000);
    for id in ["a", "b", "c"] {
        let store = defaults(folder.path());
        Desk::new(&store, "u").send("DRAFT_CREATE", &json!({"id": id, "data": {"x": filler}}));
    }
    let sound = fs::read(&file).expect("read");

    let store = defaults(folder.path());
    fs::write(&file, vec![0xa5; sound.len()]).expect("damaged");
    let list =
        |store: &SqliteStore| store.list("u", draftwire_protocol::Collection::Drafts).map(drop);
    let poisoned = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::Poisoned(_))), "{result:?}");
    };
    poisoned(list(&store));
    fs::write(&file, &sound).expect("mended");
    let create = submission("u", None, "DRAFT_CREATE", &json!({"id": "d", "data": {}}));
    poisoned(store.apply(&[create], time(1)).map(drop));
    poisoned(list(&store));
    poisoned(store.head("u", None).map(drop));
    poisoned(store.maintain(time(1)).map(drop));
    poisoned(store.renew_epoch("u", "e"));
    poisoned(store.revoke("u", &Revocation::Token("t".into())));
    drop(store);

    let store = open_checked(folder.path()).expect("sound again");
    assert_eq!(Desk::new(&store, "u").state()[0].len(), 3);
    assert_eq!(Desk::new(&store, "u").create("d").payload["seq"], 4);
}

#[test]
fn damage_that_stays_is_reported_by_the_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("draftwire.db");
    let store = defaults(folder.path());
    for id in ["a", "b", "c"] {
        Desk::new(&store, "u")
            .send("DRAFT_CREATE", &json!({"id": id, "data": {"x": "y".repeat(9_000)}}));
    }
    drop(store);
    let sound = fs::read(&file).expect("read");
    let mut bytes = sound.clone();
    let (from, to) = (bytes.len() / 4, bytes.len() - 100);
    bytes[from..to].fill(0xa5);
    fs::write(&file, &bytes).expect("damaged");
    let why = refusal(open_checked(folder.path()));
    assert!(why.contains("data file is damaged"), "{why}");
    fs::write(&file, vec![0xa5; sound.len()]).expect("damaged");
    let why = refusal(open_checked(folder.path()));
    assert!(why.contains("damaged"), "{why}");
    fs::write(&file, &sound).expect("restored");
    assert!(open_checked(folder.path()).is_ok());
}
