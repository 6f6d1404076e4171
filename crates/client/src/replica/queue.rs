//! The commands that the server has not answered, in order, and what may be sent of them now.
//!
//! Owns the numbers (`mutationId`) and the rules of `docs/protocol.md`, *Retrying*: a window of
//! commands in flight, waiting where the server asks for it, numbering anew, finding out which
//! command was too big. It never looks at documents and never reads a clock.

use std::collections::VecDeque;
use std::time::Duration;

use draftwire_protocol::reply::Rejection;
use draftwire_protocol::{Command, Limits, RejectionCode};

use super::WriteError;
use super::outgoing;

/// Bytes that a command weighs besides its documents.
const COMMAND_BYTES: usize = 256;
/// How long to wait where the server says "later" but not when.
const LATER: Duration = Duration::from_secs(1);

/// How much may wait for answers.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Commands.
    pub commands_max: usize,
    /// Bytes of their documents and patches (256 more are counted for each command).
    pub bytes_max: usize,
    /// Refused commands that are kept for the user; of more the oldest are dropped.
    pub rejected_max: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { commands_max: 10_000, bytes_max: 64 * 1024 * 1024, rejected_max: 1_000 }
    }
}

/// One command.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name inside this client: never changes, never comes back.
    pub(super) key: u64,
    pub(super) mutation_id: u64,
    pub(super) command: Command,
    /// The server's documents hold its effect: it shows no layer any more.
    pub(super) confirmed: bool,
    /// It was sent on this connection and is not answered.
    sent: bool,
}

/// Why nothing is sent for a while.
#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Duration,
    /// A new `clientId` is due as soon as all that is in flight is answered.
    renew: bool,
}

/// What follows from an answer, or from its absence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Go,
    /// The connection has to be made anew: the server expects another number.
    Reconnect,
}

/// What to send.
pub(super) enum Sendable {
    Frame(String),
    /// This command is larger than any frame may be.
    TooBig(u64),
}

#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    in_flight: usize,
    /// The last number that was answered.
    pub(super) answered: u64,
    /// The next number.
    pub(super) next: u64,
    pause: Option<Pause>,
    /// Up to this number one command is sent at a time: one of them closes the connection.
    one_by_one_to: u64,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            in_flight: 0,
            answered: 0,
            next: 1,
            pause: None,
            one_by_one_to: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The commands that show a layer.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Command> + Clone {
        self.entries.iter().filter(|entry| !entry.confirmed).map(|entry| &entry.command)
    }

    /// Whether there is room for one more.
    pub(super) fn admit(&self, command: &Command, limits: &QueueLimits) -> Result<(), WriteError> {
        let bytes = self.bytes + weight(command);
        if self.entries.len() >= limits.commands_max || bytes > limits.bytes_max {
            return Err(WriteError::QueueFull);
        }
        Ok(())
    }

    pub(super) fn push(&mut self, key: u64, mutation_id: u64, command: Command) {
        self.bytes += weight(&command);
        self.next = self.next.max(mutation_id + 1);
        let entry = Entry { key, mutation_id, command, confirmed: false, sent: false };
        self.entries.push_back(entry);
    }

    fn place(&self, mutation_id: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&mutation_id, |entry| entry.mutation_id).ok()
    }

    pub(super) fn get(&self, mutation_id: u64) -> Option<&Entry> {
        self.place(mutation_id).map(|place| &self.entries[place])
    }

    /// The command with this number, if it was sent on this connection and is not answered.
    pub(super) fn in_flight(&self, mutation_id: u64) -> Option<&Entry> {
        self.get(mutation_id).filter(|entry| entry.sent)
    }

    /// Marks a command whose effect the server's documents hold; it, if it was not marked before.
    pub(super) fn confirm(&mut self, mutation_id: u64) -> Option<&Command> {
        let place = self.place(mutation_id)?;
        let entry = &mut self.entries[place];
        let is_new = !std::mem::replace(&mut entry.confirmed, true);
        is_new.then_some(&entry.command)
    }

    /// Takes out a command that was answered.
    pub(super) fn remove(&mut self, mutation_id: u64) -> Option<Entry> {
        self.answered = self.answered.max(mutation_id);
        let entry = self.entries.remove(self.place(mutation_id)?)?;
        self.bytes -= weight(&entry.command);
        self.in_flight -= usize::from(entry.sent);
        Some(entry)
    }

    /// Puts a `SKIP` in a command's place; the command.
    pub(super) fn skip(&mut self, mutation_id: u64) -> Option<Command> {
        let place = self.place(mutation_id)?;
        let entry = &mut self.entries[place];
        self.in_flight -= usize::from(std::mem::take(&mut entry.sent));
        let command = std::mem::replace(&mut entry.command, Command::Skip);
        self.bytes = self.bytes + weight(&Command::Skip) - weight(&command);
        Some(command)
    }

    /// Numbers all commands anew.
    pub(super) fn renumber(&mut self, first: u64) {
        self.disconnected();
        self.answered = first - 1;
        self.next = first;
        self.one_by_one_to = 0;
        for entry in &mut self.entries {
            entry.mutation_id = self.next;
            self.next += 1;
        }
    }

    /// Nothing is in flight any more.
    pub(super) fn disconnected(&mut self) {
        self.in_flight = 0;
        self.pause = None;
        for entry in &mut self.entries {
            entry.sent = false;
        }
    }

    /// One of the commands in flight can't be taken by the server. It, if it is certain which;
    /// otherwise they are sent one by one on the next connection.
    pub(super) fn suspect(&mut self) -> Option<u64> {
        let mut sent = self.entries.iter().filter(|entry| entry.sent);
        let (first, last) = (sent.next(), sent.next_back());
        match (first, last) {
            (Some(only), None) => Some(only.mutation_id),
            (_, Some(last)) => {
                self.one_by_one_to = last.mutation_id;
                None
            }
            (None, None) => None,
        }
    }

    /// The server wants a command later, or under another number.
    pub(super) fn postponed(
        &mut self,
        mutation_id: u64,
        rejection: &Rejection,
        now: Duration,
    ) -> Next {
        let Some(place) = self.place(mutation_id) else { return Next::Go };
        let entry = &mut self.entries[place];
        self.in_flight -= usize::from(std::mem::take(&mut entry.sent));
        let wait = match rejection.code {
            RejectionCode::OutOfOrder | RejectionCode::MutationReused => Duration::ZERO,
            _ => rejection.retry_after_ms.map_or(LATER, Duration::from_millis),
        };
        let pause = self.pause.get_or_insert(Pause { until: now, renew: false });
        pause.until = pause.until.max(now + wait);
        pause.renew |= rejection.code == RejectionCode::MutationReused;
        // Later ones are out of order because an earlier one is; the first has no such excuse.
        let first_is_due = rejection.expected == self.entries.front().map(|e| e.mutation_id);
        if rejection.code == RejectionCode::OutOfOrder && place == 0 && !first_is_due {
            return Next::Reconnect;
        }
        Next::Go
    }

    /// True once, when a new `clientId` is due.
    pub(super) fn must_renew(&mut self) -> bool {
        let due = self.in_flight == 0 && self.pause.is_some_and(|pause| pause.renew);
        if due {
            self.pause = None;
        }
        due
    }

    /// The next frame, if one may leave now; it then counts as sent.
    pub(super) fn send(&mut self, limits: &Limits, now: Duration) -> Option<Sendable> {
        if let Some(pause) = self.pause {
            if self.in_flight > 0 || pause.renew || now < pause.until {
                return None;
            }
            self.pause = None;
        }
        let oldest = self.entries.front()?.mutation_id;
        let window = if oldest <= self.one_by_one_to { 1 } else { limits.in_flight };
        if self.in_flight >= window {
            return None;
        }
        // What was sent stands in front of what was not.
        let entry = self.entries.get_mut(self.in_flight)?;
        if entry.sent {
            return None;
        }
        let frame = outgoing::frame(&entry.command, entry.mutation_id);
        if frame.len() > limits.frame_bytes {
            return Some(Sendable::TooBig(entry.mutation_id));
        }
        entry.sent = true;
        self.in_flight += 1;
        Some(Sendable::Frame(frame))
    }

    /// When [`Queue::send`] is worth asking again though nothing has happened.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.pause.filter(|pause| self.in_flight == 0 && !pause.renew).map(|pause| pause.until)
    }
}

fn weight(command: &Command) -> usize {
    COMMAND_BYTES + command.weight_bytes()
}
