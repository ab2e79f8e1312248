//! The pure core: frames in, events out. No input or output, no clock, no thread.
//!
//! `frame < link < net < transport < app < canary < reporter`: each names only those before it
//! (`event`, `limits` and `counters` are plain data that all may name).

use std::sync::Arc;
use std::time::Duration;

use crate::engine::app::Session;
use crate::engine::app::quic::Connections;
use crate::engine::app::tls::keylog::KeyLogEntry;
use crate::engine::app::tls::secrets::Waiter;
use crate::engine::canary::Matcher;
use crate::engine::counters::Counters;
use crate::engine::event::EventSink;
use crate::engine::frame::{Frame, Timestamp};
use crate::engine::limits::Limits;
use crate::engine::net::{Decoder, IpPacket};
use crate::engine::reporter::Reporter;
use crate::engine::transport::{Copies, Datagram, FlowTable, Segment};

pub mod app;
pub mod canary;
pub mod counters;
pub mod event;
pub mod frame;
pub mod limits;
pub mod link;
pub mod net;
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
            counters: Counters::default(),
            now: Timestamp::default(),
            next_tick: Timestamp::default(),
        }
    }

    /// Takes one frame the whole way; what it completes is told to `sink` before this returns.
    pub fn on_frame(&mut self, frame: &Frame<'_>, sink: &mut impl EventSink) {
        self.counters.frames += 1;
        let Self {
            decoder,
            copies,
            flows,
            quic,
            reporter,
            counters,
            ..
        } = self;
        decoder.on_frame(frame, counters, &mut |packet, counters| {
            if packet.protocol == UDP {
                if let Some(datagram) = read_datagram(packet, reporter, counters) {
                    let mut handler = reporter.handler(sink);
                    let mut observer = handler.reading(counters);
                    quic.on_datagram(&datagram, frame.time, &mut observer);
                    flows.leave_room_for(quic.heap_bytes());
                }
            } else if let Some(segment) = read_segment(packet, reporter, counters) {
                counters.segments_doubled += u64::from(copies.is_copy(&segment, frame.time));
                let mut handler = reporter.handler(sink);
                flows.on_segment(&segment, frame.time, counters, &mut handler);
            }
        });
        self.advance(frame.time, sink);
    }

    /// Lets capture time pass while the wire is silent.
    pub fn on_tick(&mut self, now: Timestamp, sink: &mut impl EventSink) {
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
    }

    /// The capture ended: reads what waited for a hole to be filled and closes every flow.
    pub fn finish(&mut self, sink: &mut impl EventSink) {
        self.reporter.secrets().end();
        let mut handler = self.reporter.handler(sink);
        self.flows
            .finish(self.now, &mut self.counters, &mut handler);
        handler.end_closed(self.now, &mut self.counters);
        self.quic
            .finish(self.now, &mut handler.reading(&mut self.counters));
    }

    /// Takes a secret of a TLS or QUIC connection, before its packets or up to a minute after.
    pub fn on_secret(&mut self, entry: &KeyLogEntry, sink: &mut impl EventSink) {
        self.counters.secrets += 1;
        let (waiters, dropped) = self.reporter.secrets().add(entry, self.now);
        self.counters.secrets_dropped += dropped;
        for waiter in waiters {
            self.wake(waiter, sink);
        }
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
        let connections = self.flows.heap_bytes() + self.quic.heap_bytes();
        connections + self.decoder.heap_bytes() + self.reporter.heap_bytes()
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
            self.on_tick(now, sink);
        }
    }
}

/// The TCP segment in a packet, when one of its ports is read.
fn read_segment<'a>(
    packet: &IpPacket<'a>,
    reporter: &Reporter,
    counters: &mut Counters,
) -> Option<Segment<'a>> {
    if packet.protocol != TCP {
        counters.ip_other_protocol += 1;
        return None;
    }
    let Ok(segment) = Segment::parse(packet) else {
        counters.tcp_malformed += 1;
        return None;
    };
    let ports = [segment.src_port(), segment.dst_port()];
    match ports.map(|port| reporter.reads_port(port)) {
        [false, false] => {
            counters.tcp_other_ports += 1;
            return None;
        }
        _ if segment.syn || segment.rst => {} // a scanner's need no connection
        [from, to] => {
            let [source, destination] = ports;
            let towards = to && (!from || destination < source);
            counters.segments_to_servers += u64::from(towards);
            counters.segments_from_servers += u64::from(!towards);
        }
    }
    Some(segment)
}

/// The UDP datagram in a packet, when one of its ports is read.
fn read_datagram<'a>(
    packet: &IpPacket<'a>,
    reporter: &Reporter,
    counters: &mut Counters,
) -> Option<Datagram<'a>> {
    let Ok(datagram) = Datagram::parse(packet) else {
        counters.udp_malformed += 1;
        return None;
    };
    if !reporter.reads_port(datagram.src.port()) && !reporter.reads_port(datagram.dst.port()) {
        counters.udp_other_ports += 1;
        return None;
    }
    counters.datagrams += 1;
    Some(datagram)
}
