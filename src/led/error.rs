//! Why a light cannot be driven, and how to mend it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why lights or a button could not be opened or driven. Its text says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedError {
    /// This machine has no GPIO that the driver knows.
    NoGpio {
        /// The driver's name.
        driver: &'static str,
        /// What was looked for and not found.
        reason: String,
    },
    /// There are GPIO chips, and none is known to be the one with the header's pins.
    WhichChip {
        /// Path and label of each.
        chips: Vec<String>,
    },
    /// This user may not use GPIO.
    Forbidden {
        /// What was refused.
        what: String,
    },
    /// The chip has no such pin.
    NoSuchPin {
        /// BCM numbering.
        pin: u8,
    },
    /// Somebody else drives the pin.
    InUse {
        /// BCM numbering.
        pin: u8,
        /// What the kernel knows of its holder.
        holder: String,
    },
    /// The driver refused.
    Driver {
        /// What was tried.
        action: String,
        /// What it answered.
        reason: String,
    },
    /// The recording of light levels cannot be written.
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl LedError {
    /// A driver's refusal.
    pub(super) fn driver(action: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Driver {
            action: action.into(),
            reason: reason.to_string(),
        }
    }

    /// The terminal went away.
    pub(super) fn terminal(error: &io::Error) -> Self {
        Self::driver("draw the lights on standard error", error)
    }
}

impl fmt::Display for LedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGpio { driver, reason } => write!(
                f,
                "the driver \"{driver}\" has no GPIO to drive: {reason}; set led.driver to one \
                 that this machine has, or to \"auto\" or \"none\""
            ),
            Self::WhichChip { chips } => write!(
                f,
                "cannot tell which GPIO chip has the pins: {}; set led.driver to another driver",
                chips.join(", ")
            ),
            Self::Forbidden { what } => write!(
                f,
                "no permission to use {what}: run as a user in the group \"gpio\" (sudo adduser \
                 USER gpio, then log in again), or as root"
            ),
            Self::NoSuchPin { pin } => write!(
                f,
                "this machine's GPIO has no pin {pin}: pins are numbered as the chip does it \
                 (BCM), not by their place on the header"
            ),
            Self::InUse { pin, holder } => write!(
                f,
                "pin {pin} is in use by {holder}: stop that, or give the light another pin"
            ),
            Self::Driver { action, reason } => write!(f, "cannot {action}: {reason}"),
            Self::Record { path, reason } => write!(
                f,
                "cannot record the lights in {} ({RECORD_VARIABLE}): {reason}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for LedError {}

/// Names a file that every change of a light's level is appended to.
pub(super) const RECORD_VARIABLE: &str = "CANARYTAP_LED_RECORD";
