//! Integers and strings of HPACK and QPACK (RFC 7541 §5, RFC 9204 §4.1).

use crate::app::hpack::HpackError;
use crate::app::hpack::huffman;

/// Takes representations off the front of a block.
#[derive(Clone, Copy, Debug)]
pub(in crate::app) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(in crate::app) fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    /// The next byte, which says what stands there; it is not taken off.
    pub(in crate::app) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The bytes that were not taken off.
    #[allow(dead_code, reason = "QPACK needs it")]
    pub(in crate::app) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An integer in the low `prefix` bits (1 to 8) of the next byte and in those that continue
    /// it (RFC 7541 §5.1). More than 62 bits (RFC 9204 §4.1.1) are refused.
    pub(in crate::app) fn integer(&mut self, prefix: u32) -> Result<u64, HpackError> {
        let mask = u8::MAX >> (8 - prefix.clamp(1, 8));
        let first = self.byte()? & mask;
        let mut value = u64::from(first);
        if first < mask {
            return Ok(value);
        }
        for shift in (0..INTEGER_BITS_MAX).step_by(7) {
            let byte = self.byte()?;
            value += u64::from(byte & 0x7f) << shift;
            if value >> INTEGER_BITS_MAX != 0 {
                return Err(HpackError::Integer);
            }
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(HpackError::Integer)
    }

    /// A string whose length stands in the low `prefix` bits of the next byte, and above them
    /// whether it is Huffman-coded (RFC 7541 §5.2). Only then it is written to `scratch`.
    pub(in crate::app) fn string<'b>(
        &mut self,
        prefix: u32,
        scratch: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], HpackError>
    where
        'a: 'b,
    {
        let is_coded = self.peek().unwrap_or_default() >> prefix & 1 == 1;
        let length = usize::try_from(self.integer(prefix)?).unwrap_or(usize::MAX);
        let bytes = self.take(length)?;
        if !is_coded {
            return Ok(bytes);
        }
        scratch.clear();
        huffman::decode(bytes, scratch).map_err(HpackError::Huffman)?;
        Ok(scratch)
    }

    fn byte(&mut self) -> Result<u8, HpackError> {
        let (byte, rest) = self.rest.split_first().ok_or(HpackError::Cut)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], HpackError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(HpackError::Cut)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// The longest integer that is understood, in bits.
const INTEGER_BITS_MAX: u32 = 62;

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(bytes: &[u8], prefix: u32) -> (Result<u64, HpackError>, usize) {
        let mut reader = Reader::new(bytes);
        (reader.integer(prefix), reader.rest().len())
    }

    #[test]
    fn the_integers_of_appendix_c_1_are_read() {
        assert_eq!(integer(&[0b1110_1010], 5), (Ok(10), 0));
        assert_eq!(integer(&[0b0001_1111, 154, 10], 5), (Ok(1337), 0));
        assert_eq!(integer(&[42], 8), (Ok(42), 0));
    }

    #[test]
    fn a_full_prefix_goes_on_even_when_nothing_is_added() {
        assert_eq!(integer(&[0x7f, 0, 9], 7), (Ok(127), 1));
        assert_eq!(integer(&[0x7f, 0x80, 0x80, 0, 9], 7), (Ok(127), 1));
    }

    #[test]
    fn an_integer_that_is_cut_or_has_no_end_is_refused() {
        assert_eq!(integer(&[], 7).0, Err(HpackError::Cut));
        assert_eq!(integer(&[0x7f, 0x80], 7).0, Err(HpackError::Cut));
        assert_eq!(integer(&[0x80; 99], 1).0, Ok(0));
        assert_eq!(integer(&[0xff; 99], 7).0, Err(HpackError::Integer));
        let zeros = [&[0x7f][..], &[0x80; 99]].concat();
        assert_eq!(integer(&zeros, 7).0, Err(HpackError::Integer));
    }

    #[test]
    fn integers_have_62_bits_at_most() {
        let most = [&[0xff][..], &[0x80, 0xfe], &[0xff; 6], &[0x3f]].concat();
        assert_eq!(integer(&most, 8).0, Ok((1 << 62) - 1));
        let more = [&[0xff][..], &[0x81, 0xfe], &[0xff; 6], &[0x3f]].concat();
        assert_eq!(integer(&more, 8).0, Err(HpackError::Integer));
    }

    #[test]
    fn a_string_is_plain_or_coded_and_no_longer_than_its_block() {
        let mut scratch = b"earlier".to_vec();
        let mut reader = Reader::new(b"\x03abcd");
        assert_eq!(reader.string(7, &mut scratch), Ok(&b"abc"[..]));
        assert_eq!(reader.rest(), b"d");
        let mut reader = Reader::new(&[0x82, 0x64, 0x02, 1]);
        assert_eq!(reader.string(7, &mut scratch), Ok(&b"302"[..]));
        assert_eq!(reader.rest(), [1]);
        let mut reader = Reader::new(&[0b0010_1010, 0x64, 0x02]); // a prefix of QPACK
        assert_eq!(reader.string(3, &mut scratch), Ok(&b"302"[..]));
        for cut in [&b""[..], b"\x03ab", &[0xff, 0xff, 0xff, 0xff, 0xff, 0x07]] {
            let mut reader = Reader::new(cut);
            assert_eq!(reader.string(7, &mut scratch), Err(HpackError::Cut));
        }
    }
}
