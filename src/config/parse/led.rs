//! `[led]`

use std::collections::HashMap;

use crate::config::parse::values::choice;
use crate::config::raw::{Document, Section};
use crate::config::{ButtonConfig, LedConfig, LedDriver, LightConfig, LightRole};

const DRIVERS: [(&str, LedDriver); 5] = [
    ("auto", LedDriver::Auto),
    ("rppal", LedDriver::Rppal),
    ("gpiochip", LedDriver::Gpiochip),
    ("terminal", LedDriver::Terminal),
    ("none", LedDriver::None),
];

const ROLES: [(&str, LightRole); 3] = [
    ("alert", LightRole::Alert),
    ("armed", LightRole::Armed),
    ("activity", LightRole::Activity),
];

/// Pins of a Raspberry Pi's header, BCM numbering.
const PI_PIN_MAX: u8 = 27;

pub(super) fn led(section: Option<Section<'_>>, doc: &mut Document<'_>) -> LedConfig {
    let mut config = LedConfig {
        driver: LedDriver::Auto,
        lights: Vec::new(),
        button: None,
    };
    let Some(mut section) = section else {
        return config;
    };
    if let Some(driver) = choice(&mut section, "driver", &DRIVERS, doc) {
        config.driver = driver;
    }
    let mut reader = PinReader {
        max: pin_max(config.driver),
        pins: HashMap::new(),
        roles: HashMap::new(),
    };
    for section in section.sections("light", doc) {
        config.lights.extend(reader.light(section, doc));
    }
    if let Some(section) = section.section("button", doc) {
        config.button = reader.button(section, doc);
    }
    section.refuse_unknown(doc);
    config
}

/// Other boards than a Pi have GPIO chips with more lines.
fn pin_max(driver: LedDriver) -> u8 {
    match driver {
        LedDriver::Auto | LedDriver::Rppal => PI_PIN_MAX,
        LedDriver::Gpiochip | LedDriver::Terminal | LedDriver::None => u8::MAX,
    }
}

/// What a light or button is held against.
struct PinReader {
    max: u8,
    /// Lines of the pins and roles before it.
    pins: HashMap<u8, usize>,
    roles: HashMap<LightRole, usize>,
}

impl PinReader {
    fn light(&mut self, mut section: Section<'_>, doc: &mut Document<'_>) -> Option<LightConfig> {
        section.require("role", "must be one of: alert, armed, activity", doc);
        let role = choice(&mut section, "role", &ROLES, doc);
        if let (Some(role), Some(entry)) = (role, section.take("role")) {
            if let Some(first) = self.roles.insert(role, doc.line_of(entry)) {
                let rule = format!("is the role of another light, on line {first}");
                doc.wrong("led.light.role", entry, rule);
            }
        }
        let pin = self.pin(&mut section, doc);
        let active_low = section.boolean("active_low", doc).unwrap_or(false);
        section.refuse_unknown(doc);
        Some(LightConfig {
            role: role?,
            pin: pin?,
            active_low,
        })
    }

    fn button(&mut self, mut section: Section<'_>, doc: &mut Document<'_>) -> Option<ButtonConfig> {
        let pin = self.pin(&mut section, doc);
        section.refuse_unknown(doc);
        pin.map(|pin| ButtonConfig { pin })
    }

    fn pin(&mut self, section: &mut Section<'_>, doc: &mut Document<'_>) -> Option<u8> {
        section.require("pin", "must be a pin, by its BCM number", doc);
        let (number, entry) = section.integer("pin", 0..=i64::from(self.max), doc)?;
        let pin = u8::try_from(number).ok()?;
        if let Some(first) = self.pins.insert(pin, doc.line_of(entry)) {
            let rule = format!(
                "is used already, on line {first}: every light and the button need their own pin"
            );
            doc.wrong(&section.path("pin"), entry, rule);
        }
        Some(pin)
    }
}
