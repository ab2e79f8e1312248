//! What there is of the lights, without taking a pin or moving it.

use crate::config::{LedConfig, LedDriver};
use crate::led::gpiochip::{CONSUMER, Choice, PinChip};
use crate::led::{LedError, role_name, rppal};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundLights {
    /// The driver that would move them, as in the configuration.
    pub driver: &'static str,
    /// The pins of lights and button; none where no pin is needed.
    pub pins: Vec<FoundPin>,
}

/// A configured pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPin {
    /// BCM numbering.
    pub pin: u8,
    /// What is on it: the light's role, or `button`.
    pub what: &'static str,
    /// Who has it now.
    pub holder: Holder,
}

/// Who has a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// A canarytap: the daemon, or `led test`.
    Canarytap,
    /// Somebody else; the name that the kernel knows, which may be empty.
    Other(String),
    /// Nobody ever: the machine has no such pin.
    NoSuchPin,
}

/// Looks for the driver that [`open`](crate::led::open) would choose, and at the pins.
///
/// # Errors
/// When a named driver is not there, or this user may not look. With `auto`,
/// [`LedError::NoGpio`] where pins are configured and there is none: no light would show.
pub fn look(config: &LedConfig) -> Result<FoundLights, LedError> {
    let without_pins = |driver| {
        Ok(FoundLights {
            driver,
            pins: Vec::new(),
        })
    };
    match config.driver {
        LedDriver::None => without_pins("none"),
        LedDriver::Terminal => without_pins("terminal"),
        LedDriver::Auto if config.lights.is_empty() => without_pins("auto"),
        LedDriver::Auto => {
            look_at_registers(config).or_else(|_none| look_at_chip(config, Choice::Known))
        }
        LedDriver::Rppal => look_at_registers(config),
        LedDriver::Gpiochip => look_at_chip(config, Choice::Only),
    }
}

fn look_at_registers(config: &LedConfig) -> Result<FoundLights, LedError> {
    rppal::look()?;
    let chip = PinChip::find(Choice::Known)?;
    Ok(found("rppal", &chip, config))
}

fn look_at_chip(config: &LedConfig, choice: Choice) -> Result<FoundLights, LedError> {
    let chip = PinChip::find(choice)?;
    Ok(found("gpiochip", &chip, config))
}

fn found(driver: &'static str, chip: &PinChip, config: &LedConfig) -> FoundLights {
    let lights = config.lights.iter();
    let lights = lights.map(|light| (light.pin, role_name(light.role)));
    let button = config.button.map(|button| (button.pin, "button"));
    let pins = lights.chain(button).map(|(pin, what)| FoundPin {
        pin,
        what,
        holder: holder(chip, pin),
    });
    FoundLights {
        driver,
        pins: pins.collect(),
    }
}

fn holder(chip: &PinChip, pin: u8) -> Holder {
    if !chip.has(pin) {
        return Holder::NoSuchPin;
    }
    match chip.consumer(pin) {
        None => Holder::Nobody,
        Some(name) if name == CONSUMER => Holder::Canarytap,
        Some(name) => Holder::Other(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LightConfig, LightRole};

    fn config(driver: LedDriver) -> LedConfig {
        LedConfig {
            driver,
            lights: vec![LightConfig {
                role: LightRole::Alert,
                pin: 17,
                active_low: false,
            }],
            button: None,
        }
    }

    #[test]
    fn where_no_pin_is_needed_none_is_looked_at() {
        for (driver, name) in [(LedDriver::None, "none"), (LedDriver::Terminal, "terminal")] {
            let found = look(&config(driver)).unwrap();
            assert_eq!((found.driver, found.pins.len()), (name, 0));
        }
        let unlit = LedConfig {
            lights: Vec::new(),
            ..config(LedDriver::Auto)
        };
        assert_eq!(look(&unlit).unwrap().driver, "auto");
    }
}
