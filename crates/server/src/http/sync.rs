//! `GET /api/sync`: what a device has missed, over plain HTTP, waiting for something new.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use draftwire_protocol::Position;
use draftwire_protocol::code::RejectionCode;
use draftwire_protocol::json::object;
use draftwire_protocol::limits::SYNC_WAIT_MILLIS_MAX;
use draftwire_protocol::reply::SnapshotReason;
use draftwire_store::contract::Ask;
use draftwire_store::{Plan, Recovered};
use tokio::time::Instant;

use super::Problem;
use super::answer::large_json;
use super::answer::not_ready;
use super::caller::Caller;
use super::position::Query;
use crate::Realtime;
use crate::clock;

pub(super) fn router(realtime: Realtime) -> Router {
    Router::new().route("/api/sync", get(sync)).with_state(realtime)
}

async fn sync(
    State(realtime): State<Realtime>,
    Caller(who): Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::of(query.as_deref())?;
    let (client_id, position) = (query.client_id()?, query.position()?);
    let wait = query.wait_millis()?.min(SYNC_WAIT_MILLIS_MAX);
    let deadline = Instant::now() + Duration::from_millis(wait);
    let left = who.good_until().as_millis() - clock::wall().as_millis();
    let expiry = Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0));
    let reads = realtime.reads().ok_or_else(|| {
        let detail = "this server relays events and keeps no documents: ask the backend";
        Problem::rejection(RejectionCode::Forbidden, detail)
    })?;
    let seat = realtime.admission().enter(&who.user, None).map_err(|detail| {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_CONNECTIONS", detail)
            .after(realtime.settings().retry_after)
    })?;
    loop {
        if realtime.is_draining() {
            return Err(not_ready(&realtime));
        }
        // Asked for before the log is read, so that nothing can pass between the two.
        let event = realtime.next_event(&who.user);
        let memory = reads.reserve(&who.user).await?;
        let recovered = recover(&realtime, &who.user, client_id.clone(), position.clone()).await?;
        // The token may have ended or been revoked while the call waited.
        realtime.still_good(&who)?;
        let nothing_new = recovered.plan == Plan::Delta && recovered.events.is_empty();
        if nothing_new && Instant::now() < deadline {
            drop(memory);
            // Either way the log is read again: at the deadline for the last time.
            drop(tokio::time::timeout_at(deadline.min(expiry), event).await);
            continue;
        }
        drop(seat);
        return Ok(large_json(answer(&recovered), memory));
    }
}

async fn recover(
    realtime: &Realtime,
    user: &Arc<str>,
    client_id: Option<Arc<str>>,
    position: Option<Position>,
) -> Result<Recovered, Problem> {
    let mut reason: Option<SnapshotReason> = None;
    loop {
        let Some(reads) = realtime.reads() else { return Err(not_ready(realtime)) };
        let (asking, client_id, position) = (Arc::clone(user), client_id.clone(), position.clone());
        let recovered = reads
            .ask(move |store| {
                store.recover(&Ask {
                    user: &asking,
                    client_id: client_id.as_deref(),
                    position: position.as_ref(),
                    live: false,
                    reason,
                })
            })
            .await?;
        let Plan::Lost(why) = recovered.plan else { return Ok(recovered) };
        if !realtime.renew_epoch(Arc::clone(user), recovered.head.epoch).await {
            return Err(not_ready(realtime));
        }
        reason = Some(why);
    }
}

fn answer(recovered: &Recovered) -> String {
    let head = &recovered.head;
    object(|body| {
        body.string("epoch", &head.epoch)
            .integer("seq", head.seq)
            .display("at", head.at.unwrap_or_else(clock::wall))
            .integer("lastMutationId", recovered.last_mutation_id);
        match recovered.plan {
            Plan::Snapshot(reason) | Plan::Lost(reason) => {
                body.object("snapshot", |snapshot| {
                    snapshot
                        .string("reason", reason.name())
                        .array("drafts", recovered.drafts.iter().map(String::as_str))
                        .array("pending", recovered.pending.iter().map(String::as_str));
                });
            }
            Plan::Delta | Plan::Live => {
                let events = recovered.events.iter().map(|event| event.frame.as_str());
                body.array("events", events);
            }
        }
    })
}
