//! Errors as `application/problem+json` (RFC 9457): what is wrong and what to do.

use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use draftwire_protocol::code::RejectionCode;
use draftwire_protocol::json::{Value, object};
use draftwire_store::{Answer, StoreError};

use crate::auth::TokenError;

/// One error answer. `detail` never holds a token or a document.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    document: Option<String>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// An error with a code for programs and a sentence for people.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            detail: detail.into(),
            document: None,
            retry_after: None,
        }
    }

    /// 400 with the protocol's `INVALID`.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::rejection(RejectionCode::Invalid, detail)
    }

    /// One of the protocol's rejection codes, with its status.
    pub fn rejection(code: RejectionCode, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.http_status());
        Self::new(status.unwrap_or(StatusCode::BAD_REQUEST), code.name(), detail)
    }

    /// 503: come back later.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::rejection(RejectionCode::Unavailable, detail).after(retry_after)
    }

    /// 429 with the protocol's `RATE_LIMITED`: come back later.
    pub fn rate_limited(wait: Duration) -> Self {
        let detail = "this user sends too many commands; send them again, in order, later";
        Self::rejection(RejectionCode::RateLimited, detail).after(wait)
    }

    /// With `Retry-After`.
    pub fn after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// A command that was not applied, with the server's document where the answer has one.
    pub fn from_answer(answer: &Answer, code: RejectionCode) -> Self {
        let payload = Value::from_checked(&answer.payload);
        let text = |name| payload.get(name).and_then(Value::as_str);
        let mut problem = Self::rejection(code, text("message").unwrap_or_default());
        problem.document = payload.get("document").map(|document| document.text().to_owned());
        let millis = payload.get("retryAfterMs").and_then(Value::as_integer);
        problem.retry_after = millis.map(Duration::from_millis);
        problem
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The code for programs.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Missing => "NO_TOKEN",
            TokenError::Bad(_) => "BAD_TOKEN",
            TokenError::Expired => "TOKEN_EXPIRED",
            TokenError::Revoked => "TOKEN_REVOKED",
        };
        Self::new(StatusCode::UNAUTHORIZED, code, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Quota(why) => Self::rejection(RejectionCode::Quota, why),
            StoreError::Unavailable(_) | StoreError::Poisoned(_) => {
                let detail = "the store can't be asked now; try again later";
                Self::unavailable(detail, Duration::from_secs(2))
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = object(|problem| {
            problem
                .string("type", "about:blank")
                .string("title", title)
                .integer("status", u64::from(self.status.as_u16()))
                .string("detail", &self.detail)
                .string("code", &self.code);
            if let Some(document) = &self.document {
                problem.raw("document", document);
            }
        });
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(after) = self.retry_after {
            // Whole seconds, at least one (RFC 9110 §10.2.3).
            let seconds = after.as_millis().div_ceil(1000).max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds as u64));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code == "WEBSOCKET_VERSION" {
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// No such path.
pub(super) async fn not_found(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}; see docs/protocol.md", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail)
}

/// The path has other methods.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} is not possible at {}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail)
}
