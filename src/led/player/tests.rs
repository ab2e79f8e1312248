use tokio::task::JoinHandle as Task;
use tokio::time::{sleep, sleep_until};

use super::*;
use crate::led::Leds;
use crate::led::memory::MemoryLed;

/// A player over lights that remember, in paused time.
struct Bench {
    alert: MemoryLed,
    armed: MemoryLed,
    flash: MemoryLed,
    state: watch::Sender<LightState>,
    activity: Activity,
    fault: watch::Receiver<Option<LedError>>,
    task: Task<()>,
    begun: Instant,
}

impl Bench {
    fn new(state: LightState) -> Self {
        let [alert, armed, flash] = [(); 3].map(|()| MemoryLed::default());
        let leds: Leds = vec![
            (LightRole::Alert, Box::new(alert.clone())),
            (LightRole::Armed, Box::new(armed.clone())),
            (LightRole::Activity, Box::new(flash.clone())),
        ];
        let (state, receiver) = watch::channel(state);
        let (sender, fault) = watch::channel(None);
        let activity = Activity::default();
        let task = tokio::spawn(play(
            Lights::new("memory", leds),
            receiver,
            activity.clone(),
            sender,
            sleep_until,
        ));
        Self {
            alert,
            armed,
            flash,
            state,
            activity,
            fault,
            task,
            begun: Instant::now(),
        }
    }

    fn alert(&self, alert: Option<AlertKind>) {
        self.state.send_modify(|state| state.alert = alert);
    }

    fn armed(&self, armed: Armed) {
        self.state.send_modify(|state| state.armed = armed);
    }

    /// Changes as milliseconds since the bench was made, `+` lit, `-` dark.
    fn changes(&self, led: &MemoryLed) -> Vec<String> {
        led.changes()
            .into_iter()
            .map(|(time, on)| {
                let sign = if on { '+' } else { '-' };
                format!("{sign}{}", (time - self.begun).as_millis())
            })
            .collect()
    }

    async fn end(self) {
        drop(self.state);
        self.task.await.unwrap();
    }
}

async fn pass(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn an_alert_lights_at_once_and_blinks_until_it_is_acknowledged() {
    let bench = Bench::new(LightState::default());
    pass(500).await;
    bench.alert(Some(AlertKind::Head));
    pass(2_100).await;
    bench.alert(None);
    pass(5_000).await;
    assert_eq!(
        bench.changes(&bench.alert),
        ["+500", "-1200", "+2500", "-2600"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_newest_alert_decides_and_begins_its_pattern_at_once() {
    let bench = Bench::new(LightState::default());
    pass(1).await;
    bench.alert(Some(AlertKind::Head));
    pass(1_000).await; // in the pause
    bench.alert(Some(AlertKind::Get));
    pass(1_000).await;
    assert_eq!(
        bench.changes(&bench.alert),
        ["+1", "-701", "+1001", "-1151", "+1351", "-1501"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_further_alert_of_the_same_kind_leaves_the_rhythm_alone() {
    let bench = Bench::new(LightState::default());
    bench.alert(Some(AlertKind::Head));
    pass(300).await;
    bench.alert(Some(AlertKind::Head));
    pass(500).await;
    assert_eq!(bench.changes(&bench.alert), ["+0", "-700"]);
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_waited_before_the_start_blinks_from_the_start() {
    let bench = Bench::new(LightState {
        alert: Some(AlertKind::Other),
        armed: Armed::Dark,
    });
    pass(900).await;
    assert_eq!(
        bench.changes(&bench.alert),
        ["+0", "-150", "+350", "-500", "+700", "-850"]
    );
}

#[tokio::test(start_paused = true)]
async fn armed_flashes_while_all_is_well_and_blinks_on_a_fault() {
    let bench = Bench::new(LightState::default());
    bench.armed(Armed::Ok);
    pass(3_500).await;
    bench.armed(Armed::Fault);
    pass(350).await;
    bench.armed(Armed::Dark);
    pass(10_000).await;
    assert_eq!(
        bench.changes(&bench.armed),
        [
            "+0", "-60", "+3000", "-3060", "+3500", "-3600", "+3700", "-3800"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn one_light_changing_leaves_the_others_rhythm_alone() {
    let bench = Bench::new(LightState::default());
    bench.armed(Armed::Ok);
    pass(1_000).await;
    bench.alert(Some(AlertKind::Get));
    pass(2_010).await;
    assert_eq!(bench.changes(&bench.armed), ["+0", "-60", "+3000"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_gives_one_flash() {
    let bench = Bench::new(LightState::default());
    pass(100).await;
    bench.activity.pulse();
    pass(1_000).await;
    assert_eq!(bench.changes(&bench.flash), ["+100", "-160"]);
}

#[tokio::test(start_paused = true)]
async fn many_requests_give_flashes_that_can_be_told_apart() {
    let bench = Bench::new(LightState::default());
    for _ in 0..250 {
        bench.activity.pulse();
        pass(1).await;
    }
    pass(1_000).await;
    assert_eq!(
        bench.changes(&bench.flash),
        ["+0", "-60", "+120", "-180", "+240", "-300", "+360", "-420"] // the last was asked for in between
    );
}

#[tokio::test(start_paused = true)]
async fn an_alert_goes_before_flashes() {
    let bench = Bench::new(LightState::default());
    bench.activity.pulse();
    pass(10).await;
    bench.activity.pulse();
    bench.alert(Some(AlertKind::Get));
    pass(1).await;
    assert_eq!(bench.changes(&bench.alert), ["+10"]);
}

#[tokio::test(start_paused = true)]
async fn all_lights_are_dark_at_the_end() {
    let bench = Bench::new(LightState {
        alert: Some(AlertKind::Head),
        armed: Armed::Fault,
    });
    bench.activity.pulse();
    pass(10).await;
    let leds = [&bench.alert, &bench.armed, &bench.flash].map(Clone::clone);
    assert!(leds.iter().all(MemoryLed::lit));
    bench.end().await;
    assert!(!leds.iter().any(MemoryLed::lit));
}

#[tokio::test(start_paused = true)]
async fn a_light_that_fails_is_a_fault_until_it_works_again() {
    let mut bench = Bench::new(LightState::default());
    bench.alert.fail(true);
    bench.alert(Some(AlertKind::Head));
    pass(10).await;
    assert!(bench.fault.borrow_and_update().is_some());
    bench.alert.fail(false);
    pass(2_000).await;
    assert_eq!(*bench.fault.borrow_and_update(), None);
    assert!(bench.alert.lit());
}

#[test]
fn a_method_decides_the_kind() {
    assert_eq!(AlertKind::of_method(Some("HEAD")), AlertKind::Head);
    assert_eq!(AlertKind::of_method(Some("GET")), AlertKind::Get);
    assert_eq!(AlertKind::of_method(Some("POST")), AlertKind::Other);
    assert_eq!(AlertKind::of_method(None), AlertKind::Other);
}

#[test]
fn a_player_on_its_thread_lights_and_frees_its_lights_when_it_is_dropped() {
    let led = MemoryLed::default();
    let (state, wanted) = watch::channel(LightState::default());
    for _ in 0..2 {
        let leds: Leds = vec![(LightRole::Alert, Box::new(led.clone()))];
        let lights = Lights::new("memory", leds);
        let player = Player::start(lights, wanted.clone(), Activity::default()).unwrap();
        state.send_modify(|state| state.alert = Some(AlertKind::Head));
        while !led.lit() {
            thread::yield_now();
        }
        assert_eq!(player.fault(), None);
        drop(player);
        assert!(!led.lit());
    }
}
