//! draftwire as a library: keeps each user's drafts and pending orders, and keeps every device of
//! that user in step over WebSocket.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use draftwire_server::auth::{ClaimRules, Hs256};
//! use draftwire_server::{Realtime, Settings, http};
//!
//! let verifier = Hs256::new(&std::fs::read("jwt.secret")?, ClaimRules::default())?;
//! let realtime = Realtime::builder(Settings::default(), verifier).sqlite("data").start()?;
//! // Nest the routes in an application that is there already …
//! let application: axum::Router = axum::Router::new().merge(http::router(realtime.clone()));
//! // … or serve them alone, until a shutdown is asked for.
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! http::serve(listener, application, &realtime, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! Each module knows only those above it in this table (a test holds it to that).
//!
//! | module | owns |
//! |---|---|
//! | [`clock`] | wall time and steady time |
//! | [`rate`] | token buckets |
//! | [`auth`] | tokens, revocations, origins |
//! | [`settings`] | every setting with its default |
//! | [`stats`] | counters |
//! | [`outbox`] | what waits for one socket |
//! | [`delivery`] | frames on their way from a commit to connections |
//! | [`compression`] | compressed frames, one for all who agreed to them |
//! | [`admission`] | how many connections there may be |
//! | [`storage`] | the store's place: opened, failed, opened anew |
//! | [`committer`] | the queue and thread in front of the store |
//! | [`reads`] | asking the store from async code |
//! | [`progress`] | jobs shown on `/ws/sync` |
//! | [`session`] | one connection's life, without its socket |
//! | [`worker`] | sockets, users, fan-out |
//! | [`recovery`] | bringing connections up to the head |
//! | [`message`] | what an application publishes |
//! | [`realtime`] | the handle |
//! | [`http`] | routes, handshake, serving |

pub mod admission;
pub mod auth;
pub mod clock;
pub mod committer;
pub mod compression;
pub mod delivery;
pub mod http;
pub mod message;
pub mod outbox;
pub mod progress;
pub mod rate;
pub mod reads;
pub mod realtime;
pub mod recovery;
pub mod session;
pub mod settings;
pub mod stats;
pub mod storage;
pub mod worker;

pub use message::WebSocketMessage;
pub use realtime::{Builder, Realtime};
pub use settings::Settings;
pub use stats::ConnectionStats;
