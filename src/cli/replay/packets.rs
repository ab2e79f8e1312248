//! Packets of visits that a replay keeps: they wait until the store has given their visits numbers.

use std::path::Path;

use crate::cli::tell;
use crate::engine::event::Kept;
use crate::store::evidence::{EvidenceWriter, Numbered, Numbers, Step};
use crate::store::{Incoming, Store, StoreError};

/// Bytes that wait at once, about.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// Keeps them.
#[derive(Debug)]
pub(super) struct Packets {
    writer: EvidenceWriter,
    steps: Vec<Step>,
    bytes: usize,
    numbers: Numbers,
    /// Files that could not be written.
    failed: bool,
}

impl Packets {
    /// Keeps packets in the data directory `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            writer: EvidenceWriter::new(directory),
            steps: Vec::new(),
            bytes: 0,
            numbers: Numbers::new(),
            failed: false,
        }
    }

    /// Takes over what the engine tells.
    pub(super) fn push(&mut self, kept: Kept<'_>) {
        let step = Step::of(kept);
        self.bytes += step.bytes();
        self.steps.push(step);
    }

    /// Whether so much waits that it should be written.
    pub(super) fn are_many(&self) -> bool {
        self.bytes > WAITING_BYTES_MAX
    }

    /// Takes note of the numbers that the store gave to the events of `batch`.
    pub(super) fn number(&mut self, batch: &[Incoming], seqs: &[Option<u64>]) {
        let events = batch.iter().filter_map(|incoming| match incoming {
            Incoming::Event(event) => Some(event),
            _ => None,
        });
        for (event, seq) in events.zip(seqs) {
            if let (Some(seq), Some(canary)) = (*seq, event.canary.clone()) {
                self.numbers.insert(event.id, Numbered { seq, canary });
            }
        }
    }

    /// Writes what waits, and says in the store what is complete.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(super) fn write(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let mut details = Vec::new();
        for step in std::mem::take(&mut self.steps) {
            match self.writer.take(&step, &self.numbers, 0, None) {
                Ok(complete) => details.extend(complete.into_iter().map(Incoming::Evidence)),
                Err(error) if !self.failed => {
                    tell(&format!("canarytap: cannot keep packets: {error}"));
                    self.failed = true;
                }
                Err(_) => {}
            }
        }
        self.bytes = 0;
        if !details.is_empty() {
            store.commit(&details)?;
        }
        Ok(())
    }
}
