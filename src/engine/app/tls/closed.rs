//! Connections that are over and still wait for their keys: a key log may lag behind packets by
//! longer than a short visit takes.

use std::collections::BTreeMap;
use std::fmt;

use crate::app::Observer;
use crate::app::tls::connection::{Outcome, Tls};
use crate::app::tls::secrets::Waiter;
use crate::frame::Timestamp;
use crate::limits::TLS_CLOSED_BYTES_MAX;

/// Such connections, by number, within a bound on their bytes.
#[derive(Default)]
pub struct Closed {
    connections: BTreeMap<u64, Box<Tls>>,
    bytes: usize,
    last: u64,
    ended: bool,
}

impl fmt::Debug for Closed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Closed({})", self.connections.len())
    }
}

impl Closed {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bytes
    }

    /// Takes none in from now on.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    fn take(&mut self, number: u64) -> Option<Box<Tls>> {
        let tls = self.connections.remove(&number)?;
        self.bytes -= tls.heap_bytes();
        Some(tls)
    }

    fn put(&mut self, number: u64, tls: Box<Tls>) {
        self.bytes += tls.heap_bytes();
        self.connections.insert(number, tls);
    }

    /// The oldest, when there is more than fits.
    fn take_surplus(&mut self) -> Option<Box<Tls>> {
        let (oldest, _) = self.connections.first_key_value()?;
        let oldest = *oldest;
        (self.bytes > TLS_CLOSED_BYTES_MAX).then(|| self.take(oldest))?
    }
}

/// A connection is over: it waits on if its keys may still come.
pub(in crate::app) fn close(mut tls: Box<Tls>, time: Timestamp, observer: &mut dyn Observer) {
    let waits = tls.waits();
    let closed = observer.secrets().map(|secrets| secrets.closed());
    let Some(closed) = closed.filter(|closed| waits && !closed.ended) else {
        return tls.give_up(time, observer);
    };
    closed.last += 1;
    let number = closed.last;
    tls.rename(Waiter::Closed(number), observer);
    keep(number, tls, time, observer);
}

/// A secret came for a connection that is over, or it is time.
pub fn wake(number: u64, time: Timestamp, observer: &mut dyn Observer) {
    let closed = observer.secrets().map(|secrets| secrets.closed());
    let Some(mut tls) = closed.and_then(|closed| closed.take(number)) else {
        return;
    };
    let outcome = tls.on_wake(time, observer);
    if outcome == Outcome::GoesOn && tls.waits() {
        keep(number, tls, time, observer);
    } else {
        tls.give_up(time, observer);
    }
}

/// The capture ended: none will be opened any more.
pub fn end(time: Timestamp, observer: &mut dyn Observer) {
    let closed = observer.secrets().map(|secrets| secrets.closed());
    let Some(closed) = closed else { return };
    closed.bytes = 0;
    for (_, tls) in std::mem::take(&mut closed.connections) {
        tls.give_up(time, observer);
    }
}

fn keep(number: u64, tls: Box<Tls>, time: Timestamp, observer: &mut dyn Observer) {
    if let Some(secrets) = observer.secrets() {
        secrets.closed().put(number, tls);
    }
    while let Some(surplus) = observer
        .secrets()
        .and_then(|secrets| secrets.closed().take_surplus())
    {
        surplus.give_up(time, observer);
    }
}
