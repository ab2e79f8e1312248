//! Capture files in every flavour, whole and broken.

use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::{Next, Savefile, SavefileError};

fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Frames as `seconds.nanos: bytes`, and how reading ended.
fn read(bytes: &[u8]) -> (Vec<String>, Option<SavefileError>) {
    let (_folder, path) = file(bytes);
    let mut frames = Vec::new();
    let mut savefile = match Savefile::open(&path) {
        Ok(savefile) => savefile,
        Err(error) => return (frames, Some(error)),
    };
    loop {
        match savefile.read() {
            Ok(Next::Frame(frame)) => {
                let nanos = frame.time.as_nanos();
                frames.push(format!(
                    "{}.{:09} {:?} {} {:?}",
                    nanos / 1_000_000_000,
                    nanos % 1_000_000_000,
                    frame.link,
                    frame.wire_len,
                    frame.bytes
                ));
            }
            Ok(Next::Secrets(_)) => {}
            Ok(Next::End) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

#[derive(Clone, Copy)]
struct Numbers {
    big: bool,
}

impl Numbers {
    fn u32(self, number: u32) -> [u8; 4] {
        if self.big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn u16(self, number: u16) -> [u8; 2] {
        if self.big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn pcap(self, magic: u32, fraction: u32, link: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [magic, 0, 0, 0, 65_535, link, 7, fraction, 3, 60] {
            bytes.extend(self.u32(word));
        }
        bytes.extend([1, 2, 3]);
        bytes
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = self.u32(body.len() as u32 + 12);
        [&self.u32(kind)[..], &length, &body, &length].concat()
    }

    fn section(self) -> Vec<u8> {
        let mut body = self.u32(0x1a2b_3c4d).to_vec();
        body.extend([0; 12]);
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, link: u16, options: &[u8]) -> Vec<u8> {
        let mut body = self.u16(link).to_vec();
        body.extend([0; 6]);
        body.extend(options);
        self.block(1, &body)
    }

    fn packet(self, interface: u32, units: u64, bytes: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for word in [interface, (units >> 32) as u32, units as u32] {
            body.extend(self.u32(word));
        }
        body.extend(self.u32(bytes.len() as u32));
        body.extend(self.u32(60));
        body.extend(bytes);
        self.block(6, &body)
    }
}

const LITTLE: Numbers = Numbers { big: false };
const BIG: Numbers = Numbers { big: true };

#[test]
fn pcap_is_read_in_both_byte_orders_and_resolutions() {
    for numbers in [LITTLE, BIG] {
        let micros = read(&numbers.pcap(0xa1b2_c3d4, 5, 1));
        assert_eq!(micros.0, ["7.000005000 Ethernet 60 [1, 2, 3]"]);
        assert!(micros.1.is_none());
        let nanos = read(&numbers.pcap(0xa1b2_3c4d, 5, 276));
        assert_eq!(nanos.0, ["7.000000005 LinuxSll2 60 [1, 2, 3]"]);
    }
}

#[test]
fn pcapng_is_read_in_both_byte_orders_with_several_interfaces() {
    for numbers in [LITTLE, BIG] {
        let resolution = [&numbers.u16(9)[..], &numbers.u16(1), &[9, 0, 0, 0]].concat();
        let bytes = [
            numbers.section(),
            numbers.interface(1, &[]),
            numbers.interface(101, &resolution),
            numbers.block(5, &[0; 12]),
            numbers.packet(0, 7_000_005, &[1, 2, 3]),
            numbers.packet(1, 7_000_000_005, &[4, 5]),
        ]
        .concat();
        let (frames, error) = read(&bytes);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(
            frames,
            [
                "7.000005000 Ethernet 60 [1, 2, 3]",
                "7.000000005 RawIp 60 [4, 5]"
            ]
        );
    }
}

#[test]
fn a_key_log_in_a_block_of_secrets_comes_in_its_place() {
    for numbers in [LITTLE, BIG] {
        let log = b"# a line\n";
        let secrets =
            |length: u32| [&numbers.u32(0x544c_534b)[..], &numbers.u32(length), log].concat();
        let file = |length| {
            let block = numbers.block(10, &secrets(length));
            [numbers.section(), numbers.interface(1, &[]), block].concat()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture");
        std::fs::write(&path, file(9)).unwrap();
        let mut savefile = Savefile::open(&path).unwrap();
        assert!(savefile.may_bring_secrets());
        assert!(matches!(savefile.read(), Ok(Next::Secrets(lines)) if lines == log));
        assert!(matches!(savefile.read(), Ok(Next::End)));
        std::fs::write(&path, file(99)).unwrap();
        assert!(Savefile::open(&path).unwrap().read().is_err());
    }
}

#[test]
fn simple_and_obsolete_packets_are_read_and_unknown_blocks_skipped() {
    for numbers in [LITTLE, BIG] {
        let simple = [&numbers.u32(3)[..], &[1, 2, 3]].concat();
        let obsolete = [
            &numbers.u16(0)[..],
            &numbers.u16(7), // drops
            &numbers.u32(0),
            &numbers.u32(9_000_000),
            &numbers.u32(2),
            &numbers.u32(60),
            &[4, 5],
        ]
        .concat();
        let bytes = [
            numbers.section(),
            numbers.interface(1, &[]),
            numbers.block(10, b"decryption secrets"),
            numbers.block(0x0bad_cafe, &[]),
            numbers.block(2, &obsolete),
            numbers.block(3, &simple),
        ]
        .concat();
        let (frames, error) = read(&bytes);
        assert!(error.is_none(), "{error:?}");
        // A simple packet has no time of its own: that of the one before is nearest.
        assert_eq!(
            frames,
            [
                "9.000000000 Ethernet 60 [4, 5]",
                "9.000000000 Ethernet 3 [1, 2, 3]"
            ]
        );
    }
}

#[test]
fn a_simple_packet_is_as_long_as_its_interface_takes() {
    let mut interface = LITTLE.u16(1).to_vec();
    interface.extend([0, 0]);
    interface.extend(LITTLE.u32(2)); // snap length
    let simple = [&LITTLE.u32(60)[..], &[1, 2, 0, 0]].concat();
    let bytes = [
        LITTLE.section(),
        LITTLE.block(1, &interface),
        LITTLE.block(3, &simple),
    ]
    .concat();
    assert_eq!(read(&bytes).0, ["0.000000000 Ethernet 60 [1, 2]"]);
}

#[test]
fn time_stamps_have_the_unit_and_the_offset_of_their_interface() {
    for numbers in [LITTLE, BIG] {
        // if_tsresol: 2^-10 s; a comment in between; if_tsoffset: 100 s
        let offset = if numbers.big {
            100i64.to_be_bytes()
        } else {
            100i64.to_le_bytes()
        };
        let options = [
            &numbers.u16(9)[..],
            &numbers.u16(1),
            &[0x80 | 10, 0, 0, 0],
            &numbers.u16(1),
            &numbers.u16(2),
            b"hi\0\0",
            &numbers.u16(14),
            &numbers.u16(8),
            &offset,
            &[0; 4],
        ]
        .concat();
        let bytes = [
            numbers.section(),
            numbers.interface(1, &options),
            numbers.packet(0, 1024 + 512, &[1]),
        ]
        .concat();
        assert_eq!(read(&bytes).0, ["101.500000000 Ethernet 60 [1]"]);
    }
}

#[test]
fn several_gzip_members_are_one_file() {
    let bytes = LITTLE.pcap(0xa1b2_c3d4, 5, 1);
    let packed: Vec<u8> = [&bytes[..30], &bytes[30..]]
        .into_iter()
        .flat_map(|part| {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(part).unwrap();
            packed.finish().unwrap()
        })
        .collect();
    let (frames, error) = read(&packed);
    assert_eq!((frames.len(), error.is_none()), (1, true));
}

#[test]
fn an_interface_that_is_not_read_matters_only_when_a_packet_is_on_it() {
    let start = [
        LITTLE.section(),
        LITTLE.interface(105, &[]),
        LITTLE.interface(1, &[]),
        LITTLE.packet(1, 1, &[1]),
    ]
    .concat();
    let (frames, error) = read(&start);
    assert_eq!((frames.len(), error.is_none()), (1, true));
    let (frames, error) = read(&[start, LITTLE.packet(0, 1, &[1])].concat());
    assert_eq!(frames.len(), 1);
    assert!(matches!(error, Some(SavefileError::LinkType { .. })));
}

#[test]
fn a_block_cut_short_is_told_by_where_it_begins() {
    let start = [
        LITTLE.section(),
        LITTLE.interface(1, &[]),
        LITTLE.packet(0, 1, &[1]),
    ]
    .concat();
    let bytes = [start.clone(), LITTLE.packet(0, 2, &[2])].concat();
    for end in start.len() + 1..bytes.len() {
        let (frames, error) = read(&bytes[..end]);
        assert_eq!(frames.len(), 1, "cut at {end}");
        assert!(
            matches!(error, Some(SavefileError::Cut { offset, .. }) if offset == start.len() as u64),
            "cut at {end}: {error:?}"
        );
    }
}

#[test]
fn a_second_section_has_interfaces_of_its_own() {
    let bytes = [
        LITTLE.section(),
        LITTLE.interface(1, &[]),
        LITTLE.packet(0, 1, &[1]),
        BIG.section(),
        BIG.interface(101, &[]),
        BIG.packet(0, 2, &[2]),
    ]
    .concat();
    let (frames, error) = read(&bytes);
    assert!(error.is_none());
    assert_eq!(frames.len(), 2);
    assert!(frames[1].contains("RawIp"));
}

#[test]
fn gzip_is_seen_through() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&LITTLE.pcap(0xa1b2_c3d4, 5, 1)).unwrap();
    let (frames, error) = read(&packed.finish().unwrap());
    assert_eq!(frames.len(), 1);
    assert!(error.is_none());
}

#[test]
fn a_file_cut_short_gives_the_frames_before_the_cut_and_says_where() {
    let mut bytes = LITTLE.pcap(0xa1b2_c3d4, 5, 1);
    let whole = bytes.len();
    bytes.extend(bytes[24..].to_vec());
    for end in whole + 1..bytes.len() {
        let (frames, error) = read(&bytes[..end]);
        assert_eq!(frames.len(), 1, "cut at {end}");
        assert!(
            matches!(error, Some(SavefileError::Cut { offset, .. }) if offset == whole as u64),
            "cut at {end}: {error:?}"
        );
    }
}

#[test]
fn a_gzip_stream_cut_short_is_cut_too() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&LITTLE.pcap(0xa1b2_c3d4, 5, 1)).unwrap();
    let packed = packed.finish().unwrap();
    let (_, error) = read(&packed[..packed.len() - 12]);
    assert!(
        matches!(error, Some(SavefileError::Cut { .. })),
        "{error:?}"
    );
}

#[test]
fn what_is_no_capture_is_refused() {
    for bytes in [&b""[..], b"GIF89a and more", b"\xa1"] {
        let (_, error) = read(bytes);
        assert!(error.is_some(), "{bytes:?}");
    }
}

#[test]
fn a_link_type_that_is_not_read_is_named() {
    let (_, error) = read(&LITTLE.pcap(0xa1b2_c3d4, 5, 105));
    let message = error.unwrap().to_string();
    assert!(message.contains("105"), "{message}");
}

#[test]
fn impossible_lengths_are_refused() {
    let mut bytes = LITTLE.pcap(0xa1b2_c3d4, 5, 1);
    bytes[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(
        read(&bytes).1,
        Some(SavefileError::Malformed { offset: 24, .. })
    ));
    let unknown = [LITTLE.section(), LITTLE.packet(3, 1, &[1])].concat();
    assert!(matches!(
        read(&unknown).1,
        Some(SavefileError::Malformed { .. })
    ));
}

/// Packets of all lengths, each filled with a byte of its own, in a file of several windows.
fn long_file() -> (Vec<u8>, Vec<Vec<u8>>) {
    let packets: Vec<Vec<u8>> = (0..2_000usize)
        .map(|number| {
            let length = match number {
                700 => 400_000, // longer than a window
                _ => number * 7 % 1_500,
            };
            vec![number as u8; length]
        })
        .collect();
    let mut bytes = LITTLE.pcap(0xa1b2_c3d4, 5, 1);
    bytes.truncate(24);
    for packet in &packets {
        for word in [7, 5, packet.len() as u32, packet.len() as u32] {
            bytes.extend(LITTLE.u32(word));
        }
        bytes.extend(packet);
    }
    (bytes, packets)
}

#[test]
fn packets_that_lie_across_windows_come_whole() {
    let (bytes, packets) = long_file();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&bytes).unwrap();
    for bytes in [bytes, packed.finish().unwrap()] {
        let (_folder, path) = file(&bytes);
        let mut savefile = Savefile::open(&path).unwrap();
        for packet in &packets {
            match savefile.read().unwrap() {
                Next::Frame(frame) => assert!(frame.bytes == packet),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(savefile.read(), Ok(Next::End)));
    }
}

#[test]
fn frames_ahead_are_those_that_are_read_next() {
    let (bytes, frames) = long_file();
    let (_folder, path) = file(&bytes);
    let mut savefile = Savefile::open(&path).unwrap();
    let (mut seen, mut read) = (0, 0);
    loop {
        let ahead: Vec<Vec<u8>> = savefile.ahead().map(|frame| frame.bytes.to_vec()).collect();
        assert_eq!(ahead, frames[read..read + ahead.len()]);
        seen += ahead.len();
        match savefile.read().unwrap() {
            Next::Frame(frame) => assert_eq!(frame.bytes, frames[read]),
            Next::End => break,
            Next::Secrets(_) => {}
        }
        read += 1;
    }
    assert_eq!(read, frames.len());
    assert!(seen > frames.len(), "{seen}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(
        kind in 0usize..4,
        tail in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let start = match kind {
            0 => Vec::new(),
            1 => LITTLE.pcap(0xa1b2_c3d4, 5, 1),
            2 => [LITTLE.section(), LITTLE.interface(1, &[])].concat(),
            _ => [BIG.section(), BIG.interface(1, &[])].concat(),
        };
        let (frames, _) = read(&[start, tail].concat());
        prop_assert!(frames.len() < 40);
    }
}
