//! What time it was: the clock may be set at any moment, the time since the boot only runs.
//!
//! The engine is given a time that runs evenly from the first frame on, so that a clock that is
//! set neither ends its flows nor keeps waiting what waits. What it tells is given the clock's own
//! time again, and beside it the time since the boot, by which it can be dated later.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::daemon::clock::micros_of;
use crate::daemon::health::Moment;
use crate::engine::event::{ClockState, Event, Flags};
use crate::engine::frame::Timestamp;
use crate::store::ClockRecord;

/// Keeps account of the clock, for all threads.
#[derive(Debug)]
pub struct Timekeeper {
    kept: Mutex<Kept>,
    /// Grows with each change, so that asking whether there was one costs no lock.
    round: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    times: Arc<Times>,
    /// What is to be written down.
    records: Vec<ClockRecord>,
}

impl Timekeeper {
    /// Begins at a moment. `before` is what was last written of the clock of this boot.
    pub fn begin(boot: String, at: Moment, before: Option<&ClockRecord>) -> Self {
        let (times, record) = Times::begin(boot, at, before);
        let kept = Kept {
            times: Arc::new(times),
            records: record.into_iter().collect(),
        };
        Self {
            kept: Mutex::new(kept),
            round: AtomicU64::new(0),
        }
    }

    /// Takes what the clocks say at a moment.
    pub fn look(&self, at: Moment) {
        self.look_after(None, at);
    }

    /// The same; at the even time `steady`, the clock was still as it had been.
    fn look_after(&self, steady: Option<Timestamp>, at: Moment) {
        let mut kept = self.lock();
        let times = Arc::make_mut(&mut kept.times);
        if let Some(steady) = steady {
            times.looked = times.looked.max(times.uptime_of(steady).min(at.uptime));
        }
        if let Some(record) = times.look(at) {
            kept.records.push(record);
            self.round.fetch_add(1, Ordering::Release);
        }
    }

    /// What is to be written down since this was last asked.
    pub fn take_records(&self) -> Vec<ClockRecord> {
        std::mem::take(&mut self.lock().records)
    }

    fn times(&self) -> (u64, Arc<Times>) {
        let kept = self.lock();
        (self.round.load(Ordering::Acquire), Arc::clone(&kept.times))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The times of one boot: what the clock was ahead of the time since it, and when.
#[derive(Clone, Debug, Default)]
pub struct Times {
    boot: String,
    /// What the even time is ahead of the time since the boot, in nanoseconds.
    even: i128,
    /// In order. With none, times are what they are.
    epochs: VecDeque<Epoch>,
    looked: Duration,
}

/// From one setting of the clock to the next.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    /// Begins no earlier.
    from: Duration,
    /// What the clock is ahead of the time since the boot, in nanoseconds.
    ahead: i128,
    synchronised: Option<bool>,
}

impl Times {
    fn begin(
        boot: String,
        at: Moment,
        before: Option<&ClockRecord>,
    ) -> (Self, Option<ClockRecord>) {
        let before = before.filter(|record| record.boot == boot);
        let first = Epoch {
            from: Duration::ZERO,
            ahead: before.map_or(ahead_of(at), |record| {
                i128::from(record.offset_micros) * 1000
            }),
            synchronised: before.map_or(at.synchronised, |record| record.synchronised),
        };
        let mut times = Self {
            boot,
            even: first.ahead,
            epochs: VecDeque::from([first]),
            looked: Duration::ZERO,
        };
        let changed = times.look(at);
        let unset = before.is_none() && at.synchronised == Some(false);
        let record = changed.or_else(|| unset.then(|| times.record(at, first, None)));
        (times, record)
    }

    fn look(&mut self, at: Moment) -> Option<ClockRecord> {
        let looked = self.looked;
        self.looked = looked.max(at.uptime);
        let newest = self.newest()?;
        let step = ahead_of(at) - newest.ahead;
        let stepped = step.unsigned_abs() >= STEP_MIN.as_nanos();
        if !stepped && at.synchronised == newest.synchronised {
            return None;
        }
        let epoch = Epoch {
            from: looked + Duration::from_nanos(1),
            ahead: newest.ahead + if stepped { step } else { 0 },
            synchronised: at.synchronised,
        };
        if self.epochs.len() >= EPOCHS_MAX {
            self.epochs.pop_front();
        }
        self.epochs.push_back(epoch);
        Some(self.record(at, epoch, stepped.then_some(step)))
    }

    fn record(&self, at: Moment, epoch: Epoch, step: Option<i128>) -> ClockRecord {
        let micros = |nanos: i128| i64::try_from(nanos.div_euclid(1000)).unwrap_or(0);
        ClockRecord {
            time: at.wall.to_string(),
            boot: self.boot.clone(),
            uptime_micros: micros_of(at.uptime),
            offset_micros: micros(epoch.ahead),
            step_micros: step.map(micros),
            synchronised: epoch.synchronised,
        }
    }

    fn newest(&self) -> Option<&Epoch> {
        self.epochs.back()
    }

    /// What the even time is ahead of what the clock stamps, by the newest epoch, in nanoseconds.
    fn ahead_of_newest(&self) -> i64 {
        let ahead = self.newest().map_or(0, |epoch| self.even - epoch.ahead);
        i64::try_from(ahead).unwrap_or(0) // centuries: no frame is near by that
    }

    /// The even time of what the clock stamped before `now`, by the epoch in which it can have.
    fn by_any(&self, wall: Timestamp, now: Duration) -> Timestamp {
        let wall = i128::from(wall.as_nanos());
        let latest = now + SLACK;
        let fits = |epoch: &Epoch| {
            let nanos = u64::try_from(wall - epoch.ahead).ok()?;
            let uptime = Duration::from_nanos(nanos);
            (epoch.from <= uptime && uptime <= latest).then_some(uptime)
        };
        let uptime = self.epochs.iter().rev().find_map(fits).unwrap_or(now);
        self.even_of(uptime)
    }

    fn even_of(&self, uptime: Duration) -> Timestamp {
        shifted(Timestamp::from_nanos(0), self.even + nanos_of(uptime))
    }

    fn uptime_of(&self, even: Timestamp) -> Duration {
        let nanos = u64::try_from(i128::from(even.as_nanos()) - self.even);
        Duration::from_nanos(nanos.unwrap_or(0))
    }

    fn epoch_of(&self, even: Timestamp) -> Option<(Duration, &Epoch)> {
        let uptime = self.uptime_of(even);
        let begun = |epoch: &&Epoch| epoch.from <= uptime;
        let epoch = self.epochs.iter().rev().find(begun);
        epoch.or(self.epochs.front()).map(|epoch| (uptime, epoch))
    }

    /// What the clock said at an even time.
    pub fn wall_of(&self, even: Timestamp) -> Timestamp {
        match self.epoch_of(even) {
            Some((_, epoch)) => shifted(even, epoch.ahead - self.even),
            None => even,
        }
    }

    /// Gives an event the clock's time, and says how the clock was.
    pub fn stamp(&self, event: &mut Event) {
        let Some((uptime, epoch)) = self.epoch_of(event.time) else {
            return;
        };
        event.time = shifted(event.time, epoch.ahead - self.even);
        event.clock = ClockState {
            boot: (!self.boot.is_empty()).then(|| self.boot.clone()),
            uptime_micros: Some(micros_of(uptime)),
            synchronised: epoch.synchronised,
        };
        if epoch.synchronised == Some(false) {
            event.flags = event.flags.with(Flags::CLOCK_UNSYNCED);
        }
    }
}

/// The capture thread's view: makes the stamps of frames even.
#[derive(Debug)]
pub struct Evener {
    keeper: Arc<Timekeeper>,
    round: u64,
    /// As they were when they last changed.
    pub times: Arc<Times>,
    /// What the even time is ahead of the clock's by them, in nanoseconds.
    ahead: i64,
    last: Timestamp,
}

impl Evener {
    /// One that follows `keeper`.
    pub fn new(keeper: Arc<Timekeeper>) -> Self {
        let (round, times) = keeper.times();
        let ahead = times.ahead_of_newest();
        Self {
            keeper,
            round,
            times,
            ahead,
            last: Timestamp::from_nanos(0),
        }
    }

    /// The even time of a frame. Only one whose stamp is not near that of the last asks, by
    /// `clocks`, what time it is.
    #[inline]
    pub fn even(&mut self, wall: Timestamp, clocks: impl FnOnce() -> Moment) -> Timestamp {
        self.follow();
        let near = Timestamp::from_nanos(wall.as_nanos().saturating_add_signed(self.ahead));
        if near.as_nanos().abs_diff(self.last.as_nanos()) >= NEAR_NANOS {
            return self.even_by(wall, clocks());
        }
        self.last = near;
        near
    }

    #[cold]
    fn even_by(&mut self, wall: Timestamp, now: Moment) -> Timestamp {
        self.keeper.look_after(Some(self.last), now);
        self.follow();
        self.last = self.times.by_any(wall, now.uptime);
        self.last
    }

    /// The even time now.
    pub fn now(&mut self, uptime: Duration) -> Timestamp {
        self.follow();
        self.last = self.times.even_of(uptime);
        self.last
    }

    #[inline]
    fn follow(&mut self) {
        if self.keeper.round.load(Ordering::Acquire) != self.round {
            self.follow_change();
        }
    }

    #[cold]
    fn follow_change(&mut self) {
        (self.round, self.times) = self.keeper.times();
        self.ahead = self.times.ahead_of_newest();
    }
}

fn ahead_of(at: Moment) -> i128 {
    i128::from(at.wall.as_nanos()) - nanos_of(at.uptime)
}

fn nanos_of(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::from(u64::MAX))
}

fn shifted(time: Timestamp, by: i128) -> Timestamp {
    let nanos = i128::from(time.as_nanos()) + by;
    Timestamp::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

/// Two clocks that are read one after the other differ by less; a clock that is slewed takes the
/// time since the boot with it.
const STEP_MIN: Duration = Duration::from_millis(100);
/// A frame's stamp may be so much later than what is read after it.
const SLACK: Duration = Duration::from_millis(50);
/// Frames follow each other, or the ticks of a silent wire, within this time: 1.5 s.
const NEAR_NANOS: u64 = 1_500_000_000;
/// Settings of the clock that are remembered.
const EPOCHS_MAX: usize = 16;

#[cfg(test)]
mod tests;
