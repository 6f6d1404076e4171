//! Power cuts under real processes: nothing that was acknowledged is gone; and with durability turned
//! off the checker finds what is, so that it would have been seen.

use std::path::Path;
use std::time::Duration;

use draftwire_torture::check::Check;
use draftwire_torture::rig::{Nemesis, Report, Settings, run};

async fn suffers(durable: bool, seed: u64) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        binary: Path::new(env!("CARGO_BIN_EXE_torture")).to_owned(),
        folder: folder.path().join("rig"),
        users: 2,
        devices: 2,
        span: Duration::from_secs(3),
        seed,
        durable,
    };
    let report = run(&settings, Nemesis::PowerCut).await.unwrap();
    assert!(report.kills > 1 && report.unsynced > 0, "the power was hardly cut: {report}");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives() {
    let report = suffers(true, 3).await;
    let broken: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{report}\n{}", broken.join("\n"));
    assert!(report.events >= 50, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_durability_the_checker_finds_what_is_lost() {
    for seed in 4..10 {
        let report = suffers(false, seed).await;
        if report.violations.iter().any(|broken| broken.check == Check::History) {
            return;
        }
    }
    panic!("nothing was lost in six runs");
}
