//! Plans and sendings, as they stand in the chain.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::engine::frame::Timestamp;
use crate::experiment::moment;
use crate::store::{StoreError, StoreReader, TapStore};

/// What a canary is for in an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It is sent over its channel, and nowhere else.
    Sent,
    /// It is given to nobody.
    Control,
    /// A comparison: it is opened in the owner's own browser only.
    Browser,
    /// A comparison: it is sent over another channel at the same time.
    Beside,
}

impl Role {
    /// As it is written in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Control => "control",
            Self::Browser => "browser",
            Self::Beside => "beside",
        }
    }

    /// Whether it is shown beside the answers and takes no part in them.
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Browser | Self::Beside)
    }
}

/// One canary of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Id of the canary.
    pub id: String,
    /// The channel that it is for.
    pub channel: String,
    /// What it is for.
    pub role: Role,
    /// Of an https and http pair: the number that its twin bears too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<u32>,
}

/// An experiment as it was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// When it was made, RFC 3339.
    pub time: String,
    /// Its canaries.
    pub members: Vec<Member>,
}

impl Plan {
    /// The channels over which something is sent, in the order in which they were named.
    pub fn channels(&self) -> Vec<&str> {
        let mut channels: Vec<&str> = Vec::new();
        for member in self.members.iter().filter(|one| one.role == Role::Sent) {
            if !channels.contains(&member.channel.as_str()) {
                channels.push(&member.channel);
            }
        }
        channels
    }
}

/// A note that a canary was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// Id of the canary. Not called `canary`: that is what visits are found by.
    pub id: String,
    /// When it was noted, RFC 3339.
    pub time: String,
    /// When it was sent, RFC 3339.
    pub at: String,
    /// To whom, in the owner's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// All that the owner noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The experiments, oldest first.
    pub plans: Vec<Plan>,
    /// For each canary its sendings, in the order in which they were noted.
    sendings: HashMap<String, Vec<Sending>>,
}

impl Ledger {
    /// Reads it from a store, or from those of several taps together.
    ///
    /// # Errors
    /// A database cannot be read.
    pub fn read(stores: &[TapStore]) -> Result<Self, StoreError> {
        let mut ledger = Self::default();
        for store in stores {
            ledger.add(&store.reader)?;
        }
        Ok(ledger)
    }

    fn add(&mut self, reader: &StoreReader) -> Result<(), StoreError> {
        let plans: Vec<(u64, Plan)> = reader.records(EXPERIMENT, 0)?;
        let noted: Vec<(u64, Sending)> = reader.records(SENDING, 0)?;
        for (_, plan) in plans {
            if !self.plans.contains(&plan) {
                self.plans.push(plan);
            }
        }
        for (_, sending) in noted {
            let of_id = self.sendings.entry(sending.id.clone()).or_default();
            of_id.push(sending);
        }
        Ok(())
    }

    /// The experiment of this name; ASCII case does not count.
    pub fn plan(&self, name: &str) -> Option<&Plan> {
        self.plans
            .iter()
            .find(|plan| plan.name.eq_ignore_ascii_case(name))
    }

    /// The plan and the role of a canary, if it belongs to an experiment.
    pub fn member(&self, id: &str) -> Option<(&Plan, &Member)> {
        self.plans.iter().find_map(|plan| {
            let member = plan.members.iter().find(|member| member.id == id)?;
            Some((plan, member))
        })
    }

    /// The sendings of a canary.
    pub fn sendings(&self, id: &str) -> &[Sending] {
        self.sendings.get(id).map_or(&[], Vec::as_slice)
    }

    /// When a canary was first sent, and to whom. A later note may bear an earlier time.
    pub fn first_sending(&self, id: &str) -> Option<(Timestamp, &Sending)> {
        let timed = self
            .sendings(id)
            .iter()
            .filter_map(|sending| Some((moment(&sending.at)?, sending)));
        timed.min_by_key(|(at, _)| *at)
    }
}

/// Kind of the records that hold plans.
pub const EXPERIMENT: &str = "experiment";
/// Kind of the records that hold sendings.
pub const SENDING: &str = "sending";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, StoreOptions};

    fn sending(id: &str, at: &str) -> Sending {
        Sending {
            id: id.into(),
            time: "2026-11-02T00:00:00.000000Z".into(),
            at: at.into(),
            to: None,
        }
    }

    #[test]
    fn what_was_noted_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        let member = |id: &str, channel: &str, role| Member {
            id: id.into(),
            channel: channel.into(),
            role,
            pair: None,
        };
        let plan = Plan {
            name: "Chats".into(),
            time: "2026-11-01T00:00:00.000000Z".into(),
            members: vec![
                member("a", "skype", Role::Sent),
                member("b", "mail", Role::Sent),
                member("c", "skype", Role::Sent),
                member("d", "none", Role::Control),
            ],
        };
        store.add_records(EXPERIMENT, &[&plan]).unwrap();
        let late = sending("a", "2026-11-01T12:00:00.000000Z");
        let early = sending("a", "2026-11-01T11:00:00.000000Z");
        store.add_records(SENDING, &[&late, &early]).unwrap();

        let ledger = Ledger::read(&TapStore::open_all(folder.path()).unwrap()).unwrap();
        assert_eq!(ledger.plan("chats"), Some(&plan));
        assert_eq!(plan.channels(), ["skype", "mail"]);
        assert_eq!(ledger.member("d").unwrap().1.role, Role::Control);
        assert_eq!(ledger.sendings("a").len(), 2);
        assert_eq!(ledger.first_sending("a").unwrap().1, &early);
        assert!(ledger.first_sending("b").is_none());
    }
}
