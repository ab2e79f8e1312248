//! The Huffman code of HPACK and QPACK (RFC 7541 §5.2 and appendix B).
//!
//! The code is canonical: within one length the codes count upwards in the order of the bytes,
//! and each length begins where the shorter one ended. So the bytes of each length, in order, say
//! all of appendix B.

/// Why bytes are no Huffman-coded string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HuffmanError {
    /// The code for the end of the string stands within it.
    EndOfString,
    /// What is left after the last whole code is no padding: longer than 7 bits, or not all ones.
    Padding,
}

/// Decodes `coded` and appends what it says to `plain`: 8 bytes out of 5 at most.
pub(in crate::app) fn decode(coded: &[u8], plain: &mut Vec<u8>) -> Result<(), HuffmanError> {
    plain.reserve(coded.len() + coded.len() / 2);
    let mut rest = coded.iter();
    let mut window = 0_u64; // the bits that come next, from the top
    let mut held = 0_u32;
    loop {
        while let Some(shift) = 56_u32.checked_sub(held) {
            let Some(byte) = rest.next() else { break };
            window |= u64::from(*byte) << shift;
            held += 8;
        }
        if held == 0 {
            return Ok(());
        }
        let padded = window | u64::MAX.checked_shr(held).unwrap_or(0);
        let (bits, byte) = first_code(padded);
        if bits > held {
            let is_padding = held < 8 && padded == u64::MAX;
            return is_padding.then_some(()).ok_or(HuffmanError::Padding);
        }
        plain.push(byte.ok_or(HuffmanError::EndOfString)?);
        window <<= bits;
        held -= bits;
    }
}

/// Length and meaning of the first code in `window`; no meaning for the end of the string.
fn first_code(window: u64) -> (u32, Option<u8>) {
    let mut above = window >> 32; // how far the window lies above the first code of a length
    for (bits, bytes) in CODES {
        let place = above >> (32 - bits);
        let count = bytes.len() as u64;
        if place < count {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            return (bits, bytes.get(place).copied());
        }
        above -= count << (32 - bits);
    }
    (END_OF_STRING_BITS, None)
}

const END_OF_STRING_BITS: u32 = 30;

/// Bits of a code, and the bytes that have a code of that length.
const CODES: [(u32, &[u8]); 21] = [
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
    (19, &[92, 195, 208]),
    (20, &[128, 130, 131, 162, 184, 194, 224, 226]),
    (
        21,
        &[
            153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230,
        ],
    ),
    (
        22,
        &[
            129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185,
            186, 187, 189, 190, 196, 198, 228, 232, 233,
        ],
    ),
    (
        23,
        &[
            1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166,
            168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239,
        ],
    ),
    (
        24,
        &[9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237],
    ),
    (25, &[199, 207, 234, 235]),
    (
        26,
        &[
            192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255,
        ],
    ),
    (
        27,
        &[
            203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252,
            253, 254,
        ],
    ),
    (
        28,
        &[
            2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28,
            29, 30, 31, 127, 220, 249,
        ],
    ),
    (30, &[10, 13, 22]),
];

/// The naive other half, for tests: encodes bit by bit.
#[cfg(test)]
pub(in crate::app) fn encode(plain: &[u8]) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    for byte in plain {
        let (length, code) = code_of(*byte);
        bits.extend((0..length).rev().map(|place| code >> place & 1 == 1));
    }
    while bits.len() % 8 != 0 {
        bits.push(true);
    }
    bits.chunks(8)
        .map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit)))
        .collect()
}

/// Length and code of a byte, by counting upwards as appendix B does.
#[cfg(test)]
fn code_of(byte: u8) -> (u32, u32) {
    let (mut next, mut before) = (0_u32, 0);
    for (length, bytes) in CODES {
        next <<= length - before;
        before = length;
        if let Some(place) = bytes.iter().position(|one| *one == byte) {
            return (length, next + u32::try_from(place).unwrap());
        }
        next += u32::try_from(bytes.len()).unwrap();
    }
    unreachable!("{byte} has no code")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, HuffmanError> {
        let mut plain = Vec::new();
        decode(coded, &mut plain).map(|()| plain)
    }

    #[test]
    fn codes_are_those_of_appendix_b() {
        for (byte, expected) in [
            (b'0', (5, 0x0)),
            (b't', (5, 0x9)),
            (b' ', (6, 0x14)),
            (b'u', (6, 0x2d)),
            (b':', (7, 0x5c)),
            (b'z', (7, 0x7b)),
            (b'&', (8, 0xf8)),
            (b'Z', (8, 0xfd)),
            (b'!', (10, 0x3f8)),
            (b'\'', (11, 0x7fa)),
            (b'>', (12, 0xffb)),
            (0, (13, 0x1ff8)),
            (b'}', (14, 0x3ffd)),
            (b'{', (15, 0x7ffe)),
            (b'\\', (19, 0x7fff0)),
            (226, (20, 0xfffed)),
            (153, (21, 0x1fffdc)),
            (233, (22, 0x3fffeb)),
            (239, (23, 0x7ffff4)),
            (9, (24, 0xffffea)),
            (235, (25, 0x1ffffef)),
            (255, (26, 0x3ffffee)),
            (254, (27, 0x7fffff0)),
            (249, (28, 0xffffffe)),
            (10, (30, 0x3ffffffc)),
            (22, (30, 0x3ffffffe)),
        ] {
            assert_eq!(code_of(byte), expected, "{byte}");
        }
    }

    #[test]
    fn every_byte_has_one_code_and_one_code_is_left() {
        let mut bytes: Vec<u8> = CODES.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        let room: u64 = CODES
            .iter()
            .map(|(bits, bytes)| (bytes.len() as u64) << (END_OF_STRING_BITS - bits))
            .sum();
        assert_eq!(room + 1, 1 << END_OF_STRING_BITS);
    }

    #[test]
    fn the_strings_of_appendix_c_are_decoded() {
        for (coded, plain) in [
            (
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ][..],
                "www.example.com",
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (
                &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f],
                "custom-key",
            ),
            (&[0x64, 0x02], "302"),
            (&[], ""),
        ] {
            assert_eq!(decoded(coded), Ok(plain.as_bytes().to_vec()), "{plain}");
            assert_eq!(encode(plain.as_bytes()), coded, "{plain}");
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones() {
        assert_eq!(decoded(&[0b0000_0111]), Ok(b"0".to_vec()));
        assert_eq!(decoded(&[0b0000_0110]), Err(HuffmanError::Padding));
        assert_eq!(decoded(&[0b0000_0000]), Err(HuffmanError::Padding));
        assert_eq!(decoded(&[0xff]), Err(HuffmanError::Padding));
        assert_eq!(decoded(&[0b0000_0111, 0xff]), Err(HuffmanError::Padding));
        assert_eq!(decoded(&[0xfe]), Err(HuffmanError::Padding)); // 8 bits of a longer code
        assert_eq!(decoded(&[0xf8]), Ok(b"&".to_vec())); // no padding at all
    }

    #[test]
    fn the_end_of_the_string_is_not_written_within_it() {
        assert_eq!(decoded(&[0xff; 4]), Err(HuffmanError::EndOfString));
        assert_eq!(decoded(&[0xff; 3]), Err(HuffmanError::Padding));
        assert_eq!(
            decoded(&[0b0000_0111, 0xff, 0xff, 0xff, 0xff]),
            Err(HuffmanError::EndOfString)
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(plain: Vec<u8>) {
            prop_assert_eq!(decoded(&encode(&plain)), Ok(plain));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused_within_the_bound(coded: Vec<u8>) {
            let mut plain = Vec::new();
            if decode(&coded, &mut plain).is_ok() {
                prop_assert_eq!(&encode(&plain), &coded);
            }
            prop_assert!(plain.len() <= coded.len() * 8 / 5);
        }
    }
}
