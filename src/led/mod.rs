//! Lights: drivers, and the patterns that they play.
//!
//! [`open`] chooses a driver and gives [`Lights`]; [`play`] moves them to what a [`LightState`]
//! says. A driver is one file with an implementation of [`Led`] and an arm in [`open`].

use std::env;
use std::fs;
use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;

use crate::config::{LedConfig, LedDriver, LightConfig, LightRole};

use gpiochip::Choice;

pub use button::{Button, ButtonEvent};
pub use error::LedError;
pub use lights::{Lights, ROLES, role_name};
pub use look::{FoundLights, FoundPin, Holder, look};
pub use pattern::LedPattern;
pub use player::{Activity, AlertKind, Armed, LightState, Player, play};
pub use recording::Recording;
pub use terminal::{above, tell};

mod button;
mod error;
mod gpiochip;
mod lights;
mod look;
#[cfg(test)]
pub(crate) mod memory;
mod pattern;
mod player;
mod recording;
mod rppal;
mod terminal;

/// One light, dark when it is made.
pub trait Led: Send {
    /// Lights it, or makes it dark.
    ///
    /// # Errors
    /// What the driver says.
    fn set(&mut self, on: bool) -> Result<(), LedError>;
}

/// Each light with what it shows.
pub type Leds = Vec<(LightRole, Box<dyn Led>)>;

/// Opens the configured lights, all dark. `auto` takes the first driver that is there.
///
/// # Errors
/// When a named driver is not there, or a pin cannot be had; nothing is held then.
pub fn open(config: &LedConfig) -> Result<Lights, LedError> {
    open_in(config, &Surroundings::of_this_process())
}

/// The devices of all drivers that this machine has now.
pub fn devices() -> Vec<PathBuf> {
    let listed = fs::read_dir("/dev").into_iter().flatten().flatten();
    listed
        .map(|device| device.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            DEVICES.iter().any(|start| name.starts_with(start))
        })
        .chain([PathBuf::from("/dev/mem")])
        .collect()
}

/// How devices of drivers are named, and with what numbers behind.
const DEVICES: [&str; 2] = ["gpiochip", "gpiomem"];

/// Where levels are recorded, if somebody asked for it.
pub fn recording_path() -> Option<PathBuf> {
    Surroundings::of_this_process().record
}

/// What a process is started with that matters to lights.
struct Surroundings {
    /// Whether standard error is a terminal.
    terminal: bool,
    /// Whether a terminal may be coloured.
    colours: bool,
    /// Where levels are recorded.
    record: Option<PathBuf>,
}

impl Surroundings {
    fn of_this_process() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            terminal: stderr().is_terminal(),
            colours: set("NO_COLOR").is_none(),
            record: set(error::RECORD_VARIABLE).map(PathBuf::from),
        }
    }
}

fn open_in(config: &LedConfig, around: &Surroundings) -> Result<Lights, LedError> {
    let recording = around.record.as_deref().map(Recording::open).transpose()?;
    let lights = match config.driver {
        LedDriver::Auto => open_first(config, around, &GPIO_DRIVERS)?,
        LedDriver::Rppal => Lights::new("rppal", rppal::open(&config.lights)?),
        LedDriver::Gpiochip => {
            Lights::new("gpiochip", gpiochip::open(&config.lights, Choice::Only)?)
        }
        LedDriver::Terminal => open_terminal(config, around)?,
        LedDriver::None => Lights::new("none", leds_for_nobody(config)),
    };
    Ok(lights.recorded(recording))
}

/// A driver's name, and how it opens lights.
type GpioDriver = (&'static str, fn(&[LightConfig]) -> Result<Leds, LedError>);

/// The drivers of pins, in the order in which `auto` tries them.
const GPIO_DRIVERS: [GpioDriver; 2] = [
    ("rppal", rppal::open),
    ("gpiochip", |lights| gpiochip::open(lights, Choice::Known)),
];

/// The first driver that is there. One that is there and may not be used is passed over with a
/// remark; one that finds a pin taken is an error, since another would find it so too.
fn open_first(
    config: &LedConfig,
    around: &Surroundings,
    drivers: &[GpioDriver],
) -> Result<Lights, LedError> {
    let mut remarks = Vec::new();
    // Without pins there is nothing that GPIO could light.
    let drivers = drivers.iter().filter(|_| !config.lights.is_empty());
    for (name, open) in drivers {
        match open(&config.lights) {
            Ok(leds) => return Ok(Lights::new(name, leds).with_remarks(remarks)),
            Err(LedError::NoGpio { .. }) => {}
            Err(error @ LedError::Forbidden { .. }) => remarks.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    if around.terminal {
        return Ok(open_terminal(config, around)?.with_remarks(remarks));
    }
    remarks.push("no lights: no GPIO can be used, and standard error is no terminal".into());
    Ok(Lights::new("none", leds_for_nobody(config)).with_remarks(remarks))
}

fn open_terminal(config: &LedConfig, around: &Surroundings) -> Result<Lights, LedError> {
    let style = if around.terminal {
        terminal::Style::Line {
            colours: around.colours,
        }
    } else {
        terminal::Style::Log
    };
    let leds = terminal::open(style, &shown_roles(config))?;
    Ok(Lights::new("terminal", leds))
}

/// The roles that are shown where no pins are needed: the configured ones, or all.
fn shown_roles(config: &LedConfig) -> Vec<LightRole> {
    let configured = |role: &LightRole| config.lights.iter().any(|light| light.role == *role);
    if config.lights.is_empty() {
        return ROLES.to_vec();
    }
    ROLES.into_iter().filter(configured).collect()
}

/// Lights that nobody sees, but that can be recorded.
fn leds_for_nobody(config: &LedConfig) -> Leds {
    shown_roles(config)
        .into_iter()
        .map(|role| -> (LightRole, Box<dyn Led>) { (role, Box::new(NoLed)) })
        .collect()
}

/// The light of the driver `none`.
struct NoLed;

impl Led for NoLed {
    fn set(&mut self, _on: bool) -> Result<(), LedError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
