//! What goes wrong while devices work.
//!
//! Each does its worst for a while and then lets go; what it has broken is whole again when it
//! returns.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::watch;
use tokio::time::sleep;

use super::device::{Orders, Tally};
use super::firewall::Firewall;
use super::losing_server;
use super::proxy::{Proxy, Weather};
use super::server::{HEARTBEAT, Server};

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nemesis {
    /// Nothing: what everything else is compared with.
    Nothing,
    /// `kill -9` at random moments.
    Kill,
    /// `kill -9` at the instant of an acknowledgement.
    KillAtAck,
    /// The power ends at random moments: the process, and what was not synced. For a server on a
    /// disk that can tell (see `losing_server`).
    PowerCut,
    /// SIGTERM, and a new process.
    Term,
    /// SIGSTOP for longer than two heartbeats.
    Stop,
    /// Every connection is reset.
    Reset,
    /// One direction of the network is cut, and the connections stay open.
    HalfOpen,
    /// The kernel drops the packets of one direction (nft).
    Firewall,
    /// Bytes trickle.
    Slow,
    /// Bytes are cut anywhere.
    Slice,
    /// The disk fills up, and has room again.
    DiskFull,
    /// The data folder can't be written when the server starts.
    ReadOnly,
    /// Idle connections take up the descriptors.
    Descriptors,
    /// The wall clock jumps a day each way.
    Clock,
    /// Some devices stop reading.
    SlowReader,
    /// Everybody reconnects at once.
    Reconnect,
    /// Tokens end after seconds.
    Expiry,
}

/// All of them with their names.
pub const ALL: &[(&str, Nemesis)] = &[
    ("nothing", Nemesis::Nothing),
    ("kill", Nemesis::Kill),
    ("kill-at-ack", Nemesis::KillAtAck),
    ("power-cut", Nemesis::PowerCut),
    ("term", Nemesis::Term),
    ("stop", Nemesis::Stop),
    ("reset", Nemesis::Reset),
    ("half-open", Nemesis::HalfOpen),
    ("firewall", Nemesis::Firewall),
    ("slow", Nemesis::Slow),
    ("slice", Nemesis::Slice),
    ("disk-full", Nemesis::DiskFull),
    ("read-only", Nemesis::ReadOnly),
    ("descriptors", Nemesis::Descriptors),
    ("clock", Nemesis::Clock),
    ("slow-reader", Nemesis::SlowReader),
    ("reconnect", Nemesis::Reconnect),
    ("expiry", Nemesis::Expiry),
];

impl Nemesis {
    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(known, _)| *known == name).map(|(_, nemesis)| *nemesis)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, nemesis)| *nemesis == self).map_or("", |(name, _)| name)
    }
}

/// What a nemesis can lay its hands on.
pub struct Victim<'a> {
    /// The process.
    pub server: &'a mut Server,
    /// The network.
    pub proxy: &'a Proxy,
    /// The devices.
    pub orders: &'a watch::Sender<Orders>,
    /// What they count.
    pub tally: &'a Tally,
    /// The file that says what time it is, where the process believes it.
    pub clock: Option<&'a Path>,
    /// Its choices.
    pub rng: &'a mut Rng,
    /// How often the process was killed.
    pub kills: u64,
    /// Changes to files that were not synced when the power was cut.
    pub unsynced: u64,
}

impl Victim<'_> {
    /// Does its worst for so long, or so many times.
    ///
    /// # Errors
    ///
    /// Where the server does not come back, or what is wanted can't be had on this machine.
    pub async fn suffer(&mut self, nemesis: Nemesis, span: Duration) -> Result<(), String> {
        let until = Instant::now() + span;
        match nemesis {
            Nemesis::Nothing => sleep(span).await,
            Nemesis::Slow => self.weather(Weather::Slow, span).await,
            Nemesis::Slice => self.weather(Weather::Slice, span).await,
            Nemesis::SlowReader => {
                self.orders.send_modify(|orders| orders.sleepers = 2);
                sleep(span).await;
                self.orders.send_modify(|orders| orders.sleepers = 0);
            }
            Nemesis::Expiry => {
                self.orders.send_modify(|orders| orders.token_seconds = 1);
                self.reconnect();
                // A token is good for ten seconds beyond its end.
                sleep(span + Duration::from_secs(12)).await;
                self.orders.send_modify(|orders| orders.token_seconds = 3_600);
            }
            _ => {
                while Instant::now() < until {
                    self.strike(nemesis).await?;
                }
            }
        }
        Ok(())
    }

    async fn pause(&mut self, millis: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.rng.u64(millis))).await;
    }

    async fn weather(&mut self, weather: Weather, span: Duration) {
        self.proxy.set_weather(weather);
        sleep(span).await;
        self.proxy.set_weather(Weather::Fair);
    }

    fn reconnect(&self) {
        self.orders.send_modify(|orders| orders.reconnects += 1);
    }

    async fn strike(&mut self, nemesis: Nemesis) -> Result<(), String> {
        match nemesis {
            Nemesis::Kill => {
                self.pause(5..250).await;
                self.kill()?;
            }
            Nemesis::KillAtAck => {
                self.pause(20..150).await;
                self.tally.acknowledged.store(false, Ordering::Release);
                let deadline = Instant::now() + Duration::from_secs(5);
                while !self.tally.acknowledged.load(Ordering::Acquire) && Instant::now() < deadline
                {
                    tokio::task::yield_now().await;
                }
                self.kill()?;
            }
            Nemesis::PowerCut => {
                self.pause(5..400).await;
                self.cut_power()?;
            }
            Nemesis::Term => {
                self.pause(200..800).await;
                if !self.server.terminate() {
                    let end = self.server.log_end();
                    return Err(format!("the server did not end well; its log ends:\n{end}"));
                }
                self.server.start()?;
            }
            Nemesis::Stop => {
                self.pause(300..900).await;
                self.server.signal("STOP");
                sleep(HEARTBEAT * 2 + Duration::from_millis(300)).await;
                self.server.signal("CONT");
            }
            Nemesis::Reset => {
                self.pause(20..300).await;
                self.proxy.reset_all();
            }
            Nemesis::Reconnect => {
                self.pause(100..600).await;
                self.reconnect();
            }
            Nemesis::HalfOpen => {
                let deaf = if self.rng.bool() { Weather::DeafClients } else { Weather::DeafServer };
                self.pause(200..600).await;
                self.proxy.set_weather(deaf);
                self.pause(300..2_600).await;
                self.proxy.set_weather(Weather::Fair);
            }
            Nemesis::Firewall => {
                let direction = if self.rng.bool() { "dport" } else { "sport" };
                self.pause(200..600).await;
                let closed = Firewall::close(direction, self.server.address.port())?;
                self.pause(300..2_600).await;
                drop(closed);
            }
            Nemesis::DiskFull => self.fill_disk().await?,
            Nemesis::ReadOnly => self.lock_folder().await?,
            Nemesis::Descriptors => self.take_descriptors().await,
            Nemesis::Clock => self.turn_clock().await?,
            _ => sleep(Duration::from_millis(100)).await,
        }
        Ok(())
    }

    fn kill(&mut self) -> Result<(), String> {
        self.server.kill();
        self.kills += 1;
        self.server.start()
    }

    fn cut_power(&mut self) -> Result<(), String> {
        self.server.kill();
        self.kills += 1;
        let record = losing_server::record(&self.server.data());
        let unsynced = draftwire_vfs::power_loss::cut_power(&record, self.rng.u64(..));
        self.unsynced += unsynced.map_err(|error| format!("{}: {error}", record.display()))? as u64;
        self.server.start()
    }

    /// Fills the file system of the data folder, which is one of its own then.
    async fn fill_disk(&mut self) -> Result<(), String> {
        self.pause(300..900).await;
        let filler = self.server.data().join("filler");
        let mut written = 0;
        let chunk = vec![0; 64 * 1024];
        let mut file = fs::File::create(&filler).map_err(|error| error.to_string())?;
        while std::io::Write::write_all(&mut file, &chunk).is_ok() {
            written += chunk.len();
            if written > 512 * 1024 * 1024 {
                drop(fs::remove_file(&filler));
                return Err("the data folder is on no small file system of its own".into());
            }
        }
        self.pause(300..900).await;
        if self.rng.bool() {
            self.kill()?;
        }
        fs::remove_file(&filler).map_err(|error| error.to_string())
    }

    /// The server starts on a folder that can't be written, and is there once it can.
    async fn lock_folder(&mut self) -> Result<(), String> {
        self.pause(300..900).await;
        self.server.kill();
        self.kills += 1;
        let (data, away) = (self.server.data(), self.server.data().with_extension("away"));
        // Not even for root can a folder be made where a file lies.
        fs::rename(&data, &away)
            .and_then(|()| fs::write(&data, "in the way"))
            .map_err(|error| error.to_string())?;
        self.server.start()?;
        self.pause(200..600).await;
        fs::remove_file(&data)
            .and_then(|()| fs::rename(&away, &data))
            .map_err(|error| error.to_string())
    }

    async fn take_descriptors(&mut self) {
        self.pause(100..300).await;
        let mut crowd = Vec::new();
        for _ in 0..600 {
            crowd.extend(TcpStream::connect_timeout(
                &self.server.address,
                Duration::from_millis(50),
            ));
        }
        self.reconnect();
        self.pause(300..900).await;
        drop(crowd);
    }

    async fn turn_clock(&mut self) -> Result<(), String> {
        let Some(clock) = self.clock else {
            return Err("libfaketime is not installed (apt-get install faketime)".into());
        };
        let offset = ["+1d", "-1d", "+0"][self.rng.usize(..3)];
        fs::write(clock, format!("{offset}\n")).map_err(|error| error.to_string())?;
        self.pause(400..1_200).await;
        fs::write(clock, "+0\n").map_err(|error| error.to_string())?;
        self.pause(100..400).await;
        Ok(())
    }
}
