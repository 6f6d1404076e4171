//! What follows from the server's answers, and from frames that it could not take.
//!
//! Owns which answers settle a command, which ask for patience, and which cost the device its name.
//! Answers to what is not in flight are ignored.

use std::time::Duration;

use draftwire_protocol::reply::Rejection;
use draftwire_protocol::{Command, ErrorCode, RejectionCode};

use super::queue::Next;
use super::record::Record;
use super::{Accepted, Notice, Replica, Settled};

impl Replica {
    /// A command in flight was answered for good. Answers to anything else are ignored.
    pub(super) fn settle(&mut self, mutation_id: u64, settled: Settled) -> Notice {
        let Some(entry) = self.queue.in_flight(mutation_id) else { return Notice::Nothing };
        // A command that was given up was settled then.
        let is_skip = entry.command == Command::Skip;
        let (key, command) = (entry.key, entry.command.clone());
        self.commit(Record::Settled(mutation_id));
        if !is_skip {
            if let Settled::Rejected(rejection) = &settled {
                self.commit(Record::Rejected { key, command, rejection: rejection.clone() });
            }
            self.news.settled.push((key, settled));
        }
        self.renew_if_due()
    }

    pub(super) fn refused(
        &mut self,
        mutation_id: u64,
        rejection: Rejection,
        now: Duration,
    ) -> Notice {
        let Some(entry) = self.queue.in_flight(mutation_id) else { return Notice::Nothing };
        if !rejection.code.is_final() {
            return match self.queue.postponed(mutation_id, &rejection, now) {
                Next::Reconnect => Notice::Restart("the server expects another command"),
                Next::Go => self.renew_if_due(),
            };
        }
        let is_gone = rejection.code == RejectionCode::NotFound;
        match &entry.command {
            Command::Delete { id, .. } if is_gone => {
                let id = Some(id.clone());
                self.settle(mutation_id, Settled::Accepted(Accepted { id, ..Accepted::default() }))
            }
            _ => self.settle(mutation_id, Settled::Rejected(rejection)),
        }
    }

    pub(super) fn error(&mut self, code: &str) -> Notice {
        if code != ErrorCode::BadFrame.name() {
            // A fresh token was refused: the old one stays in force until it ends.
            return Notice::Nothing;
        }
        self.suspect("the server can't read this change");
        Notice::Restart("the server could not read a frame")
    }

    pub(super) fn suspect(&mut self, why: &str) {
        if let Some(mutation_id) = self.queue.suspect() {
            self.give_up(mutation_id, why);
        }
    }

    /// Moves a command to the rejected ones; a `SKIP` uses up its number.
    pub(super) fn give_up(&mut self, mutation_id: u64, why: &str) {
        let Some(entry) = self.queue.get(mutation_id) else { return };
        let (key, command) = (entry.key, entry.command.clone());
        let rejection = Rejection::new(RejectionCode::TooLarge, why);
        self.commit(Record::Skipped(mutation_id));
        self.commit(Record::Rejected { key, command, rejection: rejection.clone() });
        self.news.settled.push((key, Settled::Rejected(rejection)));
    }

    fn renew_if_due(&mut self) -> Notice {
        if !self.queue.must_renew() {
            return Notice::Nothing;
        }
        self.renew();
        Notice::Restart("a number was used for another command")
    }

    /// Becomes another device: all unanswered commands are its first ones.
    pub(super) fn renew(&mut self) {
        let client_id = (self.fresh_id)();
        self.commit(Record::Renumbered { client_id, first: 1 });
    }
}
