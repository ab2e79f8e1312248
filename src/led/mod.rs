//! Lights: drivers, and the patterns that they play.
//!
//! [`open`] chooses a driver and gives [`Lights`]; [`play`] moves them to what a [`LightState`]
//! says. A driver is one file with an implementation of [`Led`] and an arm in [`open`].

use std::env;
use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;

use crate::config::{LedConfig, LedDriver, LightRole};

pub use error::LedError;
pub use lights::{Lights, ROLES, role_name};
pub use pattern::LedPattern;
pub use player::{Activity, AlertKind, Armed, LightState, Player, play};
pub use recording::Recording;
pub use terminal::tell;

mod error;
mod lights;
#[cfg(test)]
mod memory;
mod pattern;
mod player;
mod recording;
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
        LedDriver::Auto => open_first(config, around)?,
        LedDriver::Terminal => open_terminal(config, around)?,
        LedDriver::None => Lights::new("none", leds_for_nobody(config)),
        LedDriver::Rppal | LedDriver::Gpiochip => {
            return Err(LedError::NoGpio {
                driver: "gpiochip",
                reason: "none was found".into(),
            });
        }
    };
    Ok(lights.recorded(recording))
}

fn open_first(config: &LedConfig, around: &Surroundings) -> Result<Lights, LedError> {
    if around.terminal {
        return open_terminal(config, around);
    }
    let remark = "no lights: there is no GPIO, and standard error is no terminal";
    Ok(Lights::new("none", leds_for_nobody(config)).with_remarks(vec![remark.into()]))
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
