//! JSON Merge Patch (RFC 7396) over texts.
//!
//! Members that the patch does not name are copied byte for byte, so numbers keep their digits
//! and members their order; new members come last. The result has no insignificant white space
//! at the levels the patch touched. `__proto__` is a name like any other here.

use std::collections::HashMap;

use super::value::{Member, Value};
use super::write::ObjectWriter;

/// The text of `target` after `patch`. With a patch that is not an object the patch is the result.
pub fn merge_patch(target: Value<'_>, patch: Value<'_>) -> String {
    let mut out = String::with_capacity(target.text().len() + patch.text().len());
    merge_into(&mut out, Some(target), patch);
    out
}

fn merge_into(out: &mut String, target: Option<Value<'_>>, patch: Value<'_>) {
    let Some(changes) = patch.members() else {
        out.push_str(&patch.compact());
        return;
    };
    let members = target.and_then(Value::members).unwrap_or_default();
    let mut changes = Changes::new(changes);
    let mut object = ObjectWriter::new(out);
    for (name, value) in members {
        match changes.take(&name) {
            None => object.member(&name).push_str(value.text()),
            Some(change) if change.is_null() => {}
            Some(change) => merge_into(object.member(&name), Some(value), change),
        }
    }
    for (name, change) in changes.rest() {
        if !change.is_null() {
            merge_into(object.member(&name), None, change);
        }
    }
    object.end();
}

/// A patch's members, each of which is taken once. Found by hash, so that a large patch of a
/// large document costs their sum and not their product.
struct Changes<'a> {
    members: Vec<Option<Member<'a>>>,
    by_name: HashMap<String, usize>,
}

impl<'a> Changes<'a> {
    fn new(members: Vec<Member<'a>>) -> Self {
        let by_name =
            members.iter().enumerate().map(|(at, (name, _))| (name.to_string(), at)).collect();
        Self { members: members.into_iter().map(Some).collect(), by_name }
    }

    fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let at = *self.by_name.get(name)?;
        self.members[at].take().map(|(_, value)| value)
    }

    fn rest(self) -> impl Iterator<Item = Member<'a>> {
        self.members.into_iter().flatten()
    }
}
