//! What a nemesis needs before a run: an empty folder, a disk that can fill up, a clock to turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::firewall::Firewall;
use super::nemesis::Nemesis;

/// Room of the small file system on which the disk fills up.
const SMALL_DISK: &str = "size=160m";
/// Where Debian puts the library that turns a process's clock.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// What must be there before: an empty folder, a small disk, a clock to turn.
pub(super) struct Ground {
    mounted: Option<PathBuf>,
    pub(super) clock: Option<PathBuf>,
    pub(super) environment: Vec<(String, String)>,
    /// Why this machine can't have it.
    pub(super) impossible: Option<String>,
}

impl Ground {
    pub(super) fn prepare(folder: &Path, nemesis: Nemesis) -> Result<Self, String> {
        let mut ground =
            Self { mounted: None, clock: None, environment: Vec::new(), impossible: None };
        drop(fs::remove_dir_all(folder));
        let data = folder.join("data");
        fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        match nemesis {
            Nemesis::DiskFull => {
                let mut mount = Command::new("mount");
                mount.args(["-t", "tmpfs", "-o", SMALL_DISK, "tmpfs"]).arg(&data);
                if mount.output().is_ok_and(|output| output.status.success()) {
                    ground.mounted = Some(data);
                } else {
                    ground.impossible = Some("a small tmpfs can't be mounted".into());
                }
            }
            Nemesis::Firewall => {
                // A port that nobody uses.
                ground.impossible = Firewall::close("dport", 1).err();
            }
            Nemesis::Clock => {
                let clock = folder.join("clock");
                fs::write(&clock, "+0\n").map_err(|error| error.to_string())?;
                if !Path::new(FAKETIME).exists() {
                    ground.impossible = Some("libfaketime is not installed".into());
                }
                let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
                ground.environment = vec![
                    set("LD_PRELOAD", FAKETIME),
                    set("FAKETIME_TIMESTAMP_FILE", &clock.to_string_lossy()),
                    set("FAKETIME_NO_CACHE", "1"),
                    set("DONT_FAKE_MONOTONIC", "1"),
                ];
                ground.clock = Some(clock);
            }
            _ => {}
        }
        Ok(ground)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(folder) = &self.mounted {
            // Lazily: a process that ends later lets go of it then.
            drop(Command::new("umount").arg("-l").arg(folder).output());
        }
    }
}
