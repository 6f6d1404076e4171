//! SQLite on the disk that loses what was not synced.

use std::path::Path;

use draftwire_vfs::PowerLoss;
use draftwire_vfs::power_loss::{End, Trouble};
use rusqlite::{Connection, OpenFlags};

fn open(disk: &PowerLoss, path: &Path, synchronous: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), disk.vfs())?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", 20)?;
    connection.execute_batch("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, text TEXT)")?;
    Ok(connection)
}

fn numbers(connection: &Connection) -> Vec<i64> {
    let mut select = connection.prepare("SELECT n FROM t ORDER BY n").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Writes rows through two connections until the power is cut at some call; says how many were
/// committed, and opens what is left.
fn run(seed: u64, synchronous: &str, end: impl Fn(u64) -> End) -> (i64, Vec<i64>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let disk = PowerLoss::new().unwrap();
    let mut committed = 0;
    for round in 0..3 {
        let connection = open(&disk, &path, synchronous).unwrap();
        let reader = open(&disk, &path, synchronous).unwrap();
        disk.plan_trouble(20 + (seed * 7 + round * 13) % 150, Trouble::Stop);
        loop {
            let sql = "INSERT INTO t VALUES (?, ?)";
            let done = connection.execute(sql, (committed + 1, "#".repeat(2_000)));
            if disk.has_stopped() {
                break;
            }
            done.unwrap();
            committed += 1;
            assert_eq!(numbers(&reader).len(), committed as usize, "the other connection sees it");
        }
        drop((connection, reader));
        disk.start(end(seed));
        if round < 2 {
            let connection = open(&disk, &path, synchronous).unwrap();
            // The one that was under way may be there or not.
            committed = *numbers(&connection).last().unwrap_or(&0).max(&committed);
        }
    }
    let connection = open(&disk, &path, synchronous).unwrap();
    let check = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    (committed, numbers(&connection), check)
}

#[test]
fn what_was_committed_survives_every_cut() {
    for seed in 0..60 {
        let (committed, left, check) = run(seed, "full", End::PowerCut);
        assert_eq!(check, "ok", "seed {seed}");
        assert!(left.len() as i64 >= committed, "seed {seed}: {committed} committed, {left:?}");
        assert_eq!(left, (1..=left.len() as i64).collect::<Vec<_>>(), "seed {seed}");
    }
}

/// Were nothing ever lost here, the test above would say nothing.
#[test]
fn without_syncs_commits_are_lost_and_the_file_breaks() {
    let lost = |synchronous: &str| (0..60).filter(|seed| run_lossy(*seed, synchronous)).count();
    assert!(lost("off") > 10, "{} of 60 lost something without syncs", lost("off"));
    assert!(lost("normal") > 10, "{} of 60 lost the latest", lost("normal"));
}

/// True where something committed is gone or the file is damaged.
fn run_lossy(seed: u64, synchronous: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let disk = PowerLoss::new().unwrap();
    let connection = open(&disk, &path, synchronous).unwrap();
    for n in 1..=10 {
        connection.execute("INSERT INTO t VALUES (?, 'x')", [n]).unwrap();
    }
    disk.stop();
    drop(connection);
    disk.start(End::PowerCut(seed));
    let Ok(connection) = open(&disk, &path, synchronous) else { return true };
    numbers(&connection).len() < 10
}

#[test]
fn a_crash_alone_loses_nothing_that_was_written() {
    for seed in 0..20 {
        let (committed, left, check) = run(seed, "off", |_| End::Crash);
        assert_eq!(check, "ok");
        assert!(left.len() as i64 >= committed, "seed {seed}: {committed} committed, {left:?}");
    }
}

#[test]
fn a_full_disk_and_a_failing_one_say_so_once() {
    let folder = tempfile::tempdir().unwrap();
    let disk = PowerLoss::new().unwrap();
    let connection = open(&disk, &folder.path().join("test.db"), "full").unwrap();
    let insert = |n: i64| connection.execute("INSERT INTO t VALUES (?, 'x')", [n]);
    insert(1).unwrap();
    disk.plan_trouble(0, Trouble::Full);
    let code = |outcome: rusqlite::Result<usize>| outcome.unwrap_err().sqlite_error_code();
    assert_eq!(code(insert(2)), Some(rusqlite::ErrorCode::DiskFull));
    assert_eq!(code(insert(2)), Some(rusqlite::ErrorCode::DiskFull));
    disk.make_room();
    insert(2).unwrap();
    disk.plan_trouble(0, Trouble::Error);
    assert_eq!(code(insert(3)), Some(rusqlite::ErrorCode::SystemIoFailure));
    insert(3).unwrap();
    assert_eq!(numbers(&connection), [1, 2, 3]);
}
