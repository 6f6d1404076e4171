//! Counters for operators: gathered everywhere, shown by `GET /api/websocket/stats`.
//!
//! All relaxed: a counter is read on its own and orders nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use draftwire_protocol::json::object;

use crate::clock::{self, Tick};

/// One number.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Takes one away.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted since the start. Gauges go up and down, the others only up.
#[derive(Debug)]
pub struct Stats {
    started: Tick,
    /// Gauge: open connections on `/ws/realtime`.
    pub connections: Counter,
    /// Gauge: users with at least one of those.
    pub users: Counter,
    /// Gauge: open connections on `/ws/sync`.
    pub progress_connections: Counter,
    /// Gauge: commands waiting for the store.
    pub queue_depth: Counter,
    /// Messages from clients.
    pub messages_in: Counter,
    /// Frames put into outboxes.
    pub messages_out: Counter,
    /// Commands given to the store.
    pub commands: Counter,
    /// Commands answered with `REJECTED`.
    pub rejected_commands: Counter,
    /// Handshakes refused.
    pub rejected_connections: Counter,
    /// Connections that recovered by delta.
    pub resumed_by_delta: Counter,
    /// Connections that were given a snapshot.
    pub resumed_by_snapshot: Counter,
    /// Connections that wanted neither.
    pub joined_live: Counter,
    /// Connections closed because their device was too slow (4001).
    pub slow_closes: Counter,
    /// Connections that were closed because they sent too much.
    pub rate_closes: Counter,
    /// Commits of the store.
    pub commits: Counter,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            started: clock::steady(),
            connections: Counter::default(),
            users: Counter::default(),
            progress_connections: Counter::default(),
            queue_depth: Counter::default(),
            messages_in: Counter::default(),
            messages_out: Counter::default(),
            commands: Counter::default(),
            rejected_commands: Counter::default(),
            rejected_connections: Counter::default(),
            resumed_by_delta: Counter::default(),
            resumed_by_snapshot: Counter::default(),
            joined_live: Counter::default(),
            slow_closes: Counter::default(),
            rate_closes: Counter::default(),
            commits: Counter::default(),
        }
    }
}

/// The two numbers that applications ask for most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionStats {
    /// Open connections on `/ws/realtime`.
    pub total_connections: u64,
    /// Users with at least one of those.
    pub active_users: u64,
}

impl Stats {
    /// The two numbers that applications ask for most.
    pub fn connection_stats(&self) -> ConnectionStats {
        ConnectionStats {
            total_connections: self.connections.get(),
            active_users: self.users.get(),
        }
    }

    /// All numbers as a JSON object.
    pub fn to_json(&self) -> String {
        object(|stats| {
            stats
                .integer("totalConnections", self.connections.get())
                .integer("activeUsers", self.users.get())
                .integer("progressConnections", self.progress_connections.get())
                .integer("messagesIn", self.messages_in.get())
                .integer("messagesOut", self.messages_out.get())
                .integer("commands", self.commands.get())
                .integer("rejectedCommands", self.rejected_commands.get())
                .integer("rejectedConnections", self.rejected_connections.get())
                .object("resumes", |resumes| {
                    resumes
                        .integer("delta", self.resumed_by_delta.get())
                        .integer("snapshot", self.resumed_by_snapshot.get())
                        .integer("live", self.joined_live.get());
                })
                .integer("slowCloses", self.slow_closes.get())
                .integer("rateCloses", self.rate_closes.get())
                .integer("queueDepth", self.queue_depth.get())
                .integer("commits", self.commits.get())
                .integer("uptimeSeconds", clock::steady().since(self.started) / 1000)
                .string("version", env!("CARGO_PKG_VERSION"));
        })
    }
}
