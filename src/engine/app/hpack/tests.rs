//! Header blocks: those of RFC 7541 appendix C, and those that somebody made to do harm.

use proptest::prelude::*;

use super::*;
use crate::limits::HPACK_TABLE_BYTES_MAX;

/// Bytes written as in the RFC: pairs of digits, blanks anywhere.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
        .collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, HpackError> {
    let mut fields = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    decoder.decode(block, |name, value| {
        fields.push(format!("{}: {}", text(name), text(value)));
    })?;
    Ok(fields)
}

/// The dynamic table, newest first.
fn dynamic(decoder: &Decoder) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (0..)
        .map_while(|place| match decoder.table.get(place) {
            Found::Field { name, value } => Some(format!("{}: {}", text(name), text(value))),
            Found::Unknown | Found::Nothing => None,
        })
        .collect()
}

/// A block, its fields, and the dynamic table after it.
type Step<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

fn check(capacity: u64, steps: &[Step<'_>]) {
    let mut decoder = Decoder {
        table: Table::new(capacity),
    };
    for (block, fields, table) in steps {
        let told = decode(&mut decoder, &hex(block)).unwrap();
        assert_eq!(told, *fields, "{block}");
        assert_eq!(dynamic(&decoder), *table, "{block}");
    }
}

const FIRST_REQUEST: &[&str] = &[
    ":method: GET",
    ":scheme: http",
    ":path: /",
    ":authority: www.example.com",
];
const SECOND_REQUEST: &[&str] = &[
    ":method: GET",
    ":scheme: http",
    ":path: /",
    ":authority: www.example.com",
    "cache-control: no-cache",
];
const THIRD_REQUEST: &[&str] = &[
    ":method: GET",
    ":scheme: https",
    ":path: /index.html",
    ":authority: www.example.com",
    "custom-key: custom-value",
];
const AFTER_FIRST_REQUEST: &[&str] = &[":authority: www.example.com"];
const AFTER_SECOND_REQUEST: &[&str] = &["cache-control: no-cache", ":authority: www.example.com"];
const AFTER_THIRD_REQUEST: &[&str] = &[
    "custom-key: custom-value",
    "cache-control: no-cache",
    ":authority: www.example.com",
];

const FIRST_RESPONSE: &[&str] = &[
    ":status: 302",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
];
const SECOND_RESPONSE: &[&str] = &[
    ":status: 307",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
];
const COOKIE: &str = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const THIRD_RESPONSE: &[&str] = &[
    ":status: 200",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
    "location: https://www.example.com",
    "content-encoding: gzip",
    COOKIE,
];
const AFTER_FIRST_RESPONSE: &[&str] = &[
    "location: https://www.example.com",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "cache-control: private",
    ":status: 302",
];
const AFTER_SECOND_RESPONSE: &[&str] = &[
    ":status: 307",
    "location: https://www.example.com",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "cache-control: private",
];
const AFTER_THIRD_RESPONSE: &[&str] = &[
    COOKIE,
    "content-encoding: gzip",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
];

#[test]
fn the_single_fields_of_appendix_c_2_are_decoded() {
    for (block, field, table) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key: custom-header",
            &["custom-key: custom-header"][..],
        ),
        (
            "040c 2f73 616d 706c 652f 7061 7468",
            ":path: /sample/path",
            &[],
        ),
        (
            "1008 7061 7373 776f 7264 0673 6563 7265 74",
            "password: secret",
            &[],
        ),
        ("82", ":method: GET", &[]),
    ] {
        check(4096, &[(block, &[field], table)]);
    }
}

#[test]
fn the_requests_of_appendix_c_3_are_decoded() {
    check(
        4096,
        &[
            (
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                FIRST_REQUEST,
                AFTER_FIRST_REQUEST,
            ),
            (
                "8286 84be 5808 6e6f 2d63 6163 6865",
                SECOND_REQUEST,
                AFTER_SECOND_REQUEST,
            ),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                THIRD_REQUEST,
                AFTER_THIRD_REQUEST,
            ),
        ],
    );
}

#[test]
fn the_huffman_coded_requests_of_appendix_c_4_are_decoded() {
    check(
        4096,
        &[
            (
                "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                FIRST_REQUEST,
                AFTER_FIRST_REQUEST,
            ),
            (
                "8286 84be 5886 a8eb 1064 9cbf",
                SECOND_REQUEST,
                AFTER_SECOND_REQUEST,
            ),
            (
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                THIRD_REQUEST,
                AFTER_THIRD_REQUEST,
            ),
        ],
    );
}

#[test]
fn the_responses_of_appendix_c_5_are_decoded_with_evictions() {
    check(
        256,
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 \
                 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 \
                 6c65 2e63 6f6d",
                FIRST_RESPONSE,
                AFTER_FIRST_RESPONSE,
            ),
            (
                "4803 3330 37c1 c0bf",
                SECOND_RESPONSE,
                AFTER_SECOND_RESPONSE,
            ),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d \
                 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 \
                 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e \
                 3d31",
                THIRD_RESPONSE,
                AFTER_THIRD_RESPONSE,
            ),
        ],
    );
}

#[test]
fn the_huffman_coded_responses_of_appendix_c_6_are_decoded_with_evictions() {
    check(
        256,
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 \
                 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                FIRST_RESPONSE,
                AFTER_FIRST_RESPONSE,
            ),
            (
                "4883 640e ffc1 c0bf",
                SECOND_RESPONSE,
                AFTER_SECOND_RESPONSE,
            ),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab \
                 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f \
                 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                THIRD_RESPONSE,
                AFTER_THIRD_RESPONSE,
            ),
        ],
    );
}

#[test]
fn the_table_changes_its_size_at_the_start_of_a_block_only() {
    check(
        4096,
        &[
            ("4001 6101 31", &["a: 1"], &["a: 1"]),
            ("203f e11f 82", &[":method: GET"], &[]), // to 0 and back to 4,096
        ],
    );
    let mut decoder = Decoder::default();
    assert_eq!(
        decode(&mut decoder, &hex("8220")),
        Err(HpackError::SizeUpdate)
    );
}

#[test]
fn an_entry_that_makes_room_for_itself_may_lend_its_name_first() {
    // Room for one entry of 38 bytes: the name comes from the entry that has to go (§4.4).
    check(
        38,
        &[
            ("4003 6162 6303 6465 66", &["abc: def"], &["abc: def"]),
            ("7e03 6768 69", &["abc: ghi"], &["abc: ghi"]),
        ],
    );
}

#[test]
fn blocks_that_make_no_sense_are_refused_by_reason() {
    for (block, error) in [
        ("80", HpackError::Index),
        ("be", HpackError::Index),
        ("7e 01 31", HpackError::Index),
        ("ff ffff ffff ff", HpackError::Cut),
        ("ff ffff ffff ffff ffff ffff ff", HpackError::Integer),
        ("40", HpackError::Cut),
        ("40 05 61", HpackError::Cut),
        ("40 01 61", HpackError::Cut),
        ("3f", HpackError::Cut),
        (
            "44 81 00",
            HpackError::Huffman(huffman::HuffmanError::Padding),
        ),
        (
            "44 84 ffff ffff",
            HpackError::Huffman(huffman::HuffmanError::EndOfString),
        ),
    ] {
        let told = decode(&mut Decoder::default(), &hex(block));
        assert_eq!(told, Err(error), "{block}");
    }
}

#[test]
fn after_missed_bytes_only_what_refers_to_them_is_unknown() {
    let mut decoder = Decoder::default();
    decoder.lose();
    let mut fields = Vec::new();
    let block = hex("82 be 4001 6101 31 be bf 7f00 01 32 be");
    let decoded = decoder
        .decode(&block, |name, value| {
            fields.push((name.to_vec(), value.to_vec()));
        })
        .unwrap();
    // GET; unknown; a: 1 (kept); a: 1; unknown; unknown name with value 2 (kept); that again
    assert_eq!(decoded.unknown, 4);
    let known = [(":method", "GET"), ("a", "1"), ("a", "1")];
    assert_eq!(
        fields,
        known.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
    );
}

#[test]
fn a_block_that_is_refused_makes_the_table_unknown() {
    let mut decoder = Decoder::default();
    decode(&mut decoder, &hex("4001 6101 31")).unwrap();
    decode(&mut decoder, &hex("40")).unwrap_err();
    let decoded = decoder.decode(&hex("be"), |_, _| panic!("nothing is known"));
    assert_eq!(decoded.map(|decoded| decoded.unknown), Ok(1));
}

#[test]
fn a_bomb_is_told_no_further_than_the_bound_of_a_list() {
    let mut decoder = Decoder::default();
    let mut block = hex("4001 61 7fe0 1e"); // a field whose value has 127 + 96 + 30 * 128 bytes
    block.extend([b'x'; 4063]);
    assert_eq!(1 + 4063 + 32, 4096); // it just fits the table
    block.extend([0xbe; 64 * 1024]);
    let (mut told, mut bytes) = (0, 0);
    let decoded = decoder
        .decode(&block, |name, value| {
            told += 1;
            bytes += name.len() + value.len() + 32;
        })
        .unwrap();
    assert!(decoded.is_truncated);
    assert_eq!(told, HEADER_LIST_BYTES_MAX / 4096);
    assert!(bytes <= HEADER_LIST_BYTES_MAX);
    assert!(decoder.heap_bytes() <= 2 * 4096);
}

/// Fields written as plainly as can be, or by index where the naive model knows one.
fn encode(model: &mut Vec<(Vec<u8>, Vec<u8>)>, fields: &[(u8, u8, u8)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value, how) in fields {
        let field = (vec![b'a' + name % 4], vec![b'0' + value % 4]);
        let place = model.iter().position(|known| *known == field);
        match (place.filter(|place| *place < 60), how % 3) {
            (Some(place), 0) => block.push(0x80 | u8::try_from(62 + place).unwrap()),
            (_, 1) => block.extend([0x00, 1, field.0[0], 1, field.1[0]]),
            _ => {
                block.extend([0x40, 1, field.0[0], 1, field.1[0]]);
                model.insert(0, field);
                model.truncate(4096 / 34);
            }
        }
    }
    block
}

proptest! {
    #[test]
    fn what_a_sender_means_is_what_is_told(blocks: Vec<Vec<(u8, u8, u8)>>) {
        let (mut decoder, mut model) = (Decoder::default(), Vec::new());
        for fields in blocks {
            let block = encode(&mut model, &fields);
            let told = decode(&mut decoder, &block).unwrap();
            let meant: Vec<String> = fields
                .iter()
                .map(|(name, value, _)| {
                    format!("{}: {}", char::from(b'a' + name % 4), char::from(b'0' + value % 4))
                })
                .collect();
            prop_assert_eq!(told, meant);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_within_the_bounds(blocks: Vec<Vec<u8>>) {
        let mut decoder = Decoder::default();
        for block in blocks {
            let mut bytes = 0;
            let _ = decoder.decode(&block, |name, value| bytes += name.len() + value.len());
            prop_assert!(bytes <= HEADER_LIST_BYTES_MAX);
            prop_assert!(decoder.heap_bytes() <= 4 * HPACK_TABLE_BYTES_MAX);
        }
    }

    #[test]
    fn what_is_known_after_missed_bytes_is_what_was_meant(
        blocks in prop::collection::vec(prop::collection::vec(any::<(u8, u8, u8)>(), 1..8), 2..8),
        missed in 1_usize..4,
    ) {
        let (mut all, mut some, mut model) = (Decoder::default(), Decoder::default(), Vec::new());
        some.lose();
        for (number, fields) in blocks.iter().enumerate() {
            let block = encode(&mut model, fields);
            let whole = decode(&mut all, &block).unwrap();
            if number < missed {
                continue;
            }
            let part = decode(&mut some, &block).unwrap();
            let mut rest = whole.iter();
            prop_assert!(part.iter().all(|field| rest.any(|one| one == field)));
        }
    }
}
