//! A short run of the torture rig: promises kept while the process is killed, the network breaks and
//! devices fall behind. `make torture` runs longer, and all that can go wrong.

use std::path::Path;
use std::time::Duration;

use draftwire_torture::rig::{Nemesis, Settings, run};

async fn suffers(nemesis: Nemesis, events_min: u64) {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        binary: Path::new(env!("CARGO_BIN_EXE_draftwire")).to_owned(),
        folder: folder.path().join("rig"),
        users: 2,
        devices: 3,
        span: Duration::from_secs(2),
        seed: 7,
        durable: true,
    };
    let report = run(&settings, nemesis).await.unwrap();
    let broken: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{report}\n{}", broken.join("\n"));
    // A run in which nothing is written keeps every promise too.
    assert!(report.events >= events_min, "{report}");
    match nemesis {
        Nemesis::Kill | Nemesis::KillAtAck => assert!(report.kills > 1, "{report}"),
        Nemesis::Reset => assert!(report.connections > 12 && report.deltas > 0, "{report}"),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill() {
    suffers(Nemesis::Kill, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_at_the_instant_of_an_acknowledgement() {
    suffers(Nemesis::KillAtAck, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_is_reset() {
    suffers(Nemesis::Reset, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_cut_anywhere() {
    suffers(Nemesis::Slice, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_direction_of_the_network_is_cut() {
    suffers(Nemesis::HalfOpen, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_takes_over() {
    suffers(Nemesis::Term, 50).await;
}
