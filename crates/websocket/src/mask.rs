//! Masking, which is its own inverse (RFC 6455 §5.3).
//!
//! Owns the one loop that combines a payload with its four mask bytes. It never keeps state: who
//! masks a payload in pieces passes each piece the key that [`key_after`] gives for it. The decoder
//! and the encoder call it.

/// Bytes combined at a time; a multiple of the key's length that fills a vector register.
const BLOCK_BYTES: usize = 16;

/// Masks or unmasks `payload` in place, the first byte with the first byte of the key.
pub(crate) fn apply(payload: &mut [u8], key: [u8; 4]) {
    if key == [0; 4] {
        // This is the key of every unmasked frame, and a masked one of that key is unchanged too.
        return;
    }
    let block_key = u128::from_ne_bytes(std::array::from_fn(|index| key[index % key.len()]));
    let (blocks, rest) = payload.as_chunks_mut::<BLOCK_BYTES>();
    for block in blocks {
        *block = (u128::from_ne_bytes(*block) ^ block_key).to_ne_bytes();
    }
    let word_key = u32::from_ne_bytes(key);
    let (words, tail) = rest.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ word_key).to_ne_bytes();
    }
    for (byte, key_byte) in tail.iter_mut().zip(key) {
        *byte ^= key_byte;
    }
}

/// The key for what follows after `bytes` bytes were combined with `key`.
pub(crate) fn key_after(mut key: [u8; 4], bytes: usize) -> [u8; 4] {
    let shift = bytes % key.len();
    key.rotate_left(shift);
    key
}
