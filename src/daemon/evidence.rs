//! Packets of visits on their way to files: a bounded queue that never makes the capture wait, and
//! the thread behind it.
//!
//! A file is named by its visit's number, which the store gives: so the thread waits for the
//! keeper to say it, and goes on in the order in which things were told.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::daemon::journal::{Priority, say};
use crate::daemon::queue::Queue;
use crate::engine::event::{EventId, Kept, RecordingId};
use crate::store::evidence::{Counts, EvidenceWriter, Interface, Numbered, Numbers, Step};
use crate::store::{EvidenceDetail, Incoming};

/// Bytes that may wait: a second of a fast visit's download.
const CAPACITY_BYTES: usize = 4 << 20;
/// Entries that may wait.
const CAPACITY: usize = 16_384;
/// Visits whose numbers are remembered.
const NUMBERS_MAX: usize = 4096;
/// How long the end of the daemon waits for the last numbers.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// What waits to be written.
#[derive(Debug, Default)]
pub struct EvidenceQueue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    steps: VecDeque<Step>,
    bytes: usize,
    /// Connections whose beginning was let in and whose end was not seen yet.
    open: BTreeSet<RecordingId>,
    /// Frames for which there was no room.
    lost: HashMap<RecordingId, u64>,
    lost_total: u64,
    numbers: Numbers,
    /// The newest event that has a number, or will never have one.
    numbered: EventId,
    interface: Interface,
    counts: Option<Counts>,
    closed: bool,
}

impl EvidenceQueue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the engine tells. Never waits; frames that find no room are counted.
    pub fn push(&self, kept: Kept<'_>) {
        let mut waiting = self.lock();
        if waiting.admits(&kept) {
            let step = Step::of(kept);
            waiting.bytes += step.bytes();
            waiting.steps.push_back(step);
            drop(waiting);
            self.changed.notify_one();
        }
    }

    /// Tells numbers that the store gave, and up to which event it was asked.
    pub fn number(&self, visits: impl Iterator<Item = (EventId, Numbered)>, through: EventId) {
        let mut waiting = self.lock();
        waiting.numbers.extend(visits);
        while waiting.numbers.len() > NUMBERS_MAX {
            waiting.numbers.pop_first();
        }
        waiting.numbered = waiting.numbered.max(through);
        let wanted = !waiting.steps.is_empty();
        drop(waiting);
        if wanted {
            self.changed.notify_one();
        }
    }

    /// Tells where frames come from.
    pub fn set_interface(&self, interface: Interface) {
        self.lock().interface = interface;
    }

    /// Tells what the capture counted so far.
    pub fn set_counts(&self, counts: Counts) {
        self.lock().counts = Some(counts);
    }

    /// Frames for which there was no room.
    pub fn lost(&self) -> u64 {
        self.lock().lost_total
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The next step that can be done; None at the end.
    fn take(&self) -> Option<Taken> {
        let mut waiting = self.lock();
        let mut patience: Option<Instant> = None;
        loop {
            let until = *patience.get_or_insert_with(|| Instant::now() + LAST_WAIT);
            let give_up = waiting.closed && Instant::now() >= until;
            if let Some(taken) = waiting.take(give_up) {
                return Some(taken);
            }
            if waiting.closed && waiting.steps.is_empty() {
                return None;
            }
            if !waiting.closed {
                patience = None;
                waiting = self
                    .changed
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
            } else {
                let wait = until.saturating_duration_since(Instant::now());
                (waiting, _) = self
                    .changed
                    .wait_timeout(waiting, wait)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Waiting {
    fn admits(&mut self, kept: &Kept<'_>) -> bool {
        let room = self.bytes < CAPACITY_BYTES && self.steps.len() < CAPACITY;
        match kept {
            Kept::Begin { recording, .. } => room && self.open.insert(*recording),
            Kept::End { recording, .. } => self.open.remove(recording),
            Kept::Joined { recording, .. } | Kept::Secrets { recording, .. } => {
                room && self.open.contains(recording)
            }
            Kept::Frame { recording, .. } => {
                let open = self.open.contains(recording);
                if open && !room {
                    *self.lost.entry(*recording).or_default() += 1;
                    self.lost_total += 1;
                }
                open && room
            }
        }
    }

    fn take(&mut self, give_up: bool) -> Option<Taken> {
        let needs = self.steps.front()?.needs();
        if needs.is_some_and(|event| event > self.numbered) && !give_up {
            return None;
        }
        let step = self.steps.pop_front()?;
        self.bytes -= step.bytes();
        let lost = match &step {
            Step::End { recording, .. } => self.lost.remove(recording).unwrap_or_default(),
            _ => 0,
        };
        Some(Taken {
            numbers: numbers_of(&step, &self.numbers),
            step,
            lost,
            counts: self.counts,
            interface: self.interface.clone(),
            is_last: self.steps.is_empty(),
        })
    }
}

fn numbers_of(step: &Step, all: &Numbers) -> Numbers {
    let events = match step {
        Step::Begin(_, of) | Step::Joined(_, of) => std::slice::from_ref(of),
        Step::Frame(_, _, events) => events,
        _ => &[],
    };
    let known = events.iter().filter_map(|of| Some((*of, all.get(of)?)));
    known.map(|(of, visit)| (of, visit.clone())).collect()
}

/// What the thread takes out at once.
#[derive(Debug)]
struct Taken {
    step: Step,
    numbers: Numbers,
    lost: u64,
    counts: Option<Counts>,
    interface: Interface,
    is_last: bool,
}

/// The running thread.
#[derive(Debug)]
pub struct EvidenceKeeper {
    queue: Arc<EvidenceQueue>,
    thread: Option<JoinHandle<()>>,
}

impl EvidenceKeeper {
    /// Begins to write what comes through the queue's evidence side into the data directory
    /// `directory`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(directory: &Path, queue: &Arc<Queue>) -> io::Result<Self> {
        let writer = EvidenceWriter::new(directory);
        let (evidence, events) = (Arc::clone(queue.evidence()), Arc::clone(queue));
        let thread = thread::Builder::new()
            .name("evidence".into())
            .spawn(move || write_all(writer, &evidence, &events))?;
        Ok(Self {
            queue: Arc::clone(queue.evidence()),
            thread: Some(thread),
        })
    }

    /// Writes what is left, and ends. The keeper must still be there to give numbers.
    ///
    /// # Errors
    /// When the thread panicked.
    pub fn stop(&mut self) -> io::Result<()> {
        self.queue.close();
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(io::Error::other("the thread that keeps packets panicked")),
            _ => Ok(()),
        }
    }
}

fn write_all(mut writer: EvidenceWriter, evidence: &EvidenceQueue, events: &Queue) {
    let mut failing = false;
    while let Some(taken) = evidence.take() {
        let outcome = write(&mut writer, &taken, events);
        match outcome {
            Err(error) if !failing => {
                let text = format!("cannot keep packets: {error}");
                say(Priority::Error, &text);
                failing = true;
            }
            Err(_) => {}
            Ok(completed) => failing &= !completed,
        }
    }
}

/// Whether a file was completed.
fn write(writer: &mut EvidenceWriter, taken: &Taken, events: &Queue) -> io::Result<bool> {
    let (numbers, lost) = (&taken.numbers, taken.lost);
    writer.set_interface(&taken.interface);
    let details: Vec<EvidenceDetail> = writer.take(&taken.step, numbers, lost, taken.counts)?;
    let completed = details.iter().any(|detail| detail.evidence.is_kept());
    for detail in details {
        events.push(Incoming::Evidence(detail));
    }
    if taken.is_last {
        writer.flush()?;
    }
    Ok(completed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::{Ending, KeptFrame, Source};
    use crate::engine::frame::Timestamp;

    const ONE: RecordingId = RecordingId(1);

    fn begin(queue: &EvidenceQueue) {
        queue.push(Kept::Begin {
            recording: ONE,
            of: EventId(5),
        });
    }

    fn frame(queue: &EvidenceQueue, bytes: &[u8]) {
        queue.push(Kept::Frame {
            recording: ONE,
            frame: KeptFrame {
                time: Timestamp::from_nanos(1_000),
                source: Source::default(),
                wire_len: bytes.len() as u32,
                bytes,
            },
            events: &[],
        });
    }

    fn end(queue: &EvidenceQueue) {
        queue.push(Kept::End {
            recording: ONE,
            ending: Ending::Closed,
            missed: 0,
            from_start: true,
        });
    }

    fn number(queue: &EvidenceQueue, seq: u64) {
        let visit = Numbered {
            seq,
            canary: "c".into(),
        };
        queue.number(std::iter::once((EventId(5), visit)), EventId(5));
    }

    #[test]
    fn a_slow_disk_costs_frames_and_the_file_says_how_many() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Arc::new(Queue::default());
        let evidence = Arc::clone(queue.evidence());
        begin(&evidence);
        for _ in 0..10 {
            frame(&evidence, &vec![0; 1 << 20]);
        }
        assert!(evidence.lock().bytes < CAPACITY_BYTES + (1 << 20) + 1024);
        assert!(evidence.lost() > 0);
        end(&evidence);
        number(&evidence, 41);
        let mut keeper = EvidenceKeeper::start(folder.path(), &queue).unwrap();
        keeper.stop().unwrap();
        let entries = queue.take(Duration::ZERO).entries;
        let [Incoming::Evidence(detail)] = &entries[..] else {
            panic!("{entries:?}");
        };
        assert_eq!(detail.of, 41);
        assert_eq!(detail.evidence.missed, Some(evidence.lost()));
        let file = std::fs::read(folder.path().join("evidence/41.pcapng")).unwrap();
        let text = String::from_utf8_lossy(&file);
        assert!(text.contains("because the disk was slow"));
    }

    #[test]
    fn nothing_is_written_before_the_visit_is() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Arc::new(Queue::default());
        let evidence = Arc::clone(queue.evidence());
        let mut keeper = EvidenceKeeper::start(folder.path(), &queue).unwrap();
        begin(&evidence);
        frame(&evidence, b"one");
        end(&evidence);
        thread::sleep(Duration::from_millis(50));
        assert!(!folder.path().join("evidence").exists());
        number(&evidence, 7);
        keeper.stop().unwrap();
        assert!(folder.path().join("evidence/7.pcapng").exists());
    }

    #[test]
    fn what_folds_in_a_flood_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Arc::new(Queue::default());
        let evidence = Arc::clone(queue.evidence());
        begin(&evidence);
        frame(&evidence, b"one");
        end(&evidence);
        evidence.number(std::iter::empty(), EventId(9));
        let mut keeper = EvidenceKeeper::start(folder.path(), &queue).unwrap();
        keeper.stop().unwrap();
        assert!(!folder.path().join("evidence").exists());
        assert!(queue.take(Duration::ZERO).entries.is_empty());
    }
}
