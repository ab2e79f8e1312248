use proptest::prelude::*;

use super::*;
use crate::engine::app::tls::record::{HEADER_BYTES, kind};

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
