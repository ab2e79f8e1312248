use super::*;
use crate::daemon::keeper::tests::event;
use crate::engine::event::EventKind;

/// A clock that is set by hand, over a boot that runs.
struct Desk {
    keeper: Arc<Timekeeper>,
    evener: Evener,
    /// Seconds since the boot.
    uptime: f64,
    /// What the clock is ahead of it.
    ahead: f64,
    synchronised: Option<bool>,
}

const BOOT: &str = "b";

impl Desk {
    fn new(synchronised: Option<bool>) -> Self {
        Self::after(synchronised, 1000.0, None)
    }

    fn after(synchronised: Option<bool>, ahead: f64, before: Option<&ClockRecord>) -> Self {
        let at = moment(10.0, ahead, synchronised);
        let keeper = Arc::new(Timekeeper::begin(BOOT.into(), at, before));
        Self {
            evener: Evener::new(Arc::clone(&keeper)),
            keeper,
            uptime: 10.0,
            ahead,
            synchronised,
        }
    }

    fn pass(&mut self, seconds: f64) {
        self.uptime += seconds;
    }

    /// The main thread's look.
    fn look(&self) {
        self.keeper.look(self.moment());
    }

    fn moment(&self) -> Moment {
        moment(self.uptime, self.ahead, self.synchronised)
    }

    /// A frame of now.
    fn frame(&mut self) -> Timestamp {
        self.frame_of(self.moment().wall)
    }

    fn frame_of(&mut self, wall: Timestamp) -> Timestamp {
        let now = self.moment();
        self.evener.even(wall, || now)
    }

    fn event_at(&self, even: Timestamp) -> Event {
        let mut event = Event {
            time: even,
            ..event(1, EventKind::Visit, "GET")
        };
        self.evener.times.stamp(&mut event);
        event
    }

    fn records(&self) -> Vec<ClockRecord> {
        self.keeper.take_records()
    }
}

fn moment(uptime: f64, ahead: f64, synchronised: Option<bool>) -> Moment {
    Moment {
        wall: wall(uptime + ahead),
        uptime: Duration::from_secs_f64(uptime),
        synchronised,
    }
}

fn wall(seconds: f64) -> Timestamp {
    Timestamp::from_nanos(0).plus(Duration::from_secs_f64(seconds))
}

fn seconds_between(one: Timestamp, other: Timestamp) -> f64 {
    other.since(one).as_secs_f64() - one.since(other).as_secs_f64()
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() < 0.06
}

#[test]
fn a_clock_that_nobody_sets_needs_no_record_and_stamps_stay_as_they_are() {
    let mut desk = Desk::new(Some(true));
    for _ in 0..1000 {
        desk.pass(0.3);
        desk.look();
        let stamp = desk.moment().wall;
        let even = desk.frame();
        assert_eq!(desk.evener.times.wall_of(even), stamp);
    }
    let event = desk.event_at(desk.evener.last);
    assert_eq!(event.time, desk.moment().wall);
    assert_eq!(event.clock.boot.as_deref(), Some(BOOT));
    assert_eq!(event.clock.synchronised, Some(true));
    assert_eq!(event.clock.uptime_micros, Some(310_000_000));
    assert!(!event.flags.contains(Flags::CLOCK_UNSYNCED));
    assert_eq!(desk.records(), []);
}

#[test]
fn the_engine_is_given_time_that_runs_evenly_whichever_way_the_clock_steps() {
    for step in [3600.0, -500.0, 0.5, -0.5, 1e9, -900.0] {
        let mut desk = Desk::new(None);
        let mut last = desk.frame();
        for second in 0..60 {
            if second == 30 {
                desk.ahead += step;
            }
            for _ in 0..10 {
                desk.pass(0.1);
                let even = desk.frame();
                let passed = seconds_between(last, even);
                // A small step is found by the next look only.
                let early = second == 30 && step.abs() < 1.0;
                assert!(
                    is_near(passed, 0.1) || early,
                    "{step}: {passed} in {second}"
                );
                last = even;
            }
            desk.look();
            let now = desk.evener.now(desk.moment().uptime);
            let found_late = second == 30 && step.abs() < 1.0;
            assert!(
                is_near(seconds_between(last, now), 0.0) || found_late,
                "{step}"
            );
            last = now;
        }
        let records = desk.records();
        assert_eq!(records.len(), 1, "{step}");
        let told = records[0].step_micros.unwrap() as f64 / 1e6;
        assert!(is_near(told, step), "{told}");
        let event = desk.event_at(last);
        assert!(is_near(
            seconds_between(event.time, desk.moment().wall),
            0.0
        ));
    }
}

#[test]
fn what_was_seen_before_a_step_keeps_its_stamp_and_its_place() {
    let mut desk = Desk::new(Some(false));
    let (stamp, before) = (desk.moment().wall, desk.frame());
    desk.pass(5.0);
    let ring = desk.moment().wall; // still in the kernel's ring when the clock is set
    desk.ahead += 1e6;
    desk.synchronised = Some(true);
    desk.pass(0.2);
    let after = desk.frame();
    let late = desk.frame_of(ring);
    assert!(before < late && late < after);
    assert!(is_near(seconds_between(late, after), 0.2));

    let (first, second) = (desk.event_at(before), desk.event_at(after));
    assert_eq!(first.time, stamp);
    assert_eq!(first.clock.synchronised, Some(false));
    assert!(first.flags.contains(Flags::CLOCK_UNSYNCED));
    assert_eq!(second.clock.synchronised, Some(true));
    assert!(!second.flags.contains(Flags::CLOCK_UNSYNCED));

    let records = desk.records();
    assert_eq!(
        records.len(),
        2,
        "one for a start without, one for the change"
    );
    assert_eq!(records[0].synchronised, Some(false));
    assert_eq!(records[1].synchronised, Some(true));
    let dated = first.clock.uptime_micros.unwrap() as i64 + records[1].offset_micros;
    assert_eq!(dated, 1_001_010_000_000);
}

#[test]
fn a_clock_that_becomes_synchronised_without_a_step_is_a_record_too() {
    let mut desk = Desk::new(Some(false));
    assert_eq!(desk.records().len(), 1);
    desk.pass(30.0);
    desk.synchronised = Some(true);
    desk.look();
    let records = desk.records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].step_micros, None);
    assert_eq!(records[0].offset_micros, 1_000_000_000);
}

#[test]
fn a_clock_that_was_set_while_no_daemon_ran_is_found_at_the_start() {
    let before = Desk::new(Some(false)).records().remove(0);
    let mut desk = Desk::after(Some(true), 5000.0, Some(&before));
    let records = desk.records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].step_micros, Some(4_000_000_000));
    let even = desk.frame();
    assert_eq!(desk.event_at(even).clock.uptime_micros, Some(10_000_000));
    assert_eq!(desk.event_at(even).time, desk.moment().wall);

    let of_another_boot = ClockRecord {
        boot: "another".into(),
        ..before
    };
    let desk = Desk::after(Some(true), 5000.0, Some(&of_another_boot));
    assert_eq!(desk.records(), []);
}

#[test]
fn a_clock_that_is_set_all_the_time_fills_nothing() {
    let mut desk = Desk::new(None);
    for _ in 0..1000 {
        desk.pass(1.0);
        desk.ahead += 10.0;
        desk.look();
        let even = desk.frame();
        assert_eq!(desk.event_at(even).time, desk.moment().wall);
    }
    assert_eq!(desk.evener.times.epochs.len(), EPOCHS_MAX);
}

#[test]
fn a_stamp_that_fits_no_time_is_of_now() {
    let mut desk = Desk::new(None);
    desk.pass(100.0);
    desk.look();
    let even = desk.frame_of(wall(7.0));
    assert_eq!(desk.event_at(even).time, desk.moment().wall);
}
