//! The driver of the GPIO character device and the button, on the kernel's own simulator of a
//! chip (gpio-sim). It needs root, that module, and no real chip beside it, whose pins it might
//! move; otherwise it says so and skips.

#![allow(clippy::unwrap_used, reason = "a test may assert in the plainest way")]
#![allow(clippy::expect_used, reason = "a test may assert in the plainest way")]
#![allow(clippy::panic, reason = "a test may assert in the plainest way")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use canarytap::config::{ButtonConfig, LedConfig, LedDriver, LightConfig, LightRole};
use canarytap::led::{self, Button, ButtonEvent, Holder, LedError, Lights};
use tokio::sync::mpsc::Receiver;

#[test]
fn lights_and_button_work_on_a_simulated_chip() {
    let Some(chip) = SimulatedChip::new() else {
        eprintln!("skipped: it needs root, `modprobe gpio-sim`, and a machine without GPIO");
        return;
    };
    a_look_finds_every_pin(&chip, &Holder::Nobody);
    let lights = led::open(&config()).unwrap();
    let lights = levels_reach_the_pins(&chip, lights);
    a_look_finds_every_pin(&chip, &Holder::Canarytap);
    a_pin_in_use_names_its_holder();
    drop(lights);
    let mut lights = led::open(&config()).expect("the pins are free again");
    let (button, mut presses) = Button::open(&config(), &lights).unwrap().unwrap();
    a_press_is_told_once(&chip, &mut presses);
    chip.vanish();
    assert!(matches!(next(&mut presses), ButtonEvent::Lost(_)));
    assert!(matches!(
        lights.set(LightRole::Alert, true),
        Err(LedError::Driver { .. })
    ));
    drop(button);
}

/// And moves none of them. The button is nobody's in either case.
fn a_look_finds_every_pin(chip: &SimulatedChip, holder: &Holder) {
    let levels = || [ALERT, ARMED].map(|pin| chip.level(pin));
    let before = levels();
    let found = led::look(&config()).unwrap();
    assert_eq!(found.driver, "gpiochip");
    let holders: Vec<_> = found
        .pins
        .iter()
        .map(|pin| (pin.pin, &pin.holder))
        .collect();
    let expected = [(ALERT, holder), (ARMED, holder), (BUTTON, &Holder::Nobody)];
    assert_eq!(holders, expected);
    assert_eq!(levels(), before);
}

fn levels_reach_the_pins(chip: &SimulatedChip, mut lights: Lights) -> Lights {
    assert_eq!(lights.driver(), "gpiochip");
    assert_eq!(
        (chip.level(ALERT), chip.level(ARMED)),
        (false, true),
        "dark"
    );
    lights.set(LightRole::Alert, true).unwrap();
    lights.set(LightRole::Armed, true).unwrap();
    assert_eq!((chip.level(ALERT), chip.level(ARMED)), (true, false), "lit");
    lights.dark().unwrap();
    assert_eq!(
        (chip.level(ALERT), chip.level(ARMED)),
        (false, true),
        "dark"
    );
    lights
}

fn a_pin_in_use_names_its_holder() {
    let error = led::open(&config()).unwrap_err();
    assert!(
        matches!(error, LedError::InUse { pin: ALERT, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("another canarytap"), "{error}");
}

fn a_press_is_told_once(chip: &SimulatedChip, presses: &mut Receiver<ButtonEvent>) {
    sleep(LONG_PRESS);
    chip.pull(BUTTON, "pull-down");
    assert_eq!(next(presses), ButtonEvent::Pressed);
    sleep(LONG_PRESS);
    chip.pull(BUTTON, "pull-up");
    sleep(LONG_PRESS);
    assert!(presses.try_recv().is_err(), "a release is no press");
}

fn next(presses: &mut Receiver<ButtonEvent>) -> ButtonEvent {
    let begun = Instant::now();
    loop {
        match presses.try_recv() {
            Ok(event) => return event,
            Err(_) if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(5)),
            Err(error) => panic!("the button said nothing: {error}"),
        }
    }
}

fn config() -> LedConfig {
    let light = |role, pin, active_low| LightConfig {
        role,
        pin,
        active_low,
    };
    LedConfig {
        driver: LedDriver::Gpiochip,
        lights: vec![
            light(LightRole::Alert, ALERT, false),
            light(LightRole::Armed, ARMED, true),
        ],
        button: Some(ButtonConfig { pin: BUTTON }),
    }
}

/// A chip of 54 lines, as a Raspberry Pi 3 has it; gone when this is dropped.
struct SimulatedChip {
    configured: PathBuf,
    lines: PathBuf,
}

impl SimulatedChip {
    /// None where the kernel or the user cannot do it, or a real chip might be taken for it.
    fn new() -> Option<Self> {
        let mut devices = fs::read_dir("/dev").ok()?.flatten();
        if devices.any(|device| device.file_name().to_string_lossy().starts_with("gpiochip")) {
            return None;
        }
        let name = format!("canarytap-test-{}", std::process::id());
        let configured = Path::new("/sys/kernel/config/gpio-sim").join(name);
        fs::create_dir(&configured).ok()?;
        let bank = configured.join("bank0");
        fs::create_dir(&bank).unwrap();
        fs::write(bank.join("num_lines"), "54").unwrap();
        fs::write(bank.join("label"), "canarytap-test").unwrap();
        fs::write(configured.join("live"), "1").unwrap();
        let read = |path: PathBuf| fs::read_to_string(path).unwrap().trim().to_owned();
        let lines = Path::new("/sys/devices/platform")
            .join(read(configured.join("dev_name")))
            .join(read(bank.join("chip_name")));
        let chip = Self { configured, lines };
        chip.pull(BUTTON, "pull-up"); // the resistor that a request of ours switches on
        Some(chip)
    }

    fn line(&self, pin: u8, attribute: &str) -> PathBuf {
        self.lines.join(format!("sim_gpio{pin}")).join(attribute)
    }

    fn level(&self, pin: u8) -> bool {
        fs::read_to_string(self.line(pin, "value")).unwrap().trim() == "1"
    }

    fn pull(&self, pin: u8, direction: &str) {
        fs::write(self.line(pin, "pull"), direction).unwrap();
    }

    fn vanish(&self) {
        fs::write(self.configured.join("live"), "0").unwrap();
    }
}

impl Drop for SimulatedChip {
    fn drop(&mut self) {
        let _gone_already = fs::write(self.configured.join("live"), "0");
        let _left_behind = fs::remove_dir(self.configured.join("bank0"));
        let _left_behind = fs::remove_dir(&self.configured);
    }
}

const ALERT: u8 = 17;
const ARMED: u8 = 22;
const BUTTON: u8 = 27;
/// Longer than any debouncing.
const LONG_PRESS: Duration = Duration::from_millis(200);
/// How long something that must come is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
