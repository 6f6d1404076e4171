//! What the tests of this crate share: items that own their bytes and ways to feed a decoder.
//!
//! Owns no expectations about the protocol except that of `next`: without an item everything was
//! consumed. Every test file includes it as a module.

use draftwire_websocket::{Decoder, Item, Opcode, ProtocolError, Role, encode};

/// The mask of the hand-made client frames; all four bytes differ, so a shifted one is noticed.
pub const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A maximum that the tests which are not about it stay below.
pub const ROOMY: usize = 1 << 20;

/// An [`Item`] that outlives the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Item<'_>> for Owned {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Text(text) => Self::Text(text.into()),
            Item::Binary(bytes) => Self::Binary(bytes.into()),
            Item::Ping(bytes) => Self::Ping(bytes.into()),
            Item::Pong(bytes) => Self::Pong(bytes.into()),
            Item::Close(frame) => Self::Close(frame.map(|frame| (frame.code, frame.reason.into()))),
        }
    }
}

/// The items of a stream up to its end or its first offence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub items: Vec<Owned>,
    pub error: Option<ProtocolError>,
}

impl Heard {
    pub fn all(items: &[Owned]) -> Self {
        Self { items: items.to_vec(), error: None }
    }

    pub fn only_error(error: ProtocolError) -> Self {
        Self { items: Vec::new(), error: Some(error) }
    }
}

/// Feeds one piece, until it is used up.
pub fn feed(decoder: &mut Decoder, piece: &[u8], heard: &mut Heard) {
    let mut piece = piece.to_vec();
    let mut rest = piece.as_mut_slice();
    loop {
        match decoder.next(rest) {
            Ok((consumed, Some(item))) => {
                heard.items.push(item.into());
                rest = &mut rest[consumed..];
            }
            Ok((consumed, None)) => {
                assert_eq!(consumed, rest.len(), "without an item everything is consumed");
                return;
            }
            Err(error) => {
                assert_eq!(heard.error, None, "a finished decoder reports nothing");
                heard.error = Some(error);
            }
        }
    }
}

/// Feeds a stream in the pieces given to a decoder of that role and maximum.
pub fn hear_pieces<'a>(
    role: Role,
    message_bytes_max: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Heard, Decoder) {
    let mut decoder = Decoder::new(role, message_bytes_max);
    let mut heard = Heard { items: Vec::new(), error: None };
    for piece in pieces {
        feed(&mut decoder, piece, &mut heard);
    }
    (heard, decoder)
}

/// Feeds a stream whole, byte by byte and in pieces of several sizes, and demands that it is heard
/// the same each time.
pub fn hear(role: Role, message_bytes_max: usize, stream: &[u8]) -> Heard {
    let (whole, _) = hear_pieces(role, message_bytes_max, [stream]);
    for piece_bytes in [1, 2, 3, 5, 7, 64, 127, 1000] {
        let pieces = stream.chunks(piece_bytes);
        let (heard, _) = hear_pieces(role, message_bytes_max, pieces);
        assert!(heard == whole, "cut into {piece_bytes}s: {heard:?} instead of {whole:?}");
    }
    whole
}

/// What a server hears of these client bytes.
pub fn server_hears(stream: &[u8]) -> Heard {
    hear(Role::Server, ROOMY, stream)
}

/// A masked frame with the mask of the tests.
pub fn client_frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    encode::masked_frame(fin, opcode, payload, MASK)
}

/// A masked frame whose header the caller writes: two bytes and those of a long length.
pub fn raw_client_frame(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key);
    header.iter().copied().chain(MASK).chain(masked).collect()
}

/// A payload in which every byte depends on its place.
pub fn sample_bytes(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

/// Text of exactly `len` bytes with characters of one to four bytes.
pub fn sample_text(len: usize) -> String {
    let mut text: String = "aß€𝄞, κόσμε ".chars().cycle().take(len).collect();
    while text.len() > len {
        text.pop();
    }
    let missing = len - text.len();
    text.extend(std::iter::repeat_n('.', missing));
    text
}
