//! The well-behaved user that every table is held against, and the process's own health.
//!
//! Owns the checks at a table's end: order of events, no panic, bounded memory. Never attacks.

use std::sync::{Mutex, Once, PoisonError};

use draftwire_testing::{Device, TestServer, json};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Bytes by which the process may have grown while tables run side by side: all of them, their
/// servers and their clients.
const GROWTH_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Tables that measure memory closely run alone.
static TURN: RwLock<()> = RwLock::const_new(());
/// Panics of the server's code, by place.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The right to run, beside others or alone. Taken before a table's server is started.
pub enum Turn {
    Shared { _turn: RwLockReadGuard<'static, ()> },
    Alone { _turn: RwLockWriteGuard<'static, ()>, growth_bytes_max: usize },
}

impl Turn {
    /// Beside others.
    pub async fn shared() -> Self {
        Self::Shared { _turn: TURN.read().await }
    }

    /// Alone, and with a bound of its own on the bytes by which the process may grow.
    pub async fn alone(growth_bytes_max: usize) -> Self {
        Self::Alone { _turn: TURN.write().await, growth_bytes_max }
    }
}

/// Two devices of a user who does nothing wrong.
pub struct Bystander {
    phone: Device,
    desk: Device,
    /// The last event that `desk` was given.
    seq: u64,
    resident_bytes: usize,
    turn: Turn,
}

impl Bystander {
    /// Comes in before a table begins.
    pub async fn join(server: &TestServer, turn: Turn) -> Self {
        note_panics();
        let mut phone = server.connect("bystander").client_id("phone").open().await;
        let mut desk = server.connect("bystander").client_id("desk").open().await;
        phone.expect("SNAPSHOT").await;
        desk.expect("SNAPSHOT").await;
        let mut bystander = Self { phone, desk, seq: 0, resident_bytes: 0, turn };
        // What is made at the first use is no growth.
        bystander.works().await;
        bystander.resident_bytes = resident_bytes();
        bystander
    }

    /// Works on beside a table: what one device does, the other is given, and nothing else.
    pub async fn works(&mut self) {
        for _ in 0..5 {
            self.seq += 1;
            let id = format!("d{}", self.seq);
            self.phone.apply("DRAFT_CREATE", json!({"id": id, "data": {}})).await;
        }
        for seq in self.seq - 4..=self.seq {
            let event = self.desk.expect("DRAFT_CREATED").await;
            assert_eq!(event.seq(), Some(seq), "events come in order and without a gap");
            assert_eq!(event.payload()["document"]["id"], format!("d{seq}"));
        }
    }

    /// A table is over: nobody has noticed it.
    pub async fn expect_unharmed(mut self) {
        let growth = resident_bytes().saturating_sub(self.resident_bytes);
        let growth_bytes_max = match self.turn {
            Turn::Shared { .. } => GROWTH_BYTES_MAX,
            Turn::Alone { growth_bytes_max, .. } => growth_bytes_max,
        };
        assert!(growth <= growth_bytes_max, "the process has grown by {growth} bytes");
        self.works().await;
        let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(panics.is_empty(), "the server has panicked at {panics:?}");
    }
}

/// Writes down where the server's own code panics; a test's failed check is its own affair.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            if !place.contains("crates/testing/") {
                PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(place);
            }
            before(panic);
        }));
    });
}

/// Bytes of this process that are in memory; 0 where the system does not tell.
pub fn resident_bytes() -> usize {
    pages(1)
}

/// Bytes of address space that this process has taken; 0 where the system does not tell.
pub fn reserved_bytes() -> usize {
    pages(0)
}

fn pages(field: usize) -> usize {
    const PAGE_BYTES: usize = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(field).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}
