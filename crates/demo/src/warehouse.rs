//! A pretend warehouse: takes a visitor's pending orders through their phases.
//!
//! It works as a backend of the visitor's company would: hears of orders by `GET /api/sync`, reports
//! on them by `POST /api/sync/progress` (shown on `/ws/sync`), and writes the day of shipping into
//! the order itself. Owns no documents: what is deleted is dropped.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::api::{Api, Caller};

/// Phases that an order has reached, and what is done then.
const PHASES: [(&str, &str); 3] =
    [("received", "Picking"), ("picked", "Packing"), ("packed", "Loading the van")];
/// Steps of a phase.
const STEPS: usize = 4;
/// Orders worked on at a time; the others wait.
const HANDS: usize = 4;
/// How long a call waits for something new.
const WAIT_MILLIS: u64 = 25_000;
/// How long to wait after a call that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Works for one visitor until aborted.
pub(crate) async fn work(api: Arc<Api>, user: String, step: Duration) {
    let mut floor = Floor::default();
    let mut steps = tokio::time::interval(step);
    let mut news = std::pin::pin!(next_news(&api, &user, None));
    loop {
        tokio::select! {
            news_now = &mut news => {
                let (position, answer) = news_now;
                let reports = floor.hear(&answer);
                send(&api, &user, reports).await;
                news.set(next_news(&api, &user, Some(position)));
            }
            _ = steps.tick(), if !floor.orders.is_empty() => {
                send(&api, &user, floor.step()).await;
            }
        }
    }
}

/// What has happened since a position, with the position after it.
async fn next_news(api: &Api, user: &str, since: Option<String>) -> (String, Value) {
    let mut path = "/api/sync".to_owned();
    if let Some(since) = since {
        path.push_str(&format!("?{since}&waitMs={WAIT_MILLIS}"));
    }
    loop {
        match api.call(Caller::Visitor(user), Method::GET, &path, None).await {
            Ok(answer) => {
                let epoch = answer["epoch"].as_str().unwrap_or_default();
                return (format!("epoch={epoch}&seq={}", answer["seq"]), answer);
            }
            Err(error) => {
                tracing::debug!(error, "the warehouse hears nothing");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Sends reports; one that fails is made good by the next.
async fn send(api: &Api, user: &str, reports: Vec<Report>) {
    for report in reports {
        let (path, method, body) = report.request(user);
        if let Err(error) = api.call(Caller::Admin, method, &path, Some(body)).await {
            tracing::debug!(error, "a report was not taken");
        }
    }
}

/// What is reported.
#[derive(Debug, PartialEq, Eq)]
enum Report {
    Progress {
        id: String,
        phase: &'static str,
        percent: usize,
        message: String,
    },
    Cancelled {
        id: String,
    },
    Completed {
        id: String,
    },
    /// The order itself says it: who looks later sees no running job any more.
    Shipped {
        id: String,
    },
}

impl Report {
    fn request(self, user: &str) -> (String, Method, Value) {
        let progress = "/api/sync/progress".to_owned();
        match self {
            Self::Progress { id, phase, percent, message } => {
                let body = json!({ "userId": user, "jobId": id, "phase": phase,
                                   "percent": percent, "message": message });
                (progress, Method::POST, body)
            }
            Self::Cancelled { id } => {
                let body = json!({ "userId": user, "jobId": id, "type": "SYNC_FAILED",
                                   "message": "The order was cancelled" });
                (progress, Method::POST, body)
            }
            Self::Completed { id } => {
                let body = json!({ "userId": user, "jobId": id, "type": "SYNC_COMPLETED",
                                   "message": "On its way" });
                (progress, Method::POST, body)
            }
            Self::Shipped { id } => {
                let body = json!({ "shippedAt": draftwire_server::clock::wall().to_string() });
                (format!("/api/users/{user}/pending/{id}"), Method::PATCH, body)
            }
        }
    }
}

/// The orders in the warehouse, oldest first: never more than the visitor may have documents.
#[derive(Debug, Default)]
struct Floor {
    orders: Vec<Order>,
}

#[derive(Debug)]
struct Order {
    id: String,
    lines: usize,
    /// Steps done; none before the first report.
    done: Option<usize>,
}

impl Order {
    /// An order that is still to be shipped.
    fn of(document: &Value) -> Option<Self> {
        let id = document["id"].as_str()?.to_owned();
        let data = &document["data"];
        let lines = data["lines"].as_object().map_or(0, serde_json::Map::len);
        data["shippedAt"].is_null().then_some(Self { id, lines, done: None })
    }

    /// Does the next step and reports it.
    fn step(&mut self) -> Vec<Report> {
        let done = self.done.map_or(0, |done| done + 1);
        self.done = Some(done);
        let id = self.id.clone();
        let Some((phase, doing)) = PHASES.get(done / STEPS) else {
            return vec![Report::Completed { id: id.clone() }, Report::Shipped { id }];
        };
        let message = match *phase {
            "received" => {
                let picked = (done % STEPS + 1) * self.lines / STEPS;
                format!("{doing}: {picked} of {} lines", self.lines)
            }
            _ => (*doing).to_owned(),
        };
        let percent = 100 * done / (STEPS * PHASES.len());
        vec![Report::Progress { id, phase, percent, message }]
    }

    fn is_finished(&self) -> bool {
        self.done.is_some_and(|done| done >= STEPS * PHASES.len())
    }
}

impl Floor {
    /// Takes an answer of `GET /api/sync` in.
    fn hear(&mut self, answer: &Value) -> Vec<Report> {
        if let Some(pending) = answer["snapshot"]["pending"].as_array() {
            let known = |id: &str| pending.iter().any(|document| document["id"] == id);
            self.orders.retain(|order| known(&order.id));
            pending.iter().for_each(|document| self.take(document));
        }
        let events = answer["events"].as_array().map_or(&[][..], Vec::as_slice);
        events.iter().filter_map(|event| self.hear_event(event)).collect()
    }

    fn hear_event(&mut self, event: &Value) -> Option<Report> {
        let payload = &event["payload"];
        match event["type"].as_str()? {
            "DRAFT_CONVERTED" | "PENDING_CREATED" => self.take(&payload["document"]),
            "PENDING_DELETED" => {
                let at = self.orders.iter().position(|order| payload["id"] == *order.id)?;
                return Some(Report::Cancelled { id: self.orders.remove(at).id });
            }
            _ => {}
        }
        None
    }

    fn take(&mut self, document: &Value) {
        let known = |order: &Order| self.orders.iter().any(|other| other.id == order.id);
        if let Some(order) = Order::of(document).filter(|order| !known(order)) {
            self.orders.push(order);
        }
    }

    /// One step of work on the oldest orders.
    fn step(&mut self) -> Vec<Report> {
        let reports = self.orders.iter_mut().take(HANDS).flat_map(Order::step).collect();
        self.orders.retain(|order| !order.is_finished());
        reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(id: &str) -> Value {
        let document = json!({ "id": id, "data": { "lines": { "a": {}, "b": {} } } });
        json!({ "type": "DRAFT_CONVERTED", "payload": { "document": document } })
    }

    fn phases(floor: &mut Floor) -> Vec<(String, usize)> {
        let mut seen = Vec::new();
        while !floor.orders.is_empty() {
            for report in floor.step() {
                seen.push(match report {
                    Report::Progress { phase, percent, .. } => (phase.to_owned(), percent),
                    other => (format!("{other:?}"), 100),
                });
            }
        }
        seen
    }

    #[test]
    fn an_order_goes_through_its_phases_once() {
        let mut floor = Floor::default();
        assert!(floor.hear(&json!({ "events": [converted("x"), converted("x")] })).is_empty());
        let seen = phases(&mut floor);
        assert_eq!(seen.len(), STEPS * PHASES.len() + 2);
        assert_eq!(seen[0], ("received".into(), 0));
        assert_eq!(seen[4], ("picked".into(), 33));
        assert_eq!(seen[8], ("packed".into(), 66));
        assert!(seen[12].0.starts_with("Completed") && seen[13].0.starts_with("Shipped"));
        assert!(seen.is_sorted_by_key(|(_, percent)| *percent));
    }

    #[test]
    fn a_deleted_order_is_dropped_and_a_shipped_one_not_taken() {
        let mut floor = Floor::default();
        let shipped = json!({ "id": "old", "data": { "shippedAt": "2011-01-01T00:00:00Z" } });
        let open = json!({ "id": "new", "data": {} });
        floor.hear(&json!({ "snapshot": { "pending": [shipped, open] } }));
        assert_eq!(floor.orders.len(), 1);
        let deleted = json!({ "type": "PENDING_DELETED", "payload": { "id": "new" } });
        let reports = floor.hear(&json!({ "events": [deleted] }));
        assert_eq!(reports, [Report::Cancelled { id: "new".into() }]);
        floor.hear(&json!({ "events": [converted("x")] }));
        floor.hear(&json!({ "snapshot": { "pending": [] } }));
        assert!(floor.orders.is_empty());
    }

    #[test]
    fn more_orders_than_hands_wait() {
        let mut floor = Floor::default();
        let events: Vec<_> = (0..HANDS + 2).map(|n| converted(&n.to_string())).collect();
        floor.hear(&json!({ "events": events }));
        assert_eq!(floor.step().len(), HANDS);
        assert_eq!(phases(&mut floor).len(), (HANDS + 2) * (STEPS * PHASES.len() + 2) - HANDS);
    }
}
