//! The torture rig: real processes, real sockets, and what goes wrong between them.
//!
//! Users × devices work against the real binary, through a proxy of the rig's own; each device
//! writes a journal, flushed before a send and on each answer. A nemesis does its worst meanwhile.
//! Then everything may settle, everybody says what is there, the log is read from the server's
//! file, and the checker judges all of it.
//!
//! | file | owns |
//! |---|---|
//! | `server` | the process: starting, signals, its memory |
//! | `losing_server` | the same server on a disk that loses what was not synced |
//! | `proxy` | the network between, which can be cut, slowed and sliced |
//! | `socket` | opening a connection |
//! | `device` | a client on a real socket, with its journal |
//! | `nemesis` | what goes wrong |
//! | `firewall` | packets that the kernel drops |
//! | `ground` | what must be there before a run |
//! | `run` | one run from beginning to verdict |
//! | `soak` | hours of coming and going, and what they do to the memory |
//! | `compression` | what compressed messages cost and save |
//! | `stopped_reader` | one device that reads nothing, among a thousand |

pub mod compression;
pub mod device;
mod firewall;
mod ground;
pub mod losing_server;
pub mod nemesis;
pub mod proxy;
pub mod run;
pub mod server;
pub mod soak;
pub mod socket;
pub mod stopped_reader;

pub use nemesis::Nemesis;
pub use run::{Report, Settings, run};
