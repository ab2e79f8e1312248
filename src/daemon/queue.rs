//! From the capture thread to the keeper: a bounded queue that never makes the capture wait.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::daemon::evidence::EvidenceQueue;
use crate::daemon::timekeeper::Times;
use crate::engine::event::{Detail, Event, EventId, EventKind, EventSink, Kept, Learned};
use crate::led::Activity;
use crate::store::{ClockRecord, CoverageRecord, HealthRecord, Incoming};

/// Entries that may wait: a second of any flood that a small web server survives.
const CAPACITY: usize = 16_384;
/// Bytes that they may hold: 1 KiB each, though a visitor may make one of them very long.
const CAPACITY_BYTES: usize = 16 << 20;

/// Requests and what is said about them come in crowds, and each wake-up costs as much as reading
/// some dozen packets.
const COMPANY_WAIT: Duration = Duration::from_millis(50);

/// How much of the capacity each kind of entry may fill, in quarters: when requests flood, what
/// is said about them still comes through, and visits come through both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    Request = 2,
    Detail = 3,
    Visit = 4,
}

impl Worth {
    fn of(entry: &Incoming) -> Self {
        match entry {
            Incoming::Event(event) if event.kind == EventKind::Request => Self::Request,
            Incoming::Event(_) => Self::Visit,
            Incoming::Detail(_) | Incoming::Settled(_) | Incoming::Evidence(_) => Self::Detail,
        }
    }

    fn share_of(self, capacity: usize) -> usize {
        capacity / 4 * self as usize
    }
}

/// About how many bytes an entry holds.
pub(super) fn bytes_of(entry: &Incoming) -> usize {
    let event = match entry {
        Incoming::Event(event) => event,
        Incoming::Detail(detail) => return size_of::<Incoming>() + late_bytes(&detail.learned),
        Incoming::Settled(_) => return size_of::<Incoming>(),
        Incoming::Evidence(_) => return size_of::<Incoming>() + EVIDENCE_BYTES,
    };
    let texts = [
        &event.canary,
        &event.channel,
        &event.label,
        &event.method,
        &event.host,
        &event.target,
        &event.user_agent,
        &event.referer,
        &event.forwarded_for,
        &event.sni,
        &event.alpn,
        &event.ja4,
    ];
    let lengths = texts.into_iter().flatten().map(String::len);
    size_of::<Incoming>() + lengths.sum::<usize>()
}

fn late_bytes(learned: &Learned) -> usize {
    let Learned::Request(request) = learned else {
        return 0;
    };
    let texts = [
        &request.host,
        &request.user_agent,
        &request.referer,
        &request.forwarded_for,
        &request.alpn,
    ];
    let lengths = texts.into_iter().flatten().map(String::len);
    size_of_val(&**request) + request.method.len() + request.target.len() + lengths.sum::<usize>()
}

/// A digest and a file name.
const EVIDENCE_BYTES: usize = 128;

/// The queue. Locked for each event, never for each packet.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    evidence: Arc<EvidenceQueue>,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Incoming>,
    bytes: usize,
    dropped: Dropped,
    notes: Vec<Note>,
    /// Whether a visit is among the entries, which waits for no company.
    urgent: bool,
    acknowledge: bool,
    closed: bool,
}

impl Waiting {
    fn is_urgent(&self) -> bool {
        self.urgent || self.acknowledge || self.closed
    }
}

/// What the tap notes of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A fault began or ended.
    Health(HealthRecord),
    /// An hour's account.
    Coverage(CoverageRecord),
    /// The clock was set.
    Clock(ClockRecord),
}

/// What was dropped because the keeper fell behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Background requests.
    pub requests: u64,
    /// Visits.
    pub visits: u64,
    /// What was said later about either.
    pub details: u64,
}

impl Dropped {
    fn count(&mut self, entry: &Incoming) {
        match Worth::of(entry) {
            Worth::Request => self.requests += 1,
            Worth::Visit => self.visits += 1,
            // That nothing more will be said is no loss.
            Worth::Detail => self.details += u64::from(!matches!(entry, Incoming::Settled(_))),
        }
    }

    /// Counts entries that were dropped elsewhere.
    pub fn count_all(&mut self, entries: &[Incoming]) {
        entries.iter().for_each(|entry| self.count(entry));
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            visits: self.visits + other.visits,
            details: self.details + other.details,
        }
    }

    /// All of it.
    pub fn total(self) -> u64 {
        self.requests + self.visits + self.details
    }
}

/// What the keeper takes out at once.
#[derive(Debug)]
pub struct Taken {
    /// Events and what was learned of them, in order.
    pub entries: Vec<Incoming>,
    /// What the tap notes of itself.
    pub notes: Vec<Note>,
    /// Whether the button was pressed.
    pub acknowledge: bool,
    /// Whether nothing will come after this.
    pub closed: bool,
    /// What was dropped so far.
    pub dropped: Dropped,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &self,
        waiting: MutexGuard<'a, Waiting>,
        at_most: Duration,
        condition: impl FnMut(&mut Waiting) -> bool,
    ) -> MutexGuard<'a, Waiting> {
        let waited = self.changed.wait_timeout_while(waiting, at_most, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Where packets of visits go.
    pub fn evidence(&self) -> &Arc<EvidenceQueue> {
        &self.evidence
    }

    /// Puts an entry in; what finds no room is counted.
    pub fn push(&self, entry: Incoming) {
        let (worth, bytes) = (Worth::of(&entry), bytes_of(&entry));
        let mut waiting = self.lock();
        let room = waiting.entries.len() < worth.share_of(CAPACITY)
            && waiting.bytes + bytes <= worth.share_of(CAPACITY_BYTES);
        if !room {
            waiting.dropped.count(&entry);
            return;
        }
        // Somebody is woken for the first of many, and for a visit.
        let wakes = waiting.entries.is_empty() || worth == Worth::Visit;
        waiting.urgent |= worth == Worth::Visit;
        waiting.bytes += bytes;
        waiting.entries.push_back(entry);
        drop(waiting);
        if wakes {
            self.changed.notify_one();
        }
    }

    /// Hands over what the tap notes of itself. There is little of it; it is written with what
    /// comes next, or within a second.
    pub fn note(&self, note: Note) {
        self.lock().notes.push(note);
    }

    /// Asks the keeper to acknowledge every alert.
    pub fn acknowledge(&self) {
        self.lock().acknowledge = true;
        self.changed.notify_one();
    }

    /// Nothing will come any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Takes all that waits; waits at most so long for the first, and when that is no visit, a
    /// moment for more.
    pub fn take(&self, at_most: Duration) -> Taken {
        let idle = |waiting: &mut Waiting| waiting.entries.is_empty() && !waiting.is_urgent();
        let mut waiting = self.wait_while(self.lock(), at_most, idle);
        if !waiting.entries.is_empty() {
            let company = at_most.min(COMPANY_WAIT);
            waiting = self.wait_while(waiting, company, |waiting| !waiting.is_urgent());
        }
        waiting.urgent = false;
        waiting.bytes = 0;
        Taken {
            entries: waiting.entries.drain(..).collect(),
            notes: std::mem::take(&mut waiting.notes),
            acknowledge: std::mem::take(&mut waiting.acknowledge),
            closed: waiting.closed,
            dropped: waiting.dropped,
        }
    }
}

/// The engine's listener in the daemon: into the queue, and a flash of the activity light.
#[derive(Debug)]
pub struct QueueSink<'a> {
    queue: &'a Queue,
    activity: &'a Activity,
    times: &'a Times,
}

impl<'a> QueueSink<'a> {
    /// A listener that writes to `queue`, and gives what is told in even time the clock's.
    pub fn new(queue: &'a Queue, activity: &'a Activity, times: &'a Times) -> Self {
        Self {
            queue,
            activity,
            times,
        }
    }
}

impl EventSink for QueueSink<'_> {
    fn on_event(&mut self, mut event: Event) {
        self.activity.pulse();
        self.times.stamp(&mut event);
        self.queue.push(Incoming::Event(event));
    }

    fn on_detail(&mut self, mut detail: Detail) {
        detail.time = self.times.wall_of(detail.time);
        self.queue.push(Incoming::Detail(detail));
    }

    fn on_settled(&mut self, id: EventId) {
        self.queue.push(Incoming::Settled(id));
    }

    fn on_kept(&mut self, mut kept: Kept<'_>) {
        if let Kept::Frame { frame, .. } = &mut kept {
            frame.time = self.times.wall_of(frame.time);
        }
        self.queue.evidence.push(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::keeper::tests::event;

    fn settled(id: u64) -> Incoming {
        Incoming::Settled(EventId(id))
    }

    #[test]
    fn entries_come_out_in_the_order_in_which_they_went_in() {
        let queue = Queue::default();
        queue.push(settled(1));
        queue.push(settled(2));
        let taken = queue.take(Duration::ZERO);
        assert_eq!(taken.entries, [settled(1), settled(2)]);
        assert!(!taken.closed);
    }

    #[test]
    fn visits_come_through_when_requests_flood() {
        let queue = Queue::default();
        let size = CAPACITY as u64;
        for id in 0..size {
            queue.push(Incoming::Event(event(id, EventKind::Request, "GET")));
            queue.push(settled(id));
        }
        queue.push(Incoming::Event(event(size, EventKind::Visit, "HEAD")));
        let taken = queue.take(Duration::ZERO);
        assert_eq!(taken.entries.len(), CAPACITY / 4 * 3 + 1);
        assert!(matches!(taken.entries.last(), Some(Incoming::Event(last)) if last.alert));
        let requests = taken
            .entries
            .iter()
            .filter(|entry| Worth::of(entry) == Worth::Request);
        assert_eq!(taken.dropped.requests, size - requests.count() as u64);
        assert_eq!((taken.dropped.visits, taken.dropped.details), (0, 0));
    }

    #[test]
    fn a_full_queue_drops_visits_too_and_does_not_wait() {
        let queue = Queue::default();
        for id in 0..CAPACITY as u64 + 10 {
            queue.push(Incoming::Event(event(id, EventKind::Visit, "GET")));
        }
        let taken = queue.take(Duration::ZERO);
        assert_eq!((taken.entries.len(), taken.dropped.visits), (CAPACITY, 10));
    }

    #[test]
    fn long_entries_fill_it_by_their_bytes() {
        let queue = Queue::default();
        for id in 0..100 {
            queue.push(Incoming::Event(Event {
                target: Some("/".repeat(1 << 20)),
                ..event(id, EventKind::Request, "GET")
            }));
        }
        assert_eq!(queue.take(Duration::ZERO).entries.len(), 7);
        queue.push(settled(1));
        assert_eq!(queue.take(Duration::ZERO).entries.len(), 1);
    }

    #[test]
    fn closing_and_the_button_end_the_wait() {
        let queue = Queue::default();
        queue.acknowledge();
        let taken = queue.take(Duration::from_secs(60));
        assert!(taken.acknowledge && !taken.closed);
        queue.close();
        assert!(queue.take(Duration::from_secs(60)).closed);
    }
}
