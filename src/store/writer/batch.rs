//! One batch on its way into the tables.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Transaction;
use serde_json::Value;

use super::Committed;
use super::tail::{Tail, append, append_fold, unwritable};
use crate::engine::event::{Detail, Event, EventId, EventKind, Learned};
use crate::store::canonical::{self, Fields};
use crate::store::floods::Admission;
use crate::store::{EvidenceDetail, Incoming, StoreOptions, evidence, floods, requests};

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Visit(u64),
    Request(u64),
    /// It is one of a flood: what is learned of it is not kept.
    Folded,
}

pub(super) type Places = BTreeMap<EventId, Place>;

/// One batch on its way: what becomes true when its transaction does.
pub(super) struct Writing<'a> {
    pub(super) committed: Committed,
    /// Events of this batch, and where they stand now.
    pub(super) placed: Places,
    /// Events of earlier batches.
    unsettled: &'a Places,
    /// Statuses that this batch brings; its own requests are written with theirs at once.
    statuses: HashMap<EventId, u16>,
    /// Bytes that visits may take up.
    visits_max_bytes: u64,
}

impl<'a> Writing<'a> {
    pub(super) fn new(batch: &[Incoming], unsettled: &'a Places, visits_max_bytes: u64) -> Self {
        let statuses = batch.iter().filter_map(|incoming| match incoming {
            Incoming::Detail(detail) => Some((detail.of, status_of(detail)?)),
            _ => None,
        });
        Self {
            committed: Committed::default(),
            placed: BTreeMap::new(),
            unsettled,
            statuses: statuses.collect(),
            visits_max_bytes,
        }
    }

    pub(super) fn take(
        &mut self,
        transaction: &Transaction<'_>,
        tail: &mut Tail,
        incoming: &Incoming,
    ) -> rusqlite::Result<()> {
        match incoming {
            Incoming::Event(event) => self.event(transaction, tail, event),
            Incoming::Detail(detail) => self.detail(transaction, tail, detail),
            Incoming::Settled(_) => Ok(()),
            Incoming::Evidence(detail) => {
                evidence::note(transaction, detail)?;
                let fields = evidence_fields(detail).map_err(unwritable)?;
                append(transaction, tail, fields)
            }
        }
    }

    /// The newest files of packets may be more than there is room for.
    pub(super) fn prune_evidence(
        &mut self,
        transaction: &Transaction<'_>,
        tail: &mut Tail,
        batch: &[Incoming],
        options: &StoreOptions,
    ) -> rusqlite::Result<()> {
        let newest = batch.iter().rev().find_map(|incoming| match incoming {
            Incoming::Evidence(detail) => Some(detail.time),
            _ => None,
        });
        let Some(time) = newest else { return Ok(()) };
        for of in evidence::make_room(transaction, &options.evidence)? {
            let detail = EvidenceDetail {
                of,
                time,
                evidence: evidence::pruned(of),
                shared_with: None,
            };
            let fields = evidence_fields(&detail).map_err(unwritable)?;
            append(transaction, tail, fields)?;
            self.committed.evidence_pruned.push(of);
        }
        Ok(())
    }

    fn event(
        &mut self,
        transaction: &Transaction<'_>,
        tail: &mut Tail,
        event: &Event,
    ) -> rusqlite::Result<()> {
        let fields = canonical::fields(event).map_err(unwritable)?;
        let place = if is_chained(event) {
            self.visit(transaction, tail, event, fields)?
        } else {
            self.request(transaction, tail, event, fields)?
        };
        let seq = match place {
            Place::Visit(seq) | Place::Request(seq) => Some(seq),
            Place::Folded => None,
        };
        self.committed.events.push((event.id, seq));
        self.placed.insert(event.id, place);
        Ok(())
    }

    fn visit(
        &self,
        transaction: &Transaction<'_>,
        tail: &mut Tail,
        event: &Event,
        fields: Fields,
    ) -> rusqlite::Result<Place> {
        let full = tail.visits_bytes >= self.visits_max_bytes;
        match floods::admit(transaction, event, &fields, full, tail.seq)? {
            Admission::Folded => return Ok(Place::Folded),
            Admission::Own(Some(fold)) => append_fold(transaction, tail, fold)?,
            Admission::Own(None) => {}
        }
        append(transaction, tail, fields)?;
        Ok(Place::Visit(tail.seq))
    }

    fn request(
        &self,
        transaction: &Transaction<'_>,
        tail: &mut Tail,
        event: &Event,
        mut fields: Fields,
    ) -> rusqlite::Result<Place> {
        tail.seq += 1;
        fields.insert("seq".into(), Value::from(tail.seq));
        let record = canonical::write(&fields).map_err(unwritable)?;
        let status = self.statuses.get(&event.id).copied().or(event.status);
        tail.bytes_total = requests::insert(
            transaction,
            tail.seq,
            event.time,
            status,
            &record,
            tail.bytes_total,
        )?;
        Ok(Place::Request(tail.seq))
    }

    fn detail(
        &mut self,
        transaction: &Transaction<'_>,
        tail: &mut Tail,
        detail: &Detail,
    ) -> rusqlite::Result<()> {
        match (self.placed.get(&detail.of), self.unsettled.get(&detail.of)) {
            (Some(Place::Request(_)), _) => Ok(()), // written with it
            (Some(Place::Folded), _) | (None, Some(Place::Folded)) => Ok(()),
            (Some(Place::Visit(of)), _) | (None, Some(Place::Visit(of))) => {
                let fields = detail_fields(detail, *of).map_err(unwritable)?;
                append(transaction, tail, fields)
            }
            (None, Some(Place::Request(seq))) => match status_of(detail) {
                Some(status) => requests::set_status(transaction, *seq, status),
                None => Ok(()), // only visits are told before their request
            },
            (None, None) => {
                self.committed.details_lost += 1;
                Ok(())
            }
        }
    }
}

fn detail_fields(detail: &Detail, of: u64) -> Result<Fields, serde_json::Error> {
    let mut fields = canonical::fields(&detail.learned)?;
    fields.insert("kind".into(), Value::from("detail"));
    fields.insert("of".into(), Value::from(of));
    fields.insert("time".into(), Value::from(detail.time.to_string()));
    Ok(fields)
}

fn evidence_fields(detail: &EvidenceDetail) -> Result<Fields, serde_json::Error> {
    let mut fields = Fields::new();
    let evidence = canonical::fields(&detail.evidence)?;
    fields.insert("evidence".into(), Value::from(evidence));
    fields.insert("kind".into(), Value::from("detail"));
    fields.insert("of".into(), Value::from(detail.of));
    fields.insert("time".into(), Value::from(detail.time.to_string()));
    Ok(fields)
}

fn status_of(detail: &Detail) -> Option<u16> {
    match detail.learned {
        Learned::Status { status } => Some(status),
        Learned::Request(_) => None,
    }
}

/// Visits, and hellos on a canary, are evidence; the rest is background.
pub(super) fn is_chained(event: &Event) -> bool {
    event.kind == EventKind::Visit || event.canary.is_some()
}
