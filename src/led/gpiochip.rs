//! Lights on the kernel's GPIO character device: for any machine that has one.
//!
//! The kernel frees a line when its holder ends, however it ends.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use gpiocdev::Request;
use gpiocdev::chip::{Chip, chips};
use gpiocdev::line::Value;
use gpiocdev::request::Builder;

use crate::config::LightConfig;
use crate::led::{Led, LedError, Leds};

/// The chip that has the pins, held open.
#[derive(Debug)]
pub struct PinChip {
    chip: Chip,
    lines: u32,
}

/// Which chips may have the pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Only those known to be behind a header: somebody else's machine may switch its power or
    /// its fans with the same numbers.
    Known,
    /// Where there is but one chip, that too: the user named this driver.
    Only,
}

/// Opens each light's line as a dark output.
///
/// # Errors
/// When no chip can be chosen or a line cannot be had.
pub fn open(lights: &[LightConfig], choice: Choice) -> Result<Leds, LedError> {
    let chip = PinChip::find(choice)?;
    lights
        .iter()
        .map(|light| {
            let request = chip.request(light.pin, |line| {
                line.as_output(Value::Inactive);
                if light.active_low {
                    line.as_active_low();
                }
            })?;
            let led = LineLed {
                request,
                pin: light.pin,
            };
            Ok((light.role, Box::new(led) as Box<dyn Led>))
        })
        .collect()
}

struct LineLed {
    request: Request,
    pin: u8,
}

impl Led for LineLed {
    fn set(&mut self, on: bool) -> Result<(), LedError> {
        let value = if on { Value::Active } else { Value::Inactive };
        self.request
            .set_lone_value(value)
            .map_err(|error| LedError::driver(format!("set pin {}", self.pin), error))
    }
}

impl PinChip {
    /// Looks for the chip that has the pins; those that cannot be opened are passed over.
    ///
    /// # Errors
    /// When there is none, when there are several, or when none may be used.
    pub fn find(choice: Choice) -> Result<Self, LedError> {
        let paths = chips().unwrap_or_default(); // no /dev: no chips
        let mut found = Vec::new();
        let mut forbidden = None;
        for path in paths {
            match File::open(&path) {
                Ok(_) => found.extend(described(path)),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    forbidden = Some(path);
                }
                Err(_) => {} // a chip that is just being unplugged
            }
        }
        let chosen = choose(&found, forbidden, choice)?;
        let chip = Chip::from_path(&chosen.path)
            .map_err(|error| LedError::driver(format!("open {}", chosen.path.display()), error))?;
        Ok(Self {
            chip,
            lines: chosen.lines,
        })
    }

    /// Requests the line of `pin`, set up by `configure`.
    ///
    /// # Errors
    /// When there is no such line, or somebody else has it.
    pub fn request(
        &self,
        pin: u8,
        configure: impl FnOnce(&mut Builder),
    ) -> Result<Request, LedError> {
        if !self.has(pin) {
            return Err(LedError::NoSuchPin { pin });
        }
        let mut builder = Request::builder();
        builder
            .on_chip(self.chip.path())
            .with_consumer(CONSUMER)
            .with_line(u32::from(pin));
        configure(&mut builder);
        builder.request().map_err(|error| match self.holder(pin) {
            Some(holder) => LedError::InUse { pin, holder },
            None => LedError::driver(format!("take pin {pin}"), error),
        })
    }

    /// Who has the line of `pin`, if somebody has.
    pub fn holder(&self, pin: u8) -> Option<String> {
        self.consumer(pin).map(|name| holder_name(&name))
    }

    /// The same by the name that the holder gave to the kernel, which may be empty.
    pub fn consumer(&self, pin: u8) -> Option<String> {
        let line = self.chip.line_info(u32::from(pin)).ok()?;
        line.used.then_some(line.consumer)
    }

    /// Whether the chip has this pin.
    pub fn has(&self, pin: u8) -> bool {
        u32::from(pin) < self.lines
    }
}

/// A chip that may be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Described {
    path: PathBuf,
    label: String,
    lines: u32,
}

fn described(path: PathBuf) -> Option<Described> {
    let info = Chip::from_path(&path).and_then(|chip| chip.info()).ok()?;
    Some(Described {
        path,
        label: info.label,
        lines: info.num_lines,
    })
}

fn choose(
    found: &[Described],
    forbidden: Option<PathBuf>,
    choice: Choice,
) -> Result<&Described, LedError> {
    let known = |chip: &&Described| HEADER_LABELS.contains(&chip.label.as_str());
    match (found.iter().find(known), found, forbidden) {
        (Some(chip), ..) => Ok(chip),
        (None, _, Some(path)) => Err(LedError::Forbidden {
            what: path.display().to_string(),
        }),
        (None, [chip], None) if choice == Choice::Only => Ok(chip),
        (None, [_, _, ..], None) if choice == Choice::Only => Err(LedError::WhichChip {
            chips: found.iter().map(name).collect(),
        }),
        (None, ..) => Err(LedError::NoGpio {
            driver: "gpiochip",
            reason: no_chip(found),
        }),
    }
}

fn no_chip(found: &[Described]) -> String {
    if found.is_empty() {
        return "there is no /dev/gpiochip*".into();
    }
    let names: Vec<String> = found.iter().map(name).collect();
    format!("no chip is known to have a header ({})", names.join(", "))
}

fn name(chip: &Described) -> String {
    format!("{} ({})", chip.path.display(), chip.label)
}

fn holder_name(consumer: &str) -> String {
    match consumer {
        "" => "the kernel or a program that gave no name".into(),
        CONSUMER => "another canarytap (the daemon? sudo systemctl stop canarytap)".into(),
        _ => format!("\"{consumer}\""),
    }
}

/// What the kernel tells others who ask whose line it is.
pub(super) const CONSUMER: &str = "canarytap";

/// Labels of the chips whose lines are a Raspberry Pi's header pins, by BCM number: up to Pi 3
/// and Zero 2, Pi 4, Pi 5.
const HEADER_LABELS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

#[cfg(test)]
mod tests {
    use super::*;

    fn chip(number: u8, label: &str) -> Described {
        Described {
            path: format!("/dev/gpiochip{number}").into(),
            label: label.into(),
            lines: 54,
        }
    }

    #[test]
    fn the_chip_behind_a_raspberry_pi_header_is_chosen_by_its_label() {
        for label in HEADER_LABELS {
            let found = [chip(0, "gpio-brcmstb@107d508500"), chip(4, label)];
            for choice in [Choice::Known, Choice::Only] {
                let forbidden = Some("/dev/gpiochip9".into());
                assert_eq!(choose(&found, forbidden, choice), Ok(&found[1]));
            }
        }
    }

    #[test]
    fn an_only_chip_is_taken_when_the_driver_was_named_and_never_by_auto() {
        let found = [chip(0, "INTC1055:00")];
        assert_eq!(choose(&found, None, Choice::Only), Ok(&found[0]));
        let error = choose(&found, None, Choice::Known).unwrap_err();
        assert!(matches!(error, LedError::NoGpio { .. }), "{error}");
        assert!(error.to_string().contains("INTC1055:00"), "{error}");
    }

    #[test]
    fn several_unknown_chips_are_listed() {
        let found = [chip(0, "a"), chip(1, "b")];
        let error = choose(&found, None, Choice::Only).unwrap_err();
        assert!(error.to_string().contains("/dev/gpiochip1 (b)"), "{error}");
    }

    #[test]
    fn a_chip_that_may_not_be_opened_is_named_with_the_cure() {
        let error = choose(&[], Some("/dev/gpiochip0".into()), Choice::Known).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("/dev/gpiochip0") && text.contains("adduser"),
            "{text}"
        );
    }

    #[test]
    fn a_machine_without_gpio_says_so() {
        let error = choose(&[], None, Choice::Only).unwrap_err();
        assert!(error.to_string().contains("/dev/gpiochip*"), "{error}");
    }

    #[test]
    fn a_holder_is_named() {
        assert_eq!(holder_name("lircd"), "\"lircd\"");
        assert!(holder_name(CONSUMER).contains("systemctl stop"));
        assert!(!holder_name("").is_empty());
    }
}
