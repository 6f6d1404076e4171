//! A draft or a pending order, and its JSON.

use crate::json::ObjectWriter;
use crate::time::Timestamp;

/// One document of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its id in its collection.
    pub id: String,
    /// Starts as the `seq` of the event that created it; each change adds 1.
    pub version: u64,
    /// A JSON object as text, without insignificant white space.
    pub data: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Document {
    /// Appends `{"id":…,"version":…,"data":…,"createdAt":…,"updatedAt":…}`.
    pub fn push_json(&self, out: &mut String) {
        let mut object = ObjectWriter::new(out);
        object
            .string("id", &self.id)
            .integer("version", self.version)
            .raw("data", &self.data)
            .display("createdAt", self.created_at)
            .display("updatedAt", self.updated_at);
        object.end();
    }

    /// Its JSON text.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(self.data.len() + self.id.len() + 128);
        self.push_json(&mut out);
        out
    }
}
