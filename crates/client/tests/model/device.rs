//! A device: the replica under test, a disk that loses what was not stored durably, a wire.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use draftwire_client::replica::{Notice, Replica, Settled};
use draftwire_client::{LocalDocument, QueueLimits};
use draftwire_protocol::{Collection, Command};

use crate::server::tag_of;

/// A connection: what is on its way in either direction.
#[derive(Default)]
pub struct Wire {
    pub client_id: String,
    pub up: VecDeque<String>,
    pub down: VecDeque<String>,
}

pub struct Device {
    pub replica: Replica,
    pub wire: Option<Wire>,
    /// Tags of commands that were stored.
    pub saved: BTreeSet<usize>,
    /// Tags of commands that were acknowledged.
    pub accepted: BTreeSet<usize>,
    disk: Vec<String>,
    /// So many texts on the disk survive a power cut.
    durable: usize,
    tags: BTreeMap<u64, usize>,
    unsaved: BTreeMap<u64, usize>,
    now: Duration,
    index: usize,
    lives: usize,
}

impl Device {
    pub fn new(index: usize) -> Self {
        Self {
            replica: restore(&[], index, 0),
            wire: None,
            saved: BTreeSet::new(),
            accepted: BTreeSet::new(),
            disk: Vec::new(),
            durable: 0,
            tags: BTreeMap::new(),
            unsaved: BTreeMap::new(),
            now: Duration::ZERO,
            index,
            lives: 0,
        }
    }

    pub fn write(&mut self, command: Command, tag: usize) {
        let is_tagged = tag_of(&command).is_some();
        let key = self.replica.write(command).expect("a good command");
        if is_tagged {
            self.tags.insert(key, tag);
            self.unsaved.insert(key, tag);
        }
        self.take_news();
    }

    pub fn retry(&mut self) {
        let Some(change) = self.replica.rejected().first().cloned() else { return };
        let key = self.replica.retry(change.key).expect("it is on the list");
        if let Some(tag) = tag_of(&change.command) {
            self.tags.insert(key, tag);
        }
    }

    pub fn save(&mut self) {
        while let Some(batch) = self.replica.take_batch() {
            if batch.whole {
                self.disk = vec![batch.text];
                self.durable = 1;
            } else {
                self.disk.push(batch.text);
                if batch.urgent {
                    self.durable = self.disk.len();
                }
            }
            self.replica.stored(batch.number);
            let later = self.unsaved.split_off(&batch.keys_below);
            self.saved.extend(std::mem::replace(&mut self.unsaved, later).into_values());
        }
    }

    pub fn send(&mut self, count: usize) {
        for _ in 0..count {
            let Some(wire) = &mut self.wire else { return };
            let Some(frame) = self.replica.next_frame(self.now) else { return };
            wire.up.push_back(frame);
        }
    }

    pub fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let Some(frame) = self.wire.as_mut().and_then(|wire| wire.down.pop_front()) else {
                return;
            };
            let notice = self.replica.frame(&frame, self.now).expect("a frame of the protocol");
            self.take_news();
            if matches!(notice, Notice::Restart(_)) {
                self.cut();
            }
            assert_ne!(notice, Notice::OtherUser);
        }
    }

    fn take_news(&mut self) {
        for (key, settled) in self.replica.take_news().settled {
            match settled {
                Settled::Accepted(_) => self.accepted.extend(self.tags.get(&key)),
                // Refusals are stored durably, so what was forgotten was accepted.
                Settled::Unknown => assert!(self.lives > 0, "an answer was forgotten"),
                Settled::Rejected(_) => {}
            }
        }
    }

    pub fn cut(&mut self) {
        self.wire = None;
        self.replica.disconnected(false);
    }

    pub fn crash(&mut self, lost: usize) {
        self.wire = None;
        let kept = self.disk.len().saturating_sub(lost).max(self.durable);
        self.disk.truncate(kept);
        self.durable = kept;
        self.lives += 1;
        self.unsaved.clear();
        self.replica = restore(&self.disk, self.index, self.lives);
    }

    /// A second passes.
    pub fn later(&mut self) {
        self.now += Duration::from_secs(1);
    }

    pub fn is_at_rest(&self) -> bool {
        let is_quiet = self.wire.as_ref().is_some_and(|wire| {
            wire.up.is_empty() && wire.down.is_empty() && self.replica.is_recovered()
        });
        is_quiet && self.replica.unanswered() == 0
    }

    pub fn rejected(&self) -> Vec<usize> {
        self.replica.rejected().iter().filter_map(|change| tag_of(&change.command)).collect()
    }

    pub fn documents(&mut self) -> Vec<(&'static str, LocalDocument)> {
        let mut all = Vec::new();
        for collection in Collection::ALL {
            let documents = self.replica.list(collection);
            all.extend(documents.into_iter().map(|document| (collection.name(), document)));
        }
        all
    }
}

fn restore(disk: &[String], index: usize, lives: usize) -> Replica {
    let mut count = 0;
    let fresh_id = move || {
        count += 1;
        format!("device-{index}-{lives}-{count}")
    };
    Replica::restore(disk, None, None, QueueLimits::default(), Box::new(fresh_id))
        .expect("what was stored can be read")
}
