//! Why a text is refused as JSON. Never holds any of the text.

use std::fmt;

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFault {
    /// Not JSON (RFC 8259): mend the sender.
    Syntax,
    /// More levels of arrays and objects than allowed: flatten the data.
    TooDeep,
    /// A member's name stands twice in one object: send each once.
    RepeatedMember,
    /// Half of a surrogate pair as `\u` escape: the string is not Unicode; mend the sender.
    LoneSurrogate,
}

/// A refusal, with the byte at which it was noticed. Never holds any of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// What was wrong.
    pub fault: JsonFault,
    /// Offset in bytes from the start of the text.
    pub at: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            JsonFault::Syntax => "not valid JSON",
            JsonFault::TooDeep => "JSON is nested too deeply",
            JsonFault::RepeatedMember => "an object names the same member twice",
            JsonFault::LoneSurrogate => "a string holds half of a surrogate pair",
        };
        write!(out, "{what} (at byte {})", self.at)
    }
}

impl std::error::Error for JsonError {}
