//! Who calls over HTTP: the bearer token, and whether it is an administrator's.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};

use super::Problem;
use super::answer::not_ready;
use crate::Realtime;
use crate::auth::{Identity, TokenError};

/// The token of `Authorization: Bearer`; another scheme counts as absent. A second such header
/// makes the token a bad one: whoever stands in between may have looked at the other.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let value = values.next()?;
    if values.next().is_some() {
        return Some("");
    }
    let bytes = value.as_bytes();
    let (scheme, _) = bytes.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    // What is not text can't be a token, but it was offered as one.
    Some(value.to_str().map_or("", |text| text[7..].trim()))
}

/// A caller with a good token.
pub(super) struct Caller(pub(super) Identity);

/// A caller whose token has the admin role.
pub(super) struct Admin(pub(super) Identity);

/// The same for what must work while the store is not open, and with it the list of revoked
/// tokens: only for looking at the server itself.
pub(super) struct Operator;

impl FromRequestParts<Realtime> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, realtime: &Realtime) -> Result<Self, Problem> {
        let identity = identify(parts, realtime)?;
        if realtime.knows_revocations() {
            return Ok(Self(identity));
        }
        Err(not_ready(realtime))
    }
}

impl FromRequestParts<Realtime> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, realtime: &Realtime) -> Result<Self, Problem> {
        let Caller(identity) = Caller::from_request_parts(parts, realtime).await?;
        check_role(&identity)?;
        Ok(Self(identity))
    }
}

impl FromRequestParts<Realtime> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, realtime: &Realtime) -> Result<Self, Problem> {
        check_role(&identify(parts, realtime)?)?;
        Ok(Self)
    }
}

fn identify(parts: &Parts, realtime: &Realtime) -> Result<Identity, Problem> {
    let token = bearer(&parts.headers).ok_or(TokenError::Missing)?;
    Ok(realtime.authenticate_connection(token)?)
}

fn check_role(identity: &Identity) -> Result<(), Problem> {
    if identity.admin {
        return Ok(());
    }
    let detail = "this call needs a token with the admin role";
    Err(Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN", detail))
}
