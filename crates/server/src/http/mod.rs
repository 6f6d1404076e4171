//! Routes: WebSocket handshakes and plain HTTP, in pieces that nest in any axum application.
//!
//! Knows tokens, parameters and statuses; never how documents are kept or connections carried.
//! Every error is `application/problem+json` (RFC 9457).
//!
//! | file | owns |
//! |---|---|
//! | `serve` | the accept loop with its time limits |
//! | `front_door` | handshakes on the server's own listener |
//! | `handshake` | `GET /ws/realtime`, `GET /ws/sync`, the echo |
//! | `position` | the query parameters that say where a device stands |
//! | `caller` | who calls: bearer tokens, admin |
//! | `documents` | `/api/drafts`, `/api/pending`, also on a user's behalf |
//! | `entity_tag` | `ETag`, `If-Match`, `If-None-Match` |
//! | `commands` | `POST /api/commands` |
//! | `sync` | `GET /api/sync` |
//! | `admin` | publish, connections, revoke, statistics |
//! | `progress` | `POST /api/sync/progress` |
//! | `operations` | session, `/healthz`, `/readyz` |
//! | `answer` | answers that several routes give |
//! | `body` | reading bodies within bounds of size and time |
//! | `problem` | errors |

mod address;
mod admin;
mod answer;
mod body;
mod caller;
mod commands;
mod documents;
mod entity_tag;
mod front_door;
mod handshake;
mod operations;
mod position;
mod problem;
mod progress;
mod serve;
mod sync;

use axum::Router;
use axum::http::{HeaderName, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::Realtime;

pub use problem::Problem;
pub use serve::{serve, serve_alone, serve_echo};

/// The path of the real-time endpoint.
pub const REALTIME_PATH: &str = "/ws/realtime";
/// The path of one-way progress.
pub const PROGRESS_PATH: &str = "/ws/sync";

/// Everything: what the binary serves.
pub fn router(realtime: Realtime) -> Router {
    Router::new()
        .merge(realtime_router(realtime.clone()))
        .merge(progress_router(realtime.clone()))
        .merge(documents_router(realtime.clone()))
        .merge(admin_router(realtime.clone()))
        .merge(operations_router(realtime))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
}

/// `GET /ws/realtime`.
pub fn realtime_router(realtime: Realtime) -> Router {
    handshake::realtime(realtime)
}

/// `GET /ws/sync` and `POST /api/sync/progress`, for applications without a `/ws/sync` of their
/// own.
pub fn progress_router(realtime: Realtime) -> Router {
    let cors = cors(&realtime);
    let feed = callable(progress::router(realtime.clone()), cors);
    handshake::progress(realtime).merge(feed)
}

/// Documents, commands and sync over plain HTTP, and `GET /api/session`.
pub fn documents_router(realtime: Realtime) -> Router {
    let cors = cors(&realtime);
    let routes = documents::router(realtime.clone())
        .merge(commands::router(realtime.clone()))
        .merge(sync::router(realtime.clone()))
        .merge(operations::session(realtime));
    callable(routes, cors)
}

/// Publishing, connections, revocation, statistics.
pub fn admin_router(realtime: Realtime) -> Router {
    let cors = cors(&realtime);
    callable(admin::router(realtime), cors)
}

/// `/healthz` and `/readyz`, for applications without their own.
pub fn operations_router(realtime: Realtime) -> Router {
    operations::health(realtime)
}

/// Routes that pages of other origins may call. What a path does not know is answered below the
/// layer that answers preflights, or it would answer those as well.
fn callable(routes: Router, cors: CorsLayer) -> Router {
    routes.method_not_allowed_fallback(problem::method_not_allowed).layer(cors)
}

/// Cross-origin calls (CORS): the same allow-list as for WebSocket origins.
fn cors(realtime: &Realtime) -> CorsLayer {
    let origins = realtime.settings().origins.clone();
    let allowed = AllowOrigin::predicate(move |origin, request| {
        let host = handshake::host_of(&request.headers, &request.uri);
        origin.to_str().is_ok_and(|origin| origins.allows(origin, host))
    });
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER, header::LOCATION, header::DATE])
        .max_age(std::time::Duration::from_secs(600))
}
