//! One connection: two assemblers, who is who, and which segments can be meant for it.

use crate::event::{Flags, Scheme};
use crate::frame::Timestamp;
use crate::link::Scope;
use crate::transport::assembler::{Assembler, Phase};
use crate::transport::flow_key::{KeyHash, Side};
use crate::transport::networks::{Network, Origin};
use crate::transport::queue::{Class, Links};
use crate::transport::{Attention, Direction, FiveTuple, Segment, StreamContext};

/// A connection and what the layer above keeps for it. Every byte counts: a flood makes a million.
/// Its addresses are not kept: whoever comes with its key brings them.
#[derive(Debug)]
pub(super) struct Flow<S> {
    pub(super) key: KeyHash,
    pub(super) low: Stream,
    pub(super) high: Stream,
    /// Where the first packet of each side was seen.
    networks: [Network; 2],
    pub(super) client: Side,
    pub(super) flags: Flags,
    pub(super) marks: Marks,
    /// Bytes that `state` costs on the heap, when last looked at.
    pub(super) held: u32,
    /// How many flows there were before it: of several with one key the newest has the most.
    pub(super) born: u32,
    pub(super) class: Class,
    pub(super) links: Links,
    /// None until the first byte arrives, and again when closed.
    pub(super) state: Option<S>,
}

/// Small facts in one byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks(u8);

impl Marks {
    const SHARES_KEY: u8 = 1;
    const UNWATCHED: u8 = 2;
    const WATCHED: u8 = 4;
    const OUTLIVED: u8 = 8;

    /// Whether other flows may have the same key: an older or newer connection of the same ports.
    pub(super) const fn shares_key(self) -> bool {
        self.0 & Self::SHARES_KEY != 0
    }

    pub(super) fn share_key(&mut self) {
        self.0 |= Self::SHARES_KEY;
    }

    /// Whether something may still be told of it when it is over.
    pub(super) const fn is_outlived(self) -> bool {
        self.0 & Self::OUTLIVED != 0
    }

    pub(super) fn outlive(&mut self) {
        self.0 |= Self::OUTLIVED;
    }

    /// Whether it ever carried something that is watched.
    pub(super) const fn attention(self) -> Attention {
        if self.0 & Self::WATCHED != 0 {
            Attention::Watched
        } else if self.0 & Self::UNWATCHED != 0 {
            Attention::Unwatched
        } else {
            Attention::Unknown
        }
    }

    pub(super) fn note(&mut self, attention: Attention) {
        self.0 |= match attention {
            Attention::Unknown => 0,
            Attention::Unwatched => Self::UNWATCHED,
            Attention::Watched => Self::WATCHED,
        };
    }
}

/// What one side sends.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) bytes: Assembler<Notes>,
}

impl Stream {
    /// Notes what is known against the bytes that come next.
    pub(super) fn doubt(&mut self, flags: Flags) {
        let notes = &mut self.bytes.notes;
        notes.flags = notes.flags.with(flags);
    }
}

/// What is noted of one side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notes {
    /// Whether it has shown a right checksum.
    pub(super) checksums_right: bool,
    /// What is known against the bytes that come next.
    pub(super) flags: Flags,
    /// Routers that its first packet might still have passed.
    hops: u8,
}

impl<S> Flow<S> {
    /// A flow that begins with this segment, which may lie in its middle.
    pub(super) fn begin(key: KeyHash, side: Side, segment: &Segment<'_>) -> Self {
        let mut flow = Self {
            key,
            low: Stream::default(),
            high: Stream::default(),
            networks: Default::default(),
            client: guess_client(segment, side),
            flags: Flags::NONE,
            marks: Marks::default(),
            held: 0,
            born: 0,
            class: Class::default(),
            links: Links::default(),
            state: None,
        };
        if segment.syn() {
            flow.open(side, segment);
        } else {
            flow.flags = Flags::MIDSTREAM;
        }
        flow
    }

    /// Takes a SYN's numbers: its own, and in a SYN-ACK the other side's.
    pub(super) fn open(&mut self, side: Side, segment: &Segment<'_>) {
        self.stream_mut(side).bytes.start_at(segment.payload_seq());
        if let Some(ack) = segment.ack {
            self.stream_mut(side.other()).bytes.start_at(ack);
        }
        if self.state.is_none() {
            self.client = guess_client(segment, side);
            self.flags = Flags::NONE;
        }
    }

    /// Reads a little of each of its lines of memory.
    #[inline]
    pub(super) fn touch(&self) -> u32 {
        let streams = self.low.bytes.next() ^ self.high.bytes.next();
        streams as u32 ^ self.links.last_seen ^ self.held ^ u32::from(self.state.is_some())
    }

    pub(super) fn stream(&self, side: Side) -> &Stream {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }

    pub(super) fn stream_mut(&mut self, side: Side) -> &mut Stream {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }

    pub(super) fn direction(&self, sender: Side) -> Direction {
        if sender == self.client {
            Direction::ToServer
        } else {
            Direction::ToClient
        }
    }

    /// The context of what one side sends, as far as it is the same for all of it.
    pub(super) fn context(&self, sender: Side, tuple: FiveTuple) -> StreamContext {
        StreamContext {
            time: Timestamp::default(),
            scope: Scope::default(),
            offset: 0,
            acked: None,
            src: tuple.src,
            dst: tuple.dst,
            direction: self.direction(sender),
            flags: self.flags,
            scheme: Scheme::Http,
        }
    }

    /// Whether anything waits in either direction.
    pub(super) fn is_waiting(&self) -> bool {
        self.low.bytes.is_waiting() || self.high.bytes.is_waiting()
    }

    /// Whether both directions ended with all their bytes delivered.
    pub(super) fn is_finished(&self) -> bool {
        let over = |stream: &Stream| stream.bytes.phase() == Phase::Finished;
        over(&self.low) && over(&self.high)
    }

    /// Whether it is over in both directions, or reset: only keeps late duplicates from looking
    /// new.
    pub(super) fn is_closed(&self) -> bool {
        self.class == Class::Over
    }

    /// Whether no byte of either direction was delivered.
    pub(super) fn is_embryonic(&self) -> bool {
        self.state.is_none() && !self.is_closed()
    }

    /// Drops all that waits. The number of bytes.
    pub(super) fn drop_waiting(&mut self) -> u64 {
        let [low, high] = [&mut self.low, &mut self.high].map(|one| one.bytes.drop_waiting());
        (low + high) as u64
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.low.bytes.heap_bytes() + self.high.bytes.heap_bytes()
    }

    /// When waiting ends, for what waits in one direction.
    pub(super) fn deadline(&self, side: Side) -> Option<Timestamp> {
        let patience = self.stream(side).bytes.patience()?;
        Some(patience.deadline)
    }

    /// Whether a SYN belongs to this connection: its first one, a copy of it, or the answer to it.
    /// One that comes a while after the end opens another, though its number be the same.
    pub(super) fn is_opened_by(&self, side: Side, segment: &Segment<'_>, second: u32) -> bool {
        let (ours, theirs) = (&self.stream(side).bytes, &self.stream(side.other()).bytes);
        if ours.is_known() {
            let over = self.is_closed() || !ours.is_open();
            let late = second > self.links.last_seen.saturating_add(COPY_SECONDS_MAX);
            return ours.start() == segment.payload_seq() && !(over && late);
        }
        match segment.ack {
            // With Fast Open it may acknowledge data too.
            Some(ack) => {
                let acked = ack.distance_from(theirs.start());
                theirs.is_known() && (0..=SYN_BYTES_MAX).contains(&acked)
            }
            None => theirs.is_at_start() && self.flags == Flags::NONE, // simultaneous open
        }
    }

    /// Whether a segment may belong to this connection by the network that it was seen in. Nearly
    /// always that is the one in which its side was seen before.
    pub(super) fn may_own(&self, side: Side, segment: &Segment<'_>) -> bool {
        let (known, seen) = (self.origin(side), Origin::of(segment));
        known.is_same_network(seen)
            || (known.is_unknown() && self.origin(side.other()).is_same_network(seen))
            || (known.may_be(seen)
                && (segment.syn() || self.distance(side, segment) < STRANGE_DISTANCE_MAX))
    }

    /// Whether one of its sides was seen where the segment was.
    pub(super) fn shares_network(&self, segment: &Segment<'_>) -> bool {
        self.networks.contains(&Origin::of(segment).network)
    }

    /// Notes where the first segment of a side was seen.
    pub(super) fn note_origin(&mut self, side: Side, segment: &Segment<'_>) {
        if self.origin(side).is_unknown() {
            let Origin { network, hops } = Origin::of(segment);
            self.stream_mut(side).bytes.notes.hops = hops;
            let [low, high] = &mut self.networks;
            match side {
                Side::Low => *low = network,
                Side::High => *high = network,
            }
        }
    }

    fn origin(&self, side: Side) -> Origin {
        let [low, high] = self.networks;
        Origin {
            network: match side {
                Side::Low => low,
                Side::High => high,
            },
            hops: self.stream(side).bytes.notes.hops,
        }
    }

    /// Whether no host of this connection takes a segment, because of what it acknowledges. Says
    /// nothing of a connection whose start was not seen.
    pub(super) fn refuses(&self, side: Side, segment: &Segment<'_>) -> bool {
        if segment.opens_or_resets() || self.flags.contains(Flags::MIDSTREAM) {
            return false;
        }
        let theirs = &self.stream(side.other()).bytes;
        segment.ack.is_none_or(|ack| theirs.is_before_start(ack))
    }

    /// How far a segment lies from where this connection is, to tell connections of the same
    /// ports apart.
    pub(super) fn distance(&self, side: Side, segment: &Segment<'_>) -> u32 {
        let (ours, theirs) = (&self.stream(side).bytes, &self.stream(side.other()).bytes);
        match segment.ack {
            _ if self.refuses(side, segment) => u32::MAX,
            _ if ours.is_known() => ours.distance(segment.seq).unsigned_abs(),
            Some(ack) if theirs.is_known() => theirs.distance(ack).unsigned_abs(),
            _ => u32::MAX,
        }
    }
}

/// Who the client is: a SYN comes from the client, a SYN with ACK from the server; else the lower
/// port is the server's.
fn guess_client(segment: &Segment<'_>, sender: Side) -> Side {
    let from_client = match (segment.syn(), segment.ack) {
        (true, None) => true,
        (true, Some(_)) => false,
        (false, _) => segment.src_port() > segment.dst_port(),
    };
    if from_client { sender } else { sender.other() }
}

/// How far from where a connection is a segment from another network may lie: few windows.
const STRANGE_DISTANCE_MAX: u32 = 1 << 24;
/// Bytes of data that a SYN can carry.
const SYN_BYTES_MAX: i32 = 64 * 1024;
/// How much later than a connection's last segment the copy of a frame may come.
const COPY_SECONDS_MAX: u32 = 1;
