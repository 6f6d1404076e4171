//! The query parameters of a handshake and of `GET /api/sync`: who and where a device is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use draftwire_protocol::limits::INTEGER_MAX;
use draftwire_protocol::names::{CLIENT_ID_RULE, is_client_id, is_epoch};
use draftwire_protocol::{Position, Timestamp};
use percent_encoding::percent_decode_str;

use super::Problem;

/// The parameters of a query, decoded. One that stands twice is refused: two readers would take
/// different ones.
pub(super) struct Query<'a>(HashMap<Cow<'a, str>, Cow<'a, str>>);

impl<'a> Query<'a> {
    pub(super) fn of(query: Option<&'a str>) -> Result<Self, Problem> {
        let mut parameters = HashMap::new();
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            if parameters.insert(name.clone(), decode(value)?).is_some() {
                return Err(Problem::invalid("a query parameter stands twice"));
            }
        }
        Ok(Self(parameters))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// `clientId`.
    pub(super) fn client_id(&self) -> Result<Option<Arc<str>>, Problem> {
        match self.get("clientId") {
            None => Ok(None),
            Some(id) if is_client_id(id) => Ok(Some(id.into())),
            Some(_) => Err(Problem::invalid(format!("clientId must be {CLIENT_ID_RULE}"))),
        }
    }

    /// `epoch`, `seq`, `at`.
    pub(super) fn position(&self) -> Result<Option<Position>, Problem> {
        let (epoch, seq) = match (self.get("epoch"), self.get("seq")) {
            (None, None) if self.get("at").is_none() => return Ok(None),
            (Some(epoch), Some(seq)) => (epoch, seq),
            _ => return Err(Problem::invalid("epoch and seq come together (at only with them)")),
        };
        if !is_epoch(epoch) {
            return Err(Problem::invalid("epoch must be as WELCOME gave it (1 to 64 characters)"));
        }
        let seq = integer(seq).ok_or_else(|| {
            Problem::invalid(format!("seq must be a decimal from 0 to {INTEGER_MAX}"))
        })?;
        let at = match self.get("at") {
            Some(at) if seq > 0 => Some(Timestamp::parse(at).ok_or_else(|| {
                Problem::invalid("at must be the timestamp that stood on the event (RFC 3339)")
            })?),
            _ => None,
        };
        Ok(Some(Position { epoch: epoch.into(), seq, at }))
    }

    /// True with `sync=live`.
    pub(super) fn live(&self) -> Result<bool, Problem> {
        match self.get("sync") {
            None => Ok(false),
            Some("live") => Ok(true),
            Some(_) => Err(Problem::invalid("sync can only be live")),
        }
    }

    /// `waitMs`.
    pub(super) fn wait_millis(&self) -> Result<u64, Problem> {
        let Some(wait) = self.get("waitMs") else { return Ok(0) };
        integer(wait).ok_or_else(|| Problem::invalid("waitMs must be a decimal, in milliseconds"))
    }
}

/// A decimal from 0 to 2⁵³ − 1: digits only.
fn integer(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= INTEGER_MAX)
}

fn decode(text: &str) -> Result<Cow<'_, str>, Problem> {
    // Only the names of parameters could hold a plus that means a space; values of this protocol
    // hold none, but a timestamp's offset may, so a plus stays a plus.
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map_err(|_| Problem::invalid("the query is not UTF-8"))
}
