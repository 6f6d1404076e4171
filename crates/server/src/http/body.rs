//! Reading request bodies within bounds of size and time.

use axum::body::Body;
use axum::http::StatusCode;
use draftwire_protocol::code::RejectionCode;
use draftwire_protocol::json::Value;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::Problem;
use crate::Settings;

/// The body as text, at most `bytes_max` long.
pub(super) async fn read(
    body: Body,
    bytes_max: usize,
    settings: &Settings,
) -> Result<String, Problem> {
    let collected = Limited::new(body, bytes_max).collect();
    let read = tokio::time::timeout(settings.body_time_max, collected).await.map_err(|_| {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", "the body took too long to arrive")
    })?;
    let bytes = read.map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            let detail = format!("the body may have at most {bytes_max} bytes");
            return Problem::rejection(RejectionCode::TooLarge, detail);
        }
        Problem::invalid("the body broke off")
    })?;
    let text = String::from_utf8(bytes.to_bytes().into());
    text.map_err(|_| Problem::invalid("the body is not UTF-8"))
}

/// The text as a JSON object.
pub(super) fn object(text: &str, levels_max: usize) -> Result<Value<'_>, Problem> {
    let value = Value::parse(text, levels_max)
        .map_err(|error| Problem::invalid(format!("body: {error}")))?;
    if value.is_object() {
        return Ok(value);
    }
    Err(Problem::invalid("the body must be a JSON object"))
}

/// A member that must be a string.
pub(super) fn string(body: Value<'_>, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let text = value.as_str().map(|text| Some(text.into_owned()));
    text.ok_or_else(|| Problem::invalid(format!("{name} must be a string")))
}
