//! What cannot be read yet is held, and read later as if it came then.

use super::{Stop, Tls, Why};
use crate::app::Observer;
use crate::app::tls::cipher::Sender;
use crate::app::tls::held::{Item, What};
use crate::app::tls::record::Header;
use crate::event::Flags;
use crate::transport::{Chunk, StreamContext};

impl Tls {
    pub(super) fn hold(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        record: &[u8],
        observer: &mut dyn Observer,
    ) {
        let held = self.side(sender).held.push(Item {
            time: context.time,
            flags: context.flags,
            what: What::Record(record.into()),
        });
        observer.counters().tls_records_dropped += u64::from(!held);
    }

    /// Behind what is held everything waits.
    pub(super) fn queue_or_read(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        what: What,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let held = &mut self.side(sender).held;
        if held.is_empty() {
            return self
                .read(sender, context, what, observer)
                .map_err(|(stop, _)| stop);
        }
        held.push(Item {
            time: context.time,
            flags: context.flags,
            what,
        });
        Ok(())
    }

    /// Reads what is held, as far as that is possible by now, in the order in which it came: what
    /// one side says may change how the other is to be read.
    pub(super) fn release(&mut self, observer: &mut dyn Observer) -> Result<(), Stop> {
        let mut ready: &[Sender] = &[];
        loop {
            if std::mem::take(&mut self.unlocked) {
                ready = &[Sender::Client, Sender::Server];
            }
            let Some(sender) = self.first_held(ready) else {
                return Ok(());
            };
            if !self.release_one(sender, observer)? {
                ready = match (sender, ready) {
                    (Sender::Client, [_, _]) => &[Sender::Server],
                    (Sender::Server, [_, _]) => &[Sender::Client],
                    _ => &[],
                };
            }
        }
    }

    /// Of these sides the one that holds what came first; the client among equals.
    pub(super) fn first_held(&self, sides: &[Sender]) -> Option<Sender> {
        let first = |sender: &Sender| match sender {
            Sender::Client => self.client_side.held.first_time(),
            Sender::Server => self.server_side.held.first_time(),
        };
        let holding = sides.iter().filter_map(|side| Some((first(side)?, *side)));
        holding.min_by_key(|(time, _)| *time).map(|(_, side)| side)
    }

    /// Reads the first thing that a side holds; false when it has to wait on.
    pub(super) fn release_one(
        &mut self,
        sender: Sender,
        observer: &mut dyn Observer,
    ) -> Result<bool, Stop> {
        let Some(item) = self.side(sender).held.pop() else {
            return Ok(false);
        };
        let Some(context) = self.context_of(sender, &item) else {
            self.side(sender).held.put_back(item);
            return Ok(false);
        };
        match self.read(sender, &context, item.what, observer) {
            Err((Stop::NotYet { for_key }, what)) => {
                let side = self.side(sender);
                side.held.put_back(Item { what, ..item });
                side.waits_for_key = for_key;
                return Ok(false);
            }
            outcome => self.note(sender, outcome.map_err(|(stop, _)| stop), observer)?,
        }
        let side = self.side(sender);
        side.waits_for_key &= !side.held.is_empty();
        Ok(true)
    }

    /// Where and when something was held.
    pub(super) fn context_of(&mut self, sender: Sender, item: &Item) -> Option<StreamContext> {
        let late = match self.side(sender).waits_for_key {
            true => Flags::LATE_KEY,
            false => Flags::NONE,
        };
        let hello = &self.known.hello.as_ref()?.context;
        let context = match sender {
            Sender::Client => *hello,
            Sender::Server => hello.reversed(),
        };
        Some(StreamContext {
            time: item.time,
            flags: item.flags.with(late),
            ..context
        })
    }

    /// Reads one thing; gives it back with the reason why not.
    pub(super) fn read(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        what: What,
        observer: &mut dyn Observer,
    ) -> Result<(), (Stop, What)> {
        let outcome = match what {
            What::Record(mut record) => {
                let outcome = self.read_held(sender, context, &mut record, observer);
                return outcome.map_err(|stop| (stop, What::Record(record)));
            }
            What::Damaged(header) => self.pass_over(sender, context, 1, header.length, observer),
            What::Passed(records) => self.pass_over(sender, context, records, u16::MAX, observer),
            What::Gap(_) => self.bridge(sender, context, observer),
            What::Fin => {
                self.tell_inner(context, Chunk::Fin, observer);
                Ok(())
            }
            What::Reset => {
                self.tell_inner(context, Chunk::Reset, observer);
                Ok(())
            }
        };
        outcome.map_err(|stop| (stop, what))
    }

    pub(super) fn read_held(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        record: &mut [u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let (start, body) = record
            .split_first_chunk_mut()
            .ok_or(Stop::Lost(Why::Malformed))?;
        let header = Header::read(*start).ok_or(Stop::Lost(Why::Malformed))?;
        self.on_record(sender, context, header, body, observer)
    }
}
