//! Answers in words first, and as a figure second.

use std::time::Duration;

use crate::experiment::answers::{CanaryAnswer, ChannelAnswer, Sent, SureOf, Surer};
use crate::experiment::exact::Group;
use crate::experiment::watching::Watched;

/// What a channel's canaries say, as one or two sentences.
pub fn channel(answer: &ChannelAnswer, controls: Group) -> String {
    let Group { visited, all } = answer.sent;
    match answer.sure {
        SureOf::NothingSent => "nothing is noted as sent yet".to_owned(),
        SureOf::NotWatched => format!(
            "no visit was seen of {}, but nothing is known yet of the tap's watching since",
            sent(all)
        ),
        SureOf::NotVisited => format!(
            "not opened: while the tap was watching, no visit was seen of {}",
            sent(all)
        ),
        SureOf::NoControls => format!(
            "opened: {visited} of {all} visited; without controls nobody can say whether chance \
             would do that too"
        ),
        SureOf::Open => format!(
            "opened, but chance could do this too: {visited} of {all} visited, against {} of {} \
             controls ({})",
            controls.visited,
            controls.all,
            probability(answer.corrected)
        ),
        SureOf::Fair => format!(
            "opened, and fairly surely because it was sent: {visited} of {all} visited, against \
             {} of {} controls ({})",
            controls.visited,
            controls.all,
            probability(answer.corrected)
        ),
        SureOf::High => format!(
            "opened, and very surely because it was sent: {visited} of {all} visited, against {} \
             of {} controls ({})",
            controls.visited,
            controls.all,
            probability(answer.corrected)
        ),
    }
}

/// Of pairs: how many https links were visited, and how many http links. None where there is no
/// pair.
pub fn twins(answer: &ChannelAnswer) -> Option<String> {
    let mut groups = [Group::default(); 2];
    let sent = answer
        .canaries
        .iter()
        .filter(|one| matches!(one.sent, Sent::At(..)));
    for canary in sent.filter(|one| one.member.pair.is_some()) {
        let url = canary.url.as_deref()?;
        let [https, http] = &mut groups;
        let group = if url.starts_with("https:") {
            https
        } else {
            http
        };
        group.add(canary.facts.is_visited());
    }
    let [https, http] = groups;
    (https.all + http.all > 0).then(|| {
        format!(
            "of the https links {} of {} were visited, of their http twins {} of {}",
            https.visited, https.all, http.visited, http.all
        )
    })
}

/// What would make an answer surer.
pub fn surer(surer: Surer) -> String {
    match surer {
        Surer::Canaries(n) => format!(
            "surer with {} on this channel, if visited too",
            more(n, "canary", "canaries")
        ),
        Surer::Controls(n) => format!(
            "surer with {}, if they fare like the others",
            more(n, "control", "controls")
        ),
        Surer::Both(n) => format!(
            "surer with {} on this channel and {}, if they fare like the others",
            more(n, "canary", "canaries"),
            more(n, "control", "controls")
        ),
    }
}

/// The figure behind the words: `p = 0.014`.
pub fn probability(p: f64) -> String {
    if p < 0.001 {
        "p < 0.001".to_owned()
    } else if p < 0.1 {
        format!("p = {p:.3}")
    } else {
        format!("p = {p:.2}")
    }
}

/// Whether a canary was visited, as far as that can be said.
pub fn visited(answer: &CanaryAnswer) -> String {
    match (&answer.sent, answer.facts.visits) {
        (Sent::NotNoted, 0) => "not noted as sent".to_owned(),
        (_, 0) if answer.watched.watched.is_zero() => {
            format!("no visit seen ({})", watched(answer.watched))
        }
        (_, 0) => format!("not visited ({})", watched(answer.watched)),
        (_, 1) => "visited once".to_owned(),
        (_, visits) => format!("visited {visits} times"),
    }
}

/// How much of a time the tap was watching.
pub fn watched(watched: Watched) -> String {
    format!(
        "watched {} % of {}",
        watched.percent(),
        duration(watched.of)
    )
}

/// A length of time, rounded to its largest unit or two.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (1, 0, _) => "1 day".to_owned(),
        (_, 0, _) => format!("{days} days"),
        (1, _, _) => format!("1 day {hours} h"),
        _ => format!("{days} days {hours} h"),
    }
}

fn sent(count: u64) -> String {
    match count {
        1 => "the one that was sent".to_owned(),
        _ => format!("the {count} that were sent"),
    }
}

fn more(count: u64, one: &str, many: &str) -> String {
    let number = match count {
        1 => "one".to_owned(),
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        n => n.to_string(),
    };
    format!("{number} more {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_rounded_to_what_matters() {
        let say = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(say(5), "5 s");
        assert_eq!(say(150), "2 min");
        assert_eq!(say(7200), "2 h");
        assert_eq!(say(7260), "2 h 1 min");
        assert_eq!(say(86_400), "1 day");
        assert_eq!(say(90_000), "1 day 1 h");
        assert_eq!(say(30 * 86_400 + 3600), "30 days 1 h");
    }

    #[test]
    fn probabilities_are_not_more_exact_than_they_are() {
        assert_eq!(probability(0.000_04), "p < 0.001");
        assert_eq!(probability(0.014_28), "p = 0.014");
        assert_eq!(probability(0.5), "p = 0.50");
    }

    #[test]
    fn what_would_help_is_said_in_words() {
        assert_eq!(
            surer(Surer::Canaries(2)),
            "surer with two more canaries on this channel, if visited too"
        );
        assert_eq!(
            surer(Surer::Both(1)),
            "surer with one more canary on this channel and one more control, if they fare like \
             the others"
        );
    }
}
