//! The `draftwire` binary: reads flags and environment, sets up the log, runs one command.
//!
//! Owns nothing of the server itself; everything here uses the library's face.

mod flags;
mod limits;
mod logging;
mod replay;
mod secret;
mod serve;
mod token;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use flags::{Command, Flags};

fn main() -> ExitCode {
    let flags = Flags::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime can't be started: {error}")),
    };
    let result = runtime.block_on(async {
        match flags.command {
            Command::Serve(flags) => serve::run(*flags).await,
            Command::Token(flags) => token::run(&flags),
            Command::Replay(flags) => replay::run(flags).await,
            Command::Watch(flags) => watch::run(&flags).await,
        }
    });
    // Threads that still read from a disk must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("draftwire: {error}");
    ExitCode::FAILURE
}
