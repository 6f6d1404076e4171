//! Applying a batch of commands in one commit.
//!
//! Rows of users, devices and documents are read once and written once per batch. Where a statement
//! fails that concerns one command only, the batch is rolled back and done again with a savepoint
//! around each command: the one that fails does not take the others with it, and the many batches
//! in which none does pay nothing for it.

use std::collections::HashMap;
use std::sync::Arc;

use draftwire_protocol::code::RejectionCode;
use draftwire_protocol::reply::{Outcome, Rejection};
use draftwire_protocol::{Document, Event, Origin, Timestamp};
use rusqlite::{Connection, TransactionBehavior};

use super::answers::{self, Device, Due};
use super::documents::Documents;
use super::error::{Failure, Result};
use super::log;
use super::user::User;
use crate::contract::{Answer, Applied, Author, CommittedEvent, Submission};
use crate::limits::StoreLimits;
use crate::rules::{Context, Decision, Usage, decide};

/// See [`crate::Store::apply`].
pub(super) fn apply(
    connection: &mut Connection,
    limits: &StoreLimits,
    store_epoch: &Arc<str>,
    submissions: &[Submission],
    now: Timestamp,
) -> Result<Vec<Applied>> {
    let desk = Desk { limits, store_epoch, now };
    match desk.apply_together(connection, submissions) {
        Err(failure) if failure.concerns_one_command() => {
            tracing::warn!(?failure, "a batch failed over one command and is done one by one");
            desk.apply_each(connection, submissions)
        }
        other => other,
    }
}

/// What is the same for a whole batch.
#[derive(Clone, Copy)]
struct Desk<'a> {
    limits: &'a StoreLimits,
    store_epoch: &'a Arc<str>,
    now: Timestamp,
}

impl Desk<'_> {
    fn apply_together(
        self,
        connection: &mut Connection,
        submissions: &[Submission],
    ) -> Result<Vec<Applied>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut batch = Batch::new(self, &transaction);
        let mut applied = Vec::with_capacity(submissions.len());
        for submission in submissions {
            applied.push(batch.apply(submission)?);
        }
        batch.save()?;
        transaction.commit()?;
        Ok(applied)
    }

    /// Each command in a savepoint of its own, with nothing carried over in memory.
    fn apply_each(
        self,
        connection: &mut Connection,
        submissions: &[Submission],
    ) -> Result<Vec<Applied>> {
        let mut transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut applied = Vec::with_capacity(submissions.len());
        for submission in submissions {
            let savepoint = transaction.savepoint()?;
            let mut batch = Batch::new(self, &savepoint);
            let outcome = batch.apply(submission).and_then(|applied| {
                batch.save()?;
                Ok(applied)
            });
            match outcome {
                Ok(one) => {
                    savepoint.commit()?;
                    applied.push(one);
                }
                Err(failure) if failure.concerns_one_command() => {
                    savepoint.finish()?;
                    applied.push(self.given_up(submission, &failure));
                }
                Err(failure) => return Err(failure),
            }
        }
        transaction.commit()?;
        Ok(applied)
    }

    /// A statement failed that should not have: the command is not used up, and may be retried.
    fn given_up(self, submission: &Submission, failure: &Failure) -> Applied {
        tracing::error!(?failure, "a command failed in the store and was rolled back alone");
        let rejection =
            Rejection::new(RejectionCode::Unavailable, "the store failed on this command");
        let number = submission.number.map(|number| number.mutation_id);
        let outcome = Outcome::Rejected(rejection);
        let answer = Answer::of(&outcome, number, Arc::clone(self.store_epoch), None);
        Applied { answer, event: None }
    }
}

type DeviceKey = (Arc<str>, Arc<str>);

struct Batch<'a> {
    desk: Desk<'a>,
    connection: &'a Connection,
    users: HashMap<Arc<str>, User>,
    devices: HashMap<DeviceKey, Device>,
    documents: Documents,
}

impl<'a> Batch<'a> {
    fn new(desk: Desk<'a>, connection: &'a Connection) -> Self {
        Self {
            desk,
            connection,
            users: HashMap::new(),
            devices: HashMap::new(),
            documents: Documents::default(),
        }
    }

    fn apply(&mut self, submission: &Submission) -> Result<Applied> {
        let mut user = self.take_user(&submission.user)?;
        let applied = self.apply_for(&mut user, submission, device_key(submission).as_ref());
        self.users.insert(Arc::clone(&submission.user), user);
        if self.documents.is_full() {
            self.documents.save(self.connection)?;
        }
        applied
    }

    fn take_user(&mut self, name: &Arc<str>) -> Result<User> {
        match self.users.remove(name) {
            Some(user) => Ok(user),
            None => User::find_or_make(self.connection, name, self.desk.store_epoch),
        }
    }

    fn apply_for(
        &mut self,
        user: &mut User,
        submission: &Submission,
        device_key: Option<&DeviceKey>,
    ) -> Result<Applied> {
        if let Some(answer) = self.answered_before(user, submission, device_key)? {
            return Ok(Applied { answer, event: None });
        }
        let (outcome, event, document) = self.carry_out(user, submission)?;
        let mutation_id = submission.number.map(|number| number.mutation_id);
        let answer = Answer::of(&outcome, mutation_id, Arc::clone(&user.epoch), document);
        if let (Some(number), Some(key)) = (submission.number, device_key) {
            let mut device = match self.devices.get(key) {
                Some(device) => *device,
                None => Device::make(self.connection, user, &key.1)?,
            };
            device.keep(self.connection, number, &outcome, &answer)?;
            self.devices.insert(key.clone(), device);
        }
        if let Some(key) = &submission.idempotency {
            answers::keep_under_key(self.connection, user, key, &answer, self.desk.now)?;
        }
        Ok(Applied { answer, event })
    }

    /// The answer, where the command need not or must not be carried out.
    fn answered_before(
        &mut self,
        user: &User,
        submission: &Submission,
        device_key: Option<&DeviceKey>,
    ) -> Result<Option<Answer>> {
        if let (Some(number), Some(key)) = (submission.number, device_key) {
            let device = self.find_device(user, key)?;
            let due = answers::due(
                self.connection,
                device.as_ref(),
                number,
                &user.epoch,
                self.desk.limits,
            )?;
            if let Due::Answered(answer) = due {
                return Ok(Some(answer));
            }
            if device.is_none() && user.devices >= self.desk.limits.user_devices_max {
                return Ok(Some(self.quota(user, submission, "devices")));
            }
        }
        if let Some(key) = &submission.idempotency {
            let age =
                i64::try_from(self.desk.limits.idempotency_age.as_millis()).unwrap_or(i64::MAX);
            let oldest = self.desk.now.as_millis().saturating_sub(age);
            let answer = answers::answer_under_key(self.connection, user, key, oldest)?;
            if answer.is_some() {
                return Ok(answer);
            }
            if user.keys >= self.desk.limits.user_idempotency_keys_max {
                return Ok(Some(self.quota(user, submission, "Idempotency-Keys of the last day")));
            }
        }
        Ok(None)
    }

    fn find_device(&mut self, user: &User, key: &DeviceKey) -> Result<Option<Device>> {
        if let Some(device) = self.devices.get(key) {
            return Ok(Some(*device));
        }
        let device = Device::find(self.connection, user.id, &key.1)?;
        if let Some(device) = device {
            self.devices.insert(key.clone(), device);
        }
        Ok(device)
    }

    /// There is no room to remember this command's number, so it is not used up.
    fn quota(&self, user: &User, submission: &Submission, what: &str) -> Answer {
        let message = format!("this user has as many {what} as are allowed");
        let outcome = Outcome::Rejected(Rejection::new(RejectionCode::Quota, message));
        let number = submission.number.map(|number| number.mutation_id);
        Answer::of(&outcome, number, Arc::clone(&user.epoch), None)
    }

    fn carry_out(
        &mut self,
        user: &mut User,
        submission: &Submission,
    ) -> Result<(Outcome, Option<CommittedEvent>, Option<String>)> {
        let context = Context {
            now: self.desk.now,
            seq: user.seq + 1,
            epoch: &user.epoch,
            usage: user.usage,
            limits: self.desk.limits,
        };
        let mut documents = self.documents.of(self.connection, user.id);
        match decide(&submission.command, &context, &mut documents)? {
            Decision::Reject(rejection) => Ok((Outcome::Rejected(rejection), None, None)),
            Decision::Nothing => {
                Ok((Outcome::Applied { seq: user.seq, id: None, version: None }, None, None))
            }
            Decision::Change(event, usage) => {
                documents.write(&event)?;
                let committed = self.log(user, usage, &event, &submission_origin(submission))?;
                let document = event.document();
                let outcome = Outcome::Applied {
                    seq: committed.seq,
                    id: Some(document_id(&event).to_owned()),
                    version: document.map(|document| document.version),
                };
                let wanted = document.filter(|_| submission.wants_document);
                Ok((outcome, Some(committed), wanted.map(Document::to_json)))
            }
        }
    }

    fn log(
        &self,
        user: &mut User,
        usage: Usage,
        event: &Event,
        origin: &Origin,
    ) -> Result<CommittedEvent> {
        let seq = user.seq + 1;
        let frame = event.to_frame(seq, self.desk.now, origin);
        log::append(self.connection, user, &frame, self.desk.now)?;
        user.usage = usage;
        Ok(CommittedEvent { seq, frame })
    }

    fn save(&mut self) -> Result<()> {
        self.documents.save(self.connection)?;
        for user in self.users.values_mut() {
            log::trim(self.connection, user, self.desk.limits)?;
            user.save(self.connection)?;
        }
        for device in self.devices.values() {
            device.save(self.connection, self.desk.limits)?;
        }
        Ok(())
    }
}

/// The device whose number the command carries.
fn device_key(submission: &Submission) -> Option<DeviceKey> {
    match (&submission.author, submission.number) {
        (Author::Device(Some(client_id)), Some(_)) => {
            Some((Arc::clone(&submission.user), Arc::clone(client_id)))
        }
        _ => None,
    }
}

fn submission_origin(submission: &Submission) -> Origin {
    match &submission.author {
        Author::Service(name) => Origin::Service(name.to_string()),
        Author::Device(client_id) => Origin::Device {
            client_id: client_id.as_deref().map(str::to_owned),
            mutation_id: submission.number.map(|number| number.mutation_id),
        },
    }
}

fn document_id(event: &Event) -> &str {
    match event {
        Event::Deleted(_, id) => id,
        Event::Created(_, document)
        | Event::Updated(_, document)
        | Event::Converted { document, .. } => &document.id,
    }
}
