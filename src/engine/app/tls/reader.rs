//! Takes numbers and lengths off bytes that nobody vouches for; refuses instead of panicking.

/// Bytes that are not read yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next bytes, as many as the array has.
    pub fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(taken)
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(|&[byte]| byte)
    }

    /// Two bytes, the high one first.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// Three bytes, as handshake messages give their length (RFC 8446 §4).
    pub fn u24(&mut self) -> Option<usize> {
        let [high, middle, low] = *self.array()?;
        Some(usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low))
    }

    /// A vector behind a length of one byte (RFC 8446 §3.4).
    pub fn vector8(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let length = ahead.u8()?;
        let taken = ahead.take(usize::from(length))?;
        *self = ahead;
        Some(taken)
    }

    /// A vector behind a length of two bytes.
    pub fn vector16(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let length = ahead.u16()?;
        let taken = ahead.take(usize::from(length))?;
        *self = ahead;
        Some(taken)
    }
}

/// Two-byte numbers one after the other; a byte too many at the end counts for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers<'a> {
    bytes: &'a [u8],
}

impl<'a> Numbers<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The numbers, in their order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + Clone + use<'a> {
        self.bytes
            .chunks_exact(2)
            .filter_map(|pair| pair.first_chunk().map(|two| u16::from_be_bytes(*two)))
    }

    /// Whether `number` is among them.
    pub fn contains(&self, number: u16) -> bool {
        self.iter().any(|one| one == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_refused_and_nothing_is_taken() {
        let mut reader = Reader::new(&[0, 5, 1, 2]);
        assert_eq!(reader.vector16(), None);
        assert_eq!(reader.rest().len(), 4);
        assert_eq!(reader.vector8(), Some(&[][..]));
        assert_eq!(reader.u24(), Some(0x05_01_02));
        assert_eq!((reader.u8(), reader.is_empty()), (None, true));
    }

    #[test]
    fn an_odd_byte_behind_numbers_counts_for_nothing() {
        let numbers = Numbers::new(&[0x13, 1, 0x13, 2, 9]);
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [0x1301, 0x1302]);
        assert!(numbers.contains(0x1302) && !numbers.contains(9));
    }
}
