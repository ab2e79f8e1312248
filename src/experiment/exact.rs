//! Fisher's exact test of one channel against the controls, and Holm's correction over channels.

use statrs::stats_tests::Alternative;
use statrs::stats_tests::fisher::fishers_exact;

/// How many of a group were visited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Canaries that were visited.
    pub visited: u64,
    /// Canaries in all.
    pub all: u64,
}

impl Group {
    /// One more canary.
    pub(super) const fn add(&mut self, visited: bool) {
        self.all += 1;
        self.visited += visited as u64;
    }

    const fn missed(self) -> u64 {
        self.all.saturating_sub(self.visited)
    }
}

/// The probability, from 0 to 1, that chance alone spreads the visits at least as unevenly in
/// favour of `sent`: one-sided, because only more visits than the controls have are an answer.
/// One where there is nothing to compare.
pub fn chance(sent: Group, controls: Group) -> f64 {
    if sent.all == 0 || controls.all == 0 {
        return 1.0;
    }
    let table = [
        sent.visited,
        controls.visited,
        sent.missed(),
        controls.missed(),
    ];
    fishers_exact(&table, Alternative::Greater).map_or(1.0, |chance| chance.clamp(0.0, 1.0))
}

/// Holm's step-down correction: each probability, corrected for there being several, in the order
/// in which they came.
pub fn holm(chances: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    let chance = |place: &usize| chances.get(*place).copied().unwrap_or(1.0);
    order.sort_by(|one, other| chance(one).total_cmp(&chance(other)));
    let mut corrected = vec![1.0; chances.len()];
    let mut least = 0.0_f64;
    for (rank, place) in order.iter().enumerate() {
        let left = (chances.len() - rank) as f64;
        least = least.max((chance(place) * left).min(1.0));
        if let Some(slot) = corrected.get_mut(*place) {
            *slot = least;
        }
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(visited: u64, all: u64) -> Group {
        Group { visited, all }
    }

    /// The hypergeometric tail, counted out.
    fn counted(sent: Group, controls: Group) -> f64 {
        let choose = |n: u64, k: u64| -> f64 {
            (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
        };
        let (all, visited) = (sent.all + controls.all, sent.visited + controls.visited);
        let ways = |hits: u64| {
            let elsewhere = visited
                .checked_sub(hits)
                .filter(|rest| *rest <= controls.all);
            elsewhere.map_or(0.0, |rest| {
                choose(sent.all, hits) * choose(controls.all, rest)
            })
        };
        let tail: f64 = (sent.visited..=sent.all.min(visited)).map(ways).sum();
        tail / choose(all, visited)
    }

    #[test]
    fn the_test_agrees_with_counting() {
        for sent_all in 1..7 {
            for controls_all in 1..7 {
                for sent_visited in 0..=sent_all {
                    for controls_visited in 0..=controls_all {
                        let sent = group(sent_visited, sent_all);
                        let controls = group(controls_visited, controls_all);
                        let (found, expected) = (chance(sent, controls), counted(sent, controls));
                        assert!(
                            (found - expected).abs() < 1e-9,
                            "{sent:?} {controls:?}: {found} {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn three_of_three_against_none_of_three_is_one_in_twenty() {
        assert!((chance(group(3, 3), group(0, 3)) - 0.05).abs() < 1e-12);
    }

    #[test]
    fn nothing_to_compare_with_says_nothing() {
        assert!((chance(group(5, 5), group(0, 0)) - 1.0).abs() < 1e-12);
        assert!((chance(group(0, 0), group(0, 5)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn holm_steps_down_and_never_decreases() {
        let corrected = holm(&[0.04, 0.01, 0.03]);
        for (found, expected) in corrected.iter().zip([0.06, 0.03, 0.06]) {
            assert!((found - expected).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
