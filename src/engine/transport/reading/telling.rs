//! Telling the layer above what is next, and answers behind what they answer.

use crate::event::Flags;
use crate::frame::Timestamp;
use crate::transport::assembler::{Assembler, Sink, Told};
use crate::transport::flow::{Flow, Notes};
use crate::transport::flow_key::Side;
use crate::transport::reading::Reading;
use crate::transport::waiting::Stamp;
use crate::transport::{Chunk, Direction, FlowState, StreamContext, StreamHandler};

impl<S: FlowState, H: StreamHandler<S>> Reading<'_, S, H> {
    /// Tells what is next of what waits; after each piece of the client's, what answers it.
    pub(super) fn release(&mut self, side: Side) {
        while self.release_one(side) {
            if side == self.flow.client {
                self.release_answers();
            }
        }
    }

    pub(super) fn release_one(&mut self, side: Side) -> bool {
        let limit = self.answerable(side);
        self.flow.stream(side).bytes.is_waiting()
            && self.with_stream(side, |bytes, sink| bytes.release_one(limit, sink))
    }

    /// Tells answers that waited for what they answer, if that was read.
    pub(super) fn release_answers(&mut self) {
        let server = self.flow.client.other();
        let limit = self.answerable(server);
        let bytes = &self.flow.stream(server).bytes;
        let first = bytes.waiting().and_then(|waiting| waiting.first_stamp());
        if first.is_some_and(|stamp| stamp.early && stamp.acked <= Some(limit)) {
            while self.release_one(server) {}
        }
    }

    /// Up to where the other side may have read a direction whose bytes are told now.
    pub(super) fn answerable(&self, side: Side) -> u64 {
        let asked = &self.flow.stream(side.other()).bytes;
        if side == self.flow.client || !asked.is_open() {
            return u64::MAX;
        }
        asked.next()
    }

    /// Gives up the bytes up to the first that waits.
    pub(super) fn skip_hole(&mut self, side: Side) {
        let first = self.flow.stream(side).bytes.awaited_offset();
        self.skip_to(side, first.unwrap_or_default());
    }

    /// Gives up all missing bytes before an offset. What lies between holes is told, and what
    /// answers lost bytes before what follows them.
    pub(super) fn skip_to(&mut self, side: Side, offset: u64) {
        let mut from = None;
        loop {
            let bytes = &self.flow.stream(side).bytes;
            let next = bytes.next();
            if !bytes.is_open() || next >= offset || from.replace(next) == Some(next) {
                return;
            }
            let stamp = Stamp {
                time: self.now,
                acked: Some(self.flow.stream(side.other()).bytes.next()),
                ..Stamp::default()
            };
            let ends = [bytes.awaited_offset(), self.first_question(side)];
            let end = ends.into_iter().flatten().fold(offset, u64::min);
            self.with_stream(side, |bytes, sink| bytes.skip(end, stamp, sink));
            self.release_answers();
            self.release(side);
        }
    }

    /// Lets `act` work on one direction; what it yields is told to the layer above.
    pub(super) fn with_stream<R>(
        &mut self,
        side: Side,
        act: impl FnOnce(&mut Assembler<Notes>, &mut Sink<'_>) -> R,
    ) -> R {
        let base = self.flow.context(side, self.tuple(side));
        let filled = self.filled == Some(side);
        let since = if filled {
            self.now
        } else {
            Timestamp::default()
        };
        let Flow {
            low, high, state, ..
        } = &mut *self.flow;
        let stream = match side {
            Side::Low => low,
            Side::High => high,
        };
        let (handler, counters, told) = (&mut *self.handler, &mut *self.counters, &mut self.told);
        let mut flags = stream.bytes.notes.flags;
        let mut sink = |one: Told<'_>| {
            match one.chunk {
                Chunk::Gap(missing) => {
                    counters.gaps += 1;
                    counters.gap_bytes += missing;
                }
                Chunk::Fin | Chunk::Reset if state.is_none() => {
                    if base.direction == Direction::ToServer {
                        handler.on_silent(&base, counters);
                    }
                    return;
                }
                _ => {}
            }
            let mut context = context_of(&one, base, since);
            let state = state.get_or_insert_with(|| handler.on_open());
            if let Chunk::Data(bytes) = one.chunk {
                context.flags = context.flags.with(flags);
                handler.on_chunk(&context, one.chunk, state, counters);
                let held = state.held(context.direction).len();
                flags = carried(flags, one.stamp.flags, held, bytes.len());
            } else {
                handler.on_chunk(&context, one.chunk, state, counters);
            }
            *told = true;
        };
        let result = act(&mut stream.bytes, &mut sink);
        stream.bytes.notes.flags = flags;
        result
    }
}

fn context_of(told: &Told<'_>, base: StreamContext, since: Timestamp) -> StreamContext {
    StreamContext {
        time: told.stamp.time.max(since),
        scope: told.stamp.scope,
        offset: told.offset,
        acked: told.stamp.acked,
        flags: base.flags.with(told.stamp.flags),
        ..base
    }
}

/// What is known against a message holds for as long as the layer above holds part of it, of which
/// `last` bytes came with flags of their own.
fn carried(before: Flags, own: Flags, held: usize, last: usize) -> Flags {
    match held {
        0 => Flags::NONE,
        held if held <= last => own,
        _ => before.with(own),
    }
}
