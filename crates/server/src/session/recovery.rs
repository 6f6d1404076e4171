//! The frames that bring a device up to the head: `WELCOME`, then the delta or the snapshot.
//!
//! All but `WELCOME`, which is short, is compressed for a connection that agreed to that.
//!
//! Pure: from what the store has read to bytes. When they are sent is the session's business.

use bytes::Bytes;
use draftwire_protocol::Timestamp;
use draftwire_protocol::limits::SNAPSHOT_PART_BYTES_MAX;
use draftwire_protocol::reply::{Head, Recovery, SnapshotPart, SnapshotReason, Welcome};
use draftwire_store::{CommittedEvent, Plan, Recovered};
use draftwire_websocket::WindowBits;

use super::Hello;
use crate::compression::frame_for_one;
use crate::delivery::text_frame;
use crate::settings::Settings;

/// What a `SNAPSHOT` frame holds besides documents, at most.
const PART_FRAME_BYTES: usize = 512;

/// All frames of a recovery, `WELCOME` first.
pub fn frames(
    hello: &Hello,
    recovered: &Recovered,
    settings: &Settings,
    now: Timestamp,
) -> Vec<Bytes> {
    let recovery = match recovered.plan {
        Plan::Delta => Recovery::Delta,
        Plan::Snapshot(_) | Plan::Lost(_) => Recovery::Snapshot,
        Plan::Live => Recovery::Live,
    };
    let head = Some(&recovered.head);
    let mut frames =
        vec![welcome(hello, head, recovered.last_mutation_id, recovery, settings, now)];
    frames.extend(events(&recovered.events, hello.compression));
    if let Plan::Snapshot(reason) | Plan::Lost(reason) = recovered.plan {
        push_snapshot(&mut frames, recovered, reason, hello.compression, now);
    }
    frames
}

/// `WELCOME`; in relay mode there is no head.
pub fn welcome(
    hello: &Hello,
    head: Option<&Head>,
    last_mutation_id: u64,
    recovery: Recovery,
    settings: &Settings,
    now: Timestamp,
) -> Bytes {
    let identity = hello.identity.as_ref();
    let welcome = Welcome {
        connection_id: &hello.connection_id,
        user_id: identity.map_or("", |identity| &*identity.user),
        client_id: &hello.client_id,
        head,
        last_mutation_id,
        recovery,
        heartbeat_ms: u64::try_from(settings.heartbeat.as_millis()).unwrap_or(u64::MAX),
        expires_at: identity.map_or(now, |identity| identity.expires_at),
        limits: settings.limits,
    };
    text_frame(&welcome.to_frame(now))
}

/// Events as frames, compressed where the connection agreed to that.
pub fn events(
    events: &[CommittedEvent],
    compression: Option<WindowBits>,
) -> impl Iterator<Item = Bytes> + '_ {
    events.iter().map(move |event| frame_for_one(text_frame(&event.frame), compression))
}

/// Cuts the documents into parts. A part holds at least one document, however large.
fn push_snapshot(
    frames: &mut Vec<Bytes>,
    recovered: &Recovered,
    reason: SnapshotReason,
    compression: Option<WindowBits>,
    now: Timestamp,
) {
    // Each part is compressed before the next is made: no more is in memory than without.
    let frame = |part: &SnapshotPart<'_>| {
        frame_for_one(text_frame(&part.to_frame(&recovered.head, now)), compression)
    };
    let drafts = recovered.drafts.iter().map(|document| (true, document.as_str()));
    let pending = recovered.pending.iter().map(|document| (false, document.as_str()));
    let mut part = SnapshotPart { reason, drafts: Vec::new(), pending: Vec::new(), more: true };
    let mut bytes = PART_FRAME_BYTES;
    for (is_draft, document) in drafts.chain(pending) {
        let empty = part.drafts.is_empty() && part.pending.is_empty();
        if !empty && bytes + document.len() + 1 > SNAPSHOT_PART_BYTES_MAX {
            frames.push(frame(&part));
            part.drafts.clear();
            part.pending.clear();
            bytes = PART_FRAME_BYTES;
        }
        bytes += document.len() + 1;
        let list = if is_draft { &mut part.drafts } else { &mut part.pending };
        list.push(document);
    }
    part.more = false;
    frames.push(frame(&part));
}
