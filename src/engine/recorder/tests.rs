use super::*;
use crate::event::{Detail, Event};
use crate::frame::LinkType;
use crate::limits::{FIRST_FRAMES_BYTES_MAX, LAST_FRAMES_BYTES_MAX, RECORDING_IDLE};

const MEMORY: usize = 48 << 20;

/// What was told, one line for each.
#[derive(Default)]
struct Lines(Vec<String>);

impl EventSink for Lines {
    fn on_event(&mut self, _: Event) {}
    fn on_detail(&mut self, _: Detail) {}
    fn on_settled(&mut self, _: EventId) {}
    fn on_kept(&mut self, kept: Kept<'_>) {
        self.0.push(match kept {
            Kept::Begin { recording, of } => format!("begin {} for {}", recording.0, of.0),
            Kept::Joined { of, .. } => format!("joined by {}", of.0),
            Kept::Frame { frame, events, .. } => {
                let events: Vec<u64> = events.iter().map(|id| id.0).collect();
                format!("{} {events:?}", frame.bytes[0])
            }
            Kept::Secrets { lines, .. } => format!("secrets {lines}"),
            Kept::End {
                ending,
                missed,
                from_start,
                ..
            } => format!("end {} {missed} {from_start}", ending.name()),
        });
    }
}

struct Scene {
    recorder: Recorder,
    lines: Lines,
    seconds: u64,
}

impl Scene {
    fn new() -> Self {
        let settings = KeepPackets {
            bytes_max: 1 << 20,
            secrets: true,
        };
        Self {
            recorder: Recorder::new(settings, MEMORY),
            lines: Lines::default(),
            seconds: 0,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_secs_nanos(self.seconds, 0)
    }

    /// A frame of `length` bytes that all are `name`, a second after the last.
    fn frame(&mut self, name: u8, length: usize, place: Place, told: &[u64]) {
        self.seconds += 1;
        let told: Vec<Told> = told.iter().map(|id| self.told(*id)).collect();
        let bytes = vec![name; length];
        let frame = Frame {
            time: self.now(),
            link: LinkType::Ethernet,
            wire_len: length as u32,
            bytes: &bytes,
        };
        self.recorder
            .on_frame(&place, &frame, &told, &mut self.lines);
    }

    fn told(&self, id: u64) -> Told {
        Told {
            id: EventId(id),
            time: self.now(),
            random: None,
            lines: String::new(),
        }
    }

    fn hand_over(&mut self, from: u64, to: u64, begins: bool) {
        self.recorder.hand_over(&HandOver { from, to, begins });
    }

    fn pass(&mut self, seconds: u64) {
        self.seconds += seconds;
        self.recorder.on_tick(self.now(), &mut self.lines);
    }
}

fn undecided(tag: u64) -> Place {
    Place {
        tag,
        endpoints: tag * 10,
        watched: false,
        opens: false,
        signs: Signs::default(),
        fragments: 0,
    }
}

fn opening(tag: u64) -> Place {
    Place {
        opens: true,
        ..undecided(tag)
    }
}

fn watched(tag: u64) -> Place {
    Place {
        watched: true,
        ..undecided(tag)
    }
}

fn over(tag: u64) -> Place {
    let signs = Signs {
        over: true,
        ..Signs::default()
    };
    Place {
        signs,
        ..watched(tag)
    }
}

#[test]
fn a_visit_has_the_frames_before_it_and_those_after_it() {
    let mut scene = Scene::new();
    scene.frame(1, 60, opening(7), &[]);
    scene.frame(99, 60, opening(8), &[]);
    scene.frame(2, 60, undecided(7), &[]);
    scene.frame(3, 60, watched(7), &[5]);
    scene.frame(4, 60, watched(7), &[]);
    scene.frame(5, 60, over(7), &[]);
    scene.pass(2);
    assert_eq!(
        scene.lines.0,
        [
            "begin 2 for 5",
            "1 []",
            "2 []",
            "3 [5]",
            "4 []",
            "5 []",
            "end closed 0 true"
        ]
    );
}

#[test]
fn a_connection_that_is_watched_and_has_no_visit_says_nothing() {
    let mut scene = Scene::new();
    scene.frame(1, 60, opening(7), &[]);
    scene.frame(2, 60, watched(7), &[]);
    scene.frame(3, 60, over(7), &[]);
    assert!(scene.recorder.bytes() > 0);
    scene.pass(100);
    assert!(scene.lines.0.is_empty());
    assert_eq!(scene.recorder.bytes(), 0);
}

#[test]
fn a_visit_that_is_told_late_has_its_frames_all_the_same() {
    let mut scene = Scene::new();
    scene.frame(1, 60, opening(7), &[]);
    scene.frame(2, 60, watched(7), &[]);
    scene.frame(3, 60, over(7), &[]);
    scene.pass(50);
    let mut told = scene.told(5);
    told.time = Timestamp::from_secs_nanos(2, 0);
    told.random = Some([9; 32]);
    told.lines = "keys".into();
    scene.recorder.on_told(70, None, &told, &mut scene.lines);
    scene.pass(1);
    assert_eq!(
        scene.lines.0,
        [
            "begin 2 for 5",
            "secrets keys",
            "1 []",
            "2 [5]",
            "3 []",
            "end closed 0 true"
        ]
    );
    assert_eq!(scene.recorder.recording_of(&[9; 32]), None);
}

#[test]
fn visits_on_one_connection_share_its_frames() {
    let mut scene = Scene::new();
    scene.frame(1, 60, opening(7), &[]);
    scene.frame(2, 60, watched(7), &[5, 6]);
    scene.frame(3, 60, watched(7), &[8]);
    scene.recorder.finish(&mut scene.lines);
    assert_eq!(
        scene.lines.0,
        [
            "begin 2 for 5",
            "1 []",
            "2 [5]",
            "joined by 6",
            "joined by 8",
            "3 [8]",
            "end stopped 0 true"
        ]
    );
}

#[test]
fn a_visit_after_a_long_silence_has_a_recording_of_its_own_with_the_handshake() {
    let mut scene = Scene::new();
    scene.frame(1, 60, opening(7), &[]);
    scene.frame(2, 60, watched(7), &[5]);
    scene.frame(3, 60, watched(7), &[]);
    scene.pass(RECORDING_IDLE.as_secs());
    scene.lines.0.clear();
    scene.frame(4, 60, watched(7), &[6]);
    scene.pass(RECORDING_IDLE.as_secs());
    assert_eq!(
        scene.lines.0,
        ["begin 3 for 6", "1 []", "2 []", "4 [6]", "end idle 1 true"]
    );
}

#[test]
fn another_connection_of_the_same_ports_has_nothing_of_the_first() {
    let mut scene = Scene::new();
    scene.frame(1, 60, opening(7), &[]);
    scene.frame(2, 60, watched(7), &[5]);
    scene.frame(3, 60, opening(7), &[]);
    scene.frame(4, 60, watched(7), &[6]);
    scene.recorder.finish(&mut scene.lines);
    assert_eq!(
        scene.lines.0,
        [
            "begin 2 for 5",
            "1 []",
            "2 [5]",
            "end closed 0 true",
            "begin 4 for 6",
            "3 []",
            "4 [6]",
            "end stopped 0 true"
        ]
    );
}

#[test]
fn a_file_ends_at_its_bound() {
    let mut scene = Scene::new();
    scene.recorder.settings.bytes_max = 3000;
    scene.frame(1, 60, opening(7), &[]);
    scene.frame(2, 1000, watched(7), &[5]);
    scene.frame(3, 1500, watched(7), &[]);
    scene.frame(4, 1500, watched(7), &[]);
    scene.frame(5, 1500, watched(7), &[]);
    assert_eq!(
        scene.lines.0,
        [
            "begin 2 for 5",
            "1 []",
            "2 [5]",
            "3 []",
            "4 []",
            "end size 0 true"
        ]
    );
}

#[test]
fn of_a_long_connection_the_first_and_the_last_frames_are_kept_and_the_rest_is_counted() {
    let mut scene = Scene::new();
    scene.frame(1, 60, opening(7), &[]);
    for _ in 0..1000 {
        scene.frame(2, 1400, watched(7), &[]);
    }
    assert!(scene.recorder.bytes() <= FIRST_FRAMES_BYTES_MAX + LAST_FRAMES_BYTES_MAX + 4096);
    scene.frame(3, 60, watched(7), &[5]);
    scene.recorder.finish(&mut scene.lines);
    let lines = scene.lines.0;
    assert_eq!(lines[1], "1 []");
    assert_eq!(lines[lines.len() - 2], "3 [5]");
    let missed = 1002 - (lines.len() - 2);
    assert!(missed > 500);
    assert_eq!(lines[lines.len() - 1], format!("end stopped {missed} true"));
}

#[test]
fn fragments_stand_before_the_frame_that_completes_them() {
    let mut scene = Scene::new();
    let piece = |scene: &mut Scene, name: u8, tag| {
        let frame = Frame {
            time: scene.now(),
            link: LinkType::Ethernet,
            wire_len: 60,
            bytes: &[name; 60],
        };
        scene.recorder.on_fragment(tag, &frame);
    };
    let completing = |place: Place, fragments| Place { fragments, ..place };
    piece(&mut scene, 1, 70);
    piece(&mut scene, 99, 71);
    scene.frame(2, 60, completing(opening(7), 70), &[]);
    piece(&mut scene, 3, 72);
    scene.frame(4, 60, completing(watched(7), 72), &[5]);
    piece(&mut scene, 5, 73);
    scene.frame(6, 60, completing(watched(7), 73), &[]);
    scene.recorder.finish(&mut scene.lines);
    assert_eq!(
        scene.lines.0,
        [
            "begin 2 for 5",
            "1 []",
            "2 []",
            "3 []",
            "4 [5]",
            "5 []",
            "6 []",
            "end stopped 0 true"
        ]
    );
}

#[test]
fn half_open_floods_and_watched_crowds_stay_within_the_bound() {
    let mut scene = Scene::new();
    for tag in 1..200_000 {
        scene.frame(1, 60, opening(tag), &[]);
    }
    for tag in 1..20_000 {
        scene.frame(2, 1400, watched(tag), &[]);
    }
    assert!(scene.recorder.heap_bytes() <= Recorder::share_of(MEMORY));
    assert!(scene.recorder.dropped() > 0);
}

#[test]
fn too_many_recordings_end_the_oldest() {
    let mut scene = Scene::new();
    for tag in 1..=RECORDINGS_MAX as u64 + 1 {
        scene.frame(1, 60, opening(tag), &[]);
        scene.frame(2, 60, watched(tag), &[tag]);
    }
    let ends = scene.lines.0.iter().filter(|line| line.starts_with("end"));
    assert_eq!(ends.collect::<Vec<_>>(), ["end crowded 0 true"]);
}

#[test]
fn what_came_before_a_connection_began_is_its_first_frame_once_it_does() {
    let mut scene = Scene::new();
    scene.frame(1, 60, undecided(9), &[]);
    scene.frame(99, 60, undecided(8), &[]);
    scene.hand_over(9, 7, true);
    scene.frame(2, 60, undecided(7), &[]);
    scene.frame(3, 60, watched(7), &[5]);
    scene.recorder.finish(&mut scene.lines);
    assert_eq!(
        scene.lines.0,
        [
            "begin 2 for 5",
            "1 []",
            "2 []",
            "3 [5]",
            "end stopped 0 true"
        ]
    );
}

#[test]
fn a_connection_that_turns_out_to_be_another_brings_its_frames_along() {
    let mut scene = Scene::new();
    scene.frame(1, 60, opening(7), &[]);
    scene.frame(2, 60, opening(9), &[]);
    scene.hand_over(9, 7, false);
    scene.frame(3, 60, watched(7), &[]);
    scene.frame(4, 60, opening(10), &[]);
    scene.hand_over(10, 7, false);
    scene.frame(5, 60, watched(7), &[5]);
    scene.recorder.finish(&mut scene.lines);
    assert_eq!(
        scene.lines.0,
        [
            "begin 2 for 5",
            "1 []",
            "2 []",
            "3 []",
            "4 []",
            "5 [5]",
            "end stopped 0 true"
        ]
    );
}

fn settled(tag: u64) -> Place {
    let mut place = over(tag);
    place.signs.settled = true;
    place
}

#[test]
fn what_is_settled_without_a_visit_is_forgotten_at_once() {
    let mut scene = Scene::new();
    scene.frame(1, 60, watched(1), &[]);
    for tag in 2..10_000 {
        scene.frame(1, 1500, watched(tag), &[]);
        scene.frame(2, 60, over(tag), &[]);
        assert!(scene.recorder.knows(tag));
        scene.frame(3, 60, settled(tag), &[]);
        assert!(!scene.recorder.knows(tag));
        scene.frame(4, 60, settled(tag), &[]);
        assert!(!scene.recorder.knows(tag), "a late frame");
    }
    assert!(scene.recorder.knows(1));
    assert_eq!(scene.recorder.dropped(), 0);
    assert!(scene.recorder.order.len() < 100);
}

#[test]
fn what_is_settled_with_a_visit_goes_on_for_late_frames() {
    let mut scene = Scene::new();
    scene.frame(1, 60, watched(7), &[5]);
    scene.frame(2, 60, settled(7), &[]);
    scene.frame(3, 60, settled(7), &[]);
    assert!(scene.recorder.knows(7));
}
