//! Owns the process under test: its folder, flags, log lines, signals and exit code.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use draftwire_client::Address;
use draftwire_server::auth::{ClaimRules, Hs256};
use tempfile::TempDir;

/// Longer than anything takes on a slow machine: only a hang gets here.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const SECRET: &str = "a secret for tests only, at least 32 bytes";

/// The binary under test.
pub fn binary() -> PathBuf {
    let other = std::env::var_os("DRAFTWIRE_BIN").filter(|path| !path.is_empty());
    other.map_or_else(|| env!("CARGO_BIN_EXE_draftwire").into(), PathBuf::from)
}

/// The binary with nothing in its environment that changes what it does.
pub fn draftwire() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("DRAFTWIRE_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A token with these claims, signed with the tests' secret.
pub fn sign(claims: &serde_json::Value) -> String {
    let signer = Hs256::new(SECRET.as_bytes(), ClaimRules::default()).unwrap();
    signer.sign(&claims.to_string()).unwrap()
}

/// Seconds since 1970.
pub fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A good token of a user.
pub fn token(user: &str) -> String {
    sign(&serde_json::json!({ "sub": user, "iat": now(), "exp": now() + 8 * 3600 }))
}

/// A good token of an administrator.
pub fn admin() -> String {
    sign(&serde_json::json!({ "sub": "backend", "role": "admin", "exp": now() + 8 * 3600 }))
}

/// A folder with a secret file and room for a store.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), format!("{SECRET}\n")).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `draftwire serve` with a secret, a store and a free port.
    pub fn serve(&self) -> Command {
        let mut command = self.serve_on(&self.path("data"));
        command.args(["--listen", "127.0.0.1:0"]);
        command
    }

    /// The same without a port.
    pub fn serve_on(&self, data: &Path) -> Command {
        let mut command = draftwire();
        command.arg("serve").arg("--data").arg(data);
        command.arg("--jwt-secret-file").arg(self.path("secret"));
        command
    }
}

type Lines = Arc<(Mutex<Vec<String>>, Condvar)>;

/// A running `draftwire serve`.
pub struct Server {
    child: Child,
    log: Lines,
    out: Lines,
    /// `127.0.0.1:port`.
    pub authority: String,
}

impl Server {
    /// Starts it and waits until it listens.
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be started");
        let log = gather(child.stderr.take().unwrap());
        let out = gather(child.stdout.take().unwrap());
        let mut server = Self { child, log, out, authority: String::new() };
        let line = server.await_line("listening on http://");
        let (_, rest) = line.split_once("listening on http://").unwrap();
        let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
        server.authority = rest[..end.unwrap_or(rest.len())].to_owned();
        server
    }

    pub fn address(&self) -> Address {
        Address::parse(&format!("ws://{}", self.authority)).unwrap()
    }

    pub fn log(&self) -> Vec<String> {
        lock(&self.log).clone()
    }

    pub fn stdout(&self) -> Vec<String> {
        lock(&self.out).clone()
    }

    /// Waits for a line of the log that holds `part`.
    pub fn await_line(&mut self, part: &str) -> String {
        self.await_lines(part, 1).pop().unwrap()
    }

    /// Waits for so many lines of the log that hold `part`.
    pub fn await_lines(&mut self, part: &str, count: usize) -> Vec<String> {
        let found = await_in(&self.log, part, count);
        found.unwrap_or_else(|| {
            let ended = self.child.try_wait();
            panic!("no '{part}' in the log ({ended:?}):\n{}", self.log().join("\n"))
        })
    }

    /// Waits for a line on standard output that holds `part`.
    pub fn await_output(&self, part: &str) -> String {
        let found = await_in(&self.out, part, 1).and_then(|mut lines| lines.pop());
        found.unwrap_or_else(|| panic!("no '{part}' in the output: {:?}", self.stdout()))
    }

    /// Sends a signal: `TERM`, `INT`, `KILL`.
    pub fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}")).arg(self.child.id().to_string());
        let sent = kill.status().expect("there is a `kill`");
        assert!(sent.success(), "kill -{name}");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end of the process.
    pub fn await_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.log().join("\n"));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9`, and waits until the system has buried it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lock(lines: &Lines) -> std::sync::MutexGuard<'_, Vec<String>> {
    lines.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads lines in a thread until the process has ended.
fn gather(source: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let shared = Arc::clone(&lines);
    thread::spawn(move || {
        let mut reader = BufReader::new(source);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            lock(&shared).push(text);
            shared.1.notify_all();
            line.clear();
        }
        shared.1.notify_all();
    });
    lines
}

fn await_in(lines: &Lines, part: &str, count: usize) -> Option<Vec<String>> {
    let with_part = |all: &[String]| -> Vec<String> {
        all.iter().filter(|line| line.contains(part)).cloned().collect()
    };
    let missing = |all: &mut Vec<String>| with_part(all).len() < count;
    let waited = lines.1.wait_timeout_while(lock(lines), PATIENCE, missing);
    let (all, _) = waited.unwrap_or_else(PoisonError::into_inner);
    Some(with_part(&all)).filter(|found| found.len() >= count)
}

/// Runs a command that ends by itself.
pub fn run(command: &mut Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let (out, log) = (gather(child.stdout.take().unwrap()), gather(child.stderr.take().unwrap()));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                panic!("it does not end by itself: {:?}", lock(&log));
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    // The pipes are read to their end once the process is gone.
    while Arc::strong_count(&out) > 1 || Arc::strong_count(&log) > 1 {
        thread::sleep(Duration::from_millis(1));
    }
    let bytes = |lines: &Lines| lock(lines).join("\n").into_bytes();
    Output { status, stdout: bytes(&out), stderr: bytes(&log) }
}

/// Waits until `check` holds.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "{what}: not within {} s", PATIENCE.as_secs());
        thread::sleep(Duration::from_millis(20));
    }
}
