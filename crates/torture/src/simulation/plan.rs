//! What one run of the simulation is like, chosen by its seed: who there is, how narrow the limits
//! are, how often what goes wrong.

use std::time::Duration;

use draftwire_protocol::Limits;
use draftwire_server::Settings;
use draftwire_store::StoreLimits;
use fastrand::Rng;

/// One run's sizes, limits and chances.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Users.
    pub users: usize,
    /// Devices of each.
    pub devices: usize,
    /// Commands that each device issues.
    pub commands: u64,
    /// Steps in which things go wrong; afterwards everything may settle.
    pub steps: usize,
    /// Deliveries that the committer's turn works off itself, per worker.
    pub at_once_max: usize,
    /// A turn in so many steps loses a connection; 0 for never.
    pub cut_every: u32,
    /// … lets a device stop reading for a while.
    pub sleep_every: u32,
    /// … ends the process.
    pub crash_every: u32,
    /// … cuts the power.
    pub power_every: u32,
    /// … plans trouble with the disk: power that ends in the middle of a write, errors, no room.
    pub trouble_every: u32,
    /// … shuts the server down gracefully.
    pub drain_every: u32,
    /// Pages of the write-ahead log from which on it is moved into the file.
    pub log_pages: u32,
    /// The server.
    pub settings: Settings,
    /// Its store.
    pub limits: StoreLimits,
}

impl Plan {
    /// The plan of a seed's generator.
    pub fn draw(rng: &mut Rng) -> Self {
        let pick = |rng: &mut Rng, from: &[usize]| from[rng.usize(..from.len())];
        let chance = |rng: &mut Rng, from: &[u32]| from[rng.usize(..from.len())];
        let devices = pick(rng, &[2, 2, 3]);
        let in_flight = pick(rng, &[1, 1, 2, 4, 64]);
        let limits = Limits { frame_bytes: 2_048, document_bytes: 1_024, in_flight };
        let settings = Settings {
            limits,
            workers: pick(rng, &[1, 2]),
            heartbeat: Duration::from_secs(25),
            outbox_bytes_max: pick(rng, &[2_048, 8_192, 65_536]),
            recovery_bytes_max: pick(rng, &[1_024, 65_536]),
            catch_up_page_bytes: pick(rng, &[300, 1_500, 65_536]),
            ..Settings::default()
        };
        let limits = StoreLimits {
            document_bytes_max: limits.document_bytes,
            device_answers_kept: in_flight,
            // No shorter than what one commit can hold of a user: the ledger is written after it.
            log_events_max: pick(rng, &[2 * devices * in_flight, 1_000]) as u64,
            ..StoreLimits::default()
        };
        Self {
            users: pick(rng, &[1, 1, 2]),
            devices,
            commands: if rng.bool() { rng.u64(3..14) } else { rng.u64(10..40) },
            steps: rng.usize(60..400),
            at_once_max: pick(rng, &[0, 1, 32]),
            cut_every: chance(rng, &[0, 15, 40, 120]),
            sleep_every: chance(rng, &[0, 10, 40]),
            crash_every: chance(rng, &[0, 0, 60, 200]),
            power_every: chance(rng, &[0, 0, 60, 200]),
            trouble_every: chance(rng, &[0, 0, 30, 100]),
            log_pages: chance(rng, &[3, 20, 8_000]),
            drain_every: chance(rng, &[0, 0, 0, 150]),
            settings,
            limits,
        }
    }
}
