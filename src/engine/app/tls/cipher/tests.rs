use proptest::prelude::*;

use super::*;
use crate::app::tls::record::{HEADER_BYTES, kind};

fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
    digits.chunks(2).map(|two| pair(two).unwrap()).collect()
}

fn header_of(record: &[u8]) -> Header {
    Header::read(*record.first_chunk().unwrap()).unwrap()
}

/// RFC 8448 §3: client_application_traffic_secret_0 and the record "application data" of the
/// client, which holds the bytes 0 to 49.
const SECRET: &str = "9e 40 64 6c e7 9a 7f 9d c0 5a f8 88 9b ce 65 52 87 5a fa 0b 06 df 00 87 f7 92 \
                      eb b7 c1 75 04 a5";
const RECORD: &str = "17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 \
                      14 aa 66 bc ab 3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f \
                      5a 62 92 a2 97 70 14 bd 1e 3d ea e6 3a ee bb 21 69 49 15 e4";

#[test]
fn a_record_of_the_published_trace_is_opened() {
    let secret = Secret::new(&bytes(SECRET)).unwrap();
    let mut opener =
        Opener::tls13(Suite::of(0x1301).unwrap(), &secret, Dialect::default()).unwrap();
    let mut record = bytes(RECORD);
    let header = header_of(&record);
    let body = &mut record[HEADER_BYTES..];
    let opened = opener.open(header, body).unwrap();
    assert_eq!(opened.kind, kind::APPLICATION_DATA);
    assert_eq!(body[opened.content], (0..50).collect::<Vec<u8>>());
    assert_eq!(opener.sequence(), 1);
    assert_eq!(opener.content_bytes(0x43), 50);
}

/// A record as hex digits, its kind and its content.
type Published = (&'static str, u8, &'static [u8]);

/// RFC 8448 §4: the client's secrets of a resumed session (early data, handshake, application data)
/// and the records that it sends under each, with the kind and the content of each record.
const RESUMED: [(&str, &[Published]); 3] = [
    (
        "3fbbe6a60deb66c30a32795aba0eff7eaa10105586e7be5c09678d63b6caab62",
        &[
            (
                "1703030017ab1df420e75c457a7cc5d2844f76d5aee4b4edbf049be0",
                kind::APPLICATION_DATA,
                b"ABCDEF",
            ),
            (
                "1703030015aca6fc944841298df99593725f9bf9754429b12f09",
                kind::HANDSHAKE,
                &[5, 0, 0, 0], // EndOfEarlyData
            ),
        ],
    ),
    (
        "2faac08f851d35fea3604fcb4de82dc62c9b164a70974d0462e27f1ab278700f",
        &[(
            "170303003500f8b467d14cf22a4b3f0b6ae0d8e6cc8d08e0db3515ef5c2bdf1922eafbb70009964716d8\
             34fb70c3d2a56c5b1f5f6bdba6c333cf",
            kind::HANDSHAKE,
            b"\x14\x00\x00\x20\x72\x30\xa9\xc9\x52\xc2\x5c\xd6\x13\x8f\xc5\xe6\x62\x83\x08\xc4\
              \x1c\x53\x35\xdd\x81\xb9\xf9\x6b\xce\xa5\x0f\xd3\x2b\xda\x41\x6d", // Finished
        )],
    ),
    (
        "2abbf2b8e381d23dbebe1dd2a7d16a8bf484cb4950d23fb7fb7fa8547062d9a1",
        &[
            (
                "1703030043b1cebce242aa201be9ae5e1cb2a9aa4b33d4e866af1edb068919237741aa031d7a74d4\
                 91c99b9d4e232b74206bc6fbaa04fe78be44a9b4f54320a17eb76992afac3103",
                kind::APPLICATION_DATA,
                b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\
                  \x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x20\x21\x22\x23\x24\x25\x26\x27\
                  \x28\x29\x2a\x2b\x2c\x2d\x2e\x2f\x30\x31",
            ),
            (
                "17030300130facce3246bdfc6369838d6a82ae6de5d422dc",
                21,      // alert
                &[1, 0], // close_notify
            ),
        ],
    ),
];

#[test]
fn the_records_of_the_published_resumption_are_opened_early_data_first() {
    for (secret, records) in RESUMED {
        let secret = Secret::new(&bytes(secret)).unwrap();
        let mut opener =
            Opener::tls13(Suite::of(0x1301).unwrap(), &secret, Dialect::default()).unwrap();
        for (record, kind, content) in records {
            let mut record = bytes(record);
            let header = header_of(&record);
            let body = &mut record[HEADER_BYTES..];
            let opened = opener.open(header, body).unwrap();
            assert_eq!((opened.kind, &body[opened.content]), (*kind, *content));
        }
    }
}

#[test]
fn a_record_at_another_place_is_not() {
    let secret = Secret::new(&bytes(SECRET)).unwrap();
    let mut opener =
        Opener::tls13(Suite::of(0x1301).unwrap(), &secret, Dialect::default()).unwrap();
    opener.skip(1);
    let mut record = bytes(RECORD);
    let header = header_of(&record);
    assert_eq!(opener.open(header, &mut record[HEADER_BYTES..]), None);
    assert_eq!(opener.sequence(), 1);
}

#[test]
fn a_secret_fits_only_suites_with_its_hash() {
    let secret = Secret::new(&[1; 48]).unwrap();
    assert!(Opener::tls13(Suite::of(0x1301).unwrap(), &secret, Dialect::default()).is_none());
    assert!(Opener::tls13(Suite::of(0x1302).unwrap(), &secret, Dialect::default()).is_some());
}

/// Every kind of cipher, with and without the MAC last, in TLS 1.0 and 1.2.
fn openers() -> Vec<Opener> {
    let older = [
        0x009c, 0x009d, 0xc02f, 0xcca8, 0xc09c, 0xc09d, 0xc0a0, 0xc0a1, 0x002f, 0x0035, 0x003d,
        0xc028, 0x000a, 0x0004, 0x0005, 0x0001, 0x003b, 0x0007, 0x0009, 0xc03c, 0xc03d, 0xc050,
        0xc051, 0xc07a, 0xc07b, 0x0041, 0x0084,
    ];
    let mut openers = Vec::new();
    for number in older {
        for (version, encrypts_then_macs) in [
            (0x0300, false),
            (0x0301, false),
            (0x0303, false),
            (0x0303, true),
        ] {
            let from = Negotiated {
                version,
                suite: Suite::of(number).unwrap(),
                master_secret: &[1; 48],
                client_random: &[2; 32],
                server_random: &[3; 32],
                encrypts_then_macs,
            };
            let both = [Sender::Client, Sender::Server];
            openers.extend(both.map(|sender| Opener::older(&from, sender).unwrap()));
        }
    }
    for (number, length) in [
        (0x1301, 32),
        (0x1302, 48),
        (0x1303, 32),
        (0x1304, 32),
        (0x1305, 32),
    ] {
        let secret = Secret::new(&vec![1; length]).unwrap();
        openers
            .push(Opener::tls13(Suite::of(number).unwrap(), &secret, Dialect::default()).unwrap());
    }
    openers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))] // of three hundred openers each

    #[test]
    fn nothing_that_comes_makes_an_opener_stumble(body in prop::collection::vec(any::<u8>(), 0..80)) {
        for mut opener in openers() {
            let length = u16::try_from(body.len()).unwrap();
            let header = Header { kind: 23, version: 0x0303, length };
            let mut body = body.clone();
            prop_assert_eq!(opener.open(header, &mut body), None);
            opener.content_bytes(body.len());
            opener.skip(3);
        }
    }
}
