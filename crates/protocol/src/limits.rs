//! Every limit of the protocol: its name, its unit (last in the name), its default.
//!
//! The server's settings start from these defaults; `WELCOME` tells a client the three it must
//! know. Relations between limits are checked at compile time below.

/// The largest integer that every JSON reader holds exactly: 2⁵³ − 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Nested arrays and objects in a client's frame, envelope included.
pub const FRAME_LEVELS_MAX: usize = 64;
/// Levels above a document's `data` in the frame that carries it: envelope and payload.
pub const ENVELOPE_LEVELS: usize = 2;
/// Levels of a bare document or patch over HTTP, so that it also fits a frame.
pub const DATA_LEVELS_MAX: usize = FRAME_LEVELS_MAX - ENVELOPE_LEVELS;
/// Levels above a frame in the body of `POST /api/commands`: the body and its array.
pub const BATCH_LEVELS: usize = 2;

/// Characters of a document id.
pub const DOCUMENT_ID_CHARS_MAX: usize = 128;
/// Characters of a `clientId`.
pub const CLIENT_ID_CHARS_MAX: usize = 64;
/// Bytes of a user id.
pub const USER_ID_BYTES_MAX: usize = 128;
/// Characters of an application's own event type.
pub const EVENT_TYPE_CHARS_MAX: usize = 64;
/// Characters of an epoch.
pub const EPOCH_CHARS_MAX: usize = 64;
/// Bytes of a token.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Seconds by which two clocks may differ when a token's times are checked.
pub const TOKEN_LEEWAY_SECONDS: u64 = 10;
/// Bytes of one `SNAPSHOT` frame (more only where a single document is larger).
pub const SNAPSHOT_PART_BYTES_MAX: usize = 256 * 1024;
/// Longest wait of `GET /api/sync`.
pub const SYNC_WAIT_MILLIS_MAX: u64 = 30_000;

/// Default of [`Limits::document_bytes`].
pub const DOCUMENT_BYTES_DEFAULT: usize = 256 * 1024;
/// Default of [`Limits::frame_bytes`].
pub const FRAME_BYTES_DEFAULT: usize = 2 * DOCUMENT_BYTES_DEFAULT;
/// Default of [`Limits::in_flight`].
pub const IN_FLIGHT_DEFAULT: usize = 64;

const _: () = assert!(FRAME_BYTES_DEFAULT >= 2 * DOCUMENT_BYTES_DEFAULT);
const _: () = assert!(DATA_LEVELS_MAX > 0);

/// The limits that `WELCOME` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest frame (message) a client may send, in bytes; a larger one is closed with 1009. At
    /// least twice `document_bytes`.
    pub frame_bytes: usize,
    /// Largest `data` of a document, in bytes of its JSON text; a larger one is `TOO_LARGE`.
    pub document_bytes: usize,
    /// Commands of a device that may be unanswered; also how many answers are kept per device.
    pub in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: FRAME_BYTES_DEFAULT,
            document_bytes: DOCUMENT_BYTES_DEFAULT,
            in_flight: IN_FLIGHT_DEFAULT,
        }
    }
}
