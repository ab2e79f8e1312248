use super::*;
use crate::app::quic::seal::{Sealer, frames_of};
use crate::app::quic::vectors::{self, Vectors, bytes};

const DESTINATION: &str = "8394c8f03e515708";

fn initial(version: Version) -> [Keys; 2] {
    let id = ConnectionId::new(&bytes(DESTINATION)).unwrap();
    [Direction::ToServer, Direction::ToClient]
        .map(|sender| Keys::initial(version, &id, sender).unwrap())
}

fn each(check: impl Fn(Version, &Vectors)) {
    check(Version::V1, &vectors::V1);
    check(Version::V2, &vectors::V2);
}

fn secret(byte: u8, suite: u16) -> Secret {
    let length = Suite::of(suite).unwrap().hash.bytes();
    Secret::new(&vec![byte; length]).unwrap()
}

#[test]
fn the_published_initial_packet_of_a_client_is_opened() {
    each(|version, set| {
        let [client, server] = initial(version);
        let (packet, mut buffer) = (bytes(set.client_initial), Vec::new());
        let opened = client.open(&packet, 18, None, &mut buffer).unwrap();
        assert_eq!(opened.number, 2);
        let mut frames = bytes(vectors::CLIENT_FRAMES);
        frames.resize(1162, 0);
        assert_eq!(frames_of(&opened, &buffer), frames);
        assert_eq!(server.open(&packet, 18, None, &mut buffer), None);
    });
}

#[test]
fn the_published_initial_packet_of_a_server_is_opened() {
    each(|version, set| {
        let [_, server] = initial(version);
        let (packet, mut buffer) = (bytes(set.server_initial), Vec::new());
        let opened = server.open(&packet, 18, None, &mut buffer).unwrap();
        assert_eq!(opened.number, 1);
        assert_eq!(frames_of(&opened, &buffer), bytes(vectors::SERVER_FRAMES));
    });
}

#[test]
fn the_published_packet_with_a_short_header_is_opened() {
    each(|version, set| {
        let secret = Secret::new(&bytes(vectors::SHORT_SECRET)).unwrap();
        let keys = Keys::new(version, Suite::of(0x1303).unwrap(), &secret).unwrap();
        let next = keys.next_secret(&secret).unwrap();
        assert_eq!(next.bytes(), bytes(set.next_secret));
        let mut buffer = Vec::new();
        let largest = Some(654_360_500);
        let opened = keys
            .open(&bytes(set.short), 1, largest, &mut buffer)
            .unwrap();
        assert_eq!(opened.number, 654_360_564);
        assert_eq!(frames_of(&opened, &buffer), [1]);
    });
}

#[test]
fn a_packet_of_another_version_or_a_changed_one_is_not_opened() {
    let [client, _] = initial(Version::V2);
    let mut packet = bytes(vectors::V1.client_initial);
    assert_eq!(client.open(&packet, 18, None, &mut Vec::new()), None);
    let [client, _] = initial(Version::V1);
    packet[6] ^= 1;
    assert_eq!(client.open(&packet, 18, None, &mut Vec::new()), None);
    for cut in 0..40 {
        assert_eq!(client.open(&packet[..cut], 18, None, &mut Vec::new()), None);
    }
    assert_eq!(
        client.open(&packet, usize::MAX, None, &mut Vec::new()),
        None
    );
}

/// RFC 9000 §A.3, and the ends of the range.
#[test]
fn a_packet_number_is_the_nearest_to_what_is_expected() {
    let number = |largest, truncated, number_bytes| {
        let header = Header {
            length: 0,
            number_bytes,
            truncated,
            phase: false,
        };
        header.number(largest)
    };
    assert_eq!(number(Some(0xa82f_30ea), 0x9b32, 2), 0xa82f_9b32);
    assert_eq!(number(None, 0, 1), 0);
    assert_eq!(number(None, 255, 1), 255);
    assert_eq!(number(Some(255), 0, 1), 256);
    assert_eq!(number(Some(256), 255, 1), 255);
    assert_eq!(number(Some(300), 200, 1), 200);
    assert_eq!(number(Some(NUMBER_MAX - 2), 0, 1), NUMBER_MAX - 256);
    assert_eq!(number(Some(u64::MAX), 7, 4) & 0xffff_ffff, 7);
}

#[test]
fn each_suite_that_quic_uses_opens_what_it_sealed() {
    for suite in [0x1301, 0x1302, 0x1303] {
        let secret = secret(7, suite);
        let mut sealer = Sealer::new(Version::V1, suite, &secret);
        let packet = sealer.short(&[9; 8], b"a frame");
        let keys = Keys::new(Version::V1, Suite::of(suite).unwrap(), &secret).unwrap();
        let mut buffer = Vec::new();
        let opened = keys.open(&packet, 9, None, &mut buffer).unwrap();
        assert_eq!(frames_of(&opened, &buffer), b"a frame", "{suite:#x}");
    }
    let old = Suite::of(0x002f).unwrap();
    assert!(Keys::new(Version::V1, old, &secret(7, 0x1301)).is_none());
}

/// The numbers of the packets that are opened of those that a sender made.
fn opened(packets: &[Vec<u8>]) -> Vec<Option<u64>> {
    let keys = Keys::new(Version::V1, Suite::of(0x1301).unwrap(), &secret(7, 0x1301));
    let mut keys = TrafficKeys::new(keys.unwrap());
    let (mut largest, mut buffer) = (None, Vec::new());
    let mut open = |packet: &Vec<u8>| {
        let opened = keys.open(packet, 1, largest, &mut buffer)?;
        largest = largest.max(Some(opened.number));
        Some(opened.number)
    };
    packets.iter().map(&mut open).collect()
}

#[test]
fn keys_change_where_their_sender_changes_them() {
    let mut sealer = Sealer::new(Version::V1, 0x1301, &secret(7, 0x1301));
    let mut packets = Vec::new();
    for _ in 0..5 {
        packets.push(sealer.short(&[], b"one"));
        packets.push(sealer.short(&[], b"two"));
        sealer.update();
    }
    assert_eq!(opened(&packets), (0..10).map(Some).collect::<Vec<_>>());
    packets.swap(1, 2); // the last under the old keys comes after the first under the new ones
    packets.swap(5, 6);
    let order = [0, 2, 1, 3, 4, 6, 5, 7, 8, 9].map(Some);
    assert_eq!(opened(&packets), order);
}

#[test]
fn key_updates_may_be_missed_but_not_too_many() {
    for missed in 1..=QUIC_KEY_UPDATES_MISSED_MAX + 1 {
        let mut sealer = Sealer::new(Version::V1, 0x1301, &secret(7, 0x1301));
        let first = sealer.short(&[], b"one");
        (0..missed).for_each(|_| sealer.update());
        let packets = [
            first,
            sealer.short(&[], b"two"),
            sealer.short(&[], b"three"),
        ];
        let expected = match missed <= QUIC_KEY_UPDATES_MISSED_MAX {
            true => [Some(0), Some(1), Some(2)],
            false => [Some(0), None, None],
        };
        assert_eq!(opened(&packets), expected, "{missed}");
    }
}

#[test]
fn many_packets_may_be_missed() {
    let mut sealer = Sealer::new(Version::V1, 0x1301, &secret(7, 0x1301));
    let first = sealer.short(&[], b"one");
    sealer.skip(700);
    let packets = [first, sealer.short(&[], b"two")];
    assert_eq!(opened(&packets), [Some(0), Some(701)]);
    let mut sealer = Sealer::new(Version::V1, 0x1301, &secret(7, 0x1301));
    let first = sealer.short(&[], b"one");
    sealer.skip(7000);
    let packets = [first, sealer.short(&[], b"two")];
    assert_eq!(opened(&packets), [Some(0), None]);
}
