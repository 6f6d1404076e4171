//! Faults to plant: a rig that was never seen to fail proves nothing.
//!
//! Each is a piece of the source that is replaced by a wrong one, in a copy of the tree, and the
//! check that has to catch it. A test holds every piece to the source, so that none is forgotten
//! when the code changes. `make faults` builds each and runs the simulation until it is caught.

use crate::check::Check;

/// One fault.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Its name.
    pub name: &'static str,
    /// What is wrong then.
    pub what: &'static str,
    /// The file, from the root of the repository.
    pub file: &'static str,
    /// What stands there exactly once.
    pub right: &'static str,
    /// What is put in its place.
    pub wrong: &'static str,
    /// Who has to notice.
    pub caught_by: &'static [Check],
}

const BATCH: &str = "crates/store/src/sqlite/batch.rs";
const SQLITE: &str = "crates/store/src/sqlite/mod.rs";
const ANSWERS: &str = "crates/store/src/sqlite/answers.rs";
const READ: &str = "crates/store/src/sqlite/read.rs";
const DOCUMENTS: &str = "crates/store/src/sqlite/documents.rs";
const LOG: &str = "crates/store/src/sqlite/log.rs";
const RULES: &str = "crates/store/src/rules.rs";
const PLAN: &str = "crates/store/src/recovery.rs";
const COMMITTER: &str = "crates/server/src/committer.rs";
const SESSION: &str = "crates/server/src/session/mod.rs";
const OUTBOX: &str = "crates/server/src/outbox.rs";
const FANOUT: &str = "crates/server/src/worker/fanout.rs";
const CONNECTION: &str = "crates/server/src/worker/connection.rs";
const RECOVERY: &str = "crates/server/src/recovery.rs";
const STATE: &str = "crates/server/src/worker/state.rs";
const MERGE: &str = "crates/protocol/src/json/merge.rs";

/// All of them.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "acknowledged-but-rolled-back",
        what: "one commit in seven is rolled back, and its commands are acknowledged",
        file: BATCH,
        right: "        batch.save()?;\n        transaction.commit()?;\n        Ok(applied)\n    }\n\n    /// Each command",
        wrong: "        batch.save()?;\n        static N: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);\n        if N.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 7 != 6 {\n            transaction.commit()?;\n        }\n        Ok(applied)\n    }\n\n    /// Each command",
        caught_by: &[Check::History, Check::SameEvents, Check::Order, Check::Answered],
    },
    Fault {
        name: "synced-too-late",
        what: "a commit returns before it is synced (`synchronous=NORMAL`)",
        file: SQLITE,
        right: "            Self::PowerCut => \"full\",",
        wrong: "            Self::PowerCut => \"normal\",",
        caught_by: &[Check::History],
    },
    Fault {
        name: "never-synced",
        what: "nothing is synced (`synchronous=OFF`)",
        file: SQLITE,
        right: "            Self::PowerCut => \"full\",",
        wrong: "            Self::PowerCut => \"off\",",
        caught_by: &[Check::History],
    },
    Fault {
        name: "log-not-moved-at-the-start",
        what: "what a killed process wrote and did not sync is taken as committed (no checkpoint at opening)",
        file: SQLITE,
        right: "    connection.query_row(\"PRAGMA wal_checkpoint(TRUNCATE)\", [], |_| Ok(()))?;\n",
        wrong: "",
        caught_by: &[Check::History],
    },
    Fault {
        name: "head-not-saved",
        what: "the row of a user is written only every other time",
        file: BATCH,
        right: "            user.save(self.connection)?;",
        wrong: "            if user.seq % 2 == 0 {\n                user.save(self.connection)?;\n            }",
        caught_by: &[Check::History, Check::SameEvents, Check::Order, Check::Answered],
    },
    Fault {
        name: "lost-mutation-id",
        what: "a device's last number is not written",
        file: ANSWERS,
        right: "        statement.execute(params![self.last, self.id])?;\n        let mut forget",
        wrong: "        statement.execute(params![self.last.saturating_sub(1), self.id])?;\n        let mut forget",
        caught_by: &[Check::Once, Check::LastMutation, Check::History, Check::Answered],
    },
    Fault {
        name: "duplicate-applied-again",
        what: "the last command of a device is applied again when it is sent again",
        file: ANSWERS,
        right: "    if number.mutation_id == last + 1 {\n        return Ok(Due::Next);",
        wrong: "    if number.mutation_id == last + 1 || number.mutation_id == last {\n        return Ok(Due::Next);",
        caught_by: &[Check::Once, Check::Answered, Check::SameAnswer],
    },
    Fault {
        name: "answers-forgotten-too-early",
        what: "one answer fewer is kept than may be asked for",
        file: ANSWERS,
        right: "    last.saturating_sub(limits.device_answers_kept as u64)",
        wrong: "    (last + 1).saturating_sub(limits.device_answers_kept as u64)",
        caught_by: &[Check::SameAnswer],
    },
    Fault {
        name: "numbers-ahead-are-taken",
        what: "a number further ahead than the next is applied",
        file: ANSWERS,
        right: "    if number.mutation_id > last {\n        let mut rejection",
        wrong: "    if number.mutation_id > last {\n        return Ok(Due::Next);\n    }\n    if number.mutation_id > last {\n        let mut rejection",
        caught_by: &[Check::SameAnswer, Check::LastMutation, Check::History],
    },
    Fault {
        name: "resume-off-by-one",
        what: "a delta begins one event too late",
        file: READ,
        right: "                recovered.events = self.events(&user, position.seq, usize::MAX)?;",
        wrong: "                recovered.events = self.events(&user, position.seq + 1, usize::MAX)?;",
        caught_by: &[Check::Order],
    },
    Fault {
        name: "resume-repeats",
        what: "a delta begins with the event that the device has already",
        file: READ,
        right: "                recovered.events = self.events(&user, position.seq, usize::MAX)?;",
        wrong: "                let from = position.seq.saturating_sub(1);\n                recovered.events = self.events(&user, from, usize::MAX)?;",
        caught_by: &[Check::Order],
    },
    Fault {
        name: "trimmed-log-served-as-delta",
        what: "what is left of a trimmed log is sent as if it were all",
        file: PLAN,
        right: "    if seq < log.floor || smaller {",
        wrong: "    if smaller {",
        caught_by: &[Check::Order],
    },
    Fault {
        name: "forked-by-mistake",
        what: "a device whose `at` is right is told that its history was lost",
        file: PLAN,
        right: "(Some(theirs), Some(ours)) if theirs != ours",
        wrong: "(Some(theirs), Some(ours)) if theirs == ours",
        caught_by: &[Check::History],
    },
    Fault {
        name: "snapshot-without-pending",
        what: "a snapshot leaves the last pending order out",
        file: READ,
        right: "                recovered.pending = self.documents(&user, Collection::Pending)?;",
        wrong: "                recovered.pending = self.documents(&user, Collection::Pending)?;\n                recovered.pending.pop();",
        caught_by: &[Check::Snapshot],
    },
    Fault {
        name: "deleted-comes-back",
        what: "the rows of deleted documents stay",
        file: DOCUMENTS,
        right: "            delete.execute(params![row])?;",
        wrong: "            let _ = (&mut delete, row);",
        caught_by: &[Check::Snapshot, Check::Final, Check::Answered, Check::Effect, Check::Refused],
    },
    Fault {
        name: "convert-keeps-the-draft",
        what: "an order is made pending and stays a draft",
        file: DOCUMENTS,
        right: "                self.delete(Collection::Drafts, draft_id)?;",
        wrong: "                let _ = draft_id;",
        caught_by: &[Check::Snapshot, Check::Final, Check::Effect, Check::Refused],
    },
    Fault {
        name: "trimmed-too-far",
        what: "trimming takes an event more than it says",
        file: LOG,
        right: "    user.floor = last;\n",
        wrong: "    connection.execute(\n        \"DELETE FROM events WHERE user = ? AND seq = ?\",\n        params![user.id, last + 1],\n    )?;\n    user.floor = last;\n",
        caught_by: &[Check::Order, Check::Answered, Check::History],
    },
    Fault {
        name: "version-stands-still",
        what: "a change leaves the version as it was",
        file: RULES,
        right: "        let version = old.version + 1;",
        wrong: "        let version = old.version;",
        caught_by: &[Check::Effect],
    },
    Fault {
        name: "condition-ignored",
        what: "`ifVersion` is not looked at",
        file: RULES,
        right: "            Some(Condition::Version(version)) => *version == document.version,",
        wrong: "            Some(Condition::Version(version)) => *version <= document.version,",
        caught_by: &[Check::Effect],
    },
    Fault {
        name: "existing-document-overwritten",
        what: "a create over an existing id is taken",
        file: RULES,
        right: "        let id = id.map_or_else(new_id, str::to_owned);\n        self.check_absent(collection, &id)?;",
        wrong: "        let id = id.map_or_else(new_id, str::to_owned);",
        caught_by: &[Check::Effect],
    },
    Fault {
        name: "null-kept",
        what: "a member that a patch takes away stays, as null",
        file: MERGE,
        right: "            Some(change) if change.is_null() => {}",
        wrong: "            Some(change) if change.is_null() && name.len() > 1 => {}",
        caught_by: &[Check::Effect],
    },
    Fault {
        name: "refused-without-reason",
        what: "now and then a document that is there is not found",
        file: RULES,
        right: "        let document = self.lookup(collection, id)?.ok_or_else(|| {",
        wrong: "        let hidden = self.context.seq % 5 == 0;\n        let document = self.lookup(collection, id)?.filter(|_| !hidden).ok_or_else(|| {",
        caught_by: &[Check::Refused],
    },
    Fault {
        name: "ack-before-event",
        what: "an answer leaves before its event",
        file: COMMITTER,
        right: "        push_answer(&mut deliveries, waiting.reply, applied.answer);\n    }\n    deliveries",
        wrong: "        push_answer(&mut deliveries, waiting.reply, applied.answer);\n        let last = deliveries.len() - 1;\n        if last > 0 {\n            deliveries.swap(last, last - 1);\n        }\n    }\n    deliveries",
        caught_by: &[Check::AckAfterEvent],
    },
    Fault {
        name: "acknowledged-when-the-commit-failed",
        what: "a failed commit is delivered as if nothing had happened",
        file: COMMITTER,
        right: "                refusals(waiting)\n",
        wrong: "                let acknowledged = waiting.into_iter().map(|waiting| {\n                    let outcome = Outcome::Applied { seq: 0, id: Some(\"a\".into()), version: None };\n                    let answer = Answer::of(&outcome, waiting.number, \"\".into(), None);\n                    let mut deliveries = Vec::new();\n                    push_answer(&mut deliveries, waiting.reply, answer);\n                    deliveries\n                });\n                acknowledged.flatten().collect()\n",
        caught_by: &[Check::Acknowledged, Check::SameAnswer, Check::History, Check::Answered],
    },
    Fault {
        name: "answers-not-held",
        what: "answers leave while their events are still being caught up with",
        file: SESSION,
        right: "            Phase::CatchingUp(catch_up) => return catch_up.held.push(frame),\n            Phase::Live => outbox.push(frame),",
        wrong: "            Phase::CatchingUp(_) | Phase::Live => outbox.push(frame),",
        caught_by: &[Check::AckAfterEvent],
    },
    Fault {
        name: "live-too-early",
        what: "what was committed while a device caught up is not read on for",
        file: SESSION,
        right: "        if fanned > self.seq {",
        wrong: "        if fanned > self.seq + 1 {",
        caught_by: &[Check::Order, Check::Answered, Check::AckAfterEvent],
    },
    Fault {
        name: "given-while-catching-up",
        what: "a device that catches up is also given the events that pass",
        file: SESSION,
        right: "            && matches!(self.phase, Phase::Live)\n            && seq > self.seq;",
        wrong: "            && matches!(self.phase, Phase::Live | Phase::CatchingUp(_))\n            && seq > self.seq;",
        caught_by: &[Check::Order],
    },
    Fault {
        name: "given-twice",
        what: "an event that came with the recovery is given again when it passes",
        file: SESSION,
        right: "            && matches!(self.phase, Phase::Live)\n            && seq > self.seq;",
        wrong: "            && matches!(self.phase, Phase::Live);",
        caught_by: &[Check::Order],
    },
    Fault {
        name: "bytes-lost-in-the-outbox",
        what: "after a short write the frame goes on one byte too late",
        file: OUTBOX,
        right: "                self.sent += written;\n                return;",
        wrong: "                self.sent += written + usize::from(left - written > 1);\n                return;",
        caught_by: &[Check::Wire, Check::Order, Check::Answered],
    },
    Fault {
        name: "begun-frame-thrown-away",
        what: "a device that is closed for slowness loses the rest of a frame that was begun",
        file: OUTBOX,
        right: "        if self.sent == 0 {\n            self.front = None;\n        }",
        wrong: "        self.front = None;\n        self.sent = 0;",
        caught_by: &[Check::Wire, Check::Order],
    },
    Fault {
        name: "slow-device-loses-frames",
        what: "what does not fit the outbox is dropped, and the connection goes on",
        file: CONNECTION,
        right: "        self.outbox.clear_unsent();\n        self.session.close(CloseCode::SlowConsumer, &mut self.outbox, desk, now.steady);",
        wrong: "        let _ = now;\n        self.outbox.clear_unsent();",
        caught_by: &[Check::Order, Check::Answered],
    },
    Fault {
        name: "one-device-forgotten",
        what: "the last device of a user is left out of the fan-out",
        file: FANOUT,
        right: "        for &index in &user.connections {\n            let Some(connection) = self.slots.get(index) else { continue };\n            if connection.session.event",
        wrong: "        for &index in user.connections.iter().take(2) {\n            let Some(connection) = self.slots.get(index) else { continue };\n            if connection.session.event",
        caught_by: &[Check::Order, Check::Answered, Check::AckAfterEvent],
    },
    Fault {
        name: "head-of-the-pool-forgotten",
        what: "the last event that passed is not written down",
        file: FANOUT,
        right: "        user.fanned = user.fanned.max(seq);",
        wrong: "        user.fanned = user.fanned.max(seq / 2);",
        caught_by: &[Check::Order, Check::Answered, Check::AckAfterEvent],
    },
    Fault {
        name: "page-skips-an-event",
        what: "after a page of the log the next begins one event too late",
        file: RECOVERY,
        right: "                let last = events.last().ok_or(CloseCode::Internal)?.seq;",
        wrong: "                let last = events.last().ok_or(CloseCode::Internal)?.seq + 1;",
        caught_by: &[Check::Order, Check::Answered, Check::AckAfterEvent],
    },
    Fault {
        name: "deliveries-out-of-order",
        what: "a commit's deliveries are worked off from the end",
        file: STATE,
        right: "            Job::Deliver(deliveries) => self.deliver(deliveries),",
        wrong: "            Job::Deliver(mut deliveries) => {\n                deliveries.reverse();\n                self.deliver(deliveries);\n            }",
        caught_by: &[Check::Order, Check::AckAfterEvent, Check::Answered, Check::SameAnswer],
    },
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::FAULTS;

    /// A fault whose place is gone would be planted no more, and nobody would notice.
    #[test]
    fn every_fault_has_its_place_in_the_source() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut names = Vec::new();
        for fault in FAULTS {
            let source = std::fs::read_to_string(root.join(fault.file)).unwrap();
            assert_eq!(source.matches(fault.right).count(), 1, "{} in {}", fault.name, fault.file);
            names.push(fault.name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAULTS.len(), "a name is a name of one");
    }
}
