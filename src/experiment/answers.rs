//! For each canary and channel: visited or not, and how sure that is.

use crate::engine::frame::Timestamp;
use crate::experiment::exact::{Group, chance, holm};
use crate::experiment::watching::{Watched, Watching};
use crate::experiment::{Delay, Facts, Ledger, Member, Plan, Role, moment};
use crate::store::{StoreError, StoredCanary, TapStore, canaries_of};

/// When a canary was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is noted: when, and to whom.
    At(Timestamp, Option<String>),
    /// Nothing is noted, and nothing can be concluded.
    NotNoted,
    /// It needs no sending: it is given to nobody, or opened by its owner.
    Never,
}

/// What is known of one canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryAnswer {
    /// What it is for.
    pub member: Member,
    /// Its URL; none when the canary is gone from the store.
    pub url: Option<String>,
    /// The owner's words for it.
    pub label: Option<String>,
    /// When it was sent.
    pub sent: Sent,
    /// Its visits.
    pub facts: Facts,
    /// How long after its sending it was first visited.
    pub delay: Option<Delay>,
    /// How much of the time since it was sent (or made, when it was not) the tap was watching.
    pub watched: Watched,
}

/// What is known of one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelAnswer {
    /// Its name.
    pub channel: String,
    /// The canaries that are for it.
    pub canaries: Vec<CanaryAnswer>,
    /// Those of them that were sent.
    pub sent: Group,
    /// How much of the time since it was sent the tap was watching, for the one of which least was
    /// watched; none before anything was sent.
    pub watched: Option<Watched>,
    /// The probability that chance alone does this, against the controls.
    pub chance: f64,
    /// The same, corrected for there being several channels.
    pub corrected: f64,
    /// How sure the answer is.
    pub sure: SureOf,
    /// The fewest further canaries that would make it sure, if they fare like the ones before.
    pub surer: Option<Surer>,
}

/// How sure an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SureOf {
    /// Nothing was sent yet.
    NothingSent,
    /// None of those that were sent was visited, as far as is known; but nothing is known of the
    /// tap's watching since.
    NotWatched,
    /// None of those that were sent was visited while the tap was watching.
    NotVisited,
    /// Visited, and nothing to compare with.
    NoControls,
    /// Visited, but chance could do this too.
    Open,
    /// Visited; chance alone does this in at most 1 of 20 such experiments.
    Fair,
    /// Visited; chance alone does this in at most 1 of 100.
    High,
}

/// What would make an answer surer, if it fares like what was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surer {
    /// So many more canaries on this channel.
    Canaries(u64),
    /// So many more controls.
    Controls(u64),
    /// So many more of both.
    Both(u64),
}

/// What an experiment says until now.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Its name; none for canaries that belong to no experiment.
    pub name: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// The moment of which it speaks.
    pub now: Timestamp,
    /// How much of that time the tap was watching.
    pub watched: Watched,
    /// The channels, in the order in which they were named.
    pub channels: Vec<ChannelAnswer>,
    /// Canaries that were given to nobody.
    pub controls: Vec<CanaryAnswer>,
    /// How many of them were visited.
    pub control_group: Group,
    /// Canaries that are shown beside the answers.
    pub comparisons: Vec<CanaryAnswer>,
}

impl Answers {
    /// What `plan` says at the moment `now`.
    ///
    /// # Errors
    /// A database cannot be read.
    pub fn of_plan(
        plan: &Plan,
        ledger: &Ledger,
        stores: &[TapStore],
        watching: &Watching,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let began = moment(&plan.time).unwrap_or(now);
        let known = canaries_of(stores)?;
        let gather = Gather {
            ledger,
            stores,
            watching,
            known: &known,
            now,
        };
        let mut answers = Self::over(plan.members.clone(), began, &gather)?;
        answers.name = Some(plan.name.clone());
        Ok(answers)
    }

    /// What canaries say that belong to no experiment: each counts for its channel.
    ///
    /// # Errors
    /// A database cannot be read.
    pub fn of_others(
        others: &[StoredCanary],
        ledger: &Ledger,
        stores: &[TapStore],
        watching: &Watching,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let single = others
            .iter()
            .filter(|one| ledger.member(&one.id).is_none() && one.channel != SELFTEST);
        let members = single.clone().map(|canary| Member {
            id: canary.id.clone(),
            channel: canary.channel.clone(),
            role: if canary.control {
                Role::Control
            } else {
                Role::Sent
            },
            pair: None,
        });
        let began = single.filter_map(|canary| moment(&canary.created)).min();
        let gather = Gather {
            ledger,
            stores,
            watching,
            known: others,
            now,
        };
        Self::over(members.collect(), began.unwrap_or(now), &gather)
    }

    fn over(
        members: Vec<Member>,
        began: Timestamp,
        gather: &Gather<'_>,
    ) -> Result<Self, StoreError> {
        let mut answers = Self {
            name: None,
            began,
            now: gather.now,
            watched: gather.watching.within(began, gather.now),
            channels: Vec::new(),
            controls: Vec::new(),
            control_group: Group::default(),
            comparisons: Vec::new(),
        };
        for member in members {
            let answer = gather.canary(member, began)?;
            answers.place(answer);
        }
        answers.judge();
        Ok(answers)
    }

    fn place(&mut self, answer: CanaryAnswer) {
        match answer.member.role {
            Role::Control => {
                // One that was given to somebody after all is none any more.
                if answer.sent == Sent::Never {
                    self.control_group.add(answer.facts.is_visited());
                }
                self.controls.push(answer);
            }
            Role::Browser | Role::Beside => self.comparisons.push(answer),
            Role::Sent => self.channel(answer),
        }
    }

    fn channel(&mut self, answer: CanaryAnswer) {
        let name = &answer.member.channel;
        let place = self.channels.iter().position(|one| &one.channel == name);
        let place = place.unwrap_or_else(|| {
            self.channels.push(ChannelAnswer::new(name.clone()));
            self.channels.len() - 1
        });
        if let Some(channel) = self.channels.get_mut(place) {
            channel.add(answer);
        }
    }

    fn judge(&mut self) {
        let controls = self.control_group;
        let chances: Vec<f64> = self
            .channels
            .iter()
            .map(|channel| chance(channel.sent, controls))
            .collect();
        let corrected = holm(&chances);
        for (place, channel) in self.channels.iter_mut().enumerate() {
            channel.chance = chances.get(place).copied().unwrap_or(1.0);
            channel.corrected = corrected.get(place).copied().unwrap_or(1.0);
            channel.sure = channel.sure_against(controls);
            channel.surer = match channel.sure {
                SureOf::Open | SureOf::NoControls => surer(place, channel.sent, controls, &chances),
                _ => None,
            };
        }
    }
}

impl ChannelAnswer {
    fn new(channel: String) -> Self {
        Self {
            channel,
            canaries: Vec::new(),
            sent: Group::default(),
            watched: None,
            chance: 1.0,
            corrected: 1.0,
            sure: SureOf::NothingSent,
            surer: None,
        }
    }

    fn add(&mut self, answer: CanaryAnswer) {
        if matches!(answer.sent, Sent::At(..)) {
            self.sent.add(answer.facts.is_visited());
            let least = self.watched.into_iter().chain([answer.watched]);
            self.watched = least.min_by_key(|part| part.percent());
        }
        self.canaries.push(answer);
    }
}

impl ChannelAnswer {
    fn sure_against(&self, controls: Group) -> SureOf {
        let is_watched = self.watched.is_none_or(|part| !part.watched.is_zero());
        match (self.sent, controls) {
            (Group { all: 0, .. }, _) => SureOf::NothingSent,
            (Group { visited: 0, .. }, _) if !is_watched => SureOf::NotWatched,
            (Group { visited: 0, .. }, _) => SureOf::NotVisited,
            (_, Group { all: 0, .. }) => SureOf::NoControls,
            _ if self.corrected <= SURE => SureOf::High,
            _ if self.corrected <= FAIR => SureOf::Fair,
            _ => SureOf::Open,
        }
    }
}

/// Where answers are gathered from.
struct Gather<'a> {
    ledger: &'a Ledger,
    stores: &'a [TapStore],
    watching: &'a Watching,
    known: &'a [StoredCanary],
    now: Timestamp,
}

impl Gather<'_> {
    fn canary(&self, member: Member, began: Timestamp) -> Result<CanaryAnswer, StoreError> {
        let facts = Facts::read(self.stores, &member.id)?;
        let known = self.known.iter().find(|canary| canary.id == member.id);
        let sent = self.sent(&member);
        let since = match &sent {
            Sent::At(at, _) => *at,
            Sent::NotNoted | Sent::Never => began,
        };
        let delay = match (&sent, &facts.first) {
            (Sent::At(at, _), Some(first)) => Some(Delay::between(*at, first.at)),
            _ => None,
        };
        Ok(CanaryAnswer {
            url: known.map(|canary| canary.url.clone()),
            label: known.and_then(|canary| canary.label.clone()),
            sent,
            delay,
            watched: self.watching.within(since, self.now),
            facts,
            member,
        })
    }

    fn sent(&self, member: &Member) -> Sent {
        match (self.ledger.first_sending(&member.id), member.role) {
            (Some((at, sending)), _) => Sent::At(at, sending.to.clone()),
            (None, Role::Sent | Role::Beside) => Sent::NotNoted,
            (None, Role::Control | Role::Browser) => Sent::Never,
        }
    }
}

/// The smallest addition that brings this channel's corrected probability down to [`FAIR`].
fn surer(place: usize, sent: Group, controls: Group, chances: &[f64]) -> Option<Surer> {
    let reaches = |sent: Group, controls: Group| {
        let mut all = chances.to_vec();
        if let Some(own) = all.get_mut(place) {
            *own = chance(sent, controls);
        }
        holm(&all).get(place).is_some_and(|p| *p <= FAIR)
    };
    // A visited canary more for each, and a control more that fares like most of them.
    let more_sent = |n| Group {
        visited: sent.visited + n,
        all: sent.all + n,
    };
    let control_is_visited = controls.visited * 2 > controls.all;
    let more_controls = |n| Group {
        visited: controls.visited + if control_is_visited { n } else { 0 },
        all: controls.all + n,
    };
    (1..=FURTHER_MAX).find_map(|n| {
        if reaches(more_sent(n), controls) {
            Some(Surer::Canaries(n))
        } else if reaches(sent, more_controls(n)) {
            Some(Surer::Controls(n))
        } else if reaches(more_sent(n), more_controls(n)) {
            Some(Surer::Both(n))
        } else {
            None
        }
    })
}

/// Channel of the canaries that the owner opens to test the tap.
pub const SELFTEST: &str = "selftest";

/// Up to this probability an answer is fairly sure. Three of three against none of three are just
/// enough, whatever the last bit of a sum says.
const FAIR: f64 = 0.05 + ROUNDING;
/// Up to this one it is very sure.
const SURE: f64 = 0.01 + ROUNDING;
/// More than sums of floating-point numbers go wrong, less than counts differ by.
const ROUNDING: f64 = 1e-9;
/// More further canaries than anybody wants to send.
const FURTHER_MAX: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn group(visited: u64, all: u64) -> Group {
        Group { visited, all }
    }

    fn alone(sent: Group, controls: Group) -> (SureOf, Option<Surer>) {
        let mut channel = ChannelAnswer::new("chat".into());
        channel.sent = sent;
        let mut answers = Answers {
            name: None,
            began: Timestamp::default(),
            now: Timestamp::default(),
            watched: Watched::default(),
            channels: vec![channel],
            controls: Vec::new(),
            control_group: controls,
            comparisons: Vec::new(),
        };
        answers.judge();
        (answers.channels[0].sure, answers.channels[0].surer)
    }

    #[test]
    fn one_visited_canary_against_one_control_leaves_it_open() {
        let (sure, surer) = alone(group(1, 1), group(0, 1));
        assert_eq!(sure, SureOf::Open);
        // 3 of 3 against 0 of 3 is exactly 1 in 20.
        assert_eq!(surer, Some(Surer::Both(2)));
    }

    #[test]
    fn five_against_five_is_sure() {
        assert_eq!(alone(group(5, 5), group(0, 5)).0, SureOf::High);
        assert_eq!(alone(group(4, 4), group(0, 4)).0, SureOf::Fair);
        assert_eq!(alone(group(3, 3), group(0, 3)).0, SureOf::Fair);
        assert_eq!(alone(group(2, 2), group(0, 3)).0, SureOf::Open);
    }

    #[test]
    fn two_more_canaries_are_asked_for_where_two_are_enough() {
        // 2 of 2 against 0 of 5 is 1 in 21; 2 of 2 against 0 of 3 is 1 in 10, 3 of 3 1 in 20.
        assert_eq!(alone(group(1, 1), group(0, 5)).1, Some(Surer::Canaries(1)));
        assert_eq!(alone(group(1, 1), group(0, 3)).1, Some(Surer::Canaries(2)));
    }

    #[test]
    fn controls_that_are_visited_like_the_rest_never_make_it_sure() {
        let (sure, _) = alone(group(5, 5), group(5, 5));
        assert_eq!(sure, SureOf::Open);
    }

    #[test]
    fn that_nothing_came_is_claimed_only_for_what_was_watched() {
        let hours = |watched: u64| {
            Some(Watched {
                watched: std::time::Duration::from_secs(watched * 3600),
                of: std::time::Duration::from_secs(24 * 3600),
            })
        };
        for (watched, visited, sure) in [
            (0, 0, SureOf::NotWatched),
            (12, 0, SureOf::NotVisited),
            (0, 5, SureOf::High),
        ] {
            let mut channel = ChannelAnswer::new("chat".into());
            channel.sent = group(visited, 5);
            channel.watched = hours(watched);
            channel.corrected = 0.004;
            assert_eq!(channel.sure_against(group(0, 5)), sure);
        }
    }

    #[test]
    fn what_cannot_be_said_is_told_apart() {
        assert_eq!(alone(group(0, 0), group(0, 5)).0, SureOf::NothingSent);
        assert_eq!(alone(group(0, 5), group(0, 5)).0, SureOf::NotVisited);
        assert_eq!(alone(group(5, 5), group(0, 0)).0, SureOf::NoControls);
    }
}
