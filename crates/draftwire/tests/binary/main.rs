//! The tests of the `draftwire` binary: each starts it as a process of its own and talks to it
//! over real sockets. How the server behaves inside is tested in `crates/testing`.
//!
//! `DRAFTWIRE_BIN` names another binary to test than the one cargo has just built.
//!
//! | file | owns |
//! |---|---|
//! | `server` | starting the binary, its log, signals |
//! | `http` | plain HTTP requests and handshakes, byte by byte |
//! | `device` | a device that follows the protocol's rules for retrying |
//! | `flags` … `echo` | the tests, a file for each thing that users rely on |

mod device;
mod echo;
mod flags;
mod hostile;
mod http;
mod logs;
mod readiness;
mod replay;
mod server;
mod signals;
#[cfg(feature = "tls")]
mod tls;
