//! Situations of a TCP connection, and any cutting of a stream against the stream in one piece.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limits::{FLOWS_PER_KEY_ANYWHERE_MAX, HOLE_WAIT, Limits, RESET_WAIT};

const CLIENT: &str = "203.0.113.9:50000";
const SERVER: &str = "192.168.1.10:80";
const ISN: u32 = 1000;
const SERVER_ISN: u32 = 9000;

/// What a handler was told of one direction.
#[derive(Clone, Debug, Default)]
struct Heard {
    requests: Vec<String>,
    answers: Vec<String>,
    request_bytes: Vec<u8>,
    opened: usize,
    closed: usize,
    flags: Flags,
}

#[derive(Debug, Default)]
struct Nothing {
    interest: Interest,
    bytes: usize,
}

impl FlowState for Nothing {
    fn interest(&self) -> Interest {
        self.interest
    }

    fn heap_bytes(&self) -> usize {
        self.bytes
    }
}

impl StreamHandler<Nothing> for Heard {
    fn on_open(&mut self) -> Nothing {
        self.opened += 1;
        Nothing::default()
    }

    fn on_chunk(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        state: &mut Nothing,
        _counters: &mut Counters,
    ) {
        self.flags = self.flags.with(context.flags);
        let list = match context.direction {
            Direction::ToServer => &mut self.requests,
            Direction::ToClient => &mut self.answers,
        };
        match chunk {
            Chunk::Data(bytes) => {
                if bytes.starts_with(b"watched") {
                    state.interest = Interest::Watched;
                }
                list.push(String::from_utf8_lossy(bytes).into_owned());
                if context.direction == Direction::ToServer {
                    self.request_bytes.extend_from_slice(bytes);
                }
            }
            Chunk::Gap(length) => list.push(format!("<gap {length}>")),
            Chunk::Fin => list.push("<fin>".into()),
            Chunk::Reset => list.push("<reset>".into()),
        }
    }

    fn on_close(&mut self, _time: Timestamp, _state: Nothing, _counters: &mut Counters) {
        self.closed += 1;
    }
}

/// A table, and what came out of it.
struct Play {
    table: FlowTable<Nothing>,
    heard: Heard,
    counters: Counters,
    now: Timestamp,
}

impl Play {
    fn new() -> Self {
        Self::within(Limits::default())
    }

    fn within(limits: Limits) -> Self {
        Self {
            table: FlowTable::new(limits),
            heard: Heard::default(),
            counters: Counters::default(),
            now: Timestamp::from_secs_nanos(1_000_000, 0),
        }
    }

    fn feed(&mut self, segment: Segment<'_>) -> &mut Self {
        self.table
            .on_segment(&segment, self.now, &mut self.counters, &mut self.heard);
        self
    }

    fn client(&mut self, at: u32, payload: &str) -> &mut Self {
        self.feed(Segment {
            payload: payload.as_bytes(),
            ..from_client(at)
        })
    }

    fn server(&mut self, at: u32, payload: &str, acknowledged: u32) -> &mut Self {
        self.feed(Segment {
            payload: payload.as_bytes(),
            ack: Some(SeqNum(ISN.wrapping_add(acknowledged))),
            ..from_server(at)
        })
    }

    fn open(&mut self) -> &mut Self {
        self.feed(Segment {
            control: ControlBits::SYN,
            ack: None,
            ..from_client(0)
        });
        self.feed(Segment {
            control: ControlBits::SYN,
            ack: Some(SeqNum(ISN + 1)),
            ..from_server(0)
        })
    }

    fn pass(&mut self, duration: Duration) -> &mut Self {
        self.now = self.now.plus(duration);
        self.table
            .on_tick(self.now, &mut self.counters, &mut self.heard);
        self
    }

    fn finish(&mut self) -> &mut Self {
        self.table
            .finish(self.now, &mut self.counters, &mut self.heard);
        self
    }

    fn requests(&self) -> String {
        self.heard.requests.concat()
    }

    fn answers(&self) -> String {
        self.heard.answers.concat()
    }
}

fn ends(src: &str, dst: &str) -> Ends<'static> {
    Ends::Known(FiveTuple {
        src: src.parse().unwrap(),
        dst: dst.parse().unwrap(),
    })
}

fn blank(src: &str, dst: &str, seq: u32) -> Segment<'static> {
    Segment {
        scope: Scope::default(),
        hops: 64,
        ends: ends(src, dst),
        seq: SeqNum(seq),
        ack: None,
        control: ControlBits::default(),
        urgent_pointer: 0,
        payload: b"",
        missing: 0,
        bytes: b"",
    }
}

/// A segment of the client's at an offset from its ISN: its first byte has offset 1.
fn from_client(at: u32) -> Segment<'static> {
    Segment {
        ack: Some(SeqNum(SERVER_ISN + 1)),
        ..blank(CLIENT, SERVER, ISN.wrapping_add(at))
    }
}

fn from_server(at: u32) -> Segment<'static> {
    Segment {
        ack: Some(SeqNum(ISN + 1)),
        ..blank(SERVER, CLIENT, SERVER_ISN.wrapping_add(at))
    }
}

#[test]
fn bytes_in_order_come_through_as_they_are() {
    let mut play = Play::new();
    play.open().client(1, "abc").client(4, "def");
    assert_eq!(play.heard.requests, ["abc", "def"]);
    assert!(play.heard.flags.is_empty());
}

#[test]
fn segments_out_of_order_wait_for_the_first() {
    let mut play = Play::new();
    play.open().client(4, "def").client(7, "ghi");
    assert_eq!(play.requests(), "");
    play.client(1, "abc");
    assert_eq!(play.requests(), "abcdefghi");
}

#[test]
fn a_retransmission_is_told_once() {
    let mut play = Play::new();
    play.open()
        .client(1, "abc")
        .client(1, "abc")
        .client(1, "abcdef");
    assert_eq!(play.requests(), "abcdef");
    assert_eq!(play.counters.duplicate_bytes, 6);
}

#[test]
fn every_frame_twice_is_every_byte_once() {
    let mut play = Play::new();
    play.open().open();
    for _ in 0..2 {
        play.client(1, "abc");
    }
    for _ in 0..2 {
        play.client(4, "def");
    }
    assert_eq!(play.requests(), "abcdef");
    assert_eq!(play.counters.flows_opened, 1);
}

#[test]
fn a_keep_alive_byte_before_the_next_is_nothing_new() {
    let mut play = Play::new();
    play.open().client(1, "abc").client(3, "X").client(4, "d");
    assert_eq!(play.requests(), "abcd");
}

#[test]
fn of_waiting_bytes_a_newer_segment_that_covers_them_wins() {
    let mut play = Play::new();
    play.open()
        .client(4, "de")
        .client(3, "CDEF")
        .client(1, "ab");
    assert_eq!(play.requests(), "abCDEF");
    assert!(play.counters.overlap_bytes > 0);
}

#[test]
fn of_waiting_bytes_overlapped_in_part_the_older_stay() {
    let mut play = Play::new();
    play.open()
        .client(3, "cde")
        .client(5, "EFG")
        .client(1, "ab");
    assert_eq!(play.requests(), "abcdeFG");
}

#[test]
fn bytes_that_differ_are_flagged() {
    let mut play = Play::new();
    play.open()
        .client(4, "evil")
        .client(4, "good")
        .client(1, "abc");
    play.client(8, "!");
    assert!(play.heard.flags.contains(Flags::OVERLAP));
}

#[test]
fn sequence_numbers_wrap() {
    let mut play = Play::new();
    let start = u32::MAX - 2;
    play.feed(Segment {
        control: ControlBits::SYN,
        ..blank(CLIENT, SERVER, start)
    });
    for (at, payload) in [(1u32, "abc"), (4, "def"), (7, "ghi")] {
        play.feed(Segment {
            payload: payload.as_bytes(),
            ack: Some(SeqNum(SERVER_ISN)),
            ..blank(CLIENT, SERVER, start.wrapping_add(at))
        });
    }
    assert_eq!(play.requests(), "abcdefghi");
}

#[test]
fn data_in_the_syn_come_first() {
    let mut play = Play::new();
    play.feed(Segment {
        control: ControlBits::SYN,
        ack: None,
        payload: b"abc",
        ..from_client(0)
    });
    play.client(4, "def");
    assert_eq!(play.requests(), "abcdef");
}

#[test]
fn a_fin_before_the_last_data_ends_the_stream_after_them() {
    let mut play = Play::new();
    play.open().feed(Segment {
        control: ControlBits::FIN,
        ..from_client(4)
    });
    assert_eq!(play.requests(), "");
    play.client(1, "abc");
    assert_eq!(play.requests(), "abc<fin>");
}

#[test]
fn a_hole_that_was_acknowledged_is_skipped_after_a_moment() {
    let mut play = Play::new();
    play.open().client(11, "after").server(1, "", 16);
    assert_eq!(play.requests(), "");
    play.pass(Duration::from_secs(1));
    assert_eq!(play.requests(), "<gap 10>after");
    assert_eq!(play.counters.gap_bytes, 10);
}

#[test]
fn data_that_the_mirror_put_after_their_acknowledgement_are_not_lost() {
    let mut play = Play::new();
    play.open()
        .client(4, "def")
        .server(1, "", 7)
        .client(1, "abc");
    assert_eq!(play.requests(), "abcdef");
}

#[test]
fn a_hole_that_nobody_acknowledges_is_skipped_in_the_end() {
    let mut play = Play::new();
    play.open()
        .client(11, "after")
        .pass(Duration::from_secs(10));
    assert_eq!(play.requests(), "");
    play.pass(Duration::from_secs(30));
    assert_eq!(play.requests(), "<gap 10>after");
}

#[test]
fn the_end_of_the_capture_skips_every_hole() {
    let mut play = Play::new();
    play.open().client(11, "after").finish();
    assert_eq!(play.requests(), "<gap 10>after");
    assert_eq!(play.heard.closed, 1);
}

#[test]
fn an_answer_that_overtook_its_request_waits_for_it() {
    let mut play = Play::new();
    play.open().server(1, "answer", 8);
    assert_eq!(play.answers(), "");
    play.client(1, "request");
    assert_eq!(play.requests(), "request");
    assert_eq!(play.answers(), "answer");
}

#[test]
fn an_answer_to_a_request_that_was_lost_is_read_after_a_moment() {
    let mut play = Play::new();
    play.open().server(1, "answer", 8);
    play.pass(Duration::from_secs(1));
    assert_eq!(play.answers(), "answer");
}

#[test]
fn one_direction_alone_is_read() {
    let mut play = Play::new();
    play.feed(Segment {
        control: ControlBits::SYN,
        ack: None,
        ..from_client(0)
    });
    play.client(1, "abc").client(4, "def");
    assert_eq!(play.requests(), "abcdef");
    let mut play = Play::new();
    play.feed(Segment {
        control: ControlBits::SYN,
        ack: Some(SeqNum(ISN + 1)),
        ..from_server(0)
    });
    play.feed(Segment {
        payload: b"answer",
        ..from_server(1)
    });
    assert_eq!(play.answers(), "answer");
}

#[test]
fn a_start_that_was_not_seen_is_flagged() {
    let mut play = Play::new();
    play.client(500, "abc").client(503, "def");
    assert_eq!(play.requests(), "abcdef");
    assert!(play.heard.flags.contains(Flags::MIDSTREAM));
    assert_eq!(play.counters.flows_midstream, 1);
}

#[test]
fn a_reset_where_the_stream_is_ends_it_and_one_elsewhere_does_not() {
    let mut play = Play::new();
    play.open().client(1, "abc");
    play.feed(Segment {
        control: ControlBits::RST,
        ..from_client(4_000_000_000)
    });
    play.client(4, "def");
    assert_eq!(play.requests(), "abcdef");
    assert_eq!(play.counters.out_of_window, 1);
    play.feed(Segment {
        control: ControlBits::RST,
        ..from_client(7)
    });
    play.pass(RESET_WAIT);
    assert_eq!(play.requests(), "abcdef<reset>");
    assert_eq!(play.heard.closed, 1);
}

#[test]
fn the_same_ports_after_an_end_are_a_new_connection() {
    let mut play = Play::new();
    play.open().client(1, "first");
    play.feed(Segment {
        control: ControlBits::SYN,
        ack: None,
        ..from_client(70_000)
    });
    play.client(70_001, "second");
    assert_eq!(play.counters.flows_opened, 2);
    assert_eq!(play.requests(), "firstsecond");
}

#[test]
fn a_segment_far_from_the_stream_is_not_believed() {
    let mut play = Play::new();
    play.open().client(2_000_000_000, "stray").client(1, "abc");
    play.finish();
    assert_eq!(play.requests(), "abc");
    assert_eq!(play.counters.out_of_window, 1);
}

#[test]
fn acknowledgements_and_resets_of_nobody_open_no_flow() {
    let mut play = Play::new();
    play.client(1, "");
    play.feed(Segment {
        control: ControlBits::RST,
        ..from_client(1)
    });
    assert!(play.table.is_empty());
}

#[test]
fn the_bound_on_memory_takes_what_says_least_and_oldest_first() {
    let limit = 1 << 20;
    let mut play = Play::within(Limits {
        memory_bytes: limit,
    });
    play.open().client(1, "watched half");
    for port in 1..60_000u16 {
        let mut segment = blank(&format!("198.51.100.7:{port}"), SERVER, 1);
        segment.control = ControlBits::SYN;
        play.feed(segment);
        assert!(play.table.heap_bytes() <= limit);
    }
    assert!(play.counters.flows_evicted > 50_000);
    assert_eq!(play.counters.flows_evicted_watched, 0);
    play.client(13, " and the rest");
    assert_eq!(play.requests(), "watched half and the rest");
}

/// A million half requests of 150 bytes must fit into 256 MiB.
#[test]
fn the_urgent_byte_is_no_part_of_the_stream_wherever_it_comes() {
    let urgent = |at, payload: &'static str, place: u16| Segment {
        control: ControlBits::URG,
        urgent_pointer: place + 1,
        ..saying(payload, from_client(at))
    };
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]] {
        let pieces = [
            saying("abc", from_client(1)),
            urgent(4, "d!e", 1),
            saying("fg", from_client(7)),
        ];
        let mut play = Play::new();
        play.open();
        for place in order {
            play.feed(pieces[place]).feed(pieces[place]);
        }
        assert_eq!(play.requests(), "abcdefg", "{order:?}");
        assert_eq!(play.counters.overlap_bytes, 0);
    }
    let mut play = Play::new();
    play.open().feed(urgent(1, "abc", 4)).client(4, "d!e");
    assert_eq!(play.requests(), "abcde");
}

#[test]
fn an_urgent_byte_that_never_comes_is_not_waited_for() {
    let mut play = Play::new();
    play.open().feed(Segment {
        control: ControlBits::URG,
        urgent_pointer: 1001,
        ..saying("abc", from_client(1))
    });
    play.pass(HOLE_WAIT).pass(HOLE_WAIT).client(4, "def");
    assert_eq!(play.heard.requests, ["abc", "def"]);
}

#[test]
fn a_segment_that_acknowledges_nothing_or_what_was_before_the_start_is_not_taken() {
    let mut play = Play::new();
    for ack in [None, Some(SeqNum(SERVER_ISN - 5000))] {
        play.open().feed(Segment {
            ack,
            ..saying("decoy", from_client(1))
        });
    }
    play.client(1, "taken");
    assert_eq!(play.requests(), "taken");
    assert_eq!(play.counters.tcp_unacceptable, 2);
}

#[test]
fn a_flow_is_small() {
    let size = size_of::<Option<flow::Flow<[Box<u8>; 3]>>>();
    assert!(size <= 112, "{size}");
}

#[test]
fn a_flow_that_is_silent_for_long_is_forgotten() {
    let mut play = Play::new();
    play.open().client(1, "abc");
    play.pass(Duration::from_secs(3601));
    assert!(play.table.is_empty());
    assert_eq!(play.heard.closed, 1);
}

fn in_vlan(vlan: u16, hops: u8, segment: Segment<'static>) -> Segment<'static> {
    let mut scope = Scope::default();
    scope.push_vlan(vlan);
    Segment {
        scope,
        hops,
        ..segment
    }
}

fn saying(payload: &'static str, segment: Segment<'static>) -> Segment<'static> {
    Segment {
        payload: payload.as_bytes(),
        ..segment
    }
}

#[test]
fn equal_addresses_in_two_vlans_are_two_flows() {
    let mut play = Play::new();
    play.feed(in_vlan(10, 64, saying("abc", from_client(1))));
    play.feed(in_vlan(20, 64, saying("other", from_client(1))));
    assert_eq!(play.counters.flows_opened, 2);
    assert_eq!(play.requests(), "abcother");
}

#[test]
fn a_packet_that_a_router_passed_on_to_another_vlan_is_one_packet() {
    let mut play = Play::new();
    play.feed(in_vlan(10, 64, saying("abc", from_client(1))));
    play.feed(in_vlan(20, 63, saying("abc", from_client(1))));
    play.feed(in_vlan(20, 63, saying("def", from_client(4))));
    play.feed(in_vlan(10, 64, saying("def", from_client(4))));
    assert_eq!(play.counters.flows_opened, 1);
    assert_eq!(play.requests(), "abcdef");
}

#[test]
fn a_packet_that_is_tagged_on_one_of_two_wires_is_one_packet() {
    let mut play = Play::new();
    play.open().client(1, "abc");
    play.feed(in_vlan(10, 64, saying("abc", from_client(1))));
    assert_eq!(play.counters.flows_opened, 1);
    assert_eq!(play.requests(), "abc");
}

#[test]
fn the_two_directions_may_be_seen_in_two_vlans() {
    let mut play = Play::new();
    play.feed(in_vlan(10, 64, saying("ask", from_client(1))));
    let answer = Segment {
        ack: Some(SeqNum(ISN + 4)),
        ..from_server(1)
    };
    play.feed(in_vlan(20, 64, saying("answer", answer)));
    assert_eq!(play.counters.flows_opened, 1);
    assert_eq!(play.answers(), "answer");
}

#[test]
fn far_from_where_a_connection_is_another_network_is_another_connection() {
    let mut play = Play::new();
    play.feed(in_vlan(10, 64, saying("abc", from_client(1))));
    play.feed(in_vlan(20, 63, saying("other", from_client(1 << 28))));
    assert_eq!(play.counters.flows_opened, 2);
}

#[test]
fn one_key_in_many_networks_is_bounded() {
    let mut play = Play::new();
    for vlan in 1..200 {
        play.feed(in_vlan(vlan, 64, saying("abc", from_client(1))));
    }
    assert_eq!(play.counters.flows_opened, 199);
    assert_eq!(play.table.len(), FLOWS_PER_KEY_ANYWHERE_MAX);
}

/// A stream cut anywhere, each piece sent once or more, in any order that a network makes.
fn pieces() -> impl Strategy<Value = (Vec<u8>, u32, Vec<(usize, usize)>)> {
    (1usize..400, any::<u32>()).prop_flat_map(|(length, isn)| {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 7 % 251) as u8).collect();
        let cuts = proptest::collection::vec((0..length, 1usize..60), 0..40);
        (Just(bytes), Just(isn), cuts)
    })
}

proptest! {
    #[test]
    fn any_cutting_order_and_duplication_gives_the_stream((bytes, isn, mut cuts) in pieces()) {
        // Whatever is left over comes at the end, in order: nothing is missing.
        cuts.extend((0..bytes.len()).step_by(50).map(|at| (at, 50)));
        let mut play = Play::new();
        play.feed(Segment { control: ControlBits::SYN, ..blank(CLIENT, SERVER, isn) });
        for (start, length) in cuts {
            let piece = &bytes[start..(start + length).min(bytes.len())];
            play.feed(Segment {
                payload: piece,
                ack: Some(SeqNum(SERVER_ISN + 1)),
                ..blank(CLIENT, SERVER, isn.wrapping_add(1 + start as u32))
            });
        }
        prop_assert_eq!(play.counters.gaps, 0);
        prop_assert_eq!(play.counters.overlap_bytes, 0);
        prop_assert_eq!(play.heard.request_bytes, bytes);
    }

    #[test]
    fn arbitrary_segments_stay_within_the_bound(
        segments in proptest::collection::vec(
            (any::<u32>(), any::<Option<u32>>(), any::<[bool; 4]>(), 0usize..2000, any::<bool>(), 0u64..2),
            1..200,
        )
    ) {
        let payload = vec![b'x'; 2000];
        let limit = 1 << 20;
        let mut play = Play::within(Limits { memory_bytes: limit });
        for (seq, ack, [syn, fin, rst, cut], length, client, seconds) in segments {
            let (src, dst) = if client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
            let bits = [(syn, ControlBits::SYN), (fin, ControlBits::FIN), (rst, ControlBits::RST)];
            let set = bits.into_iter().filter(|(is_set, _)| *is_set);
            play.feed(Segment {
                ack: ack.map(SeqNum),
                control: set.fold(ControlBits::default(), |all, (_, bit)| all.with(bit)),
                missing: if cut { 100 } else { 0 },
                payload: &payload[..length],
                ..blank(src, dst, seq)
            });
            play.pass(Duration::from_secs(seconds));
            prop_assert!(play.table.heap_bytes() <= limit);
        }
        play.finish();
        prop_assert!(play.table.is_empty());
        prop_assert_eq!(play.heard.closed, play.heard.opened);
    }
}
