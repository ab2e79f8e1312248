use super::*;
use crate::capture::LinkState;
use crate::daemon::keys::LogState;
use crate::engine::counters::Counters;

/// A health that looks at a tap second by second.
struct Run {
    health: Health,
    start: Instant,
    second: u64,
    tap: TapReport,
    keeper: KeeperReport,
    set_up: SetUp,
    room: Option<Room>,
}

impl Run {
    fn new() -> Self {
        Self::used_to(Habit::default())
    }

    fn used_to(habit: Habit) -> Self {
        let start = Instant::now();
        Self {
            health: Health::new(habit, start),
            start,
            second: 0,
            tap: tap(1, true),
            keeper: KeeperReport::default(),
            set_up: SetUp::default(),
            room: None,
        }
    }

    fn look(&mut self) -> Verdict {
        let reports = Reports {
            tap: &self.tap,
            keeper: &self.keeper,
            keys: &KeysReport::default(),
            light: None,
            room: self.room,
            set_up: self.set_up,
        };
        let now = self.start + Duration::from_secs(self.second);
        self.health.judge(&reports, now)
    }

    /// Names of the faults at the last of so many seconds, each of which `happens` changes.
    fn pass(&mut self, seconds: u64, mut happens: impl FnMut(&mut TapReport)) -> String {
        let mut found = String::new();
        for _ in 0..seconds {
            happens(&mut self.tap);
            self.second += 1;
            found = names(&self.look()).join(" ");
        }
        found
    }
}

fn tap(received: u64, up: bool) -> TapReport {
    TapReport {
        link: Some(LinkState {
            index: 3,
            up,
            received,
            ..LinkState::default()
        }),
        ..TapReport::default()
    }
}

pub(super) fn names(verdict: &Verdict) -> Vec<&str> {
    verdict
        .faults
        .iter()
        .map(|fault| fault.name.as_str())
        .collect()
}

fn frame(tap: &mut TapReport) {
    if let Some(link) = &mut tap.link {
        link.received += 1;
    }
}

/// A request and its answer, as a mirror that is well shows them.
fn exchange(tap: &mut TapReport) {
    frame(tap);
    tap.counters.segments_to_servers += 5;
    tap.counters.segments_from_servers += 5;
    tap.counters.events += 1;
}

fn still(_: &mut TapReport) {}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

#[test]
fn a_wire_that_was_never_still_is_missed_within_half_a_minute_and_the_next_frame_ends_it() {
    let mut run = Run::new();
    assert_eq!(run.pass(60, frame), "");
    assert_eq!(run.pass(24, still), "");
    assert_eq!(run.pass(1, still), "mirror_silent");
    assert_eq!(run.pass(1, frame), "");
}

#[test]
fn a_wire_on_which_nothing_ever_came_is_waited_for_a_minute() {
    let mut run = Run::new();
    assert_eq!(run.pass(60, still), "");
    assert_eq!(run.pass(1, still), "mirror_silent");
}

#[test]
fn a_network_that_is_still_at_night_is_known_after_the_first_time() {
    let mut run = Run::new();
    run.pass(10, frame);
    assert_eq!(run.pass(40, still), "mirror_silent");
    for _ in 0..100 {
        assert_eq!(run.pass(1, frame), "");
        assert_eq!(run.pass(70, still), "");
    }
    assert_eq!(run.pass(100, still), "mirror_silent");
}

#[test]
fn an_outage_teaches_nothing_unless_it_comes_twice_a_day() {
    let mut run = Run::new();
    for _ in 0..3 {
        assert_eq!(run.pass(60, frame), "");
        assert_eq!(run.pass(25, still), "mirror_silent");
        assert_eq!(run.pass(300, still), "mirror_silent");
        assert_eq!(run.pass(DAY, frame), "");
    }
    // The second one within a day is what the network does.
    assert_eq!(run.pass(200, still), "mirror_silent");
    assert_eq!(run.pass(10, frame), "");
    assert_eq!(run.pass(200, still), "mirror_silent");
    assert_eq!(run.pass(10, frame), "");
    assert_eq!(run.pass(390, still), "");
}

#[test]
fn a_cable_that_was_out_teaches_nothing() {
    let mut run = Run::new();
    run.pass(10, frame);
    let down = |tap: &mut TapReport| tap.link.iter_mut().for_each(|link| link.up = false);
    assert_eq!(run.pass(300, down), "link_down");
    let up = |tap: &mut TapReport| tap.link.iter_mut().for_each(|link| link.up = true);
    assert_eq!(run.pass(1, up), "");
    assert_eq!(run.pass(5, frame), "");
    assert_eq!(run.pass(25, still), "mirror_silent");
}

#[test]
fn one_direction_alone_is_named() {
    for (towards, missing) in [(true, "answers"), (false, "requests")] {
        let mut run = Run::new();
        run.pass(60, exchange);
        let found = run.pass(20, |tap| {
            frame(tap);
            tap.counters.segments_to_servers += if towards { 5 } else { 0 };
            tap.counters.segments_from_servers += if towards { 0 } else { 5 };
        });
        assert_eq!(found, "one_direction");
        assert!(
            run.look().faults[0]
                .text
                .contains(&format!("{missing} are not"))
        );
        assert_eq!(run.pass(1, exchange), "");
    }
}

#[test]
fn with_heads_only_missing_answers_and_holes_are_not_judged() {
    let mut run = Run::new();
    run.set_up.heads_only = true;
    let found = run.pass(60, |tap| {
        frame(tap);
        tap.counters.segments_to_servers += 5;
        tap.counters.gaps_acknowledged += 1;
    });
    assert_eq!(found, "");
}

#[test]
fn frames_that_come_twice_are_cut_or_were_lost_are_named() {
    type Harm = fn(&mut Counters);
    let cases: [(&str, Harm); 4] = [
        ("frames_doubled", |counters| counters.segments_doubled += 3),
        ("frames_cut", |counters| counters.frames_cut += 1),
        ("frames_cut", |counters| counters.ip_cut += 1),
        ("holes", |counters| counters.gaps_acknowledged += 1),
    ];
    for (name, happens) in cases {
        let mut run = Run::new();
        run.pass(60, exchange);
        let found = run.pass(20, |tap| {
            exchange(tap);
            happens(&mut tap.counters);
        });
        assert_eq!(found, name);
        run.pass(60, exchange);
        assert_eq!(run.pass(1, exchange), "");
    }
}

#[test]
fn holes_are_the_switchs_only_where_nothing_else_explains_them() {
    let mut run = Run::new();
    let found = run.pass(20, |tap| {
        exchange(tap);
        tap.stats.dropped_kernel += 1;
        tap.counters.gaps_acknowledged += 1;
    });
    assert_eq!(found, "drops");
}

#[test]
fn what_the_interface_refused_counts_from_the_start_on() {
    let mut run = Run::new();
    let refuse = |tap: &mut TapReport, count| {
        frame(tap);
        tap.link.iter_mut().for_each(|link| link.refused += count);
    };
    assert_eq!(run.pass(1, |tap| refuse(tap, 1000)), "");
    assert_eq!(run.pass(10, |tap| refuse(tap, 0)), "");
    assert_eq!(run.pass(10, |tap| refuse(tap, 1)), "frames_refused");
}

#[test]
fn a_day_without_a_watched_host_is_a_fault_where_there_were_visitors_before() {
    let mut run = Run::new();
    run.pass(10, exchange);
    assert_eq!(run.pass(DAY - 1, frame), "");
    assert_eq!(run.pass(1, frame), "hosts_silent");
    assert_eq!(run.pass(1, exchange), "");
}

#[test]
fn a_host_that_nobody_visits_may_be_silent_for_ever_and_a_rare_one_for_longer() {
    let mut run = Run::new();
    assert_eq!(run.pass(3 * DAY, frame), "");
    let weekly = Habit {
        events: 20,
        longest_gap: Duration::from_secs(2 * DAY),
    };
    let mut run = Run::used_to(weekly);
    assert_eq!(run.pass(4 * DAY - 1, frame), "");
    assert_eq!(run.pass(1, frame), "hosts_silent");
}

#[test]
fn a_key_log_that_fell_silent_is_told_by_the_connections_without_a_key() {
    let mut run = Run::new();
    let found = run.pass(100, |tap| {
        exchange(tap);
        tap.counters.tls_no_key += 1;
    });
    assert_eq!(found, "", "there never was a key");
    run.pass(10, |tap| {
        exchange(tap);
        tap.counters.secrets += 5;
    });
    let lost = |tap: &mut TapReport| {
        exchange(tap);
        tap.counters.tls_no_key += 1;
    };
    assert_eq!(run.pass(2, lost), "");
    assert_eq!(run.pass(1, lost), "keys_silent");
    assert_eq!(run.pass(DAY / 2, exchange), "keys_silent");
    run.tap.counters.secrets += 1;
    assert_eq!(run.pass(1, exchange), "");
}

#[test]
fn a_disk_is_nearly_full_by_its_size() {
    let mut run = Run::new();
    for (free, size, found) in [
        (65 << 20, 32 << 30, ""),
        (63 << 20, 32 << 30, "disk_low"),
        (1 << 20, 4 << 20, ""),
        (100 << 10, 4 << 20, "disk_low"),
    ] {
        run.room = Some(Room { free, size });
        assert_eq!(run.pass(1, frame), found);
    }
}

#[test]
fn drops_are_shown_for_a_minute() {
    let mut run = Run::new();
    run.tap.stats.dropped_kernel = 7;
    assert_eq!(run.pass(1, frame), "drops");
    assert_eq!(run.pass(59, frame), "drops");
    assert_eq!(run.pass(1, frame), "");
}

#[test]
fn a_link_that_is_down_is_named() {
    let mut run = Run::new();
    run.tap = tap(1, false);
    assert_eq!(run.pass(1, still), "link_down");
}

#[test]
fn each_trouble_with_a_key_log_names_its_cure() {
    let keys = |path: &str, state| KeysReport {
        logs: vec![(path.into(), state)],
        ..KeysReport::default()
    };
    let denied = || LogState::Unreadable("Permission denied".into());
    for (path, state, name, cure) in [
        (
            "/var/log/tls/keys.log",
            LogState::Exposed,
            "key_log_exposed",
            "sudo chmod o-rwx /var/log/tls/keys.log",
        ),
        (
            "/var/log/tls/keys.log",
            denied(),
            "key_log_unreadable",
            "sudo chgrp canarytap /var/log/tls/keys.log",
        ),
        (
            "/home/me/keys.log",
            denied(),
            "key_log_unreadable",
            "tail -F /home/me/keys.log | canarytap keys",
        ),
        (
            "/tmp/keys.log",
            LogState::Missing,
            "key_log_missing",
            "the service sees nothing below /home",
        ),
    ] {
        let is_missing = state == LogState::Missing;
        let verdict = Verdict::default().with_keys(&keys(path, state));
        assert_eq!(verdict.warnings.len(), usize::from(is_missing));
        let remarks: Vec<_> = verdict.faults.iter().chain(&verdict.warnings).collect();
        assert_eq!((remarks.len(), remarks[0].name.as_str()), (1, name));
        assert!(remarks[0].cure.contains(cure), "{}", remarks[0].cure);
    }
    let verdict = Verdict::default().with_keys(&keys("/k", LogState::Followed));
    assert!(verdict.faults.is_empty() && verdict.warnings.is_empty());
}

#[test]
fn a_clock_that_is_not_set_and_heads_alone_are_warnings_only() {
    let mut run = Run::new();
    run.set_up = SetUp {
        clock_synchronised: Some(false),
        heads_only: true,
    };
    let verdict = run.look();
    assert!(verdict.faults.is_empty());
    assert_eq!(verdict.warnings.len(), 2);
}

#[test]
fn dropped_events_are_no_dropped_packets() {
    let mut run = Run::new();
    run.keeper.dropped.details = 1;
    assert_eq!(names(&run.look()), ["events_dropped"]);
}

#[test]
fn a_thread_that_does_not_come_back_is_named() {
    let mut run = Run::new();
    run.keeper.looked = Some(run.start);
    run.tap.looked = Some(run.start);
    assert_eq!(run.pass(9, frame), "");
    assert_eq!(run.pass(1, frame), "capture_hangs keeper_hangs");
}

#[test]
fn visits_near_their_cap_are_a_fault_while_there_is_room_left() {
    let mut run = Run::new();
    run.keeper.visits_max_bytes = 1000 << 20;
    run.keeper.visits_bytes = 799 << 20;
    assert_eq!(run.pass(1, frame), "");
    run.keeper.visits_bytes = 800 << 20;
    assert_eq!(run.pass(1, frame), "visits_cap");
}
