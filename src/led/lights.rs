//! The lights of one daemon: by role, whatever drives them.

use std::fmt;

use crate::config::LightRole;
use crate::led::recording::Recording;
use crate::led::{Led, LedError, Leds};

/// All configured lights. Dark when opened and when dropped; dropping frees their pins.
pub struct Lights {
    driver: &'static str,
    lights: Vec<Light>,
    recording: Option<Recording>,
    remarks: Vec<String>,
}

struct Light {
    role: LightRole,
    led: Box<dyn Led>,
    /// What it was last set to; none when that failed, so that the next setting tries again.
    level: Option<bool>,
}

impl Lights {
    /// Lights that `driver` moves, each already dark.
    pub fn new(driver: &'static str, leds: Leds) -> Self {
        let lights = leds.into_iter().map(|(role, led)| Light {
            role,
            led,
            level: Some(false),
        });
        Self {
            driver,
            lights: lights.collect(),
            recording: None,
            remarks: Vec::new(),
        }
    }

    /// Notes every change of level in `recording` too.
    #[must_use]
    pub fn recorded(mut self, recording: Option<Recording>) -> Self {
        self.recording = recording;
        self
    }

    /// Adds what the user should know of how these lights were chosen.
    #[must_use]
    pub fn with_remarks(mut self, remarks: Vec<String>) -> Self {
        self.remarks.extend(remarks);
        self
    }

    /// Name of the driver, as in the configuration.
    pub fn driver(&self) -> &'static str {
        self.driver
    }

    /// Whether real pins are moved.
    pub fn on_gpio(&self) -> bool {
        matches!(self.driver, "rppal" | "gpiochip")
    }

    /// What the user should know of how these lights were chosen: to be told once.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Whether there is a light for `role`.
    pub fn has(&self, role: LightRole) -> bool {
        self.lights.iter().any(|light| light.role == role)
    }

    /// Sets every light of `role`. One that already has the level is left alone.
    ///
    /// # Errors
    /// The first light's that failed; the others were set all the same.
    pub fn set(&mut self, role: LightRole, on: bool) -> Result<(), LedError> {
        let mut moved = Moved::default();
        for light in self.lights.iter_mut().filter(|light| light.role == role) {
            moved.note(light.set(on));
        }
        match (&mut self.recording, moved.any) {
            (Some(recording), true) => moved.outcome.and(recording.note(role, on)),
            _ => moved.outcome,
        }
    }

    /// Sets every light dark.
    ///
    /// # Errors
    /// The first light's that failed; the others were set all the same.
    pub fn dark(&mut self) -> Result<(), LedError> {
        ROLES
            .into_iter()
            .map(|role| self.set(role, false))
            .fold(Ok(()), Result::and)
    }
}

impl Drop for Lights {
    fn drop(&mut self) {
        // Nobody is left to be told; `play` has already tried and told.
        let _untold = self.dark();
    }
}

impl fmt::Debug for Lights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = self.lights.iter().map(|light| (light.role, light.level));
        f.debug_struct("Lights")
            .field("driver", &self.driver)
            .field("lights", &levels.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Light {
    /// Whether the light had to be moved.
    fn set(&mut self, on: bool) -> Result<bool, LedError> {
        if self.level == Some(on) {
            return Ok(false);
        }
        let outcome = self.led.set(on);
        self.level = outcome.is_ok().then_some(on);
        outcome.map(|()| true)
    }
}

/// What came of setting several lights.
struct Moved {
    any: bool,
    outcome: Result<(), LedError>,
}

impl Default for Moved {
    fn default() -> Self {
        Self {
            any: false,
            outcome: Ok(()),
        }
    }
}

impl Moved {
    fn note(&mut self, result: Result<bool, LedError>) {
        match result {
            Ok(moved) => self.any |= moved,
            Err(error) if self.outcome.is_ok() => self.outcome = Err(error),
            Err(_) => {} // the first one is told
        }
    }
}

/// All roles, in the order in which lights are drawn and tried.
pub const ROLES: [LightRole; 3] = [LightRole::Alert, LightRole::Armed, LightRole::Activity];

/// The role's name, as in the configuration.
pub const fn role_name(role: LightRole) -> &'static str {
    match role {
        LightRole::Alert => "alert",
        LightRole::Armed => "armed",
        LightRole::Activity => "activity",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::led::memory::MemoryLed;

    #[test]
    fn lights_go_dark_when_they_are_dropped() {
        let led = MemoryLed::default();
        let mut lights = Lights::new("memory", vec![(LightRole::Alert, Box::new(led.clone()))]);
        lights.set(LightRole::Alert, true).unwrap();
        assert!(led.lit());
        drop(lights);
        assert!(!led.lit());
    }

    #[test]
    fn a_level_that_a_light_already_has_is_not_set_again() {
        let led = MemoryLed::default();
        let mut lights = Lights::new("memory", vec![(LightRole::Alert, Box::new(led.clone()))]);
        for on in [false, true, true, false, false] {
            lights.set(LightRole::Alert, on).unwrap();
        }
        assert_eq!(led.levels(), [true, false]);
    }

    #[test]
    fn two_lights_of_one_role_do_the_same_and_a_broken_one_stops_no_other() {
        let (broken, well) = (MemoryLed::default(), MemoryLed::default());
        broken.fail(true);
        let mut lights = Lights::new(
            "memory",
            vec![
                (LightRole::Alert, Box::new(broken.clone())),
                (LightRole::Alert, Box::new(well.clone())),
            ],
        );
        assert!(lights.set(LightRole::Alert, true).is_err());
        assert!(well.lit());
        broken.fail(false);
        assert_eq!(lights.set(LightRole::Alert, true), Ok(())); // tried again
        assert!(broken.lit());
        assert_eq!(well.levels(), [true]);
    }

    #[test]
    fn a_role_without_a_light_is_no_error() {
        let mut lights = Lights::new("none", Vec::new());
        assert!(!lights.has(LightRole::Armed));
        assert_eq!(lights.set(LightRole::Armed, true), Ok(()));
    }

    #[test]
    fn a_recording_shows_changes_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lights");
        let leds: Leds = vec![(LightRole::Alert, Box::new(MemoryLed::default()))];
        let mut lights =
            Lights::new("memory", leds).recorded(Some(Recording::open(&path).unwrap()));
        for on in [true, true, false] {
            lights.set(LightRole::Alert, on).unwrap();
        }
        lights.set(LightRole::Armed, true).unwrap(); // has no light
        drop(lights);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}
