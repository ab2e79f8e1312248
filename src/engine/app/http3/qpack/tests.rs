use proptest::prelude::*;

use super::*;

fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn decode(qpack: &Qpack, section: &str, partly: bool) -> Result<(String, u64), Refusal> {
    let mut lines = Vec::new();
    let decoded = qpack.decode(&bytes(section), partly, |name, value| {
        let [name, value] = [name, value].map(String::from_utf8_lossy);
        lines.push(format!("{name}={value}"));
    })?;
    Ok((lines.join(" "), decoded.unknown))
}

fn told(qpack: &Qpack, section: &str) -> String {
    let (lines, unknown) = decode(qpack, section, false).unwrap();
    assert_eq!(unknown, 0);
    lines
}

/// The encoder stream of RFC 9204 appendix B, in its pieces.
const INSTRUCTIONS: [&str; 4] = [
    "3fbd01 c00f7777772e6578616d706c652e636f6d c10c2f73616d706c652f70617468",
    "4a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    "02",
    "810d637573746f6d2d76616c756532",
];

/// After so many of its pieces. Its receiver allows 220 bytes.
fn after(pieces: usize) -> Qpack {
    let mut qpack = Qpack::default();
    qpack.allow(220);
    for piece in INSTRUCTIONS.iter().take(pieces) {
        qpack.instruct(&bytes(piece)).unwrap();
    }
    qpack
}

/// RFC 9204 §B.1.
#[test]
fn a_literal_with_a_static_name_is_read() {
    let section = "0000 510b2f696e6465782e68746d6c";
    assert_eq!(told(&after(0), section), ":path=/index.html");
}

/// RFC 9204 §B.2.
#[test]
fn a_section_that_comes_before_its_fields_is_blocked() {
    let section = "0381 10 11";
    assert_eq!(decode(&after(0), section, false), Err(Refusal::Blocked));
    let fields = ":authority=www.example.com :path=/sample/path";
    assert_eq!(told(&after(1), section), fields);
    let gone = (":path=/sample/path".to_owned(), 1);
    assert_eq!(decode(&after(4), section, false), Ok(gone));
}

/// RFC 9204 §B.3 and §B.4.
#[test]
fn inserted_and_duplicated_fields_are_found() {
    let section = "0500 80 c1 81";
    for blocked in 0..3 {
        assert_eq!(
            decode(&after(blocked), section, false),
            Err(Refusal::Blocked)
        );
    }
    let fields = ":authority=www.example.com :path=/ custom-key=custom-value";
    assert_eq!(told(&after(3), section), fields);
    assert_eq!(told(&after(4), section), fields);
}

/// RFC 9204 §B.5: the first field goes.
#[test]
fn fields_that_are_gone_are_unknown() {
    let qpack = after(4);
    assert_eq!(qpack.table.inserted(), 5);
    let found = decode(&qpack, "0600 80 84", false);
    assert_eq!(found, Ok(("custom-key=custom-value2".into(), 1)));
}

#[test]
fn instructions_may_be_cut_anywhere() {
    let stream = INSTRUCTIONS.map(bytes).concat();
    for size in 1..stream.len() {
        let mut qpack = Qpack::default();
        qpack.allow(220);
        for piece in stream.chunks(size) {
            qpack.instruct(piece).unwrap();
        }
        assert_eq!(told(&qpack, "0600 80"), "custom-key=custom-value2");
        assert!(qpack.unfinished.is_empty());
    }
}

#[test]
fn a_missed_instruction_hides_the_table_and_nothing_else() {
    let mut qpack = after(3);
    qpack.lose();
    qpack.instruct(&bytes(INSTRUCTIONS[3])).unwrap();
    let found = decode(&qpack, "0500 80 c1 81 510178", false);
    assert_eq!(found, Ok((":path=/ :path=x".into(), 2)));
    assert_eq!(decode(&qpack, "0485 80", false), Ok((String::new(), 1)));
}

#[test]
fn what_has_not_come_is_unknown_when_nothing_more_is_waited_for() {
    let found = decode(&after(1), "0500 80 c1", true);
    assert_eq!(found, Ok((":path=/".into(), 1)));
}

/// 6 fields have room in 220 bytes, so that counts are told modulo 12 (RFC 9204 §4.5.1.1).
#[test]
fn counts_wrap_around_twice_the_room_of_the_table() {
    let mut qpack = after(0);
    qpack.instruct(&bytes("3fbd01")).unwrap();
    for number in 1..=100_u64 {
        let value = format!("4161 02 {:02x}{:02x}", number / 16 + 65, number % 16 + 65);
        qpack.instruct(&bytes(&value)).unwrap();
        let section = format!("{:02x}00 80", number % 12 + 1);
        let expected: String = [number / 16, number % 16]
            .map(|part| char::from(u8::try_from(part + 65).unwrap()))
            .iter()
            .collect();
        assert_eq!(told(&qpack, &section), format!("a={expected}"));
    }
}

#[test]
fn where_the_receiver_was_not_seen_its_bound_is_guessed() {
    let mut qpack = Qpack::default();
    for piece in INSTRUCTIONS {
        qpack.instruct(&bytes(piece)).unwrap();
    }
    assert_eq!(told(&qpack, "0600 80"), "custom-key=custom-value2");
    assert_eq!(Qpack::default().required(9), Ok(8));
}

#[test]
fn a_section_that_makes_no_sense_is_refused() {
    let index = Err(Refusal::Malformed(HpackError::Index));
    for section in [
        "0000 80",   // a dynamic field, though none is needed
        "0300 82",   // before the first
        "0300 10",   // beyond what is needed
        "0d00",      // more than twice the room
        "0383",      // a base below zero
        "0000 ff24", // static 99
        "0000 5f54 00",
    ] {
        assert_eq!(decode(&after(4), section, false), index, "{section}");
    }
    for section in ["", "00", "0000 51", "0000 510b", "0000 2361", "0000 ff"] {
        let cut = Err(Refusal::Malformed(HpackError::Cut));
        assert_eq!(decode(&after(4), section, false), cut, "{section}");
    }
}

#[test]
fn an_instruction_that_makes_no_sense_loses_the_table() {
    for wrong in ["05", "8501 61", "ff24 01 61", "3fffffffffffffffffff7f"] {
        let mut qpack = after(3);
        assert!(qpack.instruct(&bytes(wrong)).is_err(), "{wrong}");
        assert!(qpack.is_lost);
    }
    let mut qpack = after(0);
    let endless = [
        &bytes("4161 7fffffff7f")[..],
        &[b'x'; INSTRUCTION_BYTES_MAX],
    ]
    .concat();
    assert_eq!(qpack.instruct(&endless), Err(HpackError::Cut));
    assert_eq!(qpack.unfinished.capacity(), 0);
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused_within_the_bounds(
        pieces: Vec<Vec<u8>>,
        section: Vec<u8>,
        allowed: Option<u64>,
        partly: bool,
    ) {
        let mut qpack = Qpack { allowed, ..Qpack::default() };
        for piece in pieces {
            let outcome = qpack.instruct(&piece);
            prop_assert!(outcome.is_ok() || qpack.is_lost);
        }
        prop_assert!(qpack.heap_bytes() <= 3 * HPACK_TABLE_BYTES_MAX);
        let mut told = 0;
        let decoded = qpack.decode(&section, partly, |name, value| {
            told += name.len() + value.len() + 32;
        });
        prop_assert!(decoded.is_err() || told <= HEADER_LIST_BYTES_MAX);
    }
}
