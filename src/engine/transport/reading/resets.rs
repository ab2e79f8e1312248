//! Resets: which count, and when.

use crate::limits::RESET_WAIT;
use crate::transport::flow_key::Side;
use crate::transport::reading::{REACH, Reading};
use crate::transport::waiting::{End, Stamp};
use crate::transport::{FlowState, Segment, StreamHandler};

impl<S: FlowState, H: StreamHandler<S>> Reading<'_, S, H> {
    pub(super) fn on_reset(&mut self, segment: &Segment<'_>, side: Side) {
        let bytes = &self.flow.stream(side).bytes;
        let distance = match bytes.is_known() {
            true => bytes.distance(segment.seq),
            false if self.is_refusal(segment, side) => 0,
            false => -1,
        };
        match distance {
            0 if self.flow.is_embryonic() => self.end_silent(side),
            0 => self.reset(side),
            1..REACH if bytes.is_open() => {
                let offset = bytes.offset_of(segment.seq);
                self.end_by_reset(side, offset);
            }
            _ => self.counters.out_of_window += 1,
        }
    }

    /// No side sent a byte before the reset.
    fn end_silent(&mut self, side: Side) {
        self.closes = true;
        if side == self.flow.client && self.flow.stream(side).bytes.is_open() {
            let context = self.flow.context(side, self.tuple(side));
            self.handler.on_silent(&context, self.counters);
        }
    }

    /// Whether a reset of a side that never spoke answers bytes that were sent to it.
    fn is_refusal(&self, segment: &Segment<'_>, side: Side) -> bool {
        let theirs = &self.flow.stream(side.other()).bytes;
        let sent = |ack| theirs.is_known() && theirs.distance(ack) <= 0;
        segment.ack.is_some_and(sent)
    }

    fn reset(&mut self, side: Side) {
        let next = self.flow.stream(side).bytes.next();
        self.end_by_reset(side, next);
        let until = self.now.plus(RESET_WAIT);
        let bytes = &mut self.flow.stream_mut(side).bytes;
        if !bytes.is_open() && !bytes.is_waiting() {
            bytes.wait().deadline = until;
        }
    }

    fn end_by_reset(&mut self, side: Side, offset: u64) {
        let stamp = Stamp {
            time: self.now,
            ..Stamp::default()
        };
        self.with_stream(side, |bytes, sink| {
            bytes.end_at(offset, End::Reset, stamp, sink);
        });
    }
}
