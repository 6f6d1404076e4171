//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Serves the draftwire demo: an order pad on two devices.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Flags {
    /// Address to listen on; 127.0.0.1:3000 or, where that is taken, any free port. With
    /// 0.0.0.0:3000 phones in the same network can open the page.
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
    /// Folder of the built page.
    #[arg(long, value_name = "DIR", default_value = "demo/dist")]
    pub(crate) page: PathBuf,
    /// Folder for documents, empty or new; without it a temporary one.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How long a step of the warehouse takes; an order has twelve.
    #[arg(long = "warehouse-step-ms", value_name = "MS", default_value = "900",
          value_parser = step)]
    pub(crate) step: Duration,
}

/// From 10 ms up: a faster warehouse would only burn the processor.
fn step(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(millis @ 10..=60_000) => Ok(Duration::from_millis(millis)),
        _ => Err("a number from 10 to 60000".into()),
    }
}
