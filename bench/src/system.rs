//! What the operating system is asked: processor time and memory of a process, limits, pinning.
//!
//! Processor time is the process's own clock (what `/proc/PID/stat` shows in hundredths of a
//! second, here in nanoseconds); memory is `/proc/PID/smaps_rollup`. Linux only.

use std::fs;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// The core of the server and the core of the load generator, where there are two.
pub const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;

/// User and system time that the process has used so far.
pub fn cpu_time(pid: u32) -> Duration {
    let pid = Pid::from_raw(pid as i32);
    let time = clock_getcpuclockid(pid).and_then(clock_gettime).expect("the process lives");
    Duration::from(time)
}

/// Anonymous memory of the process in bytes: what it holds itself, not the files it maps.
pub fn memory(pid: u32) -> u64 {
    let rollup =
        fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process lives");
    let line = rollup.lines().find(|line| line.starts_with("Anonymous:")).unwrap_or_default();
    let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    kib * 1024
}

/// Raises this process's limit of descriptors as far as it may be, and returns it.
pub fn raise_descriptors() -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    // Only root may go beyond the hard limit, and not everywhere.
    let wanted = 1_100_000;
    for limit in [wanted, hard] {
        if limit <= hard || setrlimit(Resource::RLIMIT_NOFILE, limit, limit).is_ok() {
            let limit = limit.min(wanted);
            if setrlimit(Resource::RLIMIT_NOFILE, limit, limit.max(hard)).is_ok() {
                return limit;
            }
        }
    }
    hard
}

/// Keeps this thread on the load generator's core, or lets it run anywhere.
pub fn pin_load(pinned: bool) {
    let mut cores = CpuSet::new();
    if pinned && cores_available() > 1 {
        cores.set(LOAD_CORE).expect("core 1 is a number");
    } else {
        for core in 0..cores_available() {
            cores.set(core).expect("a core is a number");
        }
    }
    if let Err(error) = sched_setaffinity(Pid::from_raw(0), &cores) {
        eprintln!("the load generator can't be pinned: {error}");
    }
}

fn cores_available() -> usize {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

/// What the results say about the machine.
pub fn description() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory = read("/proc/meminfo");
    let kib = memory.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    format!(
        "{} × {model}, {} GiB, Linux {}",
        cores_available(),
        (kib + 512 * 1024) / (1024 * 1024),
        kernel.trim()
    )
}
