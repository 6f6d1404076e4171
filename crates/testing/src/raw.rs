//! A connection whose frames the test writes and reads itself: for clients that break the rules,
//! never answer or never read.

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::within;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The bit of a frame's first byte that ends a message.
pub const FIN: u8 = 0x80;
/// The opcode of a frame that continues a message.
pub const CONTINUATION: u8 = 0;
/// The opcode of a text message.
pub const TEXT: u8 = 1;
/// The opcode of a binary message.
pub const BINARY: u8 = 2;
/// The opcode of a close frame.
pub const CLOSE: u8 = 8;
/// The opcode of a ping.
pub const PING: u8 = 9;
/// The opcode of a pong.
pub const PONG: u8 = 10;

/// An open WebSocket of which nothing is done by itself.
pub struct RawSocket {
    stream: BufReader<TcpStream>,
}

/// Bytes that are read ahead. Few, so that many sockets cost little.
const READ_AHEAD_BYTES: usize = 256;

impl RawSocket {
    /// Takes a stream on which the handshake is over. What is written leaves at once.
    ///
    /// # Panics
    ///
    /// Where the stream is no socket any more.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket");
        Self { stream: BufReader::with_capacity(READ_AHEAD_BYTES, stream) }
    }

    /// Writes a whole, masked frame.
    pub async fn write_frame(&mut self, opcode: u8, payload: &[u8]) {
        self.write_bytes(&frame(FIN | opcode, payload)).await;
    }

    /// Writes a whole frame without a mask, as no client may.
    pub async fn write_unmasked_frame(&mut self, opcode: u8, payload: &[u8]) {
        self.write_bytes(&unmasked_frame(FIN | opcode, payload)).await;
    }

    /// Writes bytes as they stand.
    ///
    /// # Panics
    ///
    /// Where the connection is gone.
    pub async fn write_bytes(&mut self, bytes: &[u8]) {
        let writing = self.stream.write_all(bytes);
        within("room to write", writing).await.expect("the connection is open");
    }

    /// Writes bytes as they stand; false where the server has ended the connection.
    ///
    /// # Panics
    ///
    /// Where there never is room for them.
    pub async fn try_write_bytes(&mut self, bytes: &[u8]) -> bool {
        within("room to write", self.stream.write_all(bytes)).await.is_ok()
    }

    /// The next frame: opcode and payload. `None` at the connection's end.
    ///
    /// # Panics
    ///
    /// Where nothing comes, or something no server may send.
    pub async fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        within("a frame", self.read_frame_patiently()).await
    }

    async fn read_frame_patiently(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await.ok()?;
        let second = self.stream.read_u8().await.ok()?;
        assert_eq!(first & 0xf0, 0x80, "the server sends whole frames without extensions");
        assert_eq!(second & 0x80, 0, "a server's frame is not masked");
        let length = match second {
            126 => u64::from(self.stream.read_u16().await.ok()?),
            127 => self.stream.read_u64().await.ok()?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).expect("a frame that fits memory")];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((first & 0x0f, payload))
    }

    /// Everything that still comes, up to the close frame or the connection's end: the texts, and
    /// the close code where one came.
    ///
    /// # Panics
    ///
    /// Where neither comes.
    pub async fn read_to_end(&mut self) -> (Vec<String>, Option<u16>) {
        let mut texts = Vec::new();
        loop {
            match self.read_frame().await {
                None => return (texts, None),
                Some((CLOSE, payload)) => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    return (texts, code);
                }
                Some((TEXT, payload)) => {
                    texts.push(String::from_utf8(payload).expect("the server sends UTF-8"));
                }
                Some(_) => {}
            }
        }
    }

    /// Checks that the server ends the connection without a further frame.
    ///
    /// # Panics
    ///
    /// Where it does not.
    pub async fn expect_end(&mut self) {
        let frame = self.read_frame().await;
        assert!(frame.is_none(), "expected the connection's end, got {frame:?}");
    }
}

/// A masked frame with this first byte: [`FIN`], reserved bits and opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, 0x80, payload.len());
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The same without a mask.
pub fn unmasked_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn head(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => head.push(mask | short),
        (_, Ok(length)) => {
            head.push(mask | 126);
            head.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            head.push(mask | 127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head
}
