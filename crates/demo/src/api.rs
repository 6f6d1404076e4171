//! Calls of draftwire's own routes, in this process: what a backend would do over HTTP.
//!
//! Owns the demo's tokens; never touches the server's insides.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use draftwire_server::auth::Hs256;
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Bytes of an answer: well over what a visitor may keep.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A call's own token need not outlive the longest wait.
const CALL_TOKEN_TTL: Duration = Duration::from_secs(120);

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller<'a> {
    /// The backend.
    Admin,
    /// The visitor himself.
    Visitor(&'a str),
}

/// The routes, and the key that opens them.
pub(crate) struct Api {
    router: Router,
    signer: Hs256,
}

impl Api {
    pub(crate) fn new(router: Router, signer: Hs256) -> Self {
        Self { router, signer }
    }

    /// A visitor's token.
    pub(crate) fn token(&self, user: &str, ttl: Duration) -> Result<String, String> {
        self.sign(Caller::Visitor(user), ttl)
    }

    fn sign(&self, caller: Caller<'_>, ttl: Duration) -> Result<String, String> {
        let now = draftwire_server::clock::wall().as_millis() / 1000;
        let until = now + i64::try_from(ttl.as_secs()).unwrap_or(0);
        let claims = match caller {
            Caller::Admin => {
                json!({ "sub": "warehouse", "role": "admin", "iat": now, "exp": until })
            }
            Caller::Visitor(user) => json!({ "sub": user, "iat": now, "exp": until }),
        };
        self.signer.sign(&claims.to_string())
    }

    /// Calls a route; an answer that is no success is an error.
    pub(crate) async fn call(
        &self,
        caller: Caller<'_>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, String> {
        let token = self.sign(caller, CALL_TOKEN_TTL)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .map_err(|error| error.to_string())?;
        let answer = match self.router.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if !status.is_success() {
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&body)));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| format!("{path}: {error}"))
    }
}
