//! `torture`: runs nemeses against the real binary and says which promises were kept.
//!
//! Owns arguments and the table; what is done stands in the library.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use draftwire_store::sqlite::Durability;
use draftwire_torture::rig::nemesis::ALL;
use draftwire_torture::rig::run::TABLE_HEAD;
use draftwire_torture::rig::{
    Nemesis, Settings, compression, losing_server, run, soak, stopped_reader,
};

const USAGE: &str = "usage: torture [--server FILE] [--folder DIR] [--users N] [--devices N] \
                     [--seconds N] [--seed N] \
                     [--durability process-crash] [NEMESIS …]\n  without a NEMESIS: all of them\n  \
                     instead of one: soak, stopped-reader, compression";

/// Of a broken run, that many violations tell the story.
const VIOLATIONS_SHOWN: usize = 5;

/// Pairs of rounds with and without the device that reads nothing.
const STOPPED_READER_PAIRS: usize = 5;

enum Work {
    Nemeses(Vec<Nemesis>),
    Soak,
    StoppedReader,
    Compression,
    /// Not for people: the rig starts itself as the server on a disk that loses things.
    Serve(SocketAddr),
}

struct Arguments {
    settings: Settings,
    work: Work,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
            eprintln!("torture: {why}\n{USAGE}\n  there are: {}", names.join(", "));
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(work(arguments)),
        Err(error) => {
            eprintln!("torture: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let folder = std::env::temp_dir().join(format!("draftwire-torture-{}", std::process::id()));
    let mut settings = Settings {
        binary: "target/release/draftwire".into(),
        folder,
        users: 4,
        devices: 3,
        span: Duration::from_secs(8),
        seed: 1,
        durable: true,
    };
    let (mut nemeses, mut instead, mut serves, mut listen) = (Vec::new(), None, false, None);
    while let Some(argument) = given.next() {
        if !argument.starts_with("--") {
            match &*argument {
                "serve" => serves = true,
                "soak" => instead = Some(Work::Soak),
                "stopped-reader" => instead = Some(Work::StoppedReader),
                "compression" => instead = Some(Work::Compression),
                name => nemeses.push(Nemesis::named(name).ok_or(format!("no nemesis '{name}'"))?),
            }
            continue;
        }
        let value = given.next().ok_or(format!("{argument} needs a value"))?;
        let number =
            || value.parse::<u64>().map_err(|_| format!("{argument}: '{value}' is no number"));
        match &*argument {
            "--server" => settings.binary = PathBuf::from(&value),
            "--folder" => settings.folder = PathBuf::from(&value),
            "--users" => settings.users = number()? as usize,
            "--devices" => settings.devices = number()? as usize,
            "--seconds" => settings.span = Duration::from_secs(number()?),
            "--seed" => settings.seed = number()?,
            "--durability" => {
                settings.durable = match &*value {
                    "power-cut" => true,
                    "process-crash" => false,
                    _ => return Err(format!("{argument}: power-cut or process-crash")),
                };
            }
            "--listen" if serves => {
                listen = Some(value.parse().map_err(|_| format!("'{value}' is no address"))?);
            }
            "--data" if serves => settings.folder = PathBuf::from(&value),
            // The rig gives every server the same flags; this one has its settings by itself.
            _ if serves => {}
            _ => return Err(format!("no flag '{argument}'")),
        }
    }
    if serves {
        let listen = listen.ok_or("serve needs --listen")?;
        return Ok(Arguments { settings, work: Work::Serve(listen) });
    }
    if instead.is_some() && !nemeses.is_empty() {
        return Err("soak, stopped-reader and compression run alone".into());
    }
    if !settings.binary.is_file() {
        return Err(format!("there is no program {}", settings.binary.display()));
    }
    if nemeses.is_empty() {
        nemeses = ALL.iter().map(|(_, nemesis)| *nemesis).collect();
    }
    Ok(Arguments { settings, work: instead.unwrap_or(Work::Nemeses(nemeses)) })
}

async fn work(Arguments { settings, work }: Arguments) -> ExitCode {
    let done = match work {
        Work::Nemeses(nemeses) => return torture(&settings, nemeses).await,
        Work::Serve(listen) => {
            let durability =
                if settings.durable { Durability::PowerCut } else { Durability::ProcessCrash };
            losing_server::serve(listen, &settings.folder, durability).await
        }
        Work::Soak => {
            println!("{}", soak::TABLE_HEAD);
            soak::soak(&settings, |sample| println!("{sample}")).await
        }
        Work::StoppedReader => {
            println!("{}", stopped_reader::TABLE_HEAD);
            let show = |round| println!("{round}");
            stopped_reader::rounds(&settings, STOPPED_READER_PAIRS, show).await
        }
        Work::Compression => {
            println!("{}", compression::TABLE_HEAD);
            let costs = compression::measure(&settings, |cost| println!("{cost}")).await;
            costs.map(|[plain, compressed]| {
                println!("bytes an idle connection: {plain} plain, {compressed} compressed");
            })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("torture: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The server is this program itself, since its disk must be one that can tell what was synced.
fn on_a_losing_disk(settings: &Settings) -> Settings {
    let binary = std::env::current_exe().unwrap_or_else(|_| settings.binary.clone());
    Settings { binary, ..settings.clone() }
}

async fn torture(settings: &Settings, nemeses: Vec<Nemesis>) -> ExitCode {
    println!("{TABLE_HEAD}");
    let mut failed = false;
    for nemesis in nemeses {
        let settings = &match nemesis {
            Nemesis::PowerCut => on_a_losing_disk(settings),
            _ => settings.clone(),
        };
        match run(settings, nemesis).await {
            Ok(report) => {
                println!("{report}");
                if report.unsynced > 0 {
                    println!("  power-cut: {} changes were not synced then", report.unsynced);
                }
                let shown = report.violations.iter().take(VIOLATIONS_SHOWN);
                shown.for_each(|broken| eprintln!("BROKEN {broken}"));
                // A run in which nothing was written keeps every promise too.
                let idle = report.skipped.is_none()
                    && (report.events < 100 || report.rejected > report.commands * 2 / 3);
                if idle {
                    eprintln!("{}: hardly anything was written: {report}", report.nemesis);
                }
                failed |= idle || !report.violations.is_empty();
                if !failed {
                    drop(std::fs::remove_dir_all(&settings.folder));
                }
            }
            Err(why) => {
                eprintln!("torture: {}: {why}", nemesis.name());
                failed = true;
            }
        }
        if failed {
            eprintln!("journals and log are in {}", settings.folder.display());
            break;
        }
    }
    ExitCode::from(u8::from(failed))
}
