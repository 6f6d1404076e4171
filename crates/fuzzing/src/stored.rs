//! What the store reads back: rows whose columns hold anything, and a file whose bytes are damaged.
//!
//! A store with a little of everything is filled and damaged, and then everything is asked of it. It
//! may answer, or refuse to open, or refuse to answer; it must do one of these soon, must never panic,
//! and must not tell a device of a log with a gap as if it had none.
//!
//! Rows are overwritten by a second connection to the file, whose pages have checksums too: each edit is two bytes (which column, what
//! kind of value) and, for most kinds, a length and so many bytes. After a first byte of 255 the file
//! itself is damaged: each edit is five bytes (page, two of a place on it, what, with what).

mod questions;

use std::cell::RefCell;
use std::path::Path;
use std::sync::LazyLock;

use draftwire_vfs::checksums;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OpenFlags, params};
use tempfile::TempDir;

use questions::{Asker, fill};

const FILE: &str = "draftwire.db";
const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;
/// The first byte of an input that damages the file, not its rows.
const DAMAGE: u8 = 255;
const TABLES: [&str; 7] =
    ["users", "documents", "events", "devices", "answers", "idempotency", "revocations"];
const COLUMNS: [(&str, &str); 40] = [
    ("users", "epoch"),
    ("users", "seq"),
    ("users", "at"),
    ("users", "floor"),
    ("users", "floor_at"),
    ("users", "log_bytes"),
    ("users", "documents"),
    ("users", "bytes"),
    ("users", "devices"),
    ("users", "keys"),
    ("users", "name"),
    ("documents", "user"),
    ("documents", "collection"),
    ("documents", "name"),
    ("documents", "version"),
    ("documents", "created_at"),
    ("documents", "updated_at"),
    ("documents", "data"),
    ("events", "user"),
    ("events", "seq"),
    ("events", "at"),
    ("events", "frame"),
    ("devices", "client_id"),
    ("devices", "last_mutation"),
    ("answers", "mutation_id"),
    ("answers", "digest"),
    ("answers", "seq"),
    ("answers", "version"),
    ("answers", "name"),
    ("answers", "code"),
    ("answers", "payload"),
    ("idempotency", "key"),
    ("idempotency", "at"),
    ("idempotency", "digest"),
    ("idempotency", "code"),
    ("idempotency", "payload"),
    ("idempotency", "epoch"),
    ("idempotency", "document"),
    ("revocations", "jti"),
    ("revocations", "issued_before"),
];

/// The file of a filled store that was closed.
static FILLED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = temporary();
    fill(opened(&mut Asker::new(folder.path(), true)));
    let file = std::fs::read(folder.path().join(FILE));
    file.unwrap_or_else(|error| panic!("no file to damage: {error}"))
});

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// The body. See the module.
pub fn body(data: &[u8]) {
    if let [DAMAGE, edits @ ..] = data {
        return damaged(edits);
    }
    BENCH.with_borrow_mut(|slot| {
        let mut bench = slot.take().unwrap_or_else(Bench::new);
        let changed = bench.overwrite(data);
        changed.unwrap_or_else(|error| panic!("the rows can't be overwritten: {error}"));
        opened(&mut bench.asker);
        bench.asker.ask_everything();
        *slot = Some(bench);
    });
}

/// A folder in memory where there is such a place: a hundred times as many tries.
fn temporary() -> TempDir {
    let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
    folder.unwrap_or_else(|error| panic!("no room for a store: {error}"))
}

fn opened(asker: &mut Asker) -> &draftwire_store::SqliteStore {
    asker.open().unwrap_or_else(|error| panic!("{error}"))
}

/// Damages the bytes of a file and asks, as after a crash and as after a clean end.
fn damaged(edits: &[u8]) {
    let mut file = FILLED.clone();
    for edit in edits.chunks_exact(5) {
        let page = usize::from(edit[0]) % (file.len() / PAGE_BYTES).max(1);
        let place = usize::from(u16::from_le_bytes([edit[1], edit[2]])) % PAGE_BYTES;
        let (place, value) = (page * PAGE_BYTES + place, edit[4]);
        let sector = place / SECTOR_BYTES * SECTOR_BYTES;
        match edit[3] % 5 {
            _ if place >= file.len() => {}
            0 => file[place] = value,
            1 => file[place] ^= 1 << (value & 7),
            2 => file[sector..].iter_mut().take(SECTOR_BYTES).for_each(|byte| *byte = value),
            3 => {
                let end = (sector + SECTOR_BYTES).min(file.len());
                file.copy_within(..end - sector, sector);
            }
            _ => file.truncate(place),
        }
    }
    for check in [false, true] {
        let folder = temporary();
        let written = std::fs::write(folder.path().join(FILE), &file);
        written.unwrap_or_else(|error| panic!("no room for a file: {error}"));
        Asker::new(folder.path(), check).ask_everything();
    }
}

/// A store, and a second connection to its file.
struct Bench {
    // Closed before their folder goes.
    asker: Asker,
    editor: Connection,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = temporary();
        let mut asker = Asker::new(folder.path(), false);
        fill(opened(&mut asker));
        let editor = edit(&folder.path().join(FILE));
        let editor = editor.unwrap_or_else(|error| panic!("no second connection: {error}"));
        Self { asker, editor, _folder: folder }
    }

    /// Puts every row back as it was, then does the edits that `data` stands for.
    fn overwrite(&mut self, data: &[u8]) -> rusqlite::Result<()> {
        let transaction = self.editor.transaction()?;
        for table in TABLES {
            transaction.prepare_cached(&format!("DELETE FROM main.{table}"))?.execute([])?;
            let back = format!("INSERT INTO main.{table} SELECT * FROM kept.{table}");
            transaction.prepare_cached(&back)?.execute([])?;
        }
        let mut rest = data;
        while let Some((column, value)) = edit_of(&mut rest) {
            let (table, column) = COLUMNS[usize::from(column) % COLUMNS.len()];
            // What a column can't hold (NULL, a key twice) stays as it was.
            let sql = format!("UPDATE OR IGNORE main.{table} SET {column} = ?1");
            let torn = format!("UPDATE OR IGNORE main.{table} SET {column} = CAST(?1 AS TEXT)");
            let sql = if value.1 { torn } else { sql };
            transaction.prepare_cached(&sql)?.execute(params![value.0])?;
        }
        transaction.commit()
    }
}

/// A connection beside the store, with a copy of every row.
fn edit(path: &Path) -> rusqlite::Result<Connection> {
    let vfs = checksums::over(None).unwrap_or_else(|why| panic!("no checksums: {why}"));
    let editor = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), vfs.as_str())?;
    editor.set_prepared_statement_cache_capacity(256);
    editor.pragma_update(None, "synchronous", "off")?;
    editor.execute_batch("ATTACH ':memory:' AS kept")?;
    for table in TABLES {
        editor
            .execute_batch(&format!("CREATE TABLE kept.{table} AS SELECT * FROM main.{table}"))?;
    }
    Ok(editor)
}

/// The next edit: a column, a value, and whether its bytes are to stand as text.
fn edit_of(rest: &mut &[u8]) -> Option<(u8, (Cell, bool))> {
    let [column, kind, behind @ ..] = *rest else { return None };
    *rest = behind;
    let length = match kind % 8 {
        0 | 1 => 0,
        2 => 1,
        3 | 4 => 8,
        _ => usize::from(take(rest, 1).first().copied().unwrap_or_default()),
    };
    let bytes = take(rest, length);
    let mut eight = [0; 8];
    eight[..bytes.len().min(8)].copy_from_slice(&bytes[..bytes.len().min(8)]);
    let value = match kind % 8 {
        0 => (Cell::Integer(if kind & 8 == 0 { i64::MAX } else { i64::MIN }), false),
        1 => (Cell::Null, false),
        2 => (Cell::Integer(i64::from(eight[0].cast_signed())), false),
        3 => (Cell::Integer(i64::from_le_bytes(eight)), false),
        4 => (Cell::Real(f64::from_le_bytes(eight)), false),
        5 => (Cell::Blob(bytes.to_vec()), false),
        // Text that need not be UTF-8: SQLite does not look.
        6 => (Cell::Blob(bytes.to_vec()), true),
        _ => (Cell::Text(String::from_utf8_lossy(bytes).into_owned()), false),
    };
    Some((*column, value))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, behind) = rest.split_at(count.min(rest.len()));
    *rest = behind;
    taken
}
