//! Random streams of client frames for the property tests, valid ones and broken ones.
//!
//! Owns the strategies and the cutting into pieces. It expects nothing; the modules that use it do.

use draftwire_websocket::{Opcode, encode};
use proptest::prelude::*;
use proptest::sample::Index;

/// One frame as it is sent, before it is encoded.
#[derive(Debug, Clone)]
struct Sent {
    fin: bool,
    opcode: Opcode,
    payload: Vec<u8>,
    mask: [u8; 4],
}

/// Sizes of the pieces that a stream is cut into, over and over.
pub fn any_pieces() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![1]),
        prop::collection::vec(1..12_usize, 1..20),
        prop::collection::vec(1..400_usize, 1..20),
    ]
}

/// The stream in pieces of those sizes.
pub fn cut<'a>(stream: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest, mut sizes) = (Vec::new(), stream, sizes.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |&size| size.min(rest.len()));
        let (piece, behind) = rest.split_at(size);
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let character = prop_oneof![
        4 => prop::char::range(' ', '~'),
        2 => Just('ß'),
        2 => Just('€'),
        2 => Just('𝄞'),
        1 => any::<char>(),
    ];
    let text = prop::collection::vec(character, 0..120);
    prop_oneof![
        4 => text.prop_map(|characters| String::from_iter(characters).into_bytes()),
        1 => prop_oneof![Just(124_usize), Just(125), Just(126), Just(127), Just(65_535), Just(65_536)]
            .prop_map(|len| vec![b'x'; len]),
    ]
}

fn any_control() -> impl Strategy<Value = Vec<Sent>> {
    let opcode = prop_oneof![Just(Opcode::Ping), Just(Opcode::Pong)];
    let payload = prop::collection::vec(any::<u8>(), 0..=125);
    let control = (opcode, payload, any::<[u8; 4]>());
    let sent =
        control.prop_map(|(opcode, payload, mask)| Sent { fin: true, opcode, payload, mask });
    prop::collection::vec(sent, 0..2)
}

/// A message in fragments, cut anywhere and with control frames between them.
fn any_message() -> impl Strategy<Value = Vec<Sent>> {
    let binary = prop::collection::vec(any::<u8>(), 0..300);
    let kind = prop_oneof![
        any_text().prop_map(|text| (Opcode::Text, text)),
        binary.prop_map(|bytes| (Opcode::Binary, bytes)),
    ];
    let cuts = prop::collection::vec((any::<Index>(), any_control(), any::<[u8; 4]>()), 0..5);
    (kind, cuts, any::<[u8; 4]>()).prop_map(|((opcode, payload), mut cuts, last_mask)| {
        let place = |index: &Index| index.index(payload.len() + 1);
        cuts.sort_by_key(|(index, ..)| place(index));
        let (mut frames, mut start, mut opcode) = (Vec::new(), 0, opcode);
        for (index, controls, mask) in cuts {
            let end = place(&index);
            frames.push(Sent { fin: false, opcode, payload: payload[start..end].into(), mask });
            frames.extend(controls);
            (start, opcode) = (end, Opcode::Continuation);
        }
        frames.push(Sent { fin: true, opcode, payload: payload[start..].into(), mask: last_mask });
        frames
    })
}

fn any_close() -> impl Strategy<Value = Vec<Sent>> {
    let code = prop_oneof![4 => 1000..1016_u16, 1 => any::<u16>(), 2 => 3000..5000_u16];
    let payload = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..3),
        (code, ".{0,30}")
            .prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat()),
    ];
    (payload, any::<[u8; 4]>())
        .prop_map(|(payload, mask)| vec![Sent { fin: true, opcode: Opcode::Close, payload, mask }])
}

fn encoded(frames: &[Sent]) -> Vec<u8> {
    let encode =
        |sent: &Sent| encode::masked_frame(sent.fin, sent.opcode, &sent.payload, sent.mask);
    frames.iter().flat_map(encode).collect()
}

/// Messages and control frames that the RFC allows, sometimes with a close behind them.
pub fn valid_stream() -> impl Strategy<Value = Vec<u8>> {
    let close = prop_oneof![2 => Just(Vec::new()), 1 => any_close()];
    let messages = prop::collection::vec(any_message(), 0..5);
    (messages, close).prop_map(|(messages, close)| encoded(&[messages.concat(), close].concat()))
}

/// One way to break a stream of frames.
#[derive(Debug, Clone)]
enum Damage {
    /// These bits of a byte are turned over.
    Turn(Index, u8),
    /// A byte is left out.
    Drop(Index),
    /// The stream ends early.
    End(Index),
    /// A frame is left out, doubled or follows the next one; its payload or header is damaged.
    Skip(Index),
    Double(Index),
    Swap(Index),
    Fin(Index),
    Header(Index, u8, u8),
    Payload(Index, Index, u8),
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        (index(), 1..=255_u8).prop_map(|(at, bits)| Damage::Turn(at, bits)),
        index().prop_map(Damage::Drop),
        index().prop_map(Damage::End),
        index().prop_map(Damage::Skip),
        index().prop_map(Damage::Double),
        index().prop_map(Damage::Swap),
        index().prop_map(Damage::Fin),
        (index(), any::<u8>(), any::<u8>()).prop_map(|(at, a, b)| Damage::Header(at, a, b)),
        (index(), index(), 1..=255_u8).prop_map(|(at, byte, bits)| Damage::Payload(at, byte, bits)),
    ]
}

/// Does to the frames, and then to their bytes, what the damage says.
fn damaged(mut frames: Vec<Sent>, damage: &Damage) -> Vec<u8> {
    let count = frames.len();
    match damage {
        _ if count == 0 => {}
        Damage::Skip(at) => drop(frames.remove(at.index(count))),
        Damage::Double(at) => frames.insert(at.index(count), frames[at.index(count)].clone()),
        Damage::Swap(at) => frames.swap(at.index(count), (at.index(count) + 1) % count),
        Damage::Fin(at) => frames[at.index(count)].fin ^= true,
        Damage::Payload(at, byte, bits) => {
            let payload = &mut frames[at.index(count)].payload;
            if !payload.is_empty() {
                let byte = byte.index(payload.len());
                payload[byte] ^= bits;
            }
        }
        _ => {}
    }
    let mut bytes = encoded(&frames);
    match damage {
        _ if bytes.is_empty() => {}
        Damage::Turn(at, bits) => {
            let place = at.index(bytes.len());
            bytes[place] ^= bits;
        }
        Damage::Drop(at) => drop(bytes.remove(at.index(bytes.len()))),
        Damage::End(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Header(at, first, second) => {
            let before = encoded(&frames[..at.index(frames.len())]).len();
            // A mask that is missing or a long payload would only hide the other damage.
            bytes[before] ^= first;
            bytes[before + 1] ^= second & 0x0F;
        }
        _ => {}
    }
    bytes
}

/// A stream of valid frames that was damaged in one place.
pub fn damaged_stream() -> impl Strategy<Value = Vec<u8>> {
    let messages = prop::collection::vec(any_message(), 1..5);
    (messages, prop_oneof![Just(Vec::new()), any_close()], any_damage())
        .prop_map(|(messages, close, damage)| damaged([messages.concat(), close].concat(), &damage))
}

/// A valid or a damaged stream.
pub fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => valid_stream(), 3 => damaged_stream()]
}
