//! The replica and its journal: beginning, reading back, writing whole.
//!
//! Owns when the whole state is written in the place of all batches before it. Storage keeps the
//! batches; what is in them is read and written only here and in `record`.

use super::documents::Documents;
use super::fields::Malformed;
use super::queue::{Queue, QueueLimits};
use super::record::{self, Record};
use super::{Batch, FreshId, Journal, News, Replica};

/// So many bytes are appended before the whole state is written again …
const APPENDED_BYTES_MIN: usize = 1024 * 1024;
/// … and so many times the bytes of the last whole state.
const APPENDED_FACTOR: usize = 4;

impl Replica {
    /// Reads back what was stored, or begins anew where that is nothing. `client_id` and `user_id`
    /// count where nothing else is stored.
    ///
    /// # Errors
    ///
    /// Where a batch is none of this version's: nothing is known then, so use another storage.
    pub fn restore(
        batches: &[String],
        client_id: Option<String>,
        user_id: Option<String>,
        queue_limits: QueueLimits,
        mut fresh_id: FreshId,
    ) -> Result<Self, Malformed> {
        let is_new = batches.is_empty();
        let wanted = user_id.clone();
        let mut replica = Self {
            client_id: client_id.unwrap_or_else(&mut fresh_id),
            user_id,
            queue: Queue::new(),
            queue_limits,
            next_key: 1,
            documents: Documents::default(),
            rejected: Vec::new(),
            position: None,
            fresh_id,
            session: None,
            journal: Journal { number: 1, stored: 0, whole: is_new, ..Journal::default() },
            news: News::default(),
        };
        for batch in batches {
            replica.journal.appended_bytes += batch.len();
            for record in record::read_batch(batch)? {
                replica.apply(record);
            }
        }
        // What was read is on disk already.
        replica.journal.stored = replica.journal.number;
        replica.journal.number += 1;
        replica.news = News::default();
        if let (None, Some(user_id)) = (&replica.user_id, wanted) {
            replica.commit_device(user_id);
        }
        Ok(replica)
    }

    /// What has to be stored now, if anything. Batches are to be stored in the order in which they
    /// are handed out.
    pub fn take_batch(&mut self) -> Option<Batch> {
        let journal = &self.journal;
        let surplus =
            journal.appended_bytes > APPENDED_BYTES_MIN.max(APPENDED_FACTOR * journal.whole_bytes);
        let whole = journal.whole || (surplus && !journal.records.is_empty());
        if journal.records.is_empty() && !whole {
            return None;
        }
        let records = if whole { self.whole() } else { std::mem::take(&mut self.journal.records) };
        let text = record::batch(&records);
        let journal = &mut self.journal;
        let urgent = journal.urgent == journal.number || whole;
        journal.records.clear();
        journal.whole = false;
        if whole {
            (journal.appended_bytes, journal.whole_bytes) = (0, text.len());
        } else {
            journal.appended_bytes += text.len();
        }
        let number = journal.number;
        journal.number += 1;
        Some(Batch { number, text, urgent, whole, keys_below: self.next_key })
    }

    /// A batch is stored: what it holds may be sent.
    pub fn stored(&mut self, number: u64) {
        self.journal.stored = self.journal.stored.max(number);
    }

    /// The records that make up the present state.
    fn whole(&self) -> Vec<String> {
        let mut records = vec![Record::Device {
            client_id: self.client_id.clone(),
            user_id: self.user_id.clone(),
            answered: self.queue.answered,
            next: self.queue.next,
            key: self.next_key,
        }];
        records.extend(self.position.clone().map(Record::Head));
        let documents = self.documents.server();
        records.extend(documents.map(|(of, document)| Record::Put(of, document.clone())));
        for entry in self.queue.entries() {
            let (key, mutation_id) = (entry.key, entry.mutation_id);
            records.push(Record::Queued { key, mutation_id, command: entry.command.clone() });
            records.extend(entry.confirmed.then_some(Record::Confirmed(mutation_id)));
        }
        records.extend(self.rejected.iter().cloned().map(|change| Record::Rejected {
            key: change.key,
            command: change.command,
            rejection: change.rejection,
        }));
        records.iter().map(Record::to_json).collect()
    }
}
