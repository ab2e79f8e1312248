//! What a light plays: pure functions from the time since a pattern began to its level.

use std::time::Duration;

/// A rhythm. All but [`Dark`](Self::Dark) begin lit and repeat for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LedPattern {
    /// Never lit.
    #[default]
    Dark,
    /// All is well: one short flash every 3 s.
    ArmedFlash,
    /// Something is wrong: quick steady blinking, 5 Hz.
    Fault,
    /// A HEAD request waits to be acknowledged: one long blink and a pause.
    AlertHead,
    /// A GET request waits: two short ones and a pause.
    AlertGet,
    /// Anything else waits: three short ones and a pause.
    AlertOther,
}

impl LedPattern {
    /// Whether the light is lit, `since_start` after the pattern began.
    pub fn level_at(self, since_start: Duration) -> bool {
        self.find(since_start).is_some_and(|found| found.lit)
    }

    /// When the level changes next: the first such time after `since_start`, counted like it from
    /// the pattern's beginning. None if it never does.
    pub fn next_change(self, since_start: Duration) -> Option<Duration> {
        self.find(since_start).map(|found| found.until)
    }

    /// How long the pattern takes before it repeats; zero for one that never changes.
    pub fn period(self) -> Duration {
        Duration::from_millis(self.steps().iter().map(|step| u64::from(*step)).sum())
    }

    /// Milliseconds lit, dark, lit, dark, …: an even number of steps, none of them zero.
    const fn steps(self) -> &'static [u16] {
        match self {
            Self::Dark => &[],
            Self::ArmedFlash => &[60, 2_940],
            Self::Fault => &[100, 100],
            Self::AlertHead => &[700, 1_300],
            Self::AlertGet => &[150, 200, 150, 1_300],
            Self::AlertOther => &[150, 200, 150, 200, 150, 1_300],
        }
    }

    fn find(self, since_start: Duration) -> Option<Step> {
        let period = self.period().as_nanos();
        let into = since_start.as_nanos().checked_rem(period)?; // None: it never changes
        let into = Duration::from_nanos(u64::try_from(into).ok()?);
        let mut end = Duration::ZERO;
        for (index, step) in self.steps().iter().enumerate() {
            end += Duration::from_millis(u64::from(*step));
            if into < end {
                let lit = index % 2 == 0;
                let until = since_start.checked_add(end.checked_sub(into)?)?;
                return Some(Step { lit, until });
            }
        }
        None // not reached: `into` is less than the sum of the steps
    }
}

/// The step that a pattern is in.
struct Step {
    lit: bool,
    /// Its end, counted from the pattern's beginning.
    until: Duration,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [LedPattern; 6] = [
        LedPattern::Dark,
        LedPattern::ArmedFlash,
        LedPattern::Fault,
        LedPattern::AlertHead,
        LedPattern::AlertGet,
        LedPattern::AlertOther,
    ];

    /// One character for each 50 ms of `length`, taken in the middle.
    fn drawn(pattern: LedPattern, length: Duration) -> String {
        (0..length.as_millis() / 50)
            .map(|slot| Duration::from_millis(25 + 50 * u64::try_from(slot).unwrap()))
            .map(|time| if pattern.level_at(time) { '#' } else { '.' })
            .collect()
    }

    #[test]
    fn head_is_one_long_blink_and_a_pause() {
        let period = LedPattern::AlertHead.period();
        assert_eq!(
            drawn(LedPattern::AlertHead, period),
            "##############.........................."
        );
    }

    #[test]
    fn get_is_two_short_blinks_and_a_pause() {
        let period = LedPattern::AlertGet.period();
        assert_eq!(
            drawn(LedPattern::AlertGet, period),
            "###....###.........................."
        );
    }

    #[test]
    fn anything_else_is_three_short_blinks_and_a_pause() {
        let period = LedPattern::AlertOther.period();
        assert_eq!(
            drawn(LedPattern::AlertOther, period),
            "###....###....###.........................."
        );
    }

    #[test]
    fn armed_flashes_once_in_three_seconds() {
        let pattern = LedPattern::ArmedFlash;
        assert_eq!(pattern.period(), Duration::from_secs(3));
        assert_eq!(
            drawn(pattern, pattern.period()),
            format!("#{}", ".".repeat(59))
        );
    }

    #[test]
    fn fault_blinks_five_times_a_second() {
        assert_eq!(
            drawn(LedPattern::Fault, Duration::from_secs(1)),
            "##..##..##..##..##.."
        );
    }

    #[test]
    fn dark_is_never_lit_and_never_changes() {
        let later = Duration::from_secs(86_400);
        assert!(!LedPattern::Dark.level_at(Duration::ZERO));
        assert!(!LedPattern::Dark.level_at(later));
        assert_eq!(LedPattern::Dark.next_change(later), None);
    }

    #[test]
    fn every_other_pattern_is_lit_from_its_very_beginning() {
        for pattern in ALL
            .into_iter()
            .filter(|pattern| *pattern != LedPattern::Dark)
        {
            assert!(pattern.level_at(Duration::ZERO), "{pattern:?}");
        }
    }

    #[test]
    fn a_pattern_has_no_step_of_zero_and_ends_dark() {
        for pattern in ALL {
            assert!(pattern.steps().iter().all(|step| *step > 0), "{pattern:?}");
            assert_eq!(pattern.steps().len() % 2, 0, "{pattern:?}");
        }
    }

    proptest! {
        #[test]
        fn the_level_flips_at_next_change_and_not_before(
            pattern in prop::sample::select(&ALL[1..]),
            nanos in 0_u64..100_000_000_000,
            part in 0.0_f64..1.0,
        ) {
            let since = Duration::from_nanos(nanos);
            let next = pattern.next_change(since).unwrap();
            let level = pattern.level_at(since);
            prop_assert!(next > since);
            prop_assert_eq!(pattern.level_at(next), !level);
            prop_assert_eq!(pattern.level_at(next - Duration::from_nanos(1)), level);
            let between = since + (next - since).mul_f64(part).min(next - since - Duration::from_nanos(1));
            prop_assert_eq!(pattern.level_at(between), level);
        }

        #[test]
        fn a_pattern_repeats_after_its_period(
            pattern in prop::sample::select(&ALL[..]),
            nanos in 0_u64..100_000_000_000,
        ) {
            let since = Duration::from_nanos(nanos);
            prop_assert_eq!(pattern.level_at(since), pattern.level_at(since + pattern.period()));
        }
    }
}
