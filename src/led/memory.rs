//! A light that only remembers: for tests of what drives lights.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use crate::led::{Led, LedError};

/// Remembers each level it was set to, and when. Clones share one memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryLed {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    changes: Vec<(Instant, bool)>,
    failing: bool,
}

impl MemoryLed {
    pub fn lit(&self) -> bool {
        self.levels().last().copied().unwrap_or_default()
    }

    pub fn levels(&self) -> Vec<bool> {
        self.changes().into_iter().map(|(_, level)| level).collect()
    }

    pub fn changes(&self) -> Vec<(Instant, bool)> {
        self.inner.lock().unwrap().changes.clone()
    }

    pub fn fail(&self, failing: bool) {
        self.inner.lock().unwrap().failing = failing;
    }
}

impl Led for MemoryLed {
    fn set(&mut self, on: bool) -> Result<(), LedError> {
        let mut inner = self.inner.lock().unwrap();
        if inner.failing {
            return Err(LedError::driver("set the light", "it was pulled out"));
        }
        inner.changes.push((Instant::now(), on));
        Ok(())
    }
}
