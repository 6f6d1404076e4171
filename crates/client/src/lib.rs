//! draftwire for Rust programs: desktop apps, backends, tools.
//!
//! [`Client`] keeps a user's drafts and pending orders in step with the server. It connects again
//! by itself, shows the user's own changes at once, queues them while there is no network, and
//! stores both the queue and the last state, so that nothing is lost or applied twice whatever
//! crashes.
//!
//! ```no_run
//! # async fn fetch_from_my_backend() -> Result<String, draftwire_client::TokenError> { Ok(String::new()) }
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use draftwire_client::{Client, FileStorage};
//!
//! let client = Client::builder("ws://localhost:3000", fetch_from_my_backend)
//!     .storage(FileStorage::open("ann.journal")?)
//!     .open()
//!     .await?;
//! client.connect();
//!
//! // On screen at once, on the server as soon as there is one.
//! let ticket = client.drafts().create(None, r#"{"symbol": "ACME", "quantity": 10}"#)?;
//! println!("{} drafts", client.drafts().list().len());
//!
//! client.ready(Duration::from_secs(10)).await?;
//! println!("applied as event {:?}", ticket.await?.seq);
//! # Ok(()) }
//! ```
//!
//! [`Connection`] is the layer below, for tools that speak the protocol themselves: the handshake,
//! text frames both ways, ping answered. It keeps no documents and reads no JSON.
//!
//! With the feature `tls`, `wss://` addresses work, too; certificates are checked against those of
//! the operating system.
//!
//! # Layout
//!
//! | module | owns |
//! |---|---|
//! | [`client`] | the handle, and the task behind it |
//! | [`replica`] | documents, layers, queue: what is decided, without input or output |
//! | [`link`] | when to connect again, and when never |
//! | [`storage`] | the journal: memory, a file |
//! | [`token`] | where tokens come from |
//! | [`connection`] | one connection, frame by frame |
//! | [`handshake`] | the opening handshake and its failures |
//! | [`stream`] | TCP, or TLS over it |
//! | [`address`] | `ws://host:port/path` |
//! | `tls` | whom TLS believes |

pub mod address;
pub mod client;
pub mod connection;
pub mod handshake;
pub mod link;
pub mod replica;
pub mod storage;
pub mod stream;
#[cfg(feature = "tls")]
mod tls;
pub mod token;

pub use address::Address;
pub use client::{Client, NotApplied, NotReady, Reason, Status, Ticket};
pub use connection::{Connection, Message};
pub use handshake::ConnectError;
pub use replica::{Change, LocalDocument, QueueLimits, RejectedChange, WriteError};
pub use storage::{FileStorage, MemoryStorage, Storage};
pub use token::{TokenError, TokenFuture, TokenSource};
