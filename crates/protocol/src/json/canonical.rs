//! The digest of a value, by value.
//!
//! Two texts that mean the same have the same digest: white space, the order of members, the
//! escapes in a string and the way a number is written (`1`, `1.0`, `10e-1`) do not count. It
//! tells a command that was sent again from another one under the same number; it is stored, so
//! its definition must not change without a new store format.

use sha2::{Digest as _, Sha256};

use super::cursor::Cursor;
use super::scan::unescape;
use super::value::Value;
use super::{JsonFault, push_string};

/// Length of a [`Digest`].
pub const DIGEST_BYTES: usize = 16;

/// The first 16 bytes of the SHA-256 of a canonical text.
pub type Digest = [u8; DIGEST_BYTES];

/// The digest of `name` (a command's type, say) together with `value`.
pub fn digest(name: &str, value: Value<'_>) -> Digest {
    let mut canonical = String::with_capacity(name.len() + value.text().len() + 2);
    push_string(&mut canonical, name);
    // The text has passed the scanner, so writing it canonically cannot fail half-way.
    let _ = write_value(&mut Cursor::new(value.text()), &mut canonical);
    let hash = Sha256::digest(canonical.as_bytes());
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&hash[..DIGEST_BYTES]);
    digest
}

fn write_value(cursor: &mut Cursor<'_>, out: &mut String) -> Result<(), JsonFault> {
    cursor.skip_space();
    match cursor.peek().ok_or(JsonFault::Syntax)? {
        b'{' => write_object(cursor, out)?,
        b'[' => write_array(cursor, out)?,
        b'"' => write_string(cursor, out)?,
        b't' | b'f' | b'n' => out.push_str(cursor.literal()?),
        _ => write_number(cursor.number()?, out),
    }
    cursor.skip_space();
    Ok(())
}

fn write_string(cursor: &mut Cursor<'_>, out: &mut String) -> Result<(), JsonFault> {
    let span = cursor.string()?;
    push_string(out, &unescape(cursor, span)?);
    Ok(())
}

fn write_array(cursor: &mut Cursor<'_>, out: &mut String) -> Result<(), JsonFault> {
    cursor.bump();
    out.push('[');
    cursor.skip_space();
    while !cursor.take(b']') {
        write_value(cursor, out)?;
        out.push(',');
        cursor.take(b',');
    }
    out.push(']');
    Ok(())
}

/// Writes the members as they come, then puts their texts in order.
fn write_object(cursor: &mut Cursor<'_>, out: &mut String) -> Result<(), JsonFault> {
    cursor.bump();
    let start = out.len();
    let mut members = Vec::new();
    cursor.skip_space();
    while !cursor.take(b'}') {
        cursor.skip_space();
        let member = out.len();
        write_string(cursor, out)?;
        let name_end = out.len();
        cursor.skip_space();
        cursor.take(b':');
        write_value(cursor, out)?;
        out.push(',');
        cursor.take(b',');
        members.push((member, name_end, out.len()));
    }
    members.sort_unstable_by(|left, right| out[left.0..left.1].cmp(&out[right.0..right.1]));
    let mut sorted = String::with_capacity(out.len() - start + 2);
    sorted.push('{');
    for (member, _, end) in members {
        sorted.push_str(&out[member..end]);
    }
    sorted.push('}');
    out.truncate(start);
    out.push_str(&sorted);
    Ok(())
}

/// Writes a number as `-digits e exponent` without zeros at either end of the digits.
fn write_number(text: &str, out: &mut String) {
    let (sign, magnitude) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        out.push('0');
        return;
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let shift = zeros as i64 - fraction.len() as i64;
    // An exponent that does not fit an i64 is kept as it was written: such a number equals only
    // its own spelling, which is still never taken for another one.
    match exponent.parse::<i64>().ok().and_then(|power| power.checked_add(shift)) {
        Some(power) => out.push_str(&format!("{sign}{significant}e{power}")),
        None => out.push_str(text),
    }
}
