//! `canarytap led`: tries the lights with the player that the daemon has.

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::runtime::Builder;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use crate::cli::{CommandResult, Failure, Globals, Outcome, tell};
use crate::config::{LedConfig, LedDriver, LightRole};
use crate::led::{
    self, Activity, AlertKind, Armed, LedError, LightState, Lights, above, play, role_name,
};

/// Arguments of `led`.
#[derive(Clone, Debug, Args)]
pub struct LedArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Action {
    /// Play each configured light in turn. The daemon must not be running
    Test,
    /// Make each configured light dark: after a daemon that was killed
    #[command(hide = true)]
    Clear,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &LedArgs) -> CommandResult {
    let config = globals.load_config()?.led;
    let lights = led::open(&config).map_err(|error| Failure::Bad(error.to_string()))?;
    match args.action {
        Action::Test => test(&config, lights),
        Action::Clear => Ok(Outcome::Done), // opened dark, and freed here
    }
}

fn test(config: &LedConfig, lights: Lights) -> CommandResult {
    lights.remarks().iter().for_each(|remark| tell(remark));
    if lights.driver() == "none" {
        return Ok(nothing_to_play(config));
    }
    tell(&format!("led.driver is {}", lights.driver()));
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(until_interrupted(config, lights))
}

/// No lights are what was asked for, or they are missing.
fn nothing_to_play(config: &LedConfig) -> Outcome {
    if config.driver == LedDriver::None {
        tell("led.driver is none: there is no light to play");
        return Outcome::Done;
    }
    Outcome::Bad
}

async fn until_interrupted(config: &LedConfig, lights: Lights) -> CommandResult {
    let mut out = io::stdout();
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        result = perform(config, lights, &mut out) => result,
        // Either way the lights go dark as they are dropped.
        interrupted = ctrl_c() => interrupted.map(|()| Outcome::Bad).map_err(Failure::from),
        _ = terminated.recv() => Ok(Outcome::Bad),
    }
}

/// Plays every scene whose light there is, and says so on `out`.
async fn perform(config: &LedConfig, lights: Lights, out: &mut impl Write) -> CommandResult {
    let scenes: Vec<Scene> = SCENES
        .into_iter()
        .filter(|scene| lights.has(scene.role))
        .collect();
    let (state, wanted) = watch::channel(LightState::default());
    let (found, fault) = watch::channel(None);
    let activity = Activity::default();
    let pulses = activity.clone();
    let script = async move {
        for scene in scenes {
            above(|| writeln!(out, "{}: {}", title(config, scene.role), scene.text))?;
            scene.act(&state, &activity).await;
            refuse_fault(&fault)?;
        }
        Ok(Outcome::Done) // dropping `state` ends the player
    };
    let (result, ()) = tokio::join!(script, play(lights, wanted, pulses, found, sleep_until));
    result
}

fn refuse_fault(fault: &watch::Receiver<Option<LedError>>) -> Result<(), Failure> {
    match fault.borrow().as_ref() {
        Some(error) => Err(Failure::Bad(error.to_string())),
        None => Ok(()),
    }
}

/// `alert (pin 17)`
fn title(config: &LedConfig, role: LightRole) -> String {
    let lights = config.lights.iter().filter(|light| light.role == role);
    let pins: Vec<String> = lights.map(|light| light.pin.to_string()).collect();
    let name = role_name(role);
    match pins.as_slice() {
        [] => name.into(),
        [pin] => format!("{name} (pin {pin})"),
        _ => format!("{name} (pins {})", pins.join(", ")),
    }
}

/// One thing that a light can say.
#[derive(Clone, Copy)]
struct Scene {
    role: LightRole,
    text: &'static str,
    state: LightState,
}

impl Scene {
    async fn act(self, state: &watch::Sender<LightState>, activity: &Activity) {
        state.send_replace(self.state);
        for _ in 0..PULSES {
            if self.role == LightRole::Activity {
                activity.pulse();
            }
            sleep(SCENE / PULSES).await;
        }
        state.send_replace(LightState::default());
        sleep(BETWEEN).await;
    }
}

const fn alert(kind: AlertKind, text: &'static str) -> Scene {
    Scene {
        role: LightRole::Alert,
        text,
        state: LightState {
            alert: Some(kind),
            armed: Armed::Dark,
        },
    }
}

const fn armed(armed: Armed, text: &'static str) -> Scene {
    Scene {
        role: LightRole::Armed,
        text,
        state: LightState { alert: None, armed },
    }
}

const SCENES: [Scene; 6] = [
    alert(
        AlertKind::Head,
        "a HEAD request: one long blink and a pause",
    ),
    alert(
        AlertKind::Get,
        "a GET request: two short blinks and a pause",
    ),
    alert(
        AlertKind::Other,
        "any other request: three short blinks and a pause",
    ),
    armed(Armed::Ok, "all is well: one short flash every 3 s"),
    armed(Armed::Fault, "a fault: quick steady blinking"),
    Scene {
        role: LightRole::Activity,
        text: "requests to a watched host: a flash for each",
        state: LightState {
            alert: None,
            armed: Armed::Dark,
        },
    },
];

/// How long a scene lasts: long enough to see each pattern repeat, and two flashes of the armed light.
const SCENE: Duration = Duration::from_millis(3_500);
/// Dark between two scenes.
const BETWEEN: Duration = Duration::from_millis(500);
/// Requests in the activity light's scene.
const PULSES: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LightConfig;
    use crate::led::Leds;
    use crate::led::memory::MemoryLed;

    fn config(roles: &[LightRole]) -> LedConfig {
        let lights = roles.iter().zip(17..).map(|(role, pin)| LightConfig {
            role: *role,
            pin,
            active_low: false,
        });
        LedConfig {
            driver: LedDriver::Auto,
            lights: lights.collect(),
            button: None,
        }
    }

    async fn performed(roles: &[LightRole]) -> (String, Vec<MemoryLed>, CommandResult) {
        let memories: Vec<MemoryLed> = roles.iter().map(|_| MemoryLed::default()).collect();
        let leds: Leds = roles
            .iter()
            .zip(&memories)
            .map(|(role, led)| -> (LightRole, Box<dyn led::Led>) { (*role, Box::new(led.clone())) })
            .collect();
        let mut out = Vec::new();
        let lights = Lights::new("memory", leds);
        let result = perform(&config(roles), lights, &mut out).await;
        (String::from_utf8(out).unwrap(), memories, result)
    }

    #[tokio::test(start_paused = true)]
    async fn every_light_is_named_with_its_pin_and_plays_all_it_can_say() {
        let (text, leds, result) = performed(&led::ROLES).await;
        assert!(matches!(result, Ok(Outcome::Done)));
        let titles: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(
            titles,
            [
                "alert (pin 17)",
                "alert (pin 17)",
                "alert (pin 17)",
                "armed (pin 18)",
                "armed (pin 18)",
                "activity (pin 19)"
            ]
        );
        let blinks: Vec<usize> = leds
            .iter()
            .map(|led| led.levels().into_iter().filter(|on| *on).count())
            .collect();
        // HEAD 2, GET 4, other 6; two flashes and 3.5 s of 5 Hz; seven pulses.
        assert_eq!(blinks, [12, 2 + 18, 7]);
        assert!(!leds.iter().any(MemoryLed::lit));
    }

    #[tokio::test(start_paused = true)]
    async fn a_light_that_is_not_configured_is_not_played() {
        let (text, _leds, _result) = performed(&[LightRole::Armed]).await;
        assert!(
            text.lines().all(|line| line.starts_with("armed (pin 17)")),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_light_that_cannot_be_driven_fails_the_command() {
        let led = MemoryLed::default();
        led.fail(true);
        let leds: Leds = vec![(LightRole::Alert, Box::new(led))];
        let lights = Lights::new("memory", leds);
        let result = perform(&config(&[LightRole::Alert]), lights, &mut Vec::new()).await;
        assert!(matches!(result, Err(Failure::Bad(_))));
    }

    #[test]
    fn lights_that_were_asked_for_and_are_missing_are_a_bad_answer() {
        assert_eq!(nothing_to_play(&config(&[LightRole::Alert])), Outcome::Bad);
        let none = LedConfig {
            driver: LedDriver::None,
            ..config(&[])
        };
        assert_eq!(nothing_to_play(&none), Outcome::Done);
    }
}
