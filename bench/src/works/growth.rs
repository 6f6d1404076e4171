//! W9, and how cost grows with connections, devices, event size and documents.
//!
//! Each point of a curve is a session of its own. Costs are the server's processor time.

use std::time::Duration;

use super::live::{Session, Size, micros};
use crate::results::Results;
use crate::subject::{Subject, Who};
use crate::swarm::{Device, HANDSHAKES, Swarm};
use crate::system;

/// A curve: what grows, in which unit, and what was measured at each step.
#[derive(Clone)]
pub struct Curve {
    /// File name and key.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// What grows.
    pub x: &'static str,
    /// What is measured.
    pub y: &'static str,
    /// Name and points of each line.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Descriptors that are kept for other things than connections.
const DESCRIPTORS_KEPT: u64 = 500;
/// More connections than this are not tried.
const CONNECTIONS_MAX: u64 = 1_000_000;
const EVENT_BYTES: [u32; 6] = [100, 204, 1_024, 4_096, 16_384, 65_536];
const DEVICES: [u32; 6] = [1, 2, 5, 10, 20, 50];
const DOCUMENTS: [u32; 4] = [10, 100, 1_000, 10_000];

fn empty(size: &Size) -> Size {
    Size { latency: Duration::ZERO, ..size.clone() }
}

/// 1,000 connections to as many as may be opened: W9.
pub fn connections(results: &mut Results) -> Result<[Curve; 2], String> {
    let most = (system::raise_descriptors() - DESCRIPTORS_KEPT).min(CONNECTIONS_MAX) as u32;
    let steps = [1_000, 2_500, 5_000, 10_000, 19_500, 50_000, 100_000, 250_000, 500_000, 1_000_000];
    let mut steps: Vec<u32> = steps.into_iter().filter(|step| *step <= most).collect();
    if steps.last().is_some_and(|last| most > last + last / 10) {
        steps.push(most / 2 * 2);
    }
    let (mut memory, mut cost) = (Vec::new(), Vec::new());
    for who in [Who::Draftwire, Who::Floor] {
        let (mut bytes, mut micros) = (Vec::new(), Vec::new());
        for step in &steps {
            let size = Size { connections: *step, events: 8, ..empty(&Size::default()) };
            let mut own = Results::default();
            let mut session = Session::start(who, &[], &size, &mut own)?;
            let per_delivery = session.one_at_a_time(&mut own)?;
            let per_connection = own.spread("W3", who.name()).map_or(f64::NAN, |s| s.median);
            bytes.push((f64::from(*step), per_connection));
            micros.push((f64::from(*step), per_delivery));
            results.add(&format!("W9 {step}"), who.name(), per_connection);
            results.add(&format!("W9 {step} broadcast"), who.name(), per_delivery);
        }
        memory.push((who.name().to_owned(), bytes));
        cost.push((who.name().to_owned(), micros));
    }
    Ok([
        Curve {
            name: "memory",
            title: "User memory of an idle connection",
            x: "connections",
            y: "bytes",
            lines: memory,
        },
        Curve {
            name: "connections",
            title: "One event to everybody: processor time per delivery",
            x: "connections",
            y: "µs",
            lines: cost,
        },
    ])
}

/// 1 to 50 devices of a user.
pub fn devices() -> Result<Curve, String> {
    let lines = both(|who| {
        DEVICES
            .iter()
            .map(|devices| {
                let size = Size {
                    connections: 5_000,
                    devices: *devices,
                    user_events: 12_800 / *devices as usize,
                    ..empty(&Size::default())
                };
                let mut own = Results::default();
                let mut session = Session::start(who, &[], &size, &mut own)?;
                Ok((f64::from(*devices), session.users(&mut own)?))
            })
            .collect()
    })?;
    Ok(Curve {
        name: "devices",
        title: "Events to one user: processor time per delivery",
        x: "devices of the user",
        y: "µs",
        lines,
    })
}

/// Events of 100 bytes to 64 KiB.
pub fn event_bytes() -> Result<Curve, String> {
    let lines = both(|who| {
        EVENT_BYTES
            .iter()
            .map(|bytes| {
                let size = Size { connections: 1_000, events: 24, ..empty(&Size::default()) };
                let mut own = Results::default();
                let arguments = ["--event-bytes", &bytes.to_string()];
                let mut session = Session::start(who, &arguments, &size, &mut own)?;
                Ok((f64::from(*bytes), session.one_at_a_time(&mut own)?))
            })
            .collect()
    })?;
    Ok(Curve {
        name: "event-bytes",
        title: "One event to 1,000: processor time per delivery",
        x: "bytes of the event",
        y: "µs",
        lines,
    })
}

type Line = (String, Vec<(f64, f64)>);

fn both(mut line: impl FnMut(Who) -> Result<Vec<(f64, f64)>, String>) -> Result<Vec<Line>, String> {
    [Who::Draftwire, Who::Floor]
        .into_iter()
        .map(|who| Ok((who.name().to_owned(), line(who)?)))
        .collect()
}

/// 10 to 10,000 documents of a user: what a change costs, and what each document of a snapshot.
pub fn documents() -> Result<[Curve; 2], String> {
    const CHANGES: u32 = 4_000;
    const SNAPSHOTS: u32 = 20;
    let (mut changes, mut snapshots) = (Vec::new(), Vec::new());
    for documents in DOCUMENTS {
        let mut subject = Subject::start(Who::Draftwire, &[], true)?;
        subject.ask(&format!("create 1 {documents}"));
        subject.ask("edit 1 500");
        let cpu = subject.cpu();
        subject.ask(&format!("edit 1 {CHANGES}"));
        changes.push((f64::from(documents), micros(subject.cpu() - cpu) / f64::from(CHANGES)));
        let mut swarm = Swarm::new(subject.port, Who::Draftwire.dialect());
        let list: Vec<Device> =
            (0..SNAPSHOTS).map(|device| Device { user: 0, device, query: String::new() }).collect();
        let cpu = subject.cpu();
        swarm.connect(&list, HANDSHAKES, &mut |_, _| {})?;
        let spent = micros(subject.cpu() - cpu) / f64::from(SNAPSHOTS);
        snapshots.push((f64::from(documents), spent / f64::from(documents)));
    }
    let line = |points| vec![("draftwire".to_owned(), points)];
    Ok([
        Curve {
            name: "documents-change",
            title: "A change of one document: processor time",
            x: "documents of the user",
            y: "µs",
            lines: line(changes),
        },
        Curve {
            name: "documents-snapshot",
            title: "A device comes for everything: processor time per document",
            x: "documents of the user",
            y: "µs",
            lines: line(snapshots),
        },
    ])
}
