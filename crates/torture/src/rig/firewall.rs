//! A rule in the kernel that drops packets to or from one port (nft), for as long as it lives.

use std::process::{Command, Output};

/// The table that holds the rule, and nothing else.
const TABLE: &str = "draftwire_torture";

/// A direction that is closed.
pub struct Firewall;

impl Firewall {
    /// Drops what goes to that port (`dport`) or comes from it (`sport`).
    ///
    /// # Errors
    ///
    /// What nft says where there is none, or it may not do that.
    pub fn close(direction: &str, port: u16) -> Result<Self, String> {
        let rules = format!(
            "add table inet {TABLE}; add chain inet {TABLE} in {{ type filter hook input priority 0; }}; \
             add rule inet {TABLE} in tcp {direction} {port} drop"
        );
        let output = nft(&rules)?;
        // Whatever was made before it failed is taken away when this is dropped.
        let closed = Self;
        if output.status.success() {
            return Ok(closed);
        }
        Err(format!("nft: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        drop(nft(&format!("delete table inet {TABLE}")));
    }
}

fn nft(rules: &str) -> Result<Output, String> {
    Command::new("nft").arg(rules).output().map_err(|error| format!("nft: {error}"))
}
