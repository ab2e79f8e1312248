//! What of one direction cannot be told yet: pieces by offset, an end, and how long they wait.

use std::collections::BTreeMap;

use crate::event::Flags;
use crate::frame::Timestamp;
use crate::link::Scope;
use crate::transport::FiveTuple;

/// What is noted about bytes when they come, and told with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// When they came.
    pub(super) time: Timestamp,
    /// The network that they were seen in.
    pub(super) scope: Scope,
    /// The offset in the other direction up to which their sender had read it, if that is known.
    pub(super) acked: Option<u64>,
    /// Bytes behind them that the snap length cut off.
    pub(super) missing: u32,
    /// What is known against them.
    pub(super) flags: Flags,
    /// Whether they answer bytes that had not been read when they came.
    pub(super) early: bool,
}

/// How long what waits is waited with, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    /// When waiting ends.
    pub(super) deadline: Timestamp,
    /// Up to where the receiver is known to have got, if that lies beyond the next byte.
    pub(super) acked: u64,
    /// Whether the receiver said, while there was a hole, that it lacks the same bytes.
    pub(super) denied: bool,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Fin,
    Reset,
}

/// What waits. Rare, so that a direction in order pays one pointer for it.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By offset. None lies wholly inside another, so that ends rise as starts do.
    pieces: BTreeMap<u64, Piece>,
    /// Memory that the pieces take up.
    bytes: usize,
    /// Where a byte stands that is not to be told.
    pub(super) urgent: Option<u64>,
    /// The stream's end: its offset, its kind.
    pub(super) end: Option<(u64, End, Stamp)>,
    pub(super) patience: Patience,
    /// Who sent it to whom.
    pub(super) tuple: Option<FiveTuple>,
}

/// Bytes that wait.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Box<[u8]>,
    pub(super) stamp: Stamp,
}

/// How bytes compare with those that wait at the same offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Overlap {
    /// Bytes that are there already.
    pub(super) known: usize,
    /// Of those: bytes that differ.
    pub(super) differing: usize,
}

impl Waiting {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.end.is_none() && self.urgent.is_none()
    }

    /// Memory that it takes up.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + NODE_BYTES + self.bytes
    }

    /// The first offset at which something waits: bytes, else the end.
    pub(super) fn first_offset(&self) -> Option<u64> {
        let piece = self.pieces.keys().next().copied();
        piece.or(self.end.as_ref().map(|(offset, ..)| *offset))
    }

    /// What was noted about the first thing that waits, bytes or the end.
    pub(super) fn first_stamp(&self) -> Option<&Stamp> {
        self.stamps().next()
    }

    /// What was noted about the first things that wait.
    pub(super) fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        let pieces = self.pieces.values().map(|piece| &piece.stamp);
        let end = self.end.iter().map(|(.., stamp)| stamp);
        pieces.chain(end).take(REGARDED_PIECES_MAX)
    }

    /// Takes the first piece off, if it does not lie beyond `next`.
    pub(super) fn pop(&mut self, next: u64) -> Option<(u64, Piece)> {
        let first = self.pieces.first_entry()?;
        (*first.key() <= next).then(|| {
            let (start, piece) = first.remove_entry();
            self.bytes -= cost(&piece.bytes);
            (start, piece)
        })
    }

    /// Takes off the piece that lies farthest ahead.
    pub(super) fn pop_last(&mut self) -> Option<Piece> {
        let (_, piece) = self.pieces.pop_last()?;
        self.bytes -= cost(&piece.bytes);
        Some(piece)
    }

    /// Bytes of all pieces.
    pub(super) fn len(&self) -> usize {
        self.pieces.values().map(|piece| piece.bytes.len()).sum()
    }

    /// Adds bytes, by Linux's rule for those that overlap.
    pub(super) fn insert(&mut self, start: u64, bytes: &[u8], stamp: Stamp) {
        let end = start + bytes.len() as u64;
        let before = self.pieces.range(..=start).next_back();
        if before.is_none_or(|(start, piece)| piece.end(*start) < end) {
            self.remove_covered(start, end);
            self.bytes += cost(bytes);
            let bytes = bytes.into();
            self.pieces.insert(start, Piece { bytes, stamp });
        }
        if stamp.flags.contains(Flags::OVERLAP) {
            self.flag(start, end);
        }
    }

    /// Of bytes that differ, all are in doubt, whichever stay.
    pub(super) fn flag(&mut self, start: u64, end: u64) {
        let pieces = self.pieces.range_mut(..end).rev();
        for (from, piece) in pieces.take(REGARDED_PIECES_MAX) {
            if piece.end(*from) <= start {
                break; // ends rise as starts do: no earlier piece reaches this far
            }
            piece.stamp.flags = piece.stamp.flags.with(Flags::OVERLAP);
        }
    }

    fn remove_covered(&mut self, start: u64, end: u64) {
        loop {
            let first = self.pieces.range(start..end).next();
            let Some((covered, _)) = first.filter(|(start, piece)| piece.end(**start) <= end)
            else {
                return;
            };
            let covered = *covered;
            if let Some(piece) = self.pieces.remove(&covered) {
                self.bytes -= cost(&piece.bytes);
            }
        }
    }

    /// How `bytes` compare with what waits at their offsets.
    pub(super) fn compare(&self, offset: u64, bytes: &[u8]) -> Overlap {
        let mut overlap = Overlap::default();
        let end = offset + bytes.len() as u64;
        let pieces = self.pieces.range(..end).rev();
        for (start, piece) in pieces.take(REGARDED_PIECES_MAX) {
            let (ours, theirs) = (
                after(bytes, offset, *start),
                after(&piece.bytes, *start, offset),
            );
            if theirs.is_empty() {
                break; // ends rise as starts do: no earlier piece reaches this far
            }
            overlap.add(ours, theirs);
        }
        overlap.known = overlap.known.min(bytes.len());
        overlap
    }
}

impl Piece {
    fn end(&self, start: u64) -> u64 {
        start + self.bytes.len() as u64
    }
}

impl Overlap {
    /// Compares two runs of bytes that begin at the same offset, as far as both go.
    pub(super) fn add(&mut self, ours: &[u8], theirs: &[u8]) {
        let length = ours.len().min(theirs.len());
        let (ours, theirs) = (ours.get(..length), theirs.get(..length));
        self.known += length;
        if let (Some(ours), Some(theirs), false) = (ours, theirs, ours == theirs) {
            self.differing += ours.iter().zip(theirs).filter(|(a, b)| a != b).count();
        }
    }
}

/// The part of `bytes`, which begin at offset `start`, that lies at or behind offset `from`.
pub(super) fn after(bytes: &[u8], start: u64, from: u64) -> &[u8] {
    let passed = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX);
    bytes.get(passed..).unwrap_or_default()
}

/// Memory that a waiting piece takes up, with what the map and the allocator add to it.
fn cost(bytes: &[u8]) -> usize {
    bytes.len() + PIECE_OVERHEAD_BYTES
}

/// A map entry in a half-full node, and the allocator's header and rounding.
const PIECE_OVERHEAD_BYTES: usize = 2 * (size_of::<u64>() + size_of::<Piece>()) + 24;
/// The first node of the map.
const NODE_BYTES: usize = 11 * (size_of::<u64>() + size_of::<Piece>()) + 16;
/// Waiting pieces that are looked at for one segment: enough for what networks do, and few enough
/// that a sender of thousands of overlapping pieces cannot make each further one expensive.
const REGARDED_PIECES_MAX: usize = 64;
