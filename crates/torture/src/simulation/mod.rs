//! The whole server under a deterministic scheduler: one thread, a clock that is set, a seed.
//!
//! The parts are the server's own: workers with their sockets (socket pairs, one end of which a
//! simulated device holds), sessions, committer, recoveries, and the SQLite store on files. Every
//! step is chosen by a generator that comes from the seed: which part has a turn, which device
//! sends how many bytes, where a connection is lost, when the process or the power ends. The same
//! seed gives the same trace. What the devices saw is judged by the checker that judges real
//! processes too.
//!
//! | file | owns |
//! |---|---|
//! | `plan` | what a run is like |
//! | `device` | a client, step by step |
//! | `disk` | the store's files, and what is left of them after a crash |
//! | `ledger` | the log as it was committed, and the final states |
//! | `world` | the steps |
//! | `trouble` | beginnings, ends, and what goes wrong with the disk |
//! | `settling` | everything becomes quiet, and is judged |

pub mod device;
pub mod disk;
mod ledger;
pub mod plan;
mod settling;
mod trouble;
mod world;

use std::fmt;

use crate::check::Violation;
pub use plan::Plan;

/// What came of one seed.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// A hash of everything that was decided and seen, in order.
    pub trace: u64,
    /// What happened, counted.
    pub counts: Counts,
}

/// What happened, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Steps of the scheduler.
    pub steps: u64,
    /// Commands that devices issued.
    pub commands: u64,
    /// Events that were committed.
    pub events: u64,
    /// Frames that devices received.
    pub frames: u64,
    /// Times a device was let in.
    pub connections: u64,
    /// Of these, brought up to the head by what it had missed.
    pub deltas: u64,
    /// Of these, by the whole state.
    pub snapshots: u64,
    /// Times the process ended without a goodbye.
    pub crashes: u64,
    /// Times the power was cut.
    pub cuts: u64,
    /// Times the server was shut down gracefully.
    pub drains: u64,
}

impl Counts {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.commands += other.commands;
        self.events += other.events;
        self.frames += other.frames;
        self.connections += other.connections;
        self.deltas += other.deltas;
        self.snapshots += other.snapshots;
        self.crashes += other.crashes;
        self.cuts += other.cuts;
        self.drains += other.drains;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} steps, {} commands, {} events, {} frames, {} connections ({} by delta, {} by \
             snapshot), {} crashes, {} power cuts, {} shutdowns",
            self.steps,
            self.commands,
            self.events,
            self.frames,
            self.connections,
            self.deltas,
            self.snapshots,
            self.crashes,
            self.cuts,
            self.drains
        )
    }
}

/// Runs one seed. With `trace` every decision and frame is written there.
///
/// # Panics
///
/// Where the machine does not let it have files or sockets.
pub fn run(seed: u64, trace: Option<&mut dyn FnMut(&str)>) -> Outcome {
    world::World::new(seed, trace).run()
}
