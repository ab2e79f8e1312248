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

    pub(super) fn open(&mut self, config: &LedConfig) -> Result<(), DaemonError> {
        self.player = None;
        self.button = None;
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
