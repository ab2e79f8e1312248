//! The button that acknowledges: a thread that sleeps until the kernel reports an edge.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, EdgeKind};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use tokio::sync::mpsc;

use crate::config::{ButtonConfig, LedConfig, LedDriver};
use crate::led::gpiochip::{Choice, PinChip};
use crate::led::{LedError, Lights};

/// What the button says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ButtonEvent {
    /// It was pressed.
    Pressed,
    /// It can be read no more; nothing comes after this.
    Lost(LedError),
}

/// A button that is watched until this is dropped; its pin is free then.
#[derive(Debug)]
pub struct Button {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Button {
    /// Watches the configured button, if there is one and the lights are on GPIO. Under both
    /// drivers the kernel reports its edges.
    ///
    /// # Errors
    /// When its pin cannot be had.
    pub fn open(
        config: &LedConfig,
        lights: &Lights,
    ) -> Result<Option<(Self, mpsc::Receiver<ButtonEvent>)>, LedError> {
        let Some(button) = config.button.filter(|_| lights.on_gpio()) else {
            return Ok(None);
        };
        let choice = match config.driver {
            LedDriver::Gpiochip => Choice::Only,
            _ => Choice::Known,
        };
        let request = request(&PinChip::find(choice)?, button)?;
        Self::watch(request, button.pin).map(Some)
    }

    fn watch(request: Request, pin: u8) -> Result<(Self, mpsc::Receiver<ButtonEvent>), LedError> {
        let (events, receiver) = mpsc::channel(PRESSES_WAITING_MAX);
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| no_thread(e.into()))?);
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("button".into())
            .spawn(move || {
                if let Err(error) = report_presses(&request, &stopped, &events) {
                    let action = format!("read the button on pin {pin}");
                    let lost = ButtonEvent::Lost(LedError::driver(action, error));
                    let _nobody_listens = events.blocking_send(lost);
                }
            })
            .map_err(no_thread)?;
        let thread = Some(thread);
        Ok((Self { stop, thread }, receiver))
    }
}

impl Drop for Button {
    fn drop(&mut self) {
        let stopping = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let (Ok(_), Some(thread)) = (stopping, self.thread.take()) {
            // A panic there was printed there, and the pin was freed all the same.
            let _panicked = thread.join();
        }
    }
}

/// Until `stop` is written to.
fn report_presses(
    request: &Request,
    stop: &OwnedFd,
    events: &mpsc::Sender<ButtonEvent>,
) -> io::Result<()> {
    let mut presses = Presses::default();
    loop {
        let mut waiting = [
            PollFd::new(request, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        match poll(&mut waiting, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled?,
        };
        let [_, stopped] = &waiting;
        if !stopped.revents().is_empty() {
            return Ok(());
        }
        let edge = request.read_edge_event().map_err(io::Error::other)?;
        let at = Duration::from_nanos(edge.timestamp_ns);
        if presses.edge(edge.kind == EdgeKind::Falling, at) {
            // A full channel holds presses enough to acknowledge all.
            let _full = events.try_send(ButtonEvent::Pressed);
        }
    }
}

fn request(chip: &PinChip, button: ButtonConfig) -> Result<Request, LedError> {
    chip.request(button.pin, |line| {
        line.as_input()
            .with_bias(Bias::PullUp)
            .with_edge_detection(EdgeDetection::BothEdges)
            .with_debounce_period(DEBOUNCE);
    })
}

/// Tells presses from bounces and spikes that the kernel let through.
#[derive(Debug, Default)]
struct Presses {
    last_edge: Option<Duration>,
}

impl Presses {
    /// Whether the edge at `at`, on any monotonic clock, begins a press: the level fell after it
    /// had been still for [`STILL`].
    fn edge(&mut self, fell: bool, at: Duration) -> bool {
        let still = self
            .last_edge
            .is_none_or(|last| at.saturating_sub(last) >= STILL);
        self.last_edge = Some(at);
        fell && still
    }
}

fn no_thread(error: io::Error) -> LedError {
    LedError::driver("watch the button", error)
}

/// How long a level must last for the kernel to report it: contacts bounce for 1 to 10 ms, and
/// what a long wire picks up from a lamp switch is shorter still.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// How long the level must have been still before a press: fingers are slower.
const STILL: Duration = Duration::from_millis(50);
/// Presses that wait to be read; one acknowledges all.
const PRESSES_WAITING_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Presses among edges, given as milliseconds; the first falls, the next rises, and so on.
    fn pressed(edges: &[u64]) -> Vec<u64> {
        let mut presses = Presses::default();
        let mut fell = false;
        edges
            .iter()
            .filter(|at| {
                fell = !fell;
                presses.edge(fell, Duration::from_millis(**at))
            })
            .copied()
            .collect()
    }

    #[test]
    fn a_press_is_told_when_the_level_falls() {
        assert_eq!(pressed(&[1_000, 1_200]), [1_000]);
    }

    #[test]
    fn a_press_that_bounces_is_one_press() {
        assert_eq!(
            pressed(&[1_000, 1_003, 1_005, 1_009, 1_010, 1_200]),
            [1_000]
        );
    }

    #[test]
    fn a_release_that_bounces_is_no_press() {
        assert_eq!(
            pressed(&[1_000, 1_200, 1_202, 1_204, 1_206, 1_210]),
            [1_000]
        );
    }

    #[test]
    fn two_presses_are_two() {
        assert_eq!(pressed(&[1_000, 1_100, 1_300, 1_400]), [1_000, 1_300]);
    }

    #[test]
    fn without_gpio_there_is_no_button() {
        let config = LedConfig {
            driver: LedDriver::None,
            lights: Vec::new(),
            button: Some(ButtonConfig { pin: 27 }),
        };
        let lights = Lights::new("none", Vec::new());
        assert!(Button::open(&config, &lights).unwrap().is_none());
    }
}
