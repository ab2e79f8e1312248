//! One connection: two assemblers, and who is who.

use std::net::SocketAddr;

use crate::engine::event::Flags;
use crate::engine::frame::Timestamp;
use crate::engine::limits::HOLE_ACKED_WAIT;
use crate::engine::link::Scope;
use crate::engine::transport::assembler::Assembler;
use crate::engine::transport::seq::SeqNum;
use crate::engine::transport::{Direction, Segment, StreamContext};

/// Names a flow, the same for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FlowKey {
    low: SocketAddr,
    high: SocketAddr,
    scope: Scope,
}

impl FlowKey {
    pub(super) fn of(segment: &Segment<'_>) -> Self {
        let (src, dst) = (segment.tuple.src, segment.tuple.dst);
        Self {
            low: src.min(dst),
            high: src.max(dst),
            scope: segment.scope,
        }
    }
}

/// A connection and what the layer above keeps for it.
#[derive(Debug)]
pub(super) struct Flow<S> {
    pub(super) key: FlowKey,
    /// Whether the lower of the two endpoints is the client.
    low_is_client: bool,
    pub(super) flags: Flags,
    to_server: Assembler,
    to_client: Assembler,
    pub(super) last_seen: Timestamp,
    /// Since when an acknowledgement lies beyond a hole, for each direction.
    acked_hole: [Option<Timestamp>; 2],
    /// An answer that came before what it answers: the acknowledgement in it, and when it came.
    pub(super) held: Option<(SeqNum, Timestamp)>,
    /// Reset, or ended in both directions: it only keeps late duplicates from looking new.
    pub(super) closed: bool,
    pub(super) state: S,
}

impl<S> Flow<S> {
    /// A flow that begins with this segment, which may lie in its middle.
    pub(super) fn begin(segment: &Segment<'_>, now: Timestamp, state: S) -> Self {
        let key = FlowKey::of(segment);
        let client = guess_client(segment);
        let flags = if segment.syn {
            Flags::NONE
        } else {
            Flags::MIDSTREAM
        };
        let mut to_server = Assembler::default();
        // A SYN-ACK seen first still tells where the client's bytes start.
        if let (true, Some(ack)) = (segment.syn, segment.ack) {
            to_server.start_at(ack);
        }
        Flow {
            key,
            low_is_client: key.low == client,
            flags,
            to_server,
            to_client: Assembler::default(),
            last_seen: now,
            acked_hole: [None; 2],
            held: None,
            closed: false,
            state,
        }
    }

    fn client(&self) -> SocketAddr {
        if self.low_is_client {
            self.key.low
        } else {
            self.key.high
        }
    }

    fn server(&self) -> SocketAddr {
        if self.low_is_client {
            self.key.high
        } else {
            self.key.low
        }
    }

    /// Which way a segment of this flow goes.
    pub(super) fn direction_of(&self, segment: &Segment<'_>) -> Direction {
        if segment.tuple.src == self.client() {
            Direction::ToServer
        } else {
            Direction::ToClient
        }
    }

    pub(super) fn side(&self, direction: Direction) -> &Assembler {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    /// The assembler of one direction, and what the layer above keeps.
    pub(super) fn side_and_state(&mut self, direction: Direction) -> (&mut Assembler, &mut S) {
        match direction {
            Direction::ToServer => (&mut self.to_server, &mut self.state),
            Direction::ToClient => (&mut self.to_client, &mut self.state),
        }
    }

    pub(super) fn acked_hole(&mut self, direction: Direction) -> &mut Option<Timestamp> {
        let [to_server, to_client] = &mut self.acked_hole;
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }

    /// Whether an answer acknowledges bytes of the client's that were not seen yet: mirrors put
    /// the two directions in the wrong order. Only where the client's side is seen at all.
    pub(super) fn is_early(&self, segment: &Segment<'_>, direction: Direction) -> bool {
        direction == Direction::ToClient
            && !segment.payload.is_empty()
            && self.to_server.start_seq().is_some()
            && !self.to_server.has_hole()
            && segment
                .ack
                .is_some_and(|ack| self.to_server.distance(ack) > 0)
    }

    /// Whether a held answer's time has come: the bytes that it answers are there, or never will be.
    pub(super) fn held_is_due(&self, now: Timestamp) -> bool {
        self.held.is_some_and(|(ack, since)| {
            self.to_server.distance(ack) <= 0 || now.since(since) >= HOLE_ACKED_WAIT
        })
    }

    /// Whether the side that a segment's sender listens to was acknowledged beyond its hole.
    pub(super) fn acknowledges_hole(&self, direction: Direction, ack: SeqNum) -> bool {
        let side = self.side(direction);
        side.has_hole() && side.distance(ack) > 0
    }

    pub(super) fn context(&self, direction: Direction, time: Timestamp) -> StreamContext {
        let (src, dst) = match direction {
            Direction::ToServer => (self.client(), self.server()),
            Direction::ToClient => (self.server(), self.client()),
        };
        StreamContext {
            time,
            scope: self.key.scope,
            src,
            dst,
            direction,
            flags: self.flags,
        }
    }

    /// Whether both directions ended with all their bytes delivered.
    pub(super) fn is_finished(&self) -> bool {
        self.to_server.is_finished() && self.to_client.is_finished()
    }

    /// Whether time alone can bring something on: a hole, or an answer that is held.
    pub(super) fn waits(&self) -> bool {
        self.to_server.has_hole() || self.to_client.has_hole() || self.held.is_some()
    }

    /// Bytes held for reassembly.
    pub(super) fn heap_bytes(&self) -> usize {
        self.to_server.heap_bytes() + self.to_client.heap_bytes()
    }

    /// Whether a SYN belongs to another connection between the same ports: its number is not
    /// the one that this flow started with.
    pub(super) fn is_reopened_by(&self, segment: &Segment<'_>) -> bool {
        if !segment.syn {
            return false;
        }
        let side = self.side(self.direction_of(segment));
        side.start_seq()
            .is_some_and(|start| start != segment.payload_seq())
    }
}

/// Who the client is: a SYN comes from the client, a SYN with ACK from the server; else the lower
/// port is the server's.
fn guess_client(segment: &Segment<'_>) -> SocketAddr {
    let (src, dst) = (segment.tuple.src, segment.tuple.dst);
    let from_client = match (segment.syn, segment.ack) {
        (true, None) => true,
        (true, Some(_)) => false,
        (false, _) => src.port() > dst.port(),
    };
    if from_client { src } else { dst }
}
