//! Which known fetchers a visit fits, by which facts, and what speaks against it.

use std::net::IpAddr;

use crate::experiment::Delay;
use crate::store::EventRecord;
use crate::visitor::network::Network;
use crate::visitor::table::{Row, Table};

/// A visit, with what is known around it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// The visit.
    pub visit: &'a EventRecord,
    /// What databases say of its client; none without databases.
    pub network: Option<&'a Network>,
    /// How long after the canary's sending it came.
    pub delay: Option<Delay>,
    /// How many visits this client made to this canary within a minute of this one, with it.
    pub reads: u64,
}

/// A row that a visit fits, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit<'a> {
    /// The row.
    pub row: &'a Row,
    /// The facts that agree, in words.
    pub facts: Vec<String>,
    /// What speaks against it, in words.
    pub against: Vec<String>,
    /// How much the facts weigh: an address that is theirs counts more than a name that anyone
    /// can give.
    weight: u32,
}

impl Sighting<'_> {
    /// The rows that it fits, those that fit best first.
    pub fn fits<'t>(&self, table: &'t Table) -> Vec<Fit<'t>> {
        let mut fits: Vec<Fit<'t>> = table
            .rows()
            .iter()
            .filter_map(|row| self.fit(row))
            .collect();
        fits.sort_by_key(|fit| std::cmp::Reverse((fit.weight, usize::MAX - fit.against.len())));
        fits
    }

    /// A row is worth showing when its name or its network agrees, or, where it has neither, all
    /// that it says.
    fn fit<'t>(&self, row: &'t Row) -> Option<Fit<'t>> {
        let mut fit = Fit {
            row,
            facts: Vec::new(),
            against: Vec::new(),
            weight: 0,
        };
        let named = self.name(row, &mut fit);
        let placed = self.place(row, &mut fit);
        let behaves = self.behaviour(row, &mut fit);
        let has_sign = !row.user_agents.is_empty() || !row.networks.is_empty() || row.no_user_agent;
        let shown = match (named, placed) {
            // Many send no name: that alone says nothing.
            (Agrees::Yes, placed) if row.no_user_agent => placed == Agrees::Yes,
            (Agrees::Yes, _) => true,
            // A whole provider's network fits too many to say anything alone.
            (Agrees::No, Agrees::Yes) => !row.networks.is_empty() && self.is_in(row),
            (Agrees::Silent, Agrees::Yes) => behaves || self.is_in(row),
            (Agrees::Silent, _) => !has_sign && row.systems.is_empty() && behaves,
            (Agrees::No, _) => false,
        };
        shown.then_some(fit)
    }

    fn name(&self, row: &Row, fit: &mut Fit<'_>) -> Agrees {
        let agent = self.visit.user_agent.as_deref();
        if row.no_user_agent {
            // A visit known by its hello, or folded, says nothing of its header fields.
            return match (agent, self.visit.method.is_some()) {
                (None, true) => fit.agree(NO_NAME, "it sends no User-Agent"),
                (Some(_), _) => Agrees::No,
                (None, false) => Agrees::Silent,
            };
        }
        let token = row
            .user_agents
            .iter()
            .find(|token| agent.is_some_and(|agent| agent.contains(token.as_str())));
        match (token, row.user_agents.is_empty()) {
            (Some(token), _) => fit.agree(NAME, &format!("its User-Agent says {token}")),
            (None, true) => Agrees::Silent,
            (None, false) => Agrees::No,
        }
    }

    fn place(&self, row: &Row, fit: &mut Fit<'_>) -> Agrees {
        if let Some(network) = self.network_of(row) {
            return fit.agree(ADDRESS, &format!("its address lies in {network}"));
        }
        let system = self.network.and_then(|network| network.system);
        match system {
            Some(system) if row.systems.contains(&system) => {
                fit.agree(SYSTEM, &format!("its address belongs to AS{system}"))
            }
            Some(system) if !row.systems.is_empty() => {
                fit.against.push(format!(
                    "it says it is {}, the network is not {}'s (AS{system})",
                    row.name, row.name
                ));
                Agrees::No
            }
            _ if row.systems.is_empty() && !row.networks.is_empty() => {
                fit.against.push(format!(
                    "it says it is {}, the network is not {}'s",
                    row.name, row.name
                ));
                Agrees::No
            }
            _ => Agrees::Silent,
        }
    }

    /// Whether all of a row's smaller signs agree; each that does is a fact.
    fn behaviour(&self, row: &Row, fit: &mut Fit<'_>) -> bool {
        let method = self.visit.method.as_deref();
        let signs = [
            sign(
                &row.methods,
                method.map(|method| row.methods.iter().any(|known| known == method)),
                || format!("it asks by {}", method.unwrap_or("-")),
            ),
            sign(
                &row.delays,
                self.delay.map(|delay| row.delays.contains(&delay)),
                || format!("it came {}", self.delay.map(came).unwrap_or_default()),
            ),
            sign(
                &row.alterations,
                Some(row.alterations.iter().all(|one| self.is_altered(one))),
                || format!("it altered the link: {}", row.alterations.join(", ")),
            ),
            sign(
                row.reads.as_slice(),
                row.reads.map(|reads| self.reads >= reads),
                || format!("it read the link {} times within a minute", self.reads),
            ),
        ];
        let mut all = true;
        for sign in signs.into_iter().flatten() {
            match sign {
                Ok(fact) => {
                    fit.facts.push(fact);
                    fit.weight += SMALL;
                }
                Err(()) => all = false,
            }
        }
        all
    }

    fn is_altered(&self, how: &str) -> bool {
        self.visit.alterations.iter().any(|one| one == how)
    }

    fn network_of(&self, row: &Row) -> Option<ipnet::IpNet> {
        let client: IpAddr = self.visit.client?;
        row.networks
            .iter()
            .find(|network| network.contains(&client))
            .copied()
    }

    fn is_in(&self, row: &Row) -> bool {
        self.network_of(row).is_some()
    }
}

impl Fit<'_> {
    fn agree(&mut self, weight: u32, fact: &str) -> Agrees {
        self.weight += weight;
        self.facts.push(fact.to_owned());
        Agrees::Yes
    }

    /// The reasons as one line: which row, which facts, what is against it.
    pub fn words(&self) -> String {
        let mut words = format!("fits {} ({})", self.row.name, self.row.kind);
        if !self.facts.is_empty() {
            words.push_str(&format!(": {}", self.facts.join(", ")));
        }
        if !self.against.is_empty() {
            words.push_str(&format!("; but {}", self.against.join(", and ")));
        }
        if let Some(disputed) = &self.row.disputed {
            words.push_str(&format!(" (disputed: {disputed})"));
        }
        words
    }
}

/// What a sign of a row says of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agrees {
    Yes,
    No,
    /// The row does not say, or it is not known of the visit.
    Silent,
}

/// None where the row does not speak of it; what is not known of the visit does not agree.
fn sign<T>(
    row_says: &[T],
    agrees: Option<bool>,
    fact: impl FnOnce() -> String,
) -> Option<Result<String, ()>> {
    if row_says.is_empty() {
        return None;
    }
    Some(match agrees {
        Some(true) => Ok(fact()),
        Some(false) | None => Err(()),
    })
}

fn came(delay: Delay) -> String {
    match delay {
        Delay::Before => "before sending was finished".to_owned(),
        Delay::Seconds => "within 10 s of sending".to_owned(),
        Delay::Minutes => "within 10 min of sending".to_owned(),
        Delay::Hours => "hours after sending".to_owned(),
        Delay::Days => "days after sending".to_owned(),
    }
}

/// An address cannot be made up on a connection that was answered.
const ADDRESS: u32 = 8;
/// A system is large.
const SYSTEM: u32 = 4;
/// A name can be made up.
const NAME: u32 = 3;
/// Many send none.
const NO_NAME: u32 = 1;
/// Method, delay, alteration, repetition.
const SMALL: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(client: &str, method: &str, agent: Option<&str>) -> EventRecord {
        let mut text = format!(
            r#"{{"time":"2013-04-30T17:28:32.104512Z","kind":"visit","alert":true,"canary":"c",
                "client":"{client}","method":"{method}""#
        );
        if let Some(agent) = agent {
            text.push_str(&format!(r#","user_agent":"{agent}""#));
        }
        text.push('}');
        serde_json::from_str(&text).unwrap()
    }

    fn fits(visit: &EventRecord, system: Option<u32>, delay: Option<Delay>) -> Vec<String> {
        let network = Network {
            system,
            ..Network::default()
        };
        let sighting = Sighting {
            visit,
            network: system.is_some().then_some(&network),
            delay,
            reads: 1,
        };
        sighting
            .fits(&Table::own())
            .iter()
            .map(Fit::words)
            .collect()
    }

    #[test]
    fn the_visit_of_2013_fits_its_row_by_every_fact() {
        let visit = visit("65.52.100.214", "HEAD", None);
        let fits = fits(&visit, Some(8075), Some(Delay::Hours));
        let first = &fits[0];
        assert!(
            first.starts_with("fits Skype link check of 2013 (scanner):"),
            "{fits:?}"
        );
        for fact in [
            "no User-Agent",
            "65.52.0.0/14",
            "asks by HEAD",
            "hours after sending",
        ] {
            assert!(first.contains(fact), "{first}");
        }
        assert!(
            first.contains("(disputed: https links only by one report"),
            "{first}"
        );
    }

    #[test]
    fn who_gives_a_name_from_a_foreign_network_is_told_so() {
        let visit = visit("203.0.113.7", "GET", Some("facebookexternalhit/1.1"));
        let fits = fits(&visit, Some(64500), None);
        assert!(
            fits[0].contains(
                "but it says it is Facebook, Messenger and Instagram, the network is \
                              not Facebook, Messenger and Instagram's (AS64500)"
            ),
            "{fits:?}"
        );
    }

    #[test]
    fn a_row_with_networks_needs_no_database() {
        let own = visit(
            "149.154.161.5",
            "GET",
            Some("TelegramBot (like TwitterBot)"),
        );
        assert!(fits(&own, None, None)[0].contains("lies in 149.154.160.0/20"));
        let foreign = visit("203.0.113.7", "GET", Some("TelegramBot (like TwitterBot)"));
        assert!(fits(&foreign, None, None)[0].contains("the network is not Telegram's"));
    }

    #[test]
    fn rows_that_contradict_each_other_are_both_shown() {
        let visit = visit("198.51.100.4", "GET", Some("WhatsApp/2.23.20"));
        let fits = fits(&visit, None, Some(Delay::Before));
        for name in ["from the sender's device", "from Meta's servers", "Signal"] {
            assert!(
                fits.iter().any(|fit| fit.contains(name)),
                "{name}: {fits:?}"
            );
        }
    }

    #[test]
    fn who_sends_no_name_from_anywhere_fits_nobody() {
        let visit = visit("203.0.113.7", "HEAD", None);
        assert_eq!(fits(&visit, None, Some(Delay::Hours)), [""; 0]);
        assert_eq!(fits(&visit, Some(64500), Some(Delay::Hours)), [""; 0]);
    }

    #[test]
    fn a_browser_from_anywhere_fits_nobody() {
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
        let visit = visit("203.0.113.7", "GET", Some(agent));
        assert_eq!(fits(&visit, Some(64500), Some(Delay::Hours)), [""; 0]);
    }

    #[test]
    fn two_reads_in_quick_succession_fit_a_mail_gateway() {
        let visit = visit("203.0.113.7", "GET", Some("Mozilla/5.0"));
        let sighting = Sighting {
            visit: &visit,
            network: None,
            delay: Some(Delay::Seconds),
            reads: 2,
        };
        let table = Table::own();
        let fits = sighting.fits(&table);
        assert_eq!(fits[0].row.name, "Mail gateway");
        assert!(fits[0].words().contains("2 times within a minute"));
    }

    #[test]
    fn a_lower_cased_link_from_microsoft_fits_smartscreen() {
        let mut visit = visit("198.51.100.4", "GET", Some("Mozilla/5.0"));
        visit.alterations.push("lower_cased".into());
        let fits = fits(&visit, Some(8075), None);
        assert!(fits[0].starts_with("fits SmartScreen"), "{fits:?}");
    }
}
