//! Who visits: made-up users, each with a warehouse of his own, so that nobody disturbs another.
//!
//! Owns `GET /demo/token` and its bounds: so many visitors at a time, so many in all, and what a
//! visitor has left behind is removed when he was away for an hour. Tokens for other users, or for
//! an administrator, do not leave this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use draftwire_server::Realtime;
use serde::Deserialize;
use tokio::task::AbortHandle;

use crate::api::{Api, Caller};
use crate::warehouse;

/// Visitors at a time.
const VISITORS_MAX: usize = 100;
/// Names that one process gives tokens to: an empty user still is a name in the store.
const NAMES_MAX: usize = 2_000;
/// A token's life: short enough that a visitor who stays sees it renewed without noticing.
const TOKEN_TTL: Duration = Duration::from_secs(15 * 60);
/// Absence after which a visitor is forgotten.
const ABSENCE_MAX: Duration = Duration::from_secs(3600);
/// How often absence is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The visitors. A clone is the same ones.
#[derive(Clone)]
pub(crate) struct Visitors {
    inner: Arc<Inner>,
}

struct Inner {
    realtime: Realtime,
    api: Arc<Api>,
    step: Duration,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    present: HashMap<String, Visitor>,
    names: usize,
}

struct Visitor {
    seen: Instant,
    warehouse: AbortHandle,
}

/// `GET /demo/token?user=…`.
pub(crate) fn router(visitors: Visitors) -> Router {
    Router::new().route("/demo/token", get(token)).with_state(visitors)
}

#[derive(Deserialize)]
struct Asked {
    user: String,
}

async fn token(State(visitors): State<Visitors>, Query(asked): Query<Asked>) -> Response {
    if !is_visitor(&asked.user) {
        let rule = "a visitor's name is demo- and 8 to 32 of a-z and 0-9";
        return (StatusCode::BAD_REQUEST, rule).into_response();
    }
    if !visitors.welcome(&asked.user) {
        let full = "too many visitors: come back in an hour, or start a demo of your own";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "600")], full)
            .into_response();
    }
    match visitors.inner.api.token(&asked.user, TOKEN_TTL) {
        Ok(token) => ([(header::CACHE_CONTROL, "no-store")], token).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
    }
}

fn is_visitor(user: &str) -> bool {
    user.strip_prefix("demo-").is_some_and(|name| {
        (8..=32).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

impl Visitors {
    pub(crate) fn new(realtime: Realtime, api: Api, step: Duration) -> Self {
        let (api, table) = (Arc::new(api), Mutex::default());
        Self { inner: Arc::new(Inner { realtime, api, step, table }) }
    }

    /// Notes that a visitor is here, and opens his warehouse. False where there is no room.
    fn welcome(&self, user: &str) -> bool {
        let Inner { api, step, table, .. } = &*self.inner;
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(visitor) = table.present.get_mut(user) {
            visitor.seen = Instant::now();
            return true;
        }
        if table.present.len() >= VISITORS_MAX || table.names >= NAMES_MAX {
            return false;
        }
        let work = warehouse::work(Arc::clone(api), user.to_owned(), *step);
        let warehouse = tokio::spawn(work).abort_handle();
        table.present.insert(user.to_owned(), Visitor { seen: Instant::now(), warehouse });
        table.names += 1;
        true
    }

    /// Forgets visitors who were away too long, for as long as the process lives.
    pub(crate) async fn sweep(self) {
        let mut interval = tokio::time::interval(SWEEP_EVERY);
        loop {
            interval.tick().await;
            self.forget_absent(ABSENCE_MAX).await;
        }
    }

    async fn forget_absent(&self, absence_max: Duration) {
        let names: Vec<String> = self.locked(|table| table.present.keys().cloned().collect());
        for user in names {
            let connected = !self.inner.realtime.connections(&user).await.is_empty();
            let gone = self.locked(|table| {
                let visitor = table.present.get_mut(&user)?;
                if connected {
                    visitor.seen = Instant::now();
                }
                if visitor.seen.elapsed() < absence_max {
                    return None;
                }
                table.present.remove(&user)
            });
            if let Some(visitor) = gone {
                visitor.warehouse.abort();
                if let Err(error) = self.remove_documents(&user).await {
                    tracing::warn!(error, "a visitor's documents could not be removed");
                }
            }
        }
    }

    fn locked<T>(&self, look: impl FnOnce(&mut Table) -> T) -> T {
        look(&mut self.inner.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn remove_documents(&self, user: &str) -> Result<(), String> {
        let api = &self.inner.api;
        for collection in ["drafts", "pending"] {
            let path = format!("/api/users/{user}/{collection}");
            let listed = api.call(Caller::Admin, Method::GET, &path, None).await?;
            let items = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
            for id in items.iter().filter_map(|item| item["id"].as_str()) {
                api.call(Caller::Admin, Method::DELETE, &format!("{path}/{id}"), None).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use draftwire_server::auth::{ClaimRules, Hs256};
    use draftwire_server::{Settings, http};
    use serde_json::json;
    use tower::ServiceExt;

    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn visitors(folder: &tempfile::TempDir) -> Visitors {
        let key = || Hs256::new(&SECRET, ClaimRules::default()).unwrap();
        let realtime = Realtime::builder(Settings::default(), key()).sqlite(folder.path());
        let realtime = realtime.start().unwrap();
        let api = Api::new(http::router(realtime.clone()), key());
        Visitors::new(realtime, api, Duration::from_millis(10))
    }

    async fn ask(visitors: &Visitors, user: &str) -> StatusCode {
        let request = Request::get(format!("/demo/token?user={user}")).body(Body::empty());
        router(visitors.clone()).oneshot(request.unwrap()).await.unwrap().status()
    }

    async fn listed(visitors: &Visitors, path: &str) -> Vec<serde_json::Value> {
        let api = &visitors.inner.api;
        for _ in 0..500 {
            // The store opens in a thread of its own.
            if let Ok(listed) = api.call(Caller::Admin, Method::GET, path, None).await {
                return listed["items"].as_array().unwrap().clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the store did not open");
    }

    #[tokio::test]
    async fn only_visitors_get_tokens_and_only_so_many() {
        let folder = tempfile::tempdir().unwrap();
        let visitors = visitors(&folder);
        for user in ["", "ann", "demo-", "demo-short", "demo-UPPERCASE", "demo-abcdefg%00h"] {
            assert_eq!(ask(&visitors, user).await, StatusCode::BAD_REQUEST, "{user}");
        }
        for n in 0..VISITORS_MAX {
            assert_eq!(ask(&visitors, &format!("demo-{n:08}")).await, StatusCode::OK);
        }
        assert_eq!(ask(&visitors, "demo-00000000").await, StatusCode::OK, "is here already");
        assert_eq!(ask(&visitors, "demo-99999999").await, StatusCode::SERVICE_UNAVAILABLE);
        visitors.forget_absent(Duration::ZERO).await;
        assert_eq!(ask(&visitors, "demo-99999999").await, StatusCode::OK);
    }

    #[tokio::test]
    async fn an_order_is_shipped_and_what_an_absent_visitor_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let visitors = visitors(&folder);
        assert_eq!(ask(&visitors, "demo-abcdefgh").await, StatusCode::OK);
        assert!(listed(&visitors, "/api/users/demo-abcdefgh/drafts").await.is_empty());
        let order = json!({ "id": "a", "data": { "lines": { "l1": {} } } });
        let ann = Caller::Visitor("demo-abcdefgh");
        let api = &visitors.inner.api;
        api.call(ann, Method::POST, "/api/drafts", Some(order)).await.unwrap();
        api.call(ann, Method::POST, "/api/drafts/a/convert", None).await.unwrap();
        let shipped = async {
            loop {
                let pending = listed(&visitors, "/api/users/demo-abcdefgh/pending").await;
                if pending[0]["data"]["shippedAt"].is_string() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), shipped).await.unwrap();
        visitors.forget_absent(Duration::ZERO).await;
        assert!(listed(&visitors, "/api/users/demo-abcdefgh/pending").await.is_empty());
    }
}
