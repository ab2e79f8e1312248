//! Integers of variable length (RFC 9000 §16).

use crate::app::tls::reader::Reader;

/// The next integer: 1, 2, 4 or 8 bytes, by the two highest bits.
pub fn varint(reader: &mut Reader<'_>) -> Option<u64> {
    let first = *reader.rest().first()?;
    let bytes = reader.take(1 << (first >> 6))?;
    let whole = bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Some(whole & (u64::MAX >> (66 - 8 * bytes.len())))
}

/// The next integer as a length in memory.
pub fn length(reader: &mut Reader<'_>) -> Option<usize> {
    usize::try_from(varint(reader)?).ok()
}

/// The next bytes, behind their length.
pub fn vector<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = length(reader)?;
    reader.take(length)
}

/// For tests: the shortest form.
#[cfg(test)]
pub(in crate::app) fn write(value: u64) -> Vec<u8> {
    let (length, mark) = match value {
        0..=0x3f => (1, 0),
        0x40..=0x3fff => (2, 1_u64),
        0x4000..=0x3fff_ffff => (4, 2),
        _ => (8, 3),
    };
    let whole = value | mark << (8 * length - 2);
    whole.to_be_bytes()[8 - length..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9000 §A.1.
    #[test]
    fn the_published_integers_are_read() {
        for (bytes, value) in [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
            (&[0xff; 8], (1 << 62) - 1),
        ] {
            let mut reader = Reader::new(bytes);
            assert_eq!(varint(&mut reader), Some(value));
            assert!(reader.is_empty());
            for cut in 0..bytes.len() {
                assert_eq!(varint(&mut Reader::new(&bytes[..cut])), None);
            }
        }
    }

    #[test]
    fn what_is_written_comes_back() {
        for value in [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30] {
            assert_eq!(varint(&mut Reader::new(&write(value))), Some(value));
        }
    }

    #[test]
    fn a_vector_that_is_longer_than_what_is_there_is_refused() {
        assert_eq!(vector(&mut Reader::new(&[2, 1, 1])), Some(&[1, 1][..]));
        assert_eq!(vector(&mut Reader::new(&[3, 1, 1])), None);
        assert_eq!(vector(&mut Reader::new(&[0xff; 8])), None);
    }
}
