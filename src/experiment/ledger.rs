//! Plans and sendings, as they stand in the chain.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::frame::Timestamp;
use crate::experiment::moment;
use crate::store::{Dates, StoreError, StoreReader, TapStore};

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
    /// Which boot of the machine it was noted in, and how long after it; where `at` is by that
    /// machine's clock, which may have been set later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_micros: Option<u64>,
}

impl Sending {
    /// Gives it the time at which it really was.
    fn put_right(&mut self, dates: &Dates) {
        let (Some(boot), Some(uptime)) = (&self.boot, self.uptime_micros) else {
            return;
        };
        let Some(right) = dates.date(boot, uptime, &self.time) else {
            return;
        };
        let times = [&right, &self.time, &self.at].map(|text| moment(text));
        if let [Some(right_at), Some(time), Some(at)] = times {
            let before = time.since(at);
            let nanos = right_at.as_nanos().saturating_sub(nanos_of(before));
            self.at = Timestamp::from_nanos(nanos).to_string();
            self.time = right;
        }
    }
}

fn nanos_of(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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
        let dates = reader.dates()?;
        for (_, mut sending) in noted {
            sending.put_right(&dates);
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
    use crate::store::{CLOCK, ClockRecord, Store, StoreOptions};

    fn sending(id: &str, at: &str) -> Sending {
        Sending {
            id: id.into(),
            time: "2026-11-02T00:00:00.000000Z".into(),
            at: at.into(),
            to: None,
            boot: None,
            uptime_micros: None,
        }
    }

    #[test]
    fn a_sending_that_was_noted_before_the_clock_was_set_is_dated_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        let by_clock = |id: &str, at: &str| Sending {
            boot: Some("b1".into()),
            uptime_micros: Some(100_000_000),
            ..sending(id, at)
        };
        let told = Sending {
            time: "2026-11-02T00:00:00.000000Z".into(),
            ..sending("c", "2026-12-01T00:00:00.000000Z")
        };
        let noted = [
            by_clock("a", "2026-11-02T00:00:00.000000Z"),
            by_clock("b", "2026-11-01T23:50:00.000000Z"),
            told,
        ];
        store.add_records(SENDING, &noted).unwrap();
        let set = ClockRecord {
            time: "2026-12-12T00:10:00.000000Z".into(),
            boot: "b1".into(),
            uptime_micros: 700_000_000,
            offset_micros: 1_797_034_200_000_000 - 700_000_000,
            step_micros: Some(40 * 86_400_000_000),
            synchronised: Some(true),
        };
        store.add_records(CLOCK, &[set]).unwrap();
        let ledger = Ledger::read(&TapStore::open_all(folder.path()).unwrap()).unwrap();
        let at = |id: &str| ledger.first_sending(id).unwrap().0.to_string();
        assert_eq!(at("a"), "2026-12-12T00:00:00.000000Z");
        assert_eq!(at("b"), "2026-12-11T23:50:00.000000Z");
        assert_eq!(at("c"), "2026-12-01T00:00:00.000000Z");
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
