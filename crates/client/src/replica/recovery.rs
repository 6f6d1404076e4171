//! How the documents follow the server's: `WELCOME`, snapshots, events.
//!
//! Owns the position: each event is applied once, in order; a snapshot is swapped in whole. What
//! does not fit leads to a new connection, and the state stays as it was.

use draftwire_protocol::reply::Recovery;
use draftwire_protocol::{Collection, Event, Origin, Position, Timestamp};

use super::incoming::{Part, Welcome};
use super::record::Record;
use super::{Change, Notice, Replica, Session};

/// Bytes of a snapshot that are taken from a server.
const SNAPSHOT_BYTES_MAX: usize = 256 * 1024 * 1024;

impl Replica {
    pub(super) fn welcome(&mut self, welcome: Welcome) -> Notice {
        match &self.user_id {
            Some(user_id) if *user_id != welcome.user_id => return Notice::OtherUser,
            Some(_) => {}
            None => self.commit_device(welcome.user_id),
        }
        let last = welcome.last_mutation_id;
        if last >= self.queue.next {
            self.renew();
            return Notice::Restart("another program has used this clientId");
        }
        if last < self.queue.answered {
            // The server's history was rolled back.
            let client_id = self.client_id.clone();
            self.commit(Record::Renumbered { client_id, first: last + 1 });
        }
        let same_epoch = match (&welcome.head, &self.position) {
            (Some(head), Some(position)) => head.epoch == position.epoch,
            _ => false,
        };
        if welcome.recovery == Recovery::Delta && !same_epoch {
            return Notice::Restart("the server sent a delta to another history");
        }
        let awaited = welcome.recovery == Recovery::Snapshot && welcome.head.is_some();
        self.session = Some(Session {
            limits: welcome.limits,
            head: welcome.head,
            dealt_with: last,
            snapshot: awaited.then(Default::default),
        });
        self.confirm_dealt_with();
        Notice::Welcome { heartbeat: welcome.heartbeat }
    }

    /// At the head of `WELCOME` the documents hold whatever was dealt with until then.
    fn confirm_dealt_with(&mut self) {
        let Some(session) = &self.session else { return };
        let (Some(head), Some(position)) = (&session.head, &self.position) else { return };
        if position.seq < head.seq || session.snapshot.is_some() {
            return;
        }
        let dealt_with = session.dealt_with;
        let waiting = self.queue.entries().take_while(|entry| entry.mutation_id <= dealt_with);
        let numbers = waiting.filter(|entry| !entry.confirmed).map(|entry| entry.mutation_id);
        for number in numbers.collect::<Vec<_>>() {
            self.commit(Record::Confirmed(number));
            // One that was refused shows nothing any more, and no event says so.
            self.news.changes.push(Change::Everything);
        }
    }

    pub(super) fn part(&mut self, part: Part) -> Notice {
        let session = self.session.as_mut();
        let Some((session, head)) =
            session.and_then(|session| session.head.clone().map(|head| (session, head)))
        else {
            return Notice::Restart("a snapshot came on a relay");
        };
        let Some((documents, bytes)) = &mut session.snapshot else {
            return Notice::Restart("a snapshot came that was not announced");
        };
        *bytes += part.bytes;
        documents.extend(part.documents);
        if *bytes > SNAPSHOT_BYTES_MAX || part.seq != head.seq {
            return Notice::Restart("the snapshot is too large, or of another moment");
        }
        if part.more {
            return Notice::Nothing;
        }
        let (documents, _) = session.snapshot.take().unwrap_or_default();
        self.position = Some(Position { at: Some(part.at), ..head });
        self.documents.replace(documents, self.queue.layers());
        self.journal.whole = true;
        self.news.changes.push(Change::Everything);
        self.confirm_dealt_with();
        Notice::Nothing
    }

    pub(super) fn event(
        &mut self,
        seq: u64,
        at: Timestamp,
        event: Event,
        origin: &Origin,
    ) -> Notice {
        let awaits_snapshot =
            self.session.as_ref().is_none_or(|session| session.snapshot.is_some());
        let Some(position) = self.position.clone().filter(|_| !awaits_snapshot) else {
            return Notice::Restart("an event came before the snapshot");
        };
        if seq <= position.seq {
            return Notice::Nothing;
        }
        if seq > position.seq + 1 {
            return Notice::Restart("an event was left out");
        }
        match event {
            Event::Created(collection, document) | Event::Updated(collection, document) => {
                self.commit(Record::Put(collection, document));
            }
            Event::Deleted(collection, id) => self.commit(Record::Gone(collection, id)),
            Event::Converted { draft_id, document } => {
                self.commit(Record::Gone(Collection::Drafts, draft_id));
                self.commit(Record::Put(Collection::Pending, document));
            }
        }
        self.commit(Record::Head(Position { epoch: position.epoch, seq, at: Some(at) }));
        if let Some(number) = self.own(origin) {
            self.commit(Record::Confirmed(number));
        }
        self.confirm_dealt_with();
        Notice::Nothing
    }

    /// The number of the queued command that an event comes from.
    fn own(&self, origin: &Origin) -> Option<u64> {
        let Origin::Device { client_id: Some(client_id), mutation_id: Some(number) } = origin
        else {
            return None;
        };
        let entry = self.queue.get(*number).filter(|_| *client_id == self.client_id)?;
        (!entry.confirmed).then_some(*number)
    }
}
