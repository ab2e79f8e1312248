//! How long is waited, and what happens then; what acknowledgements change in it.

use crate::frame::Timestamp;
use crate::limits::{HOLE_ACKED_WAIT, HOLE_WAIT, RESET_WAIT};
use crate::transport::assembler::{Phase, Told};
use crate::transport::flow_key::Side;
use crate::transport::reading::{Mark, REACH, Reading};
use crate::transport::waiting::Stamp;
use crate::transport::{Chunk, FlowState, Segment, StreamHandler};

impl<S: FlowState, H: StreamHandler<S>> Reading<'_, S, H> {
    // ── the other side's acknowledgements ──

    pub(super) fn on_acknowledgement(&mut self, segment: &Segment<'_>, side: Side) {
        let bytes = &mut self.flow.stream_mut(side).bytes;
        let Some(ack) = segment.ack.filter(|_| bytes.is_waiting()) else {
            return;
        };
        let (distance, acked) = (bytes.distance(ack), bytes.offset_of(ack));
        if !(-REACH..REACH).contains(&distance) {
            return;
        }
        if bytes.has_hole() {
            self.note_hole_acknowledged(side, acked);
        } else if distance > 0 {
            bytes.revive();
            self.release(side);
        } else if segment.syn() && bytes.is_open() {
            bytes.drop_waiting(); // a SYN's data, which the server did not take
        }
    }

    fn note_hole_acknowledged(&mut self, side: Side, acked: u64) {
        let until = self.now.plus(HOLE_ACKED_WAIT);
        let bytes = &mut self.flow.stream_mut(side).bytes;
        let next = bytes.next();
        if let Some(patience) = bytes.patience_mut() {
            patience.denied = acked <= next;
            // The first acknowledgement beyond the hole counts: bytes up to a later one may still
            // be on their way through the mirror.
            if acked > next && patience.acked <= next {
                patience.acked = acked;
                patience.deadline = patience.deadline.min(until);
            }
        }
    }

    // ── time ──

    /// What waits in one direction has waited long enough.
    pub(in crate::transport) fn on_deadline(&mut self, side: Side) {
        self.recall_tuple(side);
        let before = Side::BOTH.map(|side| Mark::of(self.flow.stream(side)));
        let patience = self.flow.stream_mut(side).bytes.patience_mut();
        let Some(patience) = patience.map(std::mem::take) else {
            return;
        };
        let bytes = &self.flow.stream(side).bytes;
        if !bytes.is_open() {
            self.end_reset(side);
        } else if self.is_forged_syn(side) {
            self.drop_waiting(side);
        } else if self.first_early(side).is_some() {
            self.give_up_questions(side, self.now);
        } else if bytes.has_hole() && patience.acked > bytes.next() {
            self.counters.gaps_acknowledged += 1;
            self.skip_to(side, patience.acked);
        } else if bytes.has_hole() && patience.denied {
            self.drop_waiting(side);
        } else {
            self.give_up_holes(side);
        }
        self.release_answers();
        self.arm(before);
    }

    /// Who sent to whom, by what waits.
    fn recall_tuple(&mut self, side: Side) {
        let waiting = self.flow.stream(side).bytes.waiting();
        if let Some(tuple) = waiting.and_then(|waiting| waiting.tuple) {
            self.set_tuple(side, tuple);
        }
    }

    /// The first of a server's bytes that answer what was not read yet.
    fn first_early(&self, side: Side) -> Option<Stamp> {
        let limit = self.answerable(side);
        let waiting = self.flow.stream(side).bytes.waiting()?;
        let early = |stamp: &&Stamp| stamp.early && stamp.acked > Some(limit);
        waiting.stamps().find(early).copied()
    }

    /// The end of the first of the client's bytes that were not read, but answered.
    pub(super) fn first_question(&self, side: Side) -> Option<u64> {
        let asked = side == self.flow.client;
        self.first_early(side.other()).filter(|_| asked)?.acked
    }

    /// Gives up what was asked and not seen, for answers that have waited until `now` for it.
    fn give_up_questions(&mut self, side: Side, now: Timestamp) {
        while let Some(stamp) = self.first_early(side) {
            if stamp.time.plus(HOLE_ACKED_WAIT) > now {
                break;
            }
            self.counters.gaps_acknowledged += 1;
            self.skip_to(side.other(), stamp.acked.unwrap_or_default());
        }
        self.release(side);
    }

    /// Nothing is waited for any longer: holes are skipped, and what they kept back is told.
    pub(in crate::transport) fn give_up_waiting(&mut self) {
        self.make_room(self.flow.client);
        self.make_room(self.flow.client.other());
    }

    /// As [`give_up_waiting`](Self::give_up_waiting) for one direction, to make room.
    pub(in crate::transport) fn make_room(&mut self, side: Side) {
        let Some(patience) = self.flow.stream(side).bytes.patience().copied() else {
            return;
        };
        if self.is_forged_syn(side) {
            return self.drop_waiting(side);
        }
        self.recall_tuple(side);
        self.give_up_questions(side, Timestamp::from_nanos(u64::MAX));
        if patience.denied || !self.flow.stream(side).bytes.is_open() {
            self.drop_waiting(side);
        } else {
            self.give_up_holes(side);
        }
        if self.flow.stream(side).bytes.phase() == Phase::Reset {
            self.end_reset(side);
        }
    }

    /// Whether all that came is a SYN's data, which nobody answered, while another connection
    /// lives on the same ports.
    fn is_forged_syn(&self, side: Side) -> bool {
        let bytes = &self.flow.stream(side).bytes;
        let only_syn = self.flow.state.is_none() && bytes.is_at_start() && !bytes.has_hole();
        self.flow.marks.shares_key() && only_syn && bytes.is_waiting()
    }

    fn drop_waiting(&mut self, side: Side) {
        let dropped = self.flow.stream_mut(side).bytes.drop_waiting();
        self.counters.reorder_bytes_dropped += dropped as u64;
    }

    fn give_up_holes(&mut self, side: Side) {
        self.release(side);
        self.flow.stream_mut(side).bytes.forget_urgent();
        loop {
            let bytes = &self.flow.stream(side).bytes;
            if !bytes.is_open() || !bytes.has_hole() {
                return;
            }
            self.skip_hole(side);
        }
    }

    /// Nobody went on after a reset: it counts.
    fn end_reset(&mut self, side: Side) {
        let told = Told {
            chunk: Chunk::Reset,
            offset: self.flow.stream(side).bytes.next(),
            stamp: Stamp {
                time: self.now,
                ..Stamp::default()
            },
        };
        self.with_stream(side, |_, sink| sink(told));
        self.closes = true;
    }

    /// Sets how long is waited for what waits since, or in another way than, `before`.
    pub(super) fn arm(&mut self, before: [Mark; 2]) {
        for (side, before) in Side::BOTH.into_iter().zip(before) {
            let now = Mark::of(self.flow.stream(side));
            let reset = now.phase == Phase::Reset && before.phase != Phase::Reset;
            if reset {
                let until = self.now.plus(RESET_WAIT);
                self.flow.stream_mut(side).bytes.wait().deadline = until;
            } else if self.needs_patience(side, before) {
                let until = match self.first_early(side) {
                    Some(stamp) => stamp.time.plus(HOLE_ACKED_WAIT),
                    None => self.now.plus(HOLE_WAIT),
                };
                self.flow.stream_mut(side).bytes.wait().deadline = until;
            }
            let tuple = self.tuple(side);
            self.flow.stream_mut(side).bytes.note_tuple(tuple);
        }
    }

    /// Whether a direction waits for something else than before.
    fn needs_patience(&self, side: Side, before: Mark) -> bool {
        let bytes = &self.flow.stream(side).bytes;
        let Some(patience) = bytes.patience() else {
            return false;
        };
        let moved = bytes.next() != before.next && bytes.is_open();
        let acked = patience.acked > bytes.next();
        patience.deadline == Timestamp::default() || (moved && !acked)
    }
}
