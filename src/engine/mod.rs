//! The pure core: frames in, events out. No input or output, no clock, no thread.
//!
//! `frame < link < net < transport < app < canary < reporter`: each names only those before it
//! (`event`, `limits` and `counters` are plain data that all may name).

use std::sync::Arc;
use std::time::Duration;

use crate::app::Session;
use crate::app::quic::Connections;
use crate::app::tls::keylog::KeyLogEntry;
use crate::app::tls::secrets::Waiter;
use crate::canary::Matcher;
use crate::counters::Counters;
use crate::event::EventSink;
use crate::frame::{Frame, Timestamp};
use crate::limits::Limits;
use crate::net::{Decoder, IpPacket, Plain};
use crate::recorder::{HandOver, Place, Recorder};
use crate::reporter::Reporter;
use crate::transport::{
    Attention, Copies, Datagram, Expected, FlowKey, FlowTable, Segment, Sender,
};

pub use recorder::KeepPackets;
pub use transport::EXPECTED_MAX as FRAMES_MAX;

pub mod app;
pub mod canary;
pub mod counters;
pub mod event;
pub mod frame;
mod keeping;
pub mod limits;
pub mod link;
pub mod net;
mod recorder;
mod reporter;
pub mod transport;

/// How often, in capture time, what waits is looked at.
const TICK: Duration = Duration::from_secs(1);
/// IP protocol number of TCP.
const TCP: u8 = 6;
/// Of UDP.
const UDP: u8 = 17;

/// The whole core behind three calls: a frame, a tick, a new list of what to look for.
pub struct Engine {
    decoder: Decoder,
    copies: Copies,
    flows: FlowTable<Session>,
    quic: Connections,
    reporter: Reporter,
    /// None: packets are not kept.
    recorder: Option<Box<Recorder>>,
    limits: Limits,
    counters: Counters,
    now: Timestamp,
    next_tick: Timestamp,
}

impl Engine {
    /// An engine that looks for what `matcher` knows, within `limits`.
    pub fn new(limits: Limits, matcher: Arc<Matcher>) -> Self {
        Self {
            decoder: Decoder::default(),
            copies: Copies::default(),
            flows: FlowTable::new(limits),
            quic: Connections::new(limits),
            reporter: Reporter::new(matcher),
            recorder: None,
            limits,
            counters: Counters::default(),
            now: Timestamp::default(),
            next_tick: Timestamp::default(),
        }
    }

    /// Takes frames that are at hand, one after the other as [`on_frame`](Self::on_frame) does, but at
    /// most [`FRAMES_MAX`]: how many. What they need of a large flow table is brought near for all
    /// together, in the time that one would wait for it. Before each, `before` is told its time and
    /// what was counted so far.
    #[inline(never)] // within the program it would be built for size
    pub fn on_frames<'a>(
        &mut self,
        frames: &mut dyn Iterator<Item = Frame<'a>>,
        before: &mut dyn FnMut(Timestamp, &Counters),
        sink: &mut dyn EventSink,
    ) -> usize {
        if !self.flows.is_wide() {
            let mut count = 0;
            for frame in frames.take(FRAMES_MAX) {
                before(frame.time, &self.counters);
                self.on_frame(&frame, sink);
                count += 1;
            }
            return count;
        }
        let mut some = [None; FRAMES_MAX];
        let mut count = 0;
        for (place, frame) in some.iter_mut().zip(frames) {
            *place = Some((frame, Plain::of(&frame)));
            count += 1;
        }
        self.take_expected(&some, before, sink);
        count
    }

    /// Looks at all before the first is taken.
    fn take_expected(
        &mut self,
        frames: &[Option<(Frame<'_>, Option<Plain<'_>>)>; FRAMES_MAX],
        before: &mut dyn FnMut(Timestamp, &Counters),
        mut sink: &mut dyn EventSink,
    ) {
        let expected = frames.map(|frame| self.expected(frame?.1.as_ref()?));
        self.flows.expect(&expected);
        for ((frame, plain), expected) in frames.iter().flatten().zip(expected) {
            before(frame.time, &self.counters);
            let sender = expected.map(|one| one.sender);
            self.take(frame, plain.as_ref(), sender, &mut sink);
        }
    }

    fn expected(&self, plain: &Plain<'_>) -> Option<Expected> {
        let ports = [plain.src_port(), plain.dst_port()];
        let is_read = ports.iter().any(|port| self.reporter.reads_port(*port));
        is_read.then(|| Expected {
            sender: self.flows.sender_of(plain.wire_ends()),
            opens: plain.is_syn(),
        })
    }

    /// Takes one frame the whole way; what it completes is told to `sink` before this returns.
    #[inline(never)] // as above
    pub fn on_frame(&mut self, frame: &Frame<'_>, mut sink: &mut dyn EventSink) {
        self.take(frame, Plain::of(frame).as_ref(), None, &mut sink);
    }

    #[inline(always)] // the way of every frame, as are the others
    fn take(
        &mut self,
        frame: &Frame<'_>,
        plain: Option<&Plain<'_>>,
        sender: Option<Sender>,
        sink: &mut impl EventSink,
    ) {
        self.counters.frames += 1;
        match plain {
            Some(plain) => self.on_plain(plain, sender, frame, sink),
            None => self.on_any(frame, sink),
        }
        self.advance(frame.time, sink);
    }

    /// Most frames are for ports that are not read: nothing more is looked at.
    #[inline(always)]
    fn on_plain(
        &mut self,
        plain: &Plain<'_>,
        sender: Option<Sender>,
        frame: &Frame<'_>,
        sink: &mut impl EventSink,
    ) {
        let read = [
            self.reporter.reads_port(plain.src_port()),
            self.reporter.reads_port(plain.dst_port()),
        ];
        if read == [false; 2] {
            self.counters.tcp_other_ports += 1;
            return;
        }
        if !self.decoder.admits(plain, &mut self.counters) {
            return;
        }
        let sender = match sender {
            Some(sender) => sender,
            None => self.flows.sender_of(plain.wire_ends()),
        };
        let segment = Segment::of(plain);
        let (_, counters, mut way) = self.way(frame.time, sink);
        way.on_segment(&segment, sender, read, counters);
        let seen = way.seen;
        // A plain frame is no fragment, which would be kept too.
        if seen.is_some() || self.reporter.has_to_keep() {
            self.record(frame, seen, sink);
        }
    }

    #[inline(never)] // rare, and would make the usual way larger
    fn on_any(&mut self, frame: &Frame<'_>, sink: &mut impl EventSink) {
        let (decoder, counters, mut way) = self.way(frame.time, sink);
        decoder.on_frame(frame, counters, &mut |packet, counters| {
            way.on_packet(packet, counters);
        });
        let (seen, reads, handed_over) = (way.seen, way.reads, way.handed_over);
        if let Some(recorder) = &mut self.recorder {
            handed_over
                .iter()
                .flatten()
                .for_each(|one| recorder.hand_over(one));
            let is_kept = |place: &Place| reads || recorder.knows(place.tag);
            // What is told with its last frame may be read no more behind it.
            let seen = seen.filter(|place| is_kept(place) || self.reporter.has_to_keep());
            self.record(frame, seen, sink);
        }
    }

    /// The decoder, the counters, and the way that a packet goes on.
    fn way<'a, K>(
        &'a mut self,
        time: Timestamp,
        sink: &'a mut K,
    ) -> (&'a mut Decoder, &'a mut Counters, Way<'a, K>) {
        let way = Way {
            copies: &mut self.copies,
            flows: &mut self.flows,
            quic: &mut self.quic,
            reporter: &mut self.reporter,
            sink,
            time,
            records: self.recorder.is_some(),
            seen: None,
            reads: true,
            handed_over: [None; 2],
        };
        (&mut self.decoder, &mut self.counters, way)
    }

    /// Lets capture time pass while the wire is silent.
    pub fn on_tick(&mut self, now: Timestamp, mut sink: &mut dyn EventSink) {
        self.tick(now, &mut sink);
    }

    fn tick(&mut self, now: Timestamp, sink: &mut impl EventSink) {
        self.now = self.now.max(now);
        self.next_tick = self.now.plus(TICK);
        self.decoder.on_tick(self.now, &mut self.counters);
        self.counters.secrets_expired += self.reporter.secrets().expire(self.now);
        let mut handler = self.reporter.handler(sink);
        self.flows
            .on_tick(self.now, &mut self.counters, &mut handler);
        self.quic
            .on_tick(self.now, &mut handler.reading(&mut self.counters));
        self.flows.leave_room_for(self.quic.heap_bytes());
        while let Some(waiter) = self.reporter.secrets().take_due(self.now) {
            self.wake(waiter, sink);
        }
        self.complete_recordings(false, sink);
    }

    /// The capture ended: reads what waited for a hole to be filled and closes every flow.
    pub fn finish(&mut self, mut sink: &mut dyn EventSink) {
        let sink = &mut sink;
        self.reporter.secrets().end();
        let mut handler = self.reporter.handler(sink);
        self.flows
            .finish(self.now, &mut self.counters, &mut handler);
        handler.end_closed(self.now, &mut self.counters);
        self.quic
            .finish(self.now, &mut handler.reading(&mut self.counters));
        self.complete_recordings(true, sink);
    }

    /// Takes a secret of a TLS or QUIC connection, before its packets or up to a minute after.
    pub fn on_secret(&mut self, entry: &KeyLogEntry, mut sink: &mut dyn EventSink) {
        let sink = &mut sink;
        self.counters.secrets += 1;
        let (waiters, dropped) = self.reporter.secrets().add(entry, self.now);
        self.counters.secrets_dropped += dropped;
        self.keep_secret(entry, sink);
        for waiter in waiters {
            self.wake(waiter, sink);
        }
        self.keep_told(sink);
    }

    /// Secrets may come: what a hello alone says is told later, in case its request can be read.
    /// The first secret says so too.
    pub fn follow_secrets(&mut self) {
        self.reporter.secrets().follow();
    }

    /// All secrets are handed over before the packets: each is kept until the end, however many
    /// they are.
    pub fn keep_secrets(&mut self) {
        self.reporter.secrets().keep();
    }

    /// Looks for something else from now on. Flows and what they hold stay. Gives back what was
    /// looked for before: dropping it takes long when it is large, and need not happen here.
    pub fn set_matcher(&mut self, matcher: Arc<Matcher>) -> Arc<Matcher> {
        self.reporter.set_matcher(matcher)
    }

    /// What was dropped and why.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Flows in the table.
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Lines of key logs that wait for their connections.
    pub fn secrets_waiting(&self) -> usize {
        self.reporter.secrets_waiting()
    }

    /// QUIC connections in their table.
    pub fn quic_connections(&self) -> usize {
        self.quic.len()
    }

    /// Bytes held by flows and buffers.
    pub fn heap_bytes(&self) -> usize {
        let recorder = self.recorder.as_ref().map_or(0, |one| one.heap_bytes());
        let connections = self.flows.heap_bytes() + self.quic.heap_bytes();
        recorder + connections + self.decoder.heap_bytes() + self.reporter.heap_bytes()
    }

    fn wake(&mut self, waiter: Waiter, sink: &mut impl EventSink) {
        let mut handler = self.reporter.handler(sink);
        match waiter {
            Waiter::Flow(key) => {
                self.flows
                    .wake(&key, self.now, &mut self.counters, &mut handler);
            }
            Waiter::Closed(number) => {
                handler.wake_closed(number, self.now, &mut self.counters);
            }
            Waiter::Quic(number) => {
                let mut observer = handler.reading(&mut self.counters);
                self.quic.wake(number, self.now, &mut observer);
            }
        }
    }

    fn advance(&mut self, now: Timestamp, sink: &mut impl EventSink) {
        self.now = self.now.max(now);
        if self.now >= self.next_tick {
            self.tick(now, sink);
        }
    }
}

/// Where whole packets go.
struct Way<'a, K> {
    copies: &'a mut Copies,
    flows: &'a mut FlowTable<Session>,
    quic: &'a mut Connections,
    reporter: &'a mut Reporter,
    sink: &'a mut K,
    time: Timestamp,
    /// Whether packets are kept.
    records: bool,
    /// What the frame was to its connection.
    seen: Option<Place>,
    /// Whether that connection is read, or may be.
    reads: bool,
    /// Earlier frames that turned out to be of it.
    handed_over: [Option<HandOver>; 2],
}

impl<K: EventSink> Way<'_, K> {
    fn on_packet(&mut self, packet: &IpPacket<'_>, counters: &mut Counters) {
        match packet.protocol {
            TCP => match Segment::parse(packet) {
                Ok(segment) => {
                    let read = self.read_ports([segment.src_port(), segment.dst_port()]);
                    self.on_rare_segment(&segment, read, counters);
                }
                Err(_) => counters.tcp_malformed += 1,
            },
            UDP => match Datagram::parse(packet) {
                Ok(datagram) => self.on_datagram(&datagram, counters),
                Err(_) => counters.udp_malformed += 1,
            },
            _ => counters.ip_other_protocol += 1,
        }
    }

    /// A segment that came in a way in which few do.
    #[inline(never)] // as above
    fn on_rare_segment(&mut self, segment: &Segment<'_>, read: [bool; 2], counters: &mut Counters) {
        let sender = self.flows.sender(&segment.tuple());
        self.on_segment(segment, sender, read, counters);
    }

    /// A segment, and its sender; of its two ports, which are read.
    #[inline(always)]
    fn on_segment(
        &mut self,
        segment: &Segment<'_>,
        sender: Sender,
        read: [bool; 2],
        counters: &mut Counters,
    ) {
        if read == [false; 2] {
            counters.tcp_other_ports += 1;
            return;
        }
        count_direction(segment, read, counters);
        counters.segments_doubled += u64::from(self.copies.is_copy(segment, self.time));
        let mut handler = self.reporter.handler(self.sink);
        let seen = self
            .flows
            .on_segment_of(sender, segment, self.time, counters, &mut handler);
        self.seen = seen.map(|seen| keeping::of_segment(segment, seen));
    }

    fn on_datagram(&mut self, datagram: &Datagram<'_>, counters: &mut Counters) {
        if self.read_ports([datagram.src.port(), datagram.dst.port()]) == [false; 2] {
            counters.udp_other_ports += 1;
            return;
        }
        counters.datagrams += 1;
        let mut handler = self.reporter.handler(self.sink);
        let mut observer = handler.reading(counters);
        let belongs = self.quic.on_datagram(datagram, self.time, &mut observer);
        self.flows.leave_room_for(self.quic.heap_bytes());
        if let Some(belongs) = belongs.filter(|_| self.records) {
            let key = || FlowKey::between(datagram.src, datagram.dst);
            let endpoints = || keeping::waiting_between(self.flows, &key());
            let watched = self.reporter.take_attention() == Attention::Watched;
            self.seen = Some(keeping::of_datagram(belongs, watched, endpoints));
            self.handed_over = keeping::handed_over(belongs, endpoints);
            // Who it is of is not known yet, or it is of a connection that is read.
            self.reads = belongs.number.is_none_or(|number| self.quic.reads(number));
        }
    }

    fn read_ports(&self, ports: [u16; 2]) -> [bool; 2] {
        ports.map(|port| self.reporter.reads_port(port))
    }
}

/// Which way a segment goes, by its ports. A scanner's SYN or reset needs no connection.
#[inline]
fn count_direction(segment: &Segment<'_>, [from, to]: [bool; 2], counters: &mut Counters) {
    if segment.opens_or_resets() {
        return;
    }
    let towards = to && (!from || segment.dst_port() < segment.src_port());
    counters.segments_to_servers += u64::from(towards);
    counters.segments_from_servers += u64::from(!towards);
}
