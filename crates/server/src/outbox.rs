//! What waits to be written to one socket: shared frames, in order, bounded in bytes.
//!
//! A frame is encoded once and every outbox holds the same bytes. An empty outbox owns no heap.
//! It never writes: the worker takes the bytes and says how many the socket took. Recovery bytes
//! do not count towards the bound, or a large snapshot would be cut, and cut again, for ever.

use std::collections::VecDeque;

use bytes::Bytes;

/// Frames up to this size are joined into one write; larger ones are written where they lie.
const JOIN_FRAME_BYTES_MAX: usize = 16 * 1024;
/// How many bytes are joined at most.
const JOIN_BYTES_MAX: usize = 64 * 1024;

/// Frames on their way to one socket.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The front frame. Kept beside the queue, so that one frame at a time needs no allocation.
    front: Option<Bytes>,
    rest: VecDeque<Bytes>,
    /// Bytes of the front frame that were written.
    sent: usize,
    /// Bytes that still wait.
    bytes: usize,
    /// Of these, bytes of recovery.
    exempt: usize,
}

impl Outbox {
    /// Appends a frame.
    pub fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        match self.front {
            None => self.front = Some(frame),
            Some(_) => self.rest.push_back(frame),
        }
    }

    /// Appends a frame that does not count towards the bound.
    pub fn push_exempt(&mut self, frame: Bytes) {
        self.exempt += frame.len();
        self.push(frame);
    }

    /// True where nothing waits.
    pub fn is_empty(&self) -> bool {
        self.front.is_none()
    }

    /// Bytes that count towards the bound.
    pub fn counted_bytes(&self) -> usize {
        self.bytes - self.exempt
    }

    /// The bytes to write next: either the front frame's rest, or several frames joined in
    /// `scratch`. `None` where nothing waits.
    pub fn next_write<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let front = &self.front.as_ref()?[self.sent..];
        if self.rest.is_empty() || front.len() > JOIN_FRAME_BYTES_MAX {
            return Some(front);
        }
        scratch.clear();
        scratch.extend_from_slice(front);
        for frame in &self.rest {
            if frame.len() > JOIN_FRAME_BYTES_MAX || scratch.len() + frame.len() > JOIN_BYTES_MAX {
                break;
            }
            scratch.extend_from_slice(frame);
        }
        Some(scratch)
    }

    /// The socket took `written` bytes.
    pub fn advance(&mut self, mut written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        self.exempt = self.exempt.min(self.bytes);
        while let Some(front) = &self.front {
            let left = front.len() - self.sent;
            if written < left {
                self.sent += written;
                return;
            }
            written -= left;
            self.sent = 0;
            self.front = self.rest.pop_front();
        }
        // An idle connection keeps no buffer.
        self.rest = VecDeque::new();
    }

    /// Throws away every frame that was not begun: the rest of one that was must still go out,
    /// or the other side could not read what follows.
    pub fn clear_unsent(&mut self) {
        self.rest = VecDeque::new();
        self.exempt = 0;
        if self.sent == 0 {
            self.front = None;
        }
        self.bytes = self.front.as_ref().map_or(0, |front| front.len() - self.sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let (mut taken, mut scratch) = (Vec::new(), Vec::new());
        while let Some(next) = outbox.next_write(&mut scratch) {
            let count = next.len().min(step);
            taken.extend_from_slice(&next[..count]);
            outbox.advance(count);
        }
        taken
    }

    #[test]
    fn bytes_leave_in_order_whatever_the_socket_takes() {
        for step in [1, 2, 3, 7, 20_000, 1_000_000] {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for (index, size) in [5, 1, 70_000, 3, 16_384, 9, 16_385, 2].into_iter().enumerate() {
                let frame = vec![index as u8; size];
                expected.extend_from_slice(&frame);
                outbox.push(frame.into());
            }
            assert_eq!(drain(&mut outbox, step), expected, "step {step}");
            assert!(outbox.is_empty());
            assert_eq!(outbox.counted_bytes(), 0);
            assert_eq!(outbox.rest.capacity(), 0, "an idle outbox owns no heap");
        }
    }

    #[test]
    fn recovery_bytes_do_not_count() {
        let mut outbox = Outbox::default();
        outbox.push_exempt(vec![0; 1000].into());
        assert_eq!(outbox.counted_bytes(), 0);
        outbox.push(vec![0; 10].into());
        assert_eq!(outbox.counted_bytes(), 10);
        outbox.advance(1000);
        assert_eq!(outbox.counted_bytes(), 0);
        outbox.advance(10);
        outbox.push(vec![0; 10].into());
        assert_eq!(outbox.counted_bytes(), 10, "the exemption ended with the recovery");
    }

    #[test]
    fn clearing_keeps_the_rest_of_a_frame_that_was_begun() {
        let mut outbox = Outbox::default();
        outbox.push(b"begun"[..].into());
        outbox.push(b"dropped"[..].into());
        outbox.advance(2);
        outbox.clear_unsent();
        outbox.push(b"close"[..].into());
        assert_eq!(drain(&mut outbox, 100), b"gunclose");
    }
}
