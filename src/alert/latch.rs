//! The alert light's memory: lit from the first alert until all are acknowledged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::alert::{Alert, AlertSink};
use crate::led::{AlertKind, LightState};
use crate::store::Unacknowledged;

/// What the alert light shows. Clones are the same latch.
///
/// The store knows what waits, also across a restart; what it could not keep waits here.
#[derive(Clone, Debug)]
pub struct Latch {
    lights: watch::Sender<LightState>,
    /// The newest alert that is on no disk.
    unstored: Arc<Mutex<Option<AlertKind>>>,
}

impl Latch {
    /// A latch that moves `lights`.
    pub fn new(lights: watch::Sender<LightState>) -> Self {
        Self {
            lights,
            unstored: Arc::default(),
        }
    }

    /// Shows what waits in the store: at the start, and whenever somebody may have acknowledged.
    pub fn follow(&self, waiting: Option<&Unacknowledged>) {
        let stored = waiting.map(|waiting| AlertKind::of_method(waiting.method.as_deref()));
        let unstored = *self.unstored();
        self.show(unstored.or(stored));
    }

    /// Forgets the alerts that are on no disk: they were acknowledged by the button, or are on
    /// disk now. [`follow`](Self::follow) then shows what is left.
    pub fn forget_unstored(&self) {
        *self.unstored() = None;
    }

    /// Whether an alert waits that is on no disk.
    pub fn has_unstored(&self) -> bool {
        self.unstored().is_some()
    }

    fn show(&self, alert: Option<AlertKind>) {
        self.lights.send_if_modified(|state| {
            let news = state.alert != alert;
            state.alert = alert;
            news
        });
    }

    fn unstored(&self) -> MutexGuard<'_, Option<AlertKind>> {
        // One small value cannot be left half changed.
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AlertSink for Latch {
    fn alert(&mut self, alert: &Alert<'_>) {
        let kind = AlertKind::of_method(alert.event.method.as_deref());
        if alert.seq.is_none() {
            *self.unstored() = Some(kind);
        }
        self.show(Some(kind));
    }
}
