//! From IP packets to ordered bytes: segments, reassembly, the flow table; and to datagrams, which
//! have no order.
//!
//! This layer knows offsets and sides and no protocol above TCP and UDP.

use std::net::SocketAddr;

use crate::counters::Counters;
use crate::event::{Flags, Scheme};
use crate::frame::Timestamp;
use crate::link::Scope;

mod assembler;
mod by_number;
mod checksum;
mod copies;
mod datagram;
mod flow;
mod flow_key;
mod flow_table;
mod index;
mod networks;
mod queue;
mod reading;
mod segment;
mod seq;
mod slab;
mod timers;
mod tuple;
mod waiting;

pub(crate) use by_number::ByNumber;
pub use copies::Copies;
pub use datagram::{Datagram, DatagramError};
pub(crate) use flow_key::KeyHasher;
pub use flow_key::{FlowKey, Sender};
pub use flow_table::{EXPECTED_MAX, Expected, FlowTable};
pub use segment::{ControlBits, Ends, Segment, SegmentError};
pub use seq::SeqNum;
pub use tuple::{Direction, FiveTuple};

/// A piece of one direction of a stream, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// The next bytes. Never empty.
    Data(&'a [u8]),
    /// So many bytes are missing here and will not come.
    Gap(u64),
    /// The stream ended; all bytes up to its end were delivered.
    Fin,
    /// The connection was reset. Told a few seconds after the reset was seen, just before the
    /// flow is closed.
    Reset,
}

/// Where a chunk comes from.
#[derive(Clone, Copy, Debug)]
pub struct StreamContext {
    /// Time stamp of the packet that completed the stream up to the chunk; of a chunk behind a hole
    /// that was given up, its own.
    pub time: Timestamp,
    /// The network that it was seen in.
    pub scope: Scope,
    /// Where in its direction the chunk begins.
    pub offset: u64,
    /// Up to which offset of the other direction its sender had read, if that is known; for a gap,
    /// how far the other direction was told.
    pub acked: Option<u64>,
    /// Who sent the chunk.
    pub src: SocketAddr,
    /// Who it was for.
    pub dst: SocketAddr,
    /// Which side the sender is held to be. A guess when the start was not seen: what the
    /// bytes look like has the last word.
    pub direction: Direction,
    /// What is known of the flow, `MIDSTREAM`, and of the chunk: `OVERLAP`, `TRUNCATED` (a gap with
    /// it was cut off by the snap length).
    pub flags: Flags,
    /// What the bytes were carried in: clear text, unless a layer above took a cover off.
    pub scheme: Scheme,
}

impl StreamContext {
    /// The same connection, seen from the other side; where is not known.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            offset: 0,
            acked: None,
            src: self.dst,
            dst: self.src,
            direction: self.direction.reversed(),
            ..*self
        }
    }
}

/// What a segment was to its connection, for who keeps frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Names the connection, among those that are there.
    pub connection: u64,
    /// Names all connections between its two endpoints.
    pub endpoints: u64,
    /// Whether the connection is known to carry what is watched; if not, it may.
    pub watched: bool,
    /// Whether it is the first that was seen of it.
    pub opens: bool,
    /// Whether the connection is over by now.
    pub over: bool,
    /// Whether it is, and nothing more can be told of it.
    pub settled: bool,
    /// Which of the two sides sent it, 0 or 1.
    pub side: usize,
}

/// What is known of a connection's being watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attention {
    /// Nothing yet.
    #[default]
    Unknown,
    /// All that was met on it is not watched.
    Unwatched,
    /// Something that was met on it is.
    Watched,
}

/// How much it would cost to forget a flow. Evicted first is what says least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interest {
    /// Nothing is waiting: between requests, or no protocol that is read, or a host that is
    /// not watched.
    Idle,
    /// Not known yet: too little was seen.
    #[default]
    Undecided,
    /// Part of a watched request is held.
    Watched,
}

/// What the layer above keeps for each flow, as far as the flow table must know it.
pub trait FlowState {
    /// How much it would cost to forget it.
    fn interest(&self) -> Interest;
    /// Bytes that it holds on the heap.
    fn heap_bytes(&self) -> usize;
    /// Bytes of one direction that were delivered last and that it still holds, up to the last
    /// delivered one. Retransmitted bytes are compared with them, so that no second copy is kept
    /// for that. Empty when it holds none, or cannot tell.
    fn held(&self, direction: Direction) -> &[u8] {
        let _ = direction;
        &[]
    }
    /// Whether something may be told of a connection that is over.
    fn outlives_its_connection(&self) -> bool {
        false
    }
    /// Takes the next bytes of one direction, from `offset` on, if all there is to do is to count
    /// them: nobody is told, and its costs are as they were. Else false, and nothing has happened.
    fn pass_over(&mut self, direction: Direction, offset: u64, bytes: &[u8]) -> bool {
        let _ = (direction, offset, bytes);
        false
    }
}

/// The layer above: it is given each flow's chunks in order.
pub trait StreamHandler<S: FlowState> {
    /// A flow begins: what to keep for it.
    fn on_open(&mut self) -> S;
    /// The next piece of one direction.
    fn on_chunk(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        state: &mut S,
        counters: &mut Counters,
    );
    /// The client ended a connection on which neither side had sent a byte.
    fn on_silent(&mut self, context: &StreamContext, counters: &mut Counters) {
        let _ = (context, counters);
    }
    /// The flow is looked at because the layer above asked for it; `context` is that of its
    /// client, now.
    fn on_wake(&mut self, context: &StreamContext, state: &mut S, counters: &mut Counters) {
        let _ = (context, state, counters);
    }
    /// Whether [`Seen`] is of use.
    fn wants_seen(&self) -> bool {
        false
    }
    /// Whether what was told since this was last asked concerned something watched.
    fn take_attention(&mut self) -> Attention {
        Attention::Unknown
    }
    /// The flow ended, was silent too long or was evicted.
    fn on_close(&mut self, time: Timestamp, state: S, counters: &mut Counters);
}

#[cfg(test)]
mod tests;
