//! Secrets that wait for their connection, and connections that wait for their secrets.
//!
//! Whether a line of a key log or the packets come first is chance: the log may be carried over a
//! network, and mirrors lag. So lines wait [`SECRET_WAIT`] for a hello, and connections to watched
//! hosts wait as long for lines. A connection takes copies of what it uses and forgets them with
//! itself; nothing here outlives its time, and nothing is written anywhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::app::tls::closed::Closed;
use crate::app::tls::keylog::{KeyLabel, KeyLogEntry, Secret};
use crate::frame::Timestamp;
use crate::limits::{SECRET_WAIT, SECRETS_WAITING_MAX};
use crate::transport::FlowKey;

/// What key logs name a connection by: the random bytes of its ClientHello.
pub type ClientRandom = [u8; 32];

/// Who is to be called when a secret comes or a time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiter {
    /// The connections of this key.
    Flow(FlowKey),
    /// A connection that is over and still waits for its keys, by its number.
    Closed(u64),
    /// A QUIC connection, by its number.
    Quic(u64),
}

/// Lines of key logs and those who wait for them.
#[derive(Debug, Default)]
pub struct Secrets {
    followed: bool,
    kept: bool,
    lines: BTreeMap<(ClientRandom, KeyLabel), Line>,
    /// The same in the order in which they came; some of them are gone already.
    arrivals: VecDeque<(Timestamp, ClientRandom, KeyLabel)>,
    waiters: BTreeSet<(ClientRandom, Waiter)>,
    alarms: BTreeSet<(Timestamp, Waiter)>,
    closed: Closed,
}

#[derive(Debug)]
struct Line {
    secret: Secret,
    came: Timestamp,
}

impl Secrets {
    /// From now on key logs are expected: what a hello alone says is told later, in case its
    /// request can be read. The first line says so too.
    pub fn follow(&mut self) {
        self.followed = true;
    }

    /// Keeps every line until the end, however many: all are known before the packets come.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Whether keys may come.
    pub fn are_followed(&self) -> bool {
        self.followed
    }

    /// Takes a line in; who waits for it, and how many lines had to go for it.
    pub fn add(&mut self, entry: &KeyLogEntry, now: Timestamp) -> (Vec<Waiter>, u64) {
        self.followed = true;
        let (random, label) = (entry.client_random, entry.label);
        let line = Line {
            secret: entry.secret,
            came: now,
        };
        self.lines.insert((random, label), line);
        if !self.kept {
            self.arrivals.push_back((now, random, label));
        }
        let dropped = self.shrink();
        (self.waiting_for(&random), dropped)
    }

    /// A secret of a connection, if its line is here.
    pub fn find(&self, random: &ClientRandom, label: KeyLabel) -> Option<Secret> {
        self.lines.get(&(*random, label)).map(|line| line.secret)
    }

    /// Calls `waiter` whenever a secret of this connection comes.
    pub fn wait_for(&mut self, random: &ClientRandom, waiter: Waiter) {
        self.waiters.insert((*random, waiter));
    }

    /// Does so no more.
    pub fn cease(&mut self, random: &ClientRandom, waiter: Waiter) {
        self.waiters.remove(&(*random, waiter));
    }

    /// Calls `waiter` once the second time has come, and no more at the first.
    pub fn move_alarm(&mut self, from: Option<Timestamp>, to: Option<Timestamp>, waiter: Waiter) {
        if let Some(time) = from {
            self.alarms.remove(&(time, waiter));
        }
        if let Some(time) = to {
            self.alarms.insert((time, waiter));
        }
    }

    /// The next of those whose time has come.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Waiter> {
        let (time, _) = self.alarms.first()?;
        if *time > now {
            return None;
        }
        self.alarms.pop_first().map(|(_, waiter)| waiter)
    }

    /// Forgets a connection's lines: nobody will use them.
    pub fn forget(&mut self, random: &ClientRandom) {
        if !self.kept && self.waiting_for(random).is_empty() {
            for key in self.keys(random) {
                self.lines.remove(&key);
            }
        }
    }

    /// Forgets the lines that have waited long enough, and how many they were.
    pub fn expire(&mut self, now: Timestamp) -> u64 {
        let before = self.lines.len();
        self.start_clock(now);
        while let Some((came, ..)) = self.arrivals.front() {
            if came.plus(SECRET_WAIT) > now {
                break;
            }
            self.drop_oldest();
        }
        (before - self.lines.len()) as u64
    }

    /// Connections that are over and wait.
    pub(super) fn closed(&mut self) -> &mut Closed {
        &mut self.closed
    }

    /// The capture ends: no connection waits beyond its own end.
    pub fn end(&mut self) {
        self.closed.end();
    }

    /// Lines that are here.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        self.lines.len() * LINE_BYTES
            + self.arrivals.capacity() * size_of::<(Timestamp, ClientRandom, KeyLabel)>()
            + self.waiters.len() * WAITER_BYTES
            + self.alarms.len() * WAITER_BYTES
            + self.closed.heap_bytes()
    }

    /// Lines that came before capture time began to run wait from now on.
    fn start_clock(&mut self, now: Timestamp) {
        if self.arrivals.front().map(|(came, ..)| *came) != Some(Timestamp::default()) {
            return;
        }
        for (came, random, label) in &mut self.arrivals {
            if *came == Timestamp::default() {
                *came = now;
                if let Some(line) = self.lines.get_mut(&(*random, *label)) {
                    line.came = now;
                }
            }
        }
    }

    fn waiting_for(&self, random: &ClientRandom) -> Vec<Waiter> {
        let from = (*random, Waiter::FIRST);
        let all = self.waiters.range(from..);
        all.take_while(|(one, _)| one == random)
            .map(|(_, waiter)| *waiter)
            .collect()
    }

    fn keys(&self, random: &ClientRandom) -> Vec<(ClientRandom, KeyLabel)> {
        let [first, last] = KeyLabel::ENDS;
        let all = self.lines.range((*random, first)..=(*random, last));
        all.map(|(key, _)| *key).collect()
    }

    /// Within the bound: the oldest go.
    fn shrink(&mut self) -> u64 {
        let before = self.lines.len();
        while self.arrivals.len() > SECRETS_WAITING_MAX {
            self.drop_oldest();
        }
        (before - self.lines.len()) as u64
    }

    fn drop_oldest(&mut self) {
        let Some((came, random, label)) = self.arrivals.pop_front() else {
            return;
        };
        let key = (random, label);
        if self.lines.get(&key).is_some_and(|line| line.came == came) {
            self.lines.remove(&key);
        }
    }
}

impl Waiter {
    /// The least of all.
    const FIRST: Self = Self::Flow(FlowKey::FIRST);
}

/// A line in a tree whose nodes are three quarters full.
const LINE_BYTES: usize = size_of::<((ClientRandom, KeyLabel), Line)>() * 4 / 3;
/// The same of one who waits.
const WAITER_BYTES: usize = size_of::<(ClientRandom, Waiter)>() * 4 / 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(random: u8, label: KeyLabel) -> KeyLogEntry {
        KeyLogEntry {
            client_random: [random; 32],
            label,
            secret: Secret::new(&[9; 48]).unwrap(),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs_nanos(seconds, 0)
    }

    const LABEL: KeyLabel = KeyLabel::ClientTraffic;

    #[test]
    fn a_line_waits_a_minute_for_its_connection() {
        let mut secrets = Secrets::default();
        assert!(!secrets.are_followed());
        secrets.add(&entry(1, LABEL), at(100));
        assert!(secrets.are_followed());
        assert_eq!(secrets.expire(at(159)), 0);
        assert!(secrets.find(&[1; 32], LABEL).is_some());
        assert!(secrets.find(&[1; 32], KeyLabel::ServerTraffic).is_none());
        assert_eq!(secrets.expire(at(160)), 1);
        assert!(secrets.find(&[1; 32], LABEL).is_none());
    }

    #[test]
    fn a_line_that_comes_again_waits_anew() {
        let mut secrets = Secrets::default();
        secrets.add(&entry(1, LABEL), at(100));
        secrets.add(&entry(1, LABEL), at(130));
        assert_eq!(secrets.expire(at(165)), 0);
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets.expire(at(190)), 1);
    }

    #[test]
    fn those_who_wait_are_called_by_their_connection_only() {
        let mut secrets = Secrets::default();
        let (one, two) = (Waiter::Closed(1), Waiter::Closed(2));
        secrets.wait_for(&[1; 32], one);
        secrets.wait_for(&[1; 32], two);
        secrets.wait_for(&[2; 32], two);
        assert_eq!(secrets.add(&entry(1, LABEL), at(0)).0, [one, two]);
        secrets.cease(&[1; 32], one);
        assert_eq!(secrets.add(&entry(1, LABEL), at(0)).0, [two]);
        assert_eq!(secrets.add(&entry(3, LABEL), at(0)).0, []);
    }

    #[test]
    fn alarms_ring_in_the_order_of_their_times() {
        let mut secrets = Secrets::default();
        secrets.move_alarm(None, Some(at(5)), Waiter::Closed(2));
        secrets.move_alarm(None, Some(at(10)), Waiter::Closed(1));
        secrets.move_alarm(None, Some(at(15)), Waiter::Closed(3));
        secrets.move_alarm(Some(at(5)), Some(at(20)), Waiter::Closed(2));
        secrets.move_alarm(Some(at(15)), None, Waiter::Closed(3));
        assert_eq!(secrets.take_due(at(9)), None);
        assert_eq!(secrets.take_due(at(20)), Some(Waiter::Closed(1)));
        assert_eq!(secrets.take_due(at(20)), Some(Waiter::Closed(2)));
        assert_eq!(secrets.take_due(at(20)), None);
    }

    #[test]
    fn lines_are_forgotten_when_nobody_waits_for_them() {
        let mut secrets = Secrets::default();
        secrets.add(&entry(1, LABEL), at(0));
        secrets.wait_for(&[1; 32], Waiter::Closed(1));
        secrets.forget(&[1; 32]);
        assert_eq!(secrets.len(), 1);
        secrets.cease(&[1; 32], Waiter::Closed(1));
        secrets.forget(&[1; 32]);
        assert!(secrets.is_empty());
    }

    #[test]
    fn of_too_many_lines_the_oldest_go() {
        let mut secrets = Secrets::default();
        let mut dropped = 0;
        for number in 0..=SECRETS_WAITING_MAX as u64 {
            let mut entry = entry(0, LABEL);
            entry.client_random[..8].copy_from_slice(&number.to_be_bytes());
            dropped += secrets.add(&entry, at(0)).1;
        }
        assert_eq!((secrets.len(), dropped), (SECRETS_WAITING_MAX, 1));
        assert!(secrets.find(&[0; 32], LABEL).is_none());
        assert!(secrets.heap_bytes() < 24 << 20, "{}", secrets.heap_bytes());
    }

    #[test]
    fn lines_that_come_before_any_packet_wait_from_the_first_one_on() {
        let mut secrets = Secrets::default();
        secrets.add(&entry(1, LABEL), Timestamp::default());
        assert_eq!(secrets.expire(at(10_000)), 0);
        assert_eq!(secrets.expire(at(10_059)), 0);
        assert_eq!(secrets.expire(at(10_060)), 1);
    }

    #[test]
    fn a_replay_keeps_every_line() {
        let mut secrets = Secrets::default();
        secrets.keep();
        secrets.add(&entry(1, LABEL), at(0));
        assert_eq!(secrets.expire(at(10_000)), 0);
    }
}
