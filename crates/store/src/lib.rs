//! Where draftwire keeps what users wrote: the contract of a store, and the embedded one.
//!
//! A store owns documents, the event log, `mutationId`s with their answers, and revocations. It
//! makes a batch of commands durable in one commit and says what each of them came to. It never
//! knows a socket, a session or a route, and it starts no thread: callers bring their own, since
//! every call may block on a disk.
//!
//! # Layout
//!
//! | module | owns |
//! |---|---|
//! | [`contract`] | `trait Store`, its promises, what goes in and comes out |
//! | [`limits`] | quotas and how much of the log is kept |
//! | [`rules`] | what a command does to documents: pure, shared by all stores |
//! | [`recovery`] | delta or snapshot: pure, shared by all stores |
//! | [`sqlite`] | the embedded store |

pub mod contract;
pub mod limits;
pub mod recovery;
pub mod rules;
pub mod sqlite;

pub use contract::{
    Answer, Applied, Ask, Author, CommittedEvent, Found, IdempotencyKey, Listing, Page, Recovered,
    Revocation, Store, StoreError, Submission,
};
pub use limits::StoreLimits;
pub use recovery::Plan;
pub use sqlite::SqliteStore;
