//! Breaks draftwire on purpose, and checks that the promises of `docs/protocol.md` hold.
//!
//! Whatever drives the server (the simulation in one thread, or real processes and real sockets)
//! writes down what each device sent and received, frame by frame. One checker judges all of it.
//! The checker knows the wire and nothing of the server: it shares no code with it.
//!
//! # Layout
//!
//! | module | owns |
//! |---|---|
//! | [`client`] | one device's side of the protocol, for every wire |
//! | [`faults`] | faults to plant, and who catches them |
//! | [`history`] | what was seen: records of devices, the log, final states; their text form |
//! | [`model`] | what documents are after a series of events, and what a command should have done |
//! | [`mod@check`] | the promises, each a named check |
//! | [`rig`] | real processes and sockets, and what goes wrong between them |
//! | [`simulation`] | the whole server in one thread, its steps chosen by a seed |

pub mod check;
pub mod client;
pub mod faults;
pub mod history;
pub mod model;
pub mod rig;
pub mod simulation;

pub use check::{Check, Violation, check};
pub use history::{DeviceHistory, Final, Record, UserHistory};
