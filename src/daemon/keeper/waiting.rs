//! What waits to be written: in order, and within bounds.

use std::time::Instant;

use crate::daemon::keeper::Pace;
use crate::daemon::queue::bytes_of;
use crate::engine::event::{Event, EventKind};
use crate::store::Incoming;

/// So many bytes are worth a commit, however young they are.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Bytes held while the store fails. Requests have half of it, and are the first to go.
pub const HELD_BYTES_MAX: usize = 16 << 20;

/// Entries that are not on disk yet.
#[derive(Debug)]
pub struct Waiting {
    /// In the order in which they came.
    entries: Vec<Incoming>,
    /// How many bytes they hold.
    bytes: usize,
    /// How many of them are worth a commit: all but those that settle something.
    unsettled: usize,
    /// How many of them the light was told of, because the disk failed.
    told: usize,
    /// When they must be on disk.
    due: Option<Instant>,
    pace: Pace,
    /// Whether a visit is among them, which waits for nothing.
    hurry: bool,
}

impl Waiting {
    /// Nothing waits yet.
    pub fn new(now: Instant) -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            unsettled: 0,
            told: 0,
            due: None,
            pace: Pace::new(now),
            hurry: false,
        }
    }

    /// All of them, in order.
    pub fn entries(&self) -> &[Incoming] {
        &self.entries
    }

    /// The events among them, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        events(&self.entries)
    }

    /// How many of them are worth a commit.
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// When they must be on disk; None: nothing is worth a commit of its own.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether they must be on disk by `now`.
    pub fn is_due(&self, now: Instant) -> bool {
        !self.entries.is_empty() && self.due.is_some_and(|due| due <= now)
    }

    /// How many of the events the light was told of before they were written.
    pub fn events_told(&self) -> usize {
        events(self.entries.get(..self.told).unwrap_or_default()).count()
    }

    /// Adds what came at `now`.
    pub fn take_in(&mut self, entries: Vec<Incoming>, now: Instant) {
        for entry in entries {
            let due = now + self.pace.wait_of(&entry, now);
            self.hurry |= !is_background(&entry);
            self.due = Some(self.due.map_or(due, |known| known.min(due)));
            self.bytes += bytes_of(&entry);
            self.unsettled += usize::from(!is_settled(&entry));
            self.entries.push(entry);
        }
        if self.bytes > BATCH_BYTES_MAX {
            self.due = Some(now);
        } else if self.unsettled == 0 {
            self.due = None; // nothing of it is worth a commit of its own
        }
    }

    /// All of it is on disk since `now`.
    pub fn clear(&mut self, now: Instant) {
        self.pace.spend(self.hurry, now);
        self.hurry = false;
        self.entries.clear();
        self.bytes = 0;
        self.unsettled = 0;
        self.told = 0;
        self.due = None;
    }

    /// The disk fails: hands each event that the light was not told of yet to `light`, and holds
    /// no more than the bound. What had to go.
    pub fn hold(&mut self, light: impl FnMut(&Event)) -> Vec<Incoming> {
        events(self.entries.get(self.told..).unwrap_or_default()).for_each(light);
        let lost = self.shed();
        self.told = self.entries.len();
        lost
    }

    /// Requests go first, then the newest visits.
    fn shed(&mut self) -> Vec<Incoming> {
        let mut lost = Vec::new();
        if self.bytes > HELD_BYTES_MAX / 2 {
            let (requests, kept): (Vec<_>, _) = self.entries.drain(..).partition(is_request);
            self.entries = kept;
            lost = requests;
            self.count_again();
        }
        if self.bytes > HELD_BYTES_MAX {
            lost.extend(self.entries.split_off(self.fitting()));
            self.count_again();
        }
        lost
    }

    /// How many of the oldest are within the bound.
    fn fitting(&self) -> usize {
        let mut room = HELD_BYTES_MAX;
        let fits = self.entries.iter().take_while(|entry| {
            let rest = room.checked_sub(bytes_of(entry));
            room = rest.unwrap_or(0);
            rest.is_some()
        });
        fits.count()
    }

    fn count_again(&mut self) {
        self.bytes = self.entries.iter().map(bytes_of).sum();
        self.unsettled = self.entries.iter().filter(|one| !is_settled(one)).count();
    }
}

/// Requests, and what may be about one: such a commit has to be spared.
fn is_background(entry: &Incoming) -> bool {
    match entry {
        Incoming::Event(event) => event.kind == EventKind::Request,
        Incoming::Detail(_) | Incoming::Settled(_) => true,
        Incoming::Evidence(_) => false,
    }
}

fn is_request(entry: &Incoming) -> bool {
    matches!(entry, Incoming::Event(event) if event.kind == EventKind::Request)
}

/// Whether it only says that nothing more will be said.
fn is_settled(entry: &Incoming) -> bool {
    matches!(entry, Incoming::Settled(_))
}

/// The events among `entries`, in order.
pub fn events(entries: &[Incoming]) -> impl Iterator<Item = &Event> {
    entries.iter().filter_map(|entry| match entry {
        Incoming::Event(event) => Some(event),
        Incoming::Detail(_) | Incoming::Settled(_) | Incoming::Evidence(_) => None,
    })
}
