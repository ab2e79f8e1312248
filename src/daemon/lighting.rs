//! Lights and button, which a new configuration may replace.

use tokio::sync::{mpsc, watch};

use crate::config::LedConfig;
use crate::daemon::DaemonError;
use crate::daemon::journal::{Priority, say};
use crate::daemon::status::LightsStatus;
use crate::led::{
    self, Activity, AlertKind, Armed, Button, ButtonEvent, LedError, LightState, Player,
};

/// Lights and button, which a new configuration may replace.
pub(super) struct Lighting {
    pub(super) state: watch::Sender<LightState>,
    pub(super) activity: Activity,
    player: Option<Player>,
    button: Option<Button>,
    pub(super) pressed: mpsc::Receiver<ButtonEvent>,
    pub(super) driver: &'static str,
    pub(super) lost: Option<LedError>,
}

impl Lighting {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::new(LightState::default()),
            activity: Activity::default(),
            player: None,
            button: None,
            pressed: mpsc::channel(1).1,
            driver: "none",
            lost: None,
        }
    }

    /// Plays on other lights; on the old ones when those cannot be had.
    pub(super) fn reopen(&mut self, new: &LedConfig, old: &LedConfig) -> Result<(), DaemonError> {
        let outcome = self.open(new);
        if outcome.is_err() {
            if let Err(DaemonError::Led(error)) = self.open(old) {
                self.lost = Some(error);
            }
        }
        outcome
    }

    pub(super) fn open(&mut self, config: &LedConfig) -> Result<(), DaemonError> {
        self.end();
        let lights = led::open(config).map_err(DaemonError::Led)?;
        for remark in lights.remarks() {
            say(Priority::Info, remark);
        }
        if let Some((button, pressed)) = Button::open(config, &lights).map_err(DaemonError::Led)? {
            self.button = Some(button);
            self.pressed = pressed;
        }
        self.driver = lights.driver();
        let player = Player::start(lights, self.state.subscribe(), self.activity.clone());
        self.player = Some(player.map_err(DaemonError::System)?);
        Ok(())
    }

    pub(super) fn set_armed(&self, armed: Armed) {
        self.state.send_if_modified(|state| {
            let changes = state.armed != armed;
            state.armed = armed;
            changes
        });
    }

    pub(super) fn fault(&self) -> Option<LedError> {
        let playing = self.player.as_ref().and_then(Player::fault);
        playing.or_else(|| self.lost.clone())
    }

    /// What the lights show now.
    pub(super) fn status(&self) -> LightsStatus {
        let light = self.state.borrow();
        LightsStatus {
            driver: self.driver.to_owned(),
            armed: armed_text(light.armed).to_owned(),
            alert: alert_text(light.alert).to_owned(),
        }
    }

    /// All dark, and the pins free.
    pub(super) fn end(&mut self) {
        self.player = None;
        self.button = None;
        self.lost = None;
        self.driver = "none";
    }
}

fn armed_text(armed: Armed) -> &'static str {
    match armed {
        Armed::Dark => "dark",
        Armed::Ok => "armed",
        Armed::Fault => "fault",
    }
}

fn alert_text(alert: Option<AlertKind>) -> &'static str {
    match alert {
        None => "dark",
        Some(AlertKind::Head) => "head",
        Some(AlertKind::Get) => "get",
        Some(AlertKind::Other) => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LedDriver, LightConfig, LightRole};

    #[test]
    fn lights_that_cannot_be_had_leave_the_old_ones_on() {
        let old = LedConfig {
            driver: LedDriver::None,
            lights: Vec::new(),
            button: None,
        };
        // No chip has so many pins.
        let pin = LightConfig {
            role: LightRole::Alert,
            pin: 250,
            active_low: false,
        };
        let new = LedConfig {
            driver: LedDriver::Gpiochip,
            lights: vec![pin],
            button: None,
        };
        let mut lighting = Lighting::new();
        lighting.open(&old).unwrap();
        lighting.set_armed(Armed::Ok);
        assert!(lighting.reopen(&new, &old).is_err());
        assert!(lighting.player.is_some());
        assert_eq!(lighting.fault(), None);
        assert_eq!(lighting.status().armed, "armed");
    }
}
