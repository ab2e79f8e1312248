//! How long what is found may wait for the disk.
//!
//! Each commit costs a card several blocks, however little it holds, and background requests come
//! all day. So only so many commits are made for them: a few at once, while somebody may be
//! looking, and then one each quarter of an hour. Visits never wait, and take along what does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::engine::event::{EventId, EventKind};
use crate::store::Incoming;

/// Commits for background requests that may be made.
#[derive(Debug)]
pub struct Pace {
    /// How many may be made at once.
    left: u32,
    /// When the last one was added.
    added: Instant,
    /// Visits of which more may be learned.
    visits: BTreeSet<EventId>,
}

impl Pace {
    /// None was made yet.
    pub fn new(now: Instant) -> Self {
        Self {
            left: COMMITS_AT_ONCE,
            added: now,
            visits: BTreeSet::new(),
        }
    }

    /// How long an entry may wait.
    pub fn wait_of(&mut self, entry: &Incoming, now: Instant) -> Duration {
        match entry {
            Incoming::Event(event) if event.kind == EventKind::Request => self.of_requests(now),
            Incoming::Event(event) => {
                self.visits.insert(event.id);
                if self.visits.len() > VISITS_MAX {
                    self.visits.pop_first();
                }
                Duration::ZERO
            }
            Incoming::Detail(detail) if self.visits.contains(&detail.of) => DETAILS_WAIT,
            Incoming::Evidence(_) => DETAILS_WAIT,
            Incoming::Detail(_) => self.of_requests(now),
            Incoming::Settled(id) => {
                self.visits.remove(id);
                self.of_requests(now)
            }
        }
    }

    /// A commit was made; `in_passing`: not for background requests alone.
    pub fn spend(&mut self, in_passing: bool, now: Instant) {
        self.refill(now);
        if !in_passing {
            self.left = self.left.saturating_sub(1);
        }
    }

    fn refill(&mut self, now: Instant) {
        while self.left < COMMITS_AT_ONCE && now.duration_since(self.added) >= COMMIT_EVERY {
            self.left += 1;
            self.added += COMMIT_EVERY;
        }
        if self.left == COMMITS_AT_ONCE {
            self.added = now;
        }
    }

    fn of_requests(&mut self, now: Instant) -> Duration {
        self.refill(now);
        match self.left {
            0 => (COMMIT_EVERY - now.duration_since(self.added)).max(REQUESTS_WAIT),
            _ => REQUESTS_WAIT,
        }
    }
}

/// Background requests are on disk after this time, as long as commits are left.
const REQUESTS_WAIT: Duration = Duration::from_secs(5);
/// What is learned of a visit is on disk after this time.
const DETAILS_WAIT: Duration = Duration::from_secs(1);
/// Two minutes of unceasing requests.
const COMMITS_AT_ONCE: u32 = 24;
/// 96 a day: with those at once, and 10,000 requests, under 20 MiB of blocks on ext4.
const COMMIT_EVERY: Duration = Duration::from_secs(15 * 60);
/// As many as a store remembers.
const VISITS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::keeper::tests::event;
    use crate::engine::event::{Detail, Learned};
    use crate::engine::frame::Timestamp;

    fn request(id: u64) -> Incoming {
        Incoming::Event(event(id, EventKind::Request, "GET"))
    }

    fn status(id: u64) -> Incoming {
        Incoming::Detail(Detail {
            of: EventId(id),
            time: Timestamp::from_nanos(0),
            learned: Learned::Status { status: 200 },
        })
    }

    #[test]
    fn a_day_of_requests_brings_no_more_commits_than_the_card_bears() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let (mut due, mut commits, mut longest) = (None, 0, Duration::ZERO);
        for second in (0..86_400).step_by(8) {
            let now = start + Duration::from_secs(second);
            if due.is_some_and(|due| due <= now) {
                pace.spend(false, now);
                (due, commits) = (None, commits + 1);
            }
            let wait = pace.wait_of(&request(second), now);
            longest = longest.max(wait);
            due = Some(due.map_or(now + wait, |due: Instant| due.min(now + wait)));
        }
        assert!((100..=121).contains(&commits), "{commits}");
        assert!(longest <= COMMIT_EVERY);
    }

    #[test]
    fn few_requests_are_on_disk_after_seconds() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for hour in 0..24 {
            let now = start + Duration::from_secs(hour * 3600);
            assert_eq!(pace.wait_of(&request(hour), now), REQUESTS_WAIT);
            assert_eq!(pace.wait_of(&status(hour), now), REQUESTS_WAIT);
            pace.spend(false, now);
            pace.spend(false, now);
        }
    }

    #[test]
    fn visits_and_what_is_learned_of_them_never_wait_for_a_commit_that_is_left() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..100 {
            pace.spend(false, start);
        }
        assert!(pace.wait_of(&request(1), start) > Duration::from_secs(600));
        let visit = Incoming::Event(event(2, EventKind::Visit, "HEAD"));
        assert_eq!(pace.wait_of(&visit, start), Duration::ZERO);
        assert_eq!(pace.wait_of(&status(2), start), DETAILS_WAIT);
        pace.wait_of(&Incoming::Settled(EventId(2)), start);
        assert!(pace.wait_of(&status(2), start) > DETAILS_WAIT);
    }
}
