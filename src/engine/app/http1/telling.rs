//! What is told of a request head: all of it, or what is there where it was cut or is too long.

use crate::app::http1::exchange::{Awaited, RequestKind};
use crate::app::http1::framing::Framing;
use crate::app::http1::requests::{Reading, Requests};
use crate::app::http1::walk::{Walk, header_fields};
use crate::app::{HttpVersion, Observer, RequestHead};
use crate::event::{EventId, Flags};
use crate::transport::{Direction, StreamContext};

impl Requests {
    /// Tells a head, as much of it as is there.
    pub(super) fn report(
        &self,
        head: &[u8],
        walk: &Walk<'_>,
        flags: Flags,
        reading: &mut Reading<'_, impl Observer>,
    ) -> Option<EventId> {
        let line = walk.line?;
        let (fields, more) = header_fields(head);
        let mut flags = reading.context.flags.with(flags);
        if self.resynced {
            flags = flags.with(Flags::GAP);
        }
        if more {
            flags = flags.with(Flags::TRUNCATED);
        }
        let request = RequestHead {
            method: line.method,
            target: line.target,
            version: line.version.unwrap_or(HttpVersion::Http10),
            authority: walk.authority,
            fields,
            complete: walk.complete && !more,
            tunnelled: false,
            proxied_for: reading.exchange.proxied_for(),
            flags,
        };
        let context = StreamContext {
            direction: Direction::ToServer,
            ..*reading.context
        };
        reading.observer.on_request(&context, &request)
    }

    /// Tells what is known of a head that the snap length cut, if its target is complete and it is
    /// wanted. Whether its answer can be told from others.
    pub(super) fn report_cut(
        &mut self,
        held: &[u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> bool {
        let Some(walk) = Walk::over_cut(held) else {
            reading.observer.counters().http1_heads_lost += 1;
            return false;
        };
        let Some(line) = walk.line else {
            return false;
        };
        let wanted = reading
            .observer
            .is_watched(walk.authority.unwrap_or_default());
        let event = match wanted {
            true => self.report(held, &walk, Flags::TRUNCATED, reading),
            false => None,
        };
        self.after_cut(event, RequestKind::of(line.method), reading);
        true
    }

    /// A head ends where its frame was cut.
    pub(super) fn after_cut(
        &mut self,
        event: Option<EventId>,
        kind: RequestKind,
        reading: &mut Reading<'_, impl Observer>,
    ) {
        if event.is_none() {
            reading.observer.counters().http1_heads_lost += 1;
        }
        let one = Awaited::new(event, kind, reading.context);
        self.after_head(one, &Framing::default(), reading);
    }

    /// Tells what is known of a watched head beyond the bound.
    pub(super) fn report_part(&mut self, held: &[u8], reading: &mut Reading<'_, impl Observer>) {
        let Ok(walk) = Walk::over(held) else {
            return;
        };
        let Some(line) = walk.line else {
            return;
        };
        let event = self.report(held, &walk, Flags::TRUNCATED, reading);
        let one = Awaited::new(event, RequestKind::of(line.method), reading.context);
        self.after_head(one, &Framing::default(), reading);
    }
}
