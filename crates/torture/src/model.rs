//! What documents are after a series of events, and what a command should have done to them.
//!
//! Written from `docs/protocol.md` alone, for the checker: it shares no code with the server. It
//! knows nothing of devices, connections or positions.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// `drafts` or `pending`, and the id.
pub type Key = (&'static str, String);

/// The documents of a user: whole `{id, version, data, createdAt, updatedAt}` objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Documents(pub BTreeMap<Key, Value>);

/// The collection that a frame's type is about.
pub fn collection(kind: &str) -> &'static str {
    if kind.starts_with("PENDING_") { "pending" } else { "drafts" }
}

fn id_of(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("no id where one belongs: {value}"))
}

impl Documents {
    /// The documents of a snapshot.
    ///
    /// # Errors
    ///
    /// What is wrong with it: a document without an id, or one id twice.
    pub fn of<'a>(
        drafts: impl IntoIterator<Item = &'a Value>,
        pending: impl IntoIterator<Item = &'a Value>,
    ) -> Result<Self, String> {
        let mut documents = Self::default();
        documents.add("drafts", drafts)?;
        documents.add("pending", pending)?;
        Ok(documents)
    }

    /// Adds documents of one collection, of which none may be there yet.
    ///
    /// # Errors
    ///
    /// As with [`Documents::of`].
    pub fn add<'a>(
        &mut self,
        collection: &'static str,
        items: impl IntoIterator<Item = &'a Value>,
    ) -> Result<(), String> {
        for document in items {
            let id = id_of(&document["id"])?;
            if self.0.insert((collection, id.clone()), document.clone()).is_some() {
                return Err(format!("{collection} holds {id} twice"));
            }
        }
        Ok(())
    }

    /// What an event makes of them.
    ///
    /// # Errors
    ///
    /// What does not fit: a document that is created over another, changed or deleted where there
    /// is none.
    pub fn apply(&mut self, event: &Value) -> Result<(), String> {
        let kind = event["type"].as_str().unwrap_or_default();
        let payload = &event["payload"];
        let collection = collection(kind);
        match kind.rsplit_once('_').map_or("", |(_, verb)| verb) {
            "CREATED" => self.add(collection, [&payload["document"]]),
            "UPDATED" => {
                let id = id_of(&payload["document"]["id"])?;
                let old = self.0.insert((collection, id), payload["document"].clone());
                old.map(drop).ok_or_else(|| format!("there was nothing to update: {event}"))
            }
            "DELETED" => self.take(collection, &payload["id"], event),
            "CONVERTED" => {
                self.take("drafts", &payload["draftId"], event)?;
                self.add("pending", [&payload["document"]])
            }
            _ => Err(format!("no event of the protocol: {event}")),
        }
    }

    fn take(&mut self, collection: &'static str, id: &Value, event: &Value) -> Result<(), String> {
        let gone = self.0.remove(&(collection, id_of(id)?));
        gone.map(drop).ok_or_else(|| format!("there was no such document: {event}"))
    }

    /// The event that `command` should lead to as number `seq` of the history: its type and payload
    /// without `origin` and times, and without the ids that the server may choose. `None` where
    /// the command should have been refused, or has no event.
    pub fn expected(&self, command: &Value, seq: u64) -> Option<Value> {
        let kind = command["type"].as_str()?;
        let payload = &command["payload"];
        let collection = collection(kind);
        let old = |collection| {
            let document = self.0.get(&(collection, payload["id"].as_str()?.to_owned()))?;
            let wanted = payload.get("ifVersion").is_none_or(|v| *v == document["version"]);
            wanted.then_some(document)
        };
        let verb = kind.rsplit_once('_')?.1;
        let is_free = |collection, id: &Value| match id.as_str() {
            Some(id) => !self.0.contains_key(&(collection, id.to_owned())),
            None => true,
        };
        let payload = match verb {
            "CREATE" => {
                if !is_free(collection, &payload["id"]) {
                    return None;
                }
                json!({"document": {"id": payload["id"], "version": seq, "data": payload["data"]}})
            }
            "UPDATE" => {
                let old = old(collection)?;
                let data = match payload.get("patch") {
                    Some(patch) => merged(&old["data"], patch),
                    None => payload["data"].clone(),
                };
                let version = old["version"].as_u64()? + 1;
                json!({"document": {"id": old["id"], "version": version, "data": data}})
            }
            "DELETE" => json!({"id": old(collection)?["id"]}),
            "CONVERT" => {
                let draft = old("drafts")?;
                if !is_free("pending", &payload["pendingId"]) {
                    return None;
                }
                let data = match payload.get("patch") {
                    Some(patch) => merged(&draft["data"], patch),
                    None => draft["data"].clone(),
                };
                let document = json!({"id": payload["pendingId"], "version": seq, "data": data});
                json!({"draftId": draft["id"], "document": document})
            }
            _ => return None,
        };
        Some(
            json!({"type": format!("{}ED", kind.strip_suffix('E').unwrap_or(kind)), "payload": payload}),
        )
    }
}

/// RFC 7396, section 2.
fn merged(target: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Value::Object(target) => target.clone(),
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let old = target.get(name).unwrap_or(&Value::Null);
            target.insert(name.clone(), merged(old, value));
        }
    }
    Value::Object(target)
}

/// True where `actual` says at least what `expected` says: an id that was left to the server
/// (null or absent) may be any.
pub fn says(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            expected.iter().all(|(name, wanted)| match (name.as_str(), wanted) {
                ("id", Value::Null) => actual.get(name).is_some_and(Value::is_string),
                ("data", wanted) => actual.get(name) == Some(wanted),
                _ => actual.get(name).is_some_and(|value| says(value, wanted)),
            })
        }
        _ => actual == expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_lead_to_the_events_that_the_protocol_names() {
        let mut documents = Documents::default();
        let event = |kind: &str, payload: Value| json!({"type": kind, "payload": payload});
        let create = json!({"type": "DRAFT_CREATE", "payload": {"id": "a", "data": {"n": 1, "m": {"x": 1}}}});
        let created = documents.expected(&create, 4).unwrap();
        let document = json!({"id": "a", "version": 4, "data": {"n": 1, "m": {"x": 1}}});
        assert_eq!(created, event("DRAFT_CREATED", json!({ "document": document })));
        documents.apply(&created).unwrap();
        assert!(documents.apply(&created).is_err(), "not over another");
        assert_eq!(documents.expected(&create, 5), None, "nor is it tried");

        let patch = json!({"n": null, "m": {"y": 2}});
        let update = json!({"type": "DRAFT_UPDATE", "payload": {"id": "a", "patch": patch}});
        let updated = documents.expected(&update, 5).unwrap();
        let document = json!({"id": "a", "version": 5, "data": {"m": {"x": 1, "y": 2}}});
        assert_eq!(updated, event("DRAFT_UPDATED", json!({ "document": document })));
        documents.apply(&updated).unwrap();

        let convert = json!({"type": "DRAFT_CONVERT", "payload": {"id": "a", "ifVersion": 4}});
        assert_eq!(documents.expected(&convert, 6), None, "another version");
        let convert = json!({"type": "DRAFT_CONVERT", "payload": {"id": "a"}});
        let expected = documents.expected(&convert, 6).unwrap();
        let mut converted = expected.clone();
        converted["payload"]["document"]["id"] = "made by the server".into();
        assert!(says(&converted, &expected) && !says(&expected, &expected));
        documents.apply(&converted).unwrap();
        assert_eq!(documents.0.keys().next().unwrap().0, "pending");
        assert!(documents.expected(&create, 7).is_some(), "the id is free again");
        let delete = json!({"type": "DRAFT_DELETE", "payload": {"id": "a"}});
        assert_eq!(documents.expected(&delete, 7), None);
        assert!(documents.apply(&event("DRAFT_DELETED", json!({"id": "a"}))).is_err());
    }
}
