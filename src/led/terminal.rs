//! Lights on standard error: one line that is drawn over on a terminal, else one line a change.
//!
//! There is one standard error in a process, so there is one screen. Messages for people go
//! through [`tell`], which writes them above the lights.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::LightRole;
use crate::led::{Led, LedError, Leds, role_name};

/// How lights are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One line, drawn over; with colours or without.
    Line {
        /// Whether a lit light has its colour.
        colours: bool,
    },
    /// One line for each change: seconds since the lights were opened, the word `light`, the
    /// role, the level.
    Log,
}

/// One of the lights on the screen.
#[derive(Debug)]
pub struct TerminalLed {
    role: LightRole,
}

/// Shows dark lights for `roles` on standard error, from now until the last one is dropped.
///
/// # Errors
/// [`LedError::Driver`] when standard error takes nothing.
pub fn open(style: Style, roles: &[LightRole]) -> Result<Leds, LedError> {
    let mut screen = Screen::new(io::stderr(), style, roles);
    screen.draw().map_err(|error| LedError::terminal(&error))?;
    *shared() = Some(screen);
    let led = |role: &LightRole| -> (LightRole, Box<dyn Led>) {
        (*role, Box::new(TerminalLed { role: *role }))
    };
    Ok(roles.iter().map(led).collect())
}

/// Writes a message for people on standard error, above the lights if they are drawn there.
///
/// # Errors
/// Those of standard error.
pub fn tell(message: &str) -> io::Result<()> {
    above(|| writeln!(io::stderr().lock(), "{message}"))
}

/// Lets `write` write whole lines on the terminal, above the lights if they are drawn there.
///
/// # Errors
/// Those of `write` and of standard error.
pub fn above(write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match shared().as_mut() {
        Some(screen) => screen.above(|_| write()),
        None => write(),
    }
}

impl Led for TerminalLed {
    fn set(&mut self, on: bool) -> Result<(), LedError> {
        match shared().as_mut() {
            Some(screen) => screen
                .set(self.role, on)
                .map_err(|error| LedError::terminal(&error)),
            None => Ok(()),
        }
    }
}

impl Drop for TerminalLed {
    fn drop(&mut self) {
        let mut shared = shared();
        let last = shared
            .as_mut()
            .is_none_or(|screen| screen.remove(self.role));
        if last {
            *shared = None;
        }
    }
}

static SCREEN: Mutex<Option<Screen<io::Stderr>>> = Mutex::new(None);

fn shared() -> MutexGuard<'static, Option<Screen<io::Stderr>>> {
    // A level and a line of text cannot be left half changed.
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is drawn.
#[derive(Debug)]
struct Screen<W> {
    out: W,
    style: Style,
    opened: Instant,
    lights: Vec<(LightRole, bool)>,
}

impl<W: Write> Screen<W> {
    fn new(out: W, style: Style, roles: &[LightRole]) -> Self {
        Self {
            out,
            style,
            opened: Instant::now(),
            lights: roles.iter().map(|role| (*role, false)).collect(),
        }
    }

    fn set(&mut self, role: LightRole, on: bool) -> io::Result<()> {
        for (_, level) in self.lights.iter_mut().filter(|(light, _)| *light == role) {
            *level = on;
        }
        match self.style {
            Style::Line { .. } => self.draw(),
            Style::Log => {
                let line = log_line(self.opened.elapsed(), role, on);
                self.out.write_all(line.as_bytes())
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let Style::Line { colours } = self.style else {
            return Ok(());
        };
        let lights: Vec<String> = self
            .lights
            .iter()
            .map(|(role, on)| drawn(*role, *on, colours))
            .collect();
        // The cursor waits at the line's beginning: whoever writes next writes over it.
        let line = format!("\r{}\r", lights.join("   "));
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }

    fn erase(&mut self) -> io::Result<()> {
        let Style::Line { .. } = self.style else {
            return Ok(());
        };
        let blank = " ".repeat(self.width());
        write!(self.out, "\r{blank}\r")?;
        self.out.flush()
    }

    fn above(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
        self.erase()?;
        write(&mut self.out)?;
        self.draw()
    }

    /// Whether no light is left.
    fn remove(&mut self, role: LightRole) -> bool {
        // A terminal that is gone needs no cleaning.
        let _gone = self.erase();
        self.lights.retain(|(light, _)| *light != role);
        self.lights.is_empty()
    }

    /// Columns that the line takes.
    fn width(&self) -> usize {
        let names = self
            .lights
            .iter()
            .map(|(role, _)| role_name(*role).len() + 2);
        names.sum::<usize>() + 3 * self.lights.len().saturating_sub(1)
    }
}

fn drawn(role: LightRole, on: bool, colours: bool) -> String {
    let name = role_name(role);
    match (on, colours) {
        (false, _) => format!("○ {name}"),
        (true, false) => format!("● {name}"),
        (true, true) => format!("\x1b[{}m●\x1b[0m {name}", colour(role)),
    }
}

/// The bright one of ECMA-48's colours: red, green, yellow.
const fn colour(role: LightRole) -> &'static str {
    match role {
        LightRole::Alert => "1;31",
        LightRole::Armed => "1;32",
        LightRole::Activity => "1;33",
    }
}

fn log_line(since_opened: Duration, role: LightRole, on: bool) -> String {
    let level = if on { "on" } else { "off" };
    let seconds = since_opened.as_secs_f64();
    format!("{seconds:.3} light {} {level}\n", role_name(role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::led::ROLES;

    fn screen(style: Style) -> Screen<Vec<u8>> {
        Screen::new(Vec::new(), style, &ROLES)
    }

    fn written(screen: &mut Screen<Vec<u8>>) -> String {
        String::from_utf8(std::mem::take(&mut screen.out)).unwrap()
    }

    #[test]
    fn all_lights_stand_in_one_line_that_is_drawn_over() {
        let mut screen = screen(Style::Line { colours: false });
        screen.draw().unwrap();
        assert_eq!(written(&mut screen), "\r○ alert   ○ armed   ○ activity\r");
        screen.set(LightRole::Armed, true).unwrap();
        assert_eq!(written(&mut screen), "\r○ alert   ● armed   ○ activity\r");
    }

    #[test]
    fn lit_lights_have_their_colour() {
        let mut screen = screen(Style::Line { colours: true });
        for role in ROLES {
            screen.set(role, true).unwrap();
        }
        let text = written(&mut screen);
        assert!(text.ends_with(
            "\r\x1b[1;31m●\x1b[0m alert   \x1b[1;32m●\x1b[0m armed   \x1b[1;33m●\x1b[0m activity\r"
        ));
    }

    #[test]
    fn a_message_stands_above_the_lights() {
        let mut screen = screen(Style::Line { colours: false });
        screen.above(|out| writeln!(out, "hello")).unwrap();
        let blank = " ".repeat("○ alert   ○ armed   ○ activity".chars().count());
        assert_eq!(
            written(&mut screen),
            format!("\r{blank}\rhello\n\r○ alert   ○ armed   ○ activity\r")
        );
    }

    #[test]
    fn without_a_terminal_there_is_one_line_for_each_change() {
        let mut screen = screen(Style::Log);
        screen.draw().unwrap();
        screen.above(|out| writeln!(out, "hello")).unwrap();
        screen.set(LightRole::Alert, true).unwrap();
        let text = written(&mut screen);
        let (first, second) = text.split_once('\n').unwrap();
        assert_eq!(first, "hello");
        assert!(second.ends_with(" light alert on\n"), "{second}");
    }

    #[test]
    fn a_change_is_logged_with_milliseconds() {
        let line = log_line(
            Duration::from_micros(12_345_600),
            LightRole::Activity,
            false,
        );
        assert_eq!(line, "12.346 light activity off\n");
    }

    #[test]
    fn the_line_is_erased_when_its_lights_go() {
        let mut screen = screen(Style::Line { colours: false });
        assert!(!screen.remove(LightRole::Alert));
        assert!(!screen.remove(LightRole::Armed));
        assert!(screen.remove(LightRole::Activity));
        assert!(written(&mut screen).ends_with("\r          \r"));
    }
}
