//! A server under measurement: its process, its command line, how it is spoken to.
//!
//! Owns starting and ending it and the lines it is commanded with. It never connects to it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use draftwire_bench::token;

use crate::system;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// Ready-made frames, one write each.
    Floor,
    /// Ready-made frames, one write per socket and turn.
    JoinedFloor,
    /// draftwire.
    Draftwire,
    /// Bun's native publish/subscribe.
    Bun,
    /// Node ws + Express + jose.
    NodeWs,
    /// Socket.IO.
    SocketIo,
}

impl Who {
    /// All of them, the cheapest first.
    pub const ALL: [Self; 6] =
        [Self::Floor, Self::JoinedFloor, Self::Draftwire, Self::Bun, Self::NodeWs, Self::SocketIo];

    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::JoinedFloor => "joined floor",
            Self::Draftwire => "draftwire",
            Self::Bun => "Bun",
            Self::NodeWs => "ws + Express",
            Self::SocketIo => "Socket.IO",
        }
    }

    /// True where it can be started: the peers are installed by `bench/peers/install.sh`.
    pub fn is_installed(self) -> bool {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node_modules");
        match self {
            Self::Floor | Self::JoinedFloor | Self::Draftwire => true,
            Self::Bun => modules.join(".bin/bun").exists(),
            Self::NodeWs | Self::SocketIo => modules.is_dir(),
        }
    }

    /// How clients talk to it.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::SocketIo => Dialect::SocketIo,
            Self::Draftwire => Dialect::Draftwire,
            _ => Dialect::Plain,
        }
    }

    fn command(self, folder: &Path) -> Command {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let own = |name: &str| {
            let mut path = std::env::current_exe().expect("this program has a path");
            path.set_file_name(name);
            Command::new(path)
        };
        let script = |program: PathBuf, script: &str| {
            let mut command = Command::new(program);
            command.arg(peers.join(script)).current_dir(&peers);
            command
        };
        let mut command = match self {
            Self::Floor => own("bench-floor"),
            Self::JoinedFloor => own("bench-floor"),
            Self::Draftwire => own("bench-draftwire"),
            Self::Bun => script(peers.join("node_modules/.bin/bun"), "bun.js"),
            Self::NodeWs => script("node".into(), "node-ws.js"),
            Self::SocketIo => script("node".into(), "socketio.js"),
        };
        match self {
            Self::JoinedFloor => drop(command.arg("--joined")),
            Self::Draftwire => drop(command.arg("--data").arg(folder)),
            _ => {}
        }
        command
    }
}

/// How clients talk to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// WebSocket; ready when the handshake is.
    Plain,
    /// WebSocket; ready after `WELCOME` and the last `SNAPSHOT`.
    Draftwire,
    /// Engine.IO 4 over WebSocket.
    SocketIo,
}

/// A running server.
pub struct Subject {
    /// Which.
    pub who: Who,
    /// Where it listens.
    pub port: u16,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Subject {
    /// Starts it, on the server's core, or anywhere.
    pub fn start(who: Who, arguments: &[&str], pinned: bool) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let command = who.command(folder.path());
        Self::run(who, command, arguments, pinned, folder)
    }

    /// Starts the peer that keeps its documents in Redis.
    pub fn start_redis_peer(url: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let mut command = Command::new("node");
        command.arg(peers.join("node-ws-redis.js")).current_dir(&peers).env("REDIS_URL", url);
        Self::run(Who::NodeWs, command, &[], false, folder)
    }

    fn run(
        who: Who,
        command: Command,
        arguments: &[&str],
        pinned: bool,
        folder: tempfile::TempDir,
    ) -> Result<Self, String> {
        let mut pinning = Command::new("taskset");
        if pinned {
            pinning.args(["-c", &system::SERVER_CORE.to_string()]);
        } else {
            pinning.args(["-c", "0-1023"]);
        }
        pinning.arg(command.get_program()).args(command.get_args()).args(arguments);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                pinning.env(name, value);
            }
        }
        if let Some(directory) = command.get_current_dir() {
            pinning.current_dir(directory);
        }
        let mut child = pinning
            .env(token::SECRET_VARIABLE, token::SECRET)
            .env("NODE_ENV", "production")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} can't be started: {error}", who.name()))?;
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).map_err(|error| error.to_string())?;
        let port = line.trim().strip_prefix("listening ").and_then(|port| port.parse().ok());
        let port = port.ok_or(format!("{} did not say where it listens: {line}", who.name()))?;
        Ok(Self { who, port, child, stdin, stdout, _folder: folder })
    }

    /// Writes a line to its stdin.
    pub fn command(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        let written = stdin.write_all(format!("{line}\n").as_bytes());
        written.unwrap_or_else(|error| panic!("{} is gone: {error}", self.who.name()));
    }

    /// The same, and its answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.command(line);
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).expect("the server answers");
        answer.trim().to_owned()
    }

    /// Processor time it has used.
    pub fn cpu(&self) -> Duration {
        system::cpu_time(self.child.id())
    }

    /// Memory it holds.
    pub fn memory(&self) -> u64 {
        system::memory(self.child.id())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.stdin = None;
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
