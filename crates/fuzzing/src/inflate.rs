//! DEFLATE read bit by bit after the text of RFC 1951: what the inflater is compared with.
//!
//! Slow and short: every code is found by counting, as in the RFC's own description. It reads the
//! payload of one compressed WebSocket message (RFC 7692 §7.2.2), never anything behind it: such a
//! message is whole where the four bytes that its sender has cut off would be the length of an empty
//! stored block, or where a final block ends with the payload.

/// Streams that the inflater reads in one message at most.
const STREAMS_MAX: usize = 1024;

/// What a payload stands for.
pub(crate) struct Inflated {
    /// All of it, or what came before it went wrong or became too much.
    pub(crate) bytes: Vec<u8>,
    /// How it ended.
    pub(crate) end: End,
    /// The farthest that anything in it refers back, in bytes.
    pub(crate) farthest: usize,
}

/// How reading a payload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The message is whole.
    Whole,
    /// It is no DEFLATE stream, or was cut off.
    Damaged,
    /// It is more than was asked for.
    Endless,
}

/// Reads a payload, up to about `bytes_max` bytes of what it stands for.
pub(crate) fn inflate(payload: &[u8], bytes_max: usize) -> Inflated {
    let mut reader =
        Reader { payload, at: 0, bit: 0, bytes: Vec::new(), begin: 0, bytes_max, farthest: 0 };
    let end = if payload.is_empty() { End::Whole } else { reader.streams() };
    Inflated { bytes: reader.bytes, end, farthest: reader.farthest }
}

struct Reader<'a> {
    payload: &'a [u8],
    at: usize,
    /// The next bit of the byte `at`.
    bit: u8,
    bytes: Vec<u8>,
    /// Where in `bytes` this stream began.
    begin: usize,
    bytes_max: usize,
    farthest: usize,
}

/// Why a stream is not read on.
type Step<T> = Result<T, End>;

/// How many codes there are of each length, and the symbols in the order of their codes.
struct Codes {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Codes {
    /// RFC 1951 §3.2.2. Codes that are left over are an error, but for a single code of one bit.
    fn new(lengths: &[usize], one_may_stand_alone: bool) -> Step<Self> {
        let mut counts = [0; 16];
        for length in lengths {
            counts[*length] += 1;
        }
        let mut left: i64 = 1;
        for count in &counts[1..] {
            left = 2 * left - *count as i64;
            if left < 0 {
                return Err(End::Damaged);
            }
        }
        let used = lengths.len() - counts[0];
        let alone = one_may_stand_alone && used == counts[1];
        if left > 0 && used > 0 && !alone {
            return Err(End::Damaged);
        }
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|at| lengths[*at] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Ok(Self { counts, symbols })
    }
}

impl Reader<'_> {
    fn streams(&mut self) -> End {
        for _ in 0..STREAMS_MAX {
            self.begin = self.bytes.len();
            loop {
                match self.block() {
                    Ok(false) => {}
                    Ok(true) => break,
                    Err(end) => return end,
                }
            }
            self.align();
            if self.at == self.payload.len() {
                return End::Whole;
            }
        }
        End::Damaged
    }

    /// Reads a block; true where it says that it is the last one of its stream.
    fn block(&mut self) -> Step<bool> {
        let is_last = self.bits(1)? == 1;
        match self.bits(2)? {
            0 => self.stored(is_last)?,
            1 => {
                let lengths: Vec<usize> = (0..288)
                    .map(|symbol| match symbol {
                        0..144 => 8,
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                let (lengths, distances) =
                    (Codes::new(&lengths, false)?, Codes::new(&[5; 32], false)?);
                self.compressed(&lengths, &distances)?;
            }
            2 => {
                let (lengths, distances) = self.dynamic()?;
                self.compressed(&lengths, &distances)?;
            }
            _ => return Err(End::Damaged),
        }
        Ok(is_last)
    }

    /// RFC 1951 §3.2.4.
    fn stored(&mut self, is_last: bool) -> Step<()> {
        self.align();
        if self.at == self.payload.len() && !is_last {
            return Err(End::Whole);
        }
        let (length, complement) = (self.bits(16)?, self.bits(16)?);
        if length ^ complement != 0xFFFF {
            return Err(End::Damaged);
        }
        for _ in 0..length {
            let byte = self.bits(8)?;
            self.put(byte as u8)?;
        }
        Ok(())
    }

    /// RFC 1951 §3.2.7.
    fn dynamic(&mut self) -> Step<(Codes, Codes)> {
        const ORDER: [usize; 19] =
            [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let literals = self.bits(5)? + 257;
        let distances = self.bits(5)? + 1;
        let count = self.bits(4)? + 4;
        if literals > 286 || distances > 30 {
            return Err(End::Damaged);
        }
        let mut lengths = [0; 19];
        for place in &ORDER[..count] {
            lengths[*place] = self.bits(3)?;
        }
        let codes = Codes::new(&lengths, false)?;
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match self.symbol(&codes)? {
                16 => (*lengths.last().ok_or(End::Damaged)?, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                18 => (0, 11 + self.bits(7)?),
                length => (length, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return Err(End::Damaged);
        }
        let (literals, distances) = lengths.split_at(literals);
        Ok((Codes::new(literals, true)?, Codes::new(distances, true)?))
    }

    /// RFC 1951 §3.2.5.
    fn compressed(&mut self, literals: &Codes, distances: &Codes) -> Step<()> {
        loop {
            let symbol = self.symbol(literals)?;
            if symbol < 256 {
                self.put(symbol as u8)?;
                continue;
            }
            let length = match symbol {
                256 => return Ok(()),
                257..265 => symbol - 254,
                265..285 => {
                    let extra = (symbol - 261) / 4;
                    ((4 + (symbol - 265) % 4) << extra) + 3 + self.bits(extra)?
                }
                285 => 258,
                _ => return Err(End::Damaged),
            };
            let distance = match self.symbol(distances)? {
                symbol @ 0..4 => symbol + 1,
                symbol @ 4..30 => {
                    let extra = symbol / 2 - 1;
                    ((2 + symbol % 2) << extra) + 1 + self.bits(extra)?
                }
                _ => return Err(End::Damaged),
            };
            if distance > self.bytes.len() - self.begin {
                return Err(End::Damaged);
            }
            self.farthest = self.farthest.max(distance);
            for _ in 0..length {
                self.put(self.bytes[self.bytes.len() - distance])?;
            }
        }
    }

    fn symbol(&mut self, codes: &Codes) -> Step<usize> {
        let (mut code, mut first, mut before) = (0, 0, 0);
        for count in &codes.counts[1..] {
            code = code << 1 | self.bits(1)?;
            if code < first + count {
                return Ok(codes.symbols[before + code - first]);
            }
            before += count;
            first = (first + count) << 1;
        }
        Err(End::Damaged)
    }

    fn bits(&mut self, count: usize) -> Step<usize> {
        let mut value = 0;
        for place in 0..count {
            let byte = *self.payload.get(self.at).ok_or(End::Damaged)?;
            value |= usize::from(byte >> self.bit & 1) << place;
            self.bit = (self.bit + 1) % 8;
            self.at += usize::from(self.bit == 0);
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.at += usize::from(self.bit > 0);
        self.bit = 0;
    }

    fn put(&mut self, byte: u8) -> Step<()> {
        if self.bytes.len() == self.bytes_max {
            return Err(End::Endless);
        }
        self.bytes.push(byte);
        Ok(())
    }
}
