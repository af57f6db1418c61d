//! A record line as text: one JSON object whose last key is a checksum over all before it.
//!
//! What a line *says* is `line`'s; what a whole record lost is `book`'s. This module knows
//! one line, and answers one question about it: is this, byte for byte, what was written?

use super::line::{COORDINATOR, Line};

/// The longest line a worker may write, in bytes: it must fit one frame.
pub const WORKER_LINE_MAX_BYTES: usize = 64 * 1024;

/// The longest line of all, in bytes. The coordinator's opening and stage lines name every
/// host and flow of a run, which for a storm of some hundred hosts comes to megabytes.
pub const LINE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// What stands before the checksum.
const CRC_KEY: &str = ",\"crc\":\"";

/// What stands after it.
const CRC_END: &str = "\"}";

/// Hexadecimal digits of a CRC-32C.
const CRC_DIGITS: usize = 8;

/// Why a text is not a line of a record.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LineError {
    /// Longer than any line may be.
    #[error("the line has {bytes} bytes, more than the {max} that such a line may have")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// No JSON: cut off, or no record at all.
    #[error("the line is not JSON: {0}")]
    NotJson(String),
    /// JSON, but its last key is not the checksum.
    #[error("the line has no checksum at its end")]
    NoChecksum,
    /// What is there is not what was written.
    #[error("the line is damaged: its checksum says {said}, its bytes come to {counted:08x}")]
    BadChecksum {
        /// As it stands in the line.
        said: String,
        /// As the bytes come to.
        counted: u32,
    },
    /// Undamaged, but of a shape that this build does not know.
    #[error("the line is whole but this build cannot read it ({0}); judge it with the build that wrote it")]
    Unknown(String),
}

/// One JSON object without a newline, its last key `"crc"`: the CRC-32C of the bytes before
/// `,"crc"`, as eight lower-case hexadecimal digits.
pub fn encode(line: &Line) -> String {
    let mut text = serde_json::to_string(line).expect("a line has text keys and no failing parts");
    let closing = text.pop();
    debug_assert_eq!(closing, Some('}'), "a line is an object");
    let crc = crc32c::crc32c(text.as_bytes());
    text.push_str(CRC_KEY);
    text.extend(digits(crc));
    text.push_str(CRC_END);
    text
}

/// The line that `text` (without its newline) holds, if it is unchanged since [`encode`].
///
/// The checksum is looked at before anything is parsed, so a damaged line costs no more
/// than one pass over its bytes.
pub fn decode(text: &str) -> Result<Line, LineError> {
    if text.len() > LINE_MAX_BYTES {
        return Err(LineError::TooLong { bytes: text.len(), max: LINE_MAX_BYTES });
    }
    let Some((before, said)) = split(text) else {
        return Err(match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => LineError::NoChecksum,
            Err(why) => LineError::NotJson(why.to_string()),
        });
    };
    let counted = crc32c::crc32c(before.as_bytes());
    if !said.chars().eq(digits(counted)) {
        return Err(LineError::BadChecksum { said: said.to_owned(), counted });
    }
    let line: Line = serde_json::from_str(text).map_err(|why| LineError::Unknown(why.to_string()))?;
    if line.i != COORDINATOR && text.len() > WORKER_LINE_MAX_BYTES {
        return Err(LineError::TooLong { bytes: text.len(), max: WORKER_LINE_MAX_BYTES });
    }
    Ok(line)
}

/// A checksum as it is written: all its digits, lower case.
fn digits(crc: u32) -> [char; CRC_DIGITS] {
    std::array::from_fn(|place| {
        let digit = crc >> (4 * (CRC_DIGITS - 1 - place)) & 0xf;
        char::from_digit(digit, 16).expect("below 16")
    })
}

/// The text before the checksum, and its digits as they stand there.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_suffix(CRC_END)?;
    let (head, digits) = rest.split_at_checked(rest.len().checked_sub(CRC_DIGITS)?)?;
    Some((head.strip_suffix(CRC_KEY)?, digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        fleet::{host::HostId, units::RunTime},
        record::line::Body,
    };

    fn left(why: &str) -> Line {
        let body = Body::Left { host: HostId(3), why: why.to_owned() };
        Line { i: 4, e: 1, q: 17, t: RunTime(1_000_001), body }
    }

    #[test]
    fn a_line_comes_back_as_it_was_written() {
        let line = left("a signal, \"crc\":\"00000000\"} and all");
        let text = encode(&line);
        assert!(!text.contains('\n'));
        assert_eq!(decode(&text), Ok(line));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let text = encode(&left("x")).into_bytes();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone();
                bytes[at] ^= 1 << bit;
                let damaged = String::from_utf8_lossy(&bytes);
                assert!(decode(&damaged).is_err(), "bit {bit} of byte {at}: {damaged}");
            }
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        let text = encode(&left("x"));
        assert!(matches!(decode(&text[..text.len() - 1]), Err(LineError::NotJson(_))));
        assert_eq!(decode("{\"i\":1}"), Err(LineError::NoChecksum));
        assert!(matches!(decode(&text.replace("17", "18")), Err(LineError::BadChecksum { .. })));
        let body = "{\"i\":1,\"e\":1,\"q\":1,\"t\":0,\"b\":{\"sung\":1}";
        let foreign = format!("{body},\"crc\":\"{:08x}\"}}", crc32c::crc32c(body.as_bytes()));
        assert!(matches!(decode(&foreign), Err(LineError::Unknown(_))));
    }

    #[test]
    fn a_worker_may_not_write_lines_longer_than_a_frame() {
        let long = left(&"x".repeat(WORKER_LINE_MAX_BYTES));
        assert!(matches!(decode(&encode(&long)), Err(LineError::TooLong { max: WORKER_LINE_MAX_BYTES, .. })));
        let planned = Line { i: COORDINATOR, ..long };
        assert_eq!(decode(&encode(&planned)), Ok(planned));
        let endless = "x".repeat(LINE_MAX_BYTES + 1);
        assert!(matches!(decode(&endless), Err(LineError::TooLong { max: LINE_MAX_BYTES, .. })));
    }
}
