//! The process under torture: started on a steady port, signalled, killed, started again.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The rig's secret.
pub const SECRET: &str = "a secret for the torture rig, of at least 32 bytes";
/// The server's heartbeat while it is tortured.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `draftwire serve` that can be ended in every way.
pub struct Server {
    binary: PathBuf,
    folder: PathBuf,
    flags: Vec<String>,
    /// Set in the process's environment.
    pub environment: Vec<(String, String)>,
    /// How many descriptors it may have; the system's limit where nothing is said.
    pub descriptors: Option<u32>,
    /// Where it listens.
    pub address: SocketAddr,
    child: Option<Child>,
}

impl Server {
    /// One that is not running yet, with its data, secret and log in that folder.
    ///
    /// # Errors
    ///
    /// Where the folder can't be used or there is no port.
    pub fn new(binary: &Path, folder: &Path, flags: &[&str]) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("secret"), SECRET)?;
        Ok(Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            environment: Vec::new(),
            descriptors: None,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, steady_port()?)),
            child: None,
        })
    }

    /// The folder of the embedded store.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it, and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// Where it does not, with the end of its log.
    pub fn start(&mut self) -> Result<(), String> {
        self.spawn()?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            if Instant::now() > deadline || !self.is_running() {
                return Err(format!("the server does not start:\n{}", self.log_end()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Starts it, and waits for nothing.
    ///
    /// # Errors
    ///
    /// Where there is no such program.
    pub fn spawn(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.folder.join("log"));
        let log = log.map_err(|error| format!("no log: {error}"))?;
        let mut command = match self.descriptors {
            None => Command::new(&self.binary),
            Some(count) => {
                // The shell gives its place to the server, which can't raise this limit.
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {count}; exec \"$0\" \"$@\""));
                shell.arg(&self.binary);
                shell
            }
        };
        command.arg("serve").arg("--listen").arg(self.address.to_string());
        command.arg("--data").arg(self.data());
        command.arg("--jwt-secret-file").arg(self.folder.join("secret")).args(&self.flags);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn();
        self.child = Some(child.map_err(|error| format!("{}: {error}", self.binary.display()))?);
        Ok(())
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// True while the process lives.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// `kill -9`, and waits until the system has buried it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// SIGTERM; waits for the end. False where it had to be killed after all, or said that
    /// something was cut.
    pub fn terminate(&mut self) -> bool {
        self.signal("TERM");
        let deadline = Instant::now() + PATIENCE;
        while self.is_running() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let status = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        self.kill();
        status.is_some_and(|status| status.success())
    }

    /// Sends a signal by its name: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let mut kill = Command::new("kill");
            // It may have ended by itself.
            drop(kill.arg(format!("-{name}")).arg(child.id().to_string()).status());
        }
    }

    /// Processor time that it has spent so far, in whole hundredths of a second; 0 where it does
    /// not run.
    pub fn processor_time(&self) -> Duration {
        let Some(child) = &self.child else { return Duration::ZERO };
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        // Behind the name, which may hold anything: fields 14 and 15 of proc_pid_stat(5).
        let fields = stat.rsplit_once(')').map_or("", |(_, behind)| behind).split_whitespace();
        let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Its resident memory in bytes; 0 where it does not run.
    pub fn resident_bytes(&self) -> u64 {
        let Some(child) = &self.child else { return 0 };
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that the system gives to no outgoing connection, so that the server gets it again.
fn steady_port() -> io::Result<u16> {
    for _ in 0..1_000 {
        let port = fastrand::u16(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no free port"))
}
