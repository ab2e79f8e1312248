//! An event that is on disk becomes light, and a line in the journal.
//!
//! The daemon gives each alert to the [`Dispatcher`], which gives it to every [`AlertSink`], the
//! light first. What the lights show of them is a [`Latch`]: from the first alert until all are
//! acknowledged. A sink is one file with an arm in [`Dispatcher::new`].

use crate::engine::event::Event;

pub use journal::{Journal, is_read_by_systemd};
pub use latch::Latch;

mod journal;
mod latch;

/// A visit from outside.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// The store's number; none when the store failed: it is told all the same.
    pub seq: Option<u64>,
    /// The visit.
    pub event: &'a Event,
}

/// Who is told of alerts.
pub trait AlertSink: Send {
    /// Is told of one alert, once. Must not wait: the next light waits behind it.
    fn alert(&mut self, alert: &Alert<'_>);
}

/// Tells every sink.
pub struct Dispatcher {
    sinks: Vec<Box<dyn AlertSink>>,
}

impl Dispatcher {
    /// Tells the light, then the journal.
    pub fn new(latch: Latch) -> Self {
        Self {
            sinks: vec![Box::new(latch), Box::new(Journal::of_this_process())],
        }
    }

    /// Tells every sink of `event` if it is an alert. With `seq` it is on disk.
    pub fn dispatch(&mut self, event: &Event, seq: Option<u64>) {
        if event.alert {
            let alert = Alert { seq, event };
            self.sinks.iter_mut().for_each(|sink| sink.alert(&alert));
        }
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("sinks", &self.sinks.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
