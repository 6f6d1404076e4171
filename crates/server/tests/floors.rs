//! Guards the floors of the server: a module knows only modules of floors below its own.
//!
//! The order is the *Layout* table of the crate's documentation, so the two can't drift apart.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules in the order of the table, lowest first.
fn floors() -> Vec<String> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.filter_map(|row| row.split_once("`]")).map(|(name, _)| name.to_owned()).collect()
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The module a file belongs to: the first part of its path.
fn module_of(file: &Path) -> String {
    let relative = file.strip_prefix(source()).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Names that the crate's root passes on, and where they live.
fn home(name: &str) -> &str {
    match name {
        "Realtime" | "Builder" => "realtime",
        "Settings" => "settings",
        "WebSocketMessage" => "message",
        "ConnectionStats" => "stats",
        module => module,
    }
}

/// Modules named after `crate::` in a text, also inside `crate::{…}`.
fn named(text: &str) -> Vec<String> {
    let word = |text: &str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let mut names = Vec::new();
    for (_, rest) in
        text.match_indices("crate::").map(|(at, found)| (at, &text[at + found.len()..]))
    {
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = &list[..list.find('}').unwrap_or(0)];
                names.extend(list.split(',').map(|item| word(item.trim())));
            }
            None => names.push(word(rest)),
        }
    }
    names
}

#[test]
fn no_module_knows_one_above_it() {
    let floors = floors();
    let rank: HashMap<&str, usize> =
        floors.iter().enumerate().map(|(rank, name)| (name.as_str(), rank)).collect();
    let mut files = Vec::new();
    files_below(&source(), &mut files);
    let (mut checked, mut offences) = (0, Vec::new());
    for file in files {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let own = *rank.get(module.as_str()).unwrap_or_else(|| {
            panic!("module {module} is missing in the Layout table of src/lib.rs")
        });
        for name in named(&fs::read_to_string(&file).unwrap()) {
            let Some(other) = rank.get(home(&name)) else { continue };
            checked += 1;
            if *other > own {
                offences.push(format!("{} uses crate::{name}", file.display()));
            }
        }
    }
    assert!(checked > 50, "the test has found too few uses to mean anything: {checked}");
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn the_check_sees_all_ways_of_naming_a_module() {
    let text = "use crate::clock;\nuse crate::{Realtime, stats::Stats};\ncrate::worker::Job::Stop";
    assert_eq!(named(text), ["clock", "Realtime", "stats", "worker"]);
}
