//! `canarytap watch`: live in a terminal, over SSH as well: lights, events, canaries, health.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::SIGTERM;
use signal_hook::flag;

use crate::cli::watch::screen::Screen;
use crate::cli::watch::view::{Source, View};
use crate::cli::{CommandResult, Failure, Globals, Outcome};

mod screen;
mod view;

/// Arguments of `watch`.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {}

/// Runs the command.
pub fn run(globals: &Globals, _args: &WatchArgs) -> CommandResult {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "watch needs a terminal; over SSH: ssh -t pi canarytap watch".into(),
        ));
    }
    let source = Source::open(globals)?;
    let view = source.look()?;
    let ended = until_ended().map_err(Failure::Output)?;
    // Puts the terminal back as it was, also on a panic.
    let mut terminal = ratatui::try_init().map_err(Failure::Output)?;
    let outcome = live(&mut terminal, &source, view, &ended);
    ratatui::try_restore().map_err(Failure::Output)?;
    outcome.map(|()| Outcome::Done)
}

/// Becomes true when somebody else ends the program: then too the terminal has to be put back. A
/// second time ends it at once. Not for a terminal that is gone: there is nothing to put back.
fn until_ended() -> io::Result<Arc<AtomicBool>> {
    let ended = Arc::new(AtomicBool::new(false));
    flag::register_conditional_default(SIGTERM, Arc::clone(&ended))?;
    flag::register(SIGTERM, Arc::clone(&ended))?;
    Ok(ended)
}

fn live(
    terminal: &mut ratatui::DefaultTerminal,
    source: &Source,
    mut view: View,
    ended: &AtomicBool,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut looked = Instant::now();
    let mut screen = Screen::default();
    while !ended.load(Ordering::Relaxed) {
        terminal.draw(|frame| screen.draw(frame, &view, began.elapsed()))?;
        if event::poll(FRAME)? {
            match act(event::read()?) {
                Action::Quit => return Ok(()),
                Action::Acknowledge => {
                    screen.message = source.acknowledge()?;
                    view = source.look()?;
                }
                Action::Up => screen.up(&view),
                Action::Down => screen.down(),
                Action::Open => screen.open(&view),
                Action::Close => screen.close(),
                Action::None => {}
            }
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            view = source.look()?;
        }
    }
    Ok(())
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Quit,
    Acknowledge,
    Up,
    Down,
    Open,
    Close,
    None,
}

fn act(event: Event) -> Action {
    let Event::Key(KeyEvent {
        code,
        modifiers,
        kind: KeyEventKind::Press,
        ..
    }) = event
    else {
        return Action::None;
    };
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Action::Quit,
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Char('a') => Action::Acknowledge,
        KeyCode::Up | KeyCode::Char('k') => Action::Up,
        KeyCode::Down | KeyCode::Char('j') => Action::Down,
        KeyCode::Enter => Action::Open,
        KeyCode::Esc | KeyCode::Backspace => Action::Close,
        _ => Action::None,
    }
}

/// How long it waits for a key: the shortest step of a light's pattern is 100 ms.
const FRAME: Duration = Duration::from_millis(50);
/// How often store and daemon are looked at.
const LOOK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> Action {
        act(Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn keys_do_what_the_last_line_says() {
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::NONE), Action::Quit);
        assert_eq!(
            press(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Action::Quit
        );
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::NONE), Action::None);
        assert_eq!(
            press(KeyCode::Char('a'), KeyModifiers::NONE),
            Action::Acknowledge
        );
        assert_eq!(press(KeyCode::Enter, KeyModifiers::NONE), Action::Open);
        assert_eq!(press(KeyCode::Esc, KeyModifiers::NONE), Action::Close);
        assert_eq!(act(Event::Resize(80, 24)), Action::None);
    }
}
