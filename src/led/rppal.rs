//! Lights on a Raspberry Pi's GPIO registers.
//!
//! Registers know no owner. Each pin is therefore also held through the kernel, without touching
//! its direction or level: others are refused it by name, and we notice theirs. When a process is
//! killed, the kernel then makes its pins inputs, so that they go dark; one that was told to keep
//! outputs (`pinctrl_bcm2835.persist_gpio_outputs`) leaves them lit, and `canarytap led clear` is
//! for that.

use std::io;

use gpiocdev::Request;
use rppal::gpio::{Error, Gpio, OutputPin};

use crate::config::LightConfig;
use crate::led::gpiochip::{Choice, PinChip};
use crate::led::{Led, LedError, Leds};

/// Opens each light's pin as a dark output.
///
/// # Errors
/// When this is no Raspberry Pi, or a pin cannot be had.
pub fn open(lights: &[LightConfig]) -> Result<Leds, LedError> {
    let gpio = Gpio::new().map_err(refused)?;
    let chip = PinChip::find(Choice::Known)?;
    lights
        .iter()
        .map(|light| {
            let led = RegisterLed::new(&gpio, &chip, light)?;
            Ok((light.role, Box::new(led) as Box<dyn Led>))
        })
        .collect()
}

/// Looks whether the registers are there and may be used; moves nothing.
///
/// # Errors
/// When this is no Raspberry Pi, or this user may not.
pub fn look() -> Result<(), LedError> {
    Gpio::new().map(drop).map_err(refused)
}

struct RegisterLed {
    /// Given back to what it was before the kernel's line is.
    pin: OutputPin,
    active_low: bool,
    _held: Request,
}

impl RegisterLed {
    fn new(gpio: &Gpio, chip: &PinChip, light: &LightConfig) -> Result<Self, LedError> {
        let held = chip.request(light.pin, |line| {
            line.as_is();
        })?;
        let pin = gpio.get(light.pin).map_err(refused)?;
        // The level is set before the direction: no flicker.
        let mut pin = if light.active_low {
            pin.into_output_high()
        } else {
            pin.into_output_low()
        };
        pin.set_reset_on_drop(true);
        Ok(Self {
            pin,
            active_low: light.active_low,
            _held: held,
        })
    }
}

impl Led for RegisterLed {
    fn set(&mut self, on: bool) -> Result<(), LedError> {
        if on == self.active_low {
            self.pin.set_low();
        } else {
            self.pin.set_high();
        }
        Ok(())
    }
}

fn refused(error: Error) -> LedError {
    match error {
        Error::UnknownModel => no_gpio("this is no Raspberry Pi that it knows"),
        Error::Io(ref gone) if gone.kind() == io::ErrorKind::NotFound => {
            no_gpio("/dev/gpiomem or /dev/gpiochip0 is missing")
        }
        Error::PermissionDenied(what) => LedError::Forbidden { what },
        Error::PinNotAvailable(pin) => LedError::NoSuchPin { pin },
        Error::PinUsed(pin) => LedError::InUse {
            pin,
            holder: "another light of this canarytap".into(),
        },
        Error::Io(_) | Error::ThreadPanic => LedError::driver("open the GPIO", error),
    }
}

fn no_gpio(reason: &str) -> LedError {
    LedError::NoGpio {
        driver: "rppal",
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rppal_says_becomes_an_error_that_tells_the_cure() {
        let absent = refused(Error::UnknownModel);
        assert!(matches!(absent, LedError::NoGpio { .. }), "{absent}");
        let missing = refused(Error::Io(io::ErrorKind::NotFound.into()));
        assert!(matches!(missing, LedError::NoGpio { .. }), "{missing}");
        let forbidden = refused(Error::PermissionDenied("/dev/gpiomem".into()));
        assert!(forbidden.to_string().contains("adduser"), "{forbidden}");
        let pin = refused(Error::PinNotAvailable(99));
        assert_eq!(pin, LedError::NoSuchPin { pin: 99 });
    }
}
