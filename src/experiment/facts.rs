//! What is known of the visits to one canary.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::ControlFlow;

use crate::engine::frame::Timestamp;
use crate::experiment::moment;
use crate::store::{EventQuery, EventRecord, StoreError, TapStore, for_each_of, open_folds_of};

/// The visits to one canary that were not from inside, folds included; those from inside are
/// counted only, since they are the owner's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Visits from outside, or from who knows where.
    pub visits: u64,
    /// Visits from inside.
    pub inside: u64,
    /// The first visit from outside.
    pub first: Option<FirstVisit>,
    /// Who visited, at most [`CLIENTS_MAX`].
    pub clients: BTreeSet<IpAddr>,
    /// How often each method was used; `hello` where no request could be read.
    pub methods: BTreeMap<String, u64>,
    /// What was done to the URL, over all visits.
    pub alterations: BTreeSet<String>,
}

/// The visit that answers the question whether a canary was visited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstVisit {
    /// When.
    pub at: Timestamp,
    /// All that is known of it.
    pub record: EventRecord,
}

impl Facts {
    /// Reads them from stores, by the canary's index.
    ///
    /// # Errors
    /// A database cannot be read.
    pub fn read(stores: &[TapStore], canary: &str) -> Result<Self, StoreError> {
        let query = EventQuery {
            canary: Some(canary.to_owned()),
            ..EventQuery::default()
        };
        let mut facts = Self::default();
        for_each_of::<StoreError>(stores, &query, |record| {
            facts.add(record);
            Ok(ControlFlow::Continue(()))
        })?;
        for fold in open_folds_of(stores, &query)? {
            facts.add(fold);
        }
        Ok(facts)
    }

    /// Whether somebody came who is not from inside.
    pub const fn is_visited(&self) -> bool {
        self.visits > 0
    }

    fn add(&mut self, record: EventRecord) {
        if !record.alert {
            self.inside += record.visits();
            return;
        }
        self.visits += record.visits();
        if self.clients.len() < CLIENTS_MAX {
            self.clients.extend(record.client);
        }
        let method = record.method.as_deref().unwrap_or(match record.count {
            Some(_) => "various",
            None => "hello",
        });
        *self.methods.entry(method.to_owned()).or_default() += record.visits();
        let altered = record
            .alterations
            .iter()
            .map(|one| one.clone().into_owned());
        self.alterations.extend(altered);
        self.note_first(record);
    }

    /// Visits stand in the order in which they were written, which may not be that of their times.
    fn note_first(&mut self, record: EventRecord) {
        let began = record.first.as_ref().unwrap_or(&record.time);
        let Some(at) = moment(began) else { return };
        if self.first.as_ref().is_none_or(|known| at < known.at) {
            self.first = Some(FirstVisit { at, record });
        }
    }
}

/// Visitors of one canary that are told apart: a flood from many addresses must not fill memory.
pub const CLIENTS_MAX: usize = 1000;
