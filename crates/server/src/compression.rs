//! Compressed messages (permessage-deflate, RFC 7692): who gets them, and one frame for all of them.
//!
//! A frame is compressed when the first connection comes that has agreed to it, and then shared like
//! the plain one: at most once for each size of window in use, never once a connection. What a
//! connection keeps of all this is the size of its window. Answers to a single device are left
//! plain; they are short.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use draftwire_websocket::deflate::compressed_frame;
use draftwire_websocket::{Agreement, WindowBits};

/// Frames shorter than this are sent plain: of an order event of that size compression takes off
/// less than a third, which does not make fewer packets of it, at the price of several writes.
const FRAME_BYTES_MIN: usize = 256;

/// What is agreed on with a client that sends these headers.
pub fn agree(enabled: bool, headers: &HeaderMap) -> Option<Agreement> {
    if !enabled {
        return None;
    }
    let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).into_iter();
    Agreement::on_first_of(offers.filter_map(|offer| offer.to_str().ok()))
}

/// The frame for one connection alone, compressed where it agreed to that and it is worth it.
pub fn frame_for_one(frame: Bytes, window: Option<WindowBits>) -> Bytes {
    match window {
        Some(window) => compressed(&frame, window).unwrap_or(frame),
        None => frame,
    }
}

/// One frame on its way to many connections.
#[derive(Debug)]
pub struct SharedFrame {
    plain: Bytes,
    /// For each window in use, once it was wanted; the plain frame where that is no longer.
    compressed: Vec<(WindowBits, Bytes)>,
}

impl SharedFrame {
    /// Nothing is compressed yet.
    pub fn new(plain: Bytes) -> Self {
        Self { plain, compressed: Vec::new() }
    }

    /// The frame for a connection that has agreed to this window, or to no compression.
    #[inline]
    pub fn get(&mut self, window: Option<WindowBits>) -> &Bytes {
        match window {
            None => &self.plain,
            Some(window) => self.get_compressed(window),
        }
    }

    #[inline(never)]
    fn get_compressed(&mut self, window: WindowBits) -> &Bytes {
        let known = self.compressed.iter().position(|(made_for, _)| *made_for == window);
        let index = known.unwrap_or_else(|| {
            let frame = compressed(&self.plain, window).unwrap_or_else(|| self.plain.clone());
            self.compressed.push((window, frame));
            self.compressed.len() - 1
        });
        &self.compressed[index].1
    }
}

fn compressed(frame: &Bytes, window: WindowBits) -> Option<Bytes> {
    if frame.len() < FRAME_BYTES_MIN {
        return None;
    }
    compressed_frame(frame, window).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::text_frame;

    #[test]
    fn a_frame_is_compressed_once_for_each_window_and_shared() {
        let plain = text_frame(&"an order ".repeat(100));
        let mut frame = SharedFrame::new(plain.clone());
        assert_eq!(frame.get(None).as_ptr(), plain.as_ptr(), "the plain one is shared too");
        assert!(frame.compressed.is_empty(), "nobody has wanted it yet");
        let small = WindowBits::MIN;
        let mut of = |window| frame.get(Some(window)).clone();
        let (first, second) = (of(WindowBits::MAX), of(WindowBits::MAX));
        assert!(first.len() < plain.len());
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_eq!(of(small).as_ptr(), of(small).as_ptr());
        assert_eq!(frame.compressed.len(), 2);
    }

    #[test]
    fn short_frames_and_those_that_would_grow_stay_as_they_are() {
        let short = text_frame(&"a".repeat(FRAME_BYTES_MIN - 5));
        assert!(short.len() < FRAME_BYTES_MIN);
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            (state >> 24) as u8
        })
        .take(1000)
        .collect();
        let noise = Bytes::from(draftwire_websocket::encode::binary(&noise));
        for plain in [short, noise] {
            let mut frame = SharedFrame::new(plain.clone());
            for _ in 0..2 {
                assert_eq!(frame.get(Some(WindowBits::MAX)).as_ptr(), plain.as_ptr());
            }
            let alone = frame_for_one(plain.clone(), Some(WindowBits::MAX));
            assert_eq!(alone.as_ptr(), plain.as_ptr());
        }
    }
}
