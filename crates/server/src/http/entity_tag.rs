//! `ETag`, `If-Match`, `If-None-Match` (RFC 9110 §8.8.3, §13.1): `"epoch.number"`.

use axum::http::{HeaderMap, header};
use draftwire_protocol::command::Condition;

use super::Problem;

/// The tag of a document (its version) or a collection (its seq).
pub(super) fn entity_tag(epoch: &str, number: u64) -> String {
    format!("\"{epoch}.{number}\"")
}

/// True where `If-None-Match` names this tag: the caller has it already.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).into_iter();
    values.filter_map(|value| value.to_str().ok()).any(|value| {
        let named = value.split(',').map(str::trim);
        // A weak comparison: a cache may have marked the tag (RFC 9110 §13.1.2).
        value.trim() == "*" || named.map(|one| one.trim_start_matches("W/")).any(|one| one == tag)
    })
}

/// `If-Match` as the condition of a command. `*` asks only that the document is there, which every
/// change does by itself.
pub(super) fn condition(headers: &HeaderMap) -> Result<Option<Condition>, Problem> {
    let mut values = headers.get_all(header::IF_MATCH).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let value = value.to_str().unwrap_or_default().trim();
    if value == "*" {
        return Ok(None);
    }
    let one_tag = || Problem::invalid("If-Match must be one ETag as a document's answer gave it");
    if values.next().is_some() {
        return Err(one_tag());
    }
    // A weak tag matches nothing here (RFC 9110 §13.1.1), and neither does one of another server.
    let never = Condition::EntityTag { epoch: String::new(), version: 0 };
    let strong = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(tag) = strong else {
        return if value.starts_with("W/\"") { Ok(Some(never)) } else { Err(one_tag()) };
    };
    if tag.contains(['"', ',']) {
        return Err(one_tag());
    }
    let parts = tag.rsplit_once('.');
    let parsed = parts.and_then(|(epoch, version)| Some((epoch, version.parse().ok()?)));
    Ok(Some(match parsed {
        Some((epoch, version)) => Condition::EntityTag { epoch: epoch.to_owned(), version },
        None => never,
    }))
}
