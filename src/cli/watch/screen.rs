//! The screen: pure drawing of what there is to see, fitted to whatever the terminal has.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Wrap};

use crate::cli::render::printable;
use crate::cli::watch::view::View;
use crate::led::LedPattern;
use crate::store::EventRecord;

/// What the user did with it.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// `seq` of the event that is marked; none: the newest.
    marked: Option<usize>,
    /// Whether the marked one is open.
    opened: Option<EventRecord>,
    /// What the last key came to.
    pub(super) message: String,
}

impl Screen {
    /// Marks the event before.
    pub(super) fn up(&mut self, view: &View) {
        let last = view.events.len().saturating_sub(1);
        let back = self.marked.unwrap_or(0);
        self.marked = Some((back + 1).min(last));
    }

    /// Marks the event after.
    pub(super) fn down(&mut self) {
        self.marked = self.marked.and_then(|back| back.checked_sub(1));
    }

    /// Opens the marked event.
    pub(super) fn open(&mut self, view: &View) {
        self.opened = view
            .events
            .iter()
            .rev()
            .nth(self.marked.unwrap_or(0))
            .cloned();
    }

    /// Closes it again.
    pub(super) fn close(&mut self) {
        self.opened = None;
    }

    /// Draws everything, `elapsed` after the start.
    pub(super) fn draw(&self, frame: &mut Frame<'_>, view: &View, elapsed: Duration) {
        let health = health(view);
        let rows = [
            Constraint::Length(1),
            Constraint::Min(3),
            Constraint::Length(u16::try_from(health.len()).unwrap_or(1).min(4) + 1),
            Constraint::Length(1),
        ];
        let [top, middle, below, keys] = Layout::vertical(rows).areas(frame.area());
        frame.render_widget(Paragraph::new(lights(view, elapsed)), top);
        match &self.opened {
            Some(event) => open(frame, middle, event),
            None => self.lists(frame, middle, view),
        }
        let border = Block::new().borders(Borders::TOP).title(" health ");
        frame.render_widget(Paragraph::new(health).block(border), below);
        frame.render_widget(Paragraph::new(self.keys()), keys);
    }

    /// Events, and beside or below them, where there is room, the canaries.
    fn lists(&self, frame: &mut Frame<'_>, area: Rect, view: &View) {
        let wide = area.width >= WIDE;
        let some = u16::try_from(view.canaries.len()).unwrap_or(BELOW_MAX);
        let below = match area.height >= HIGH {
            true => some.clamp(1, BELOW_MAX) + 1,
            false => 0,
        };
        let [events, canaries] = match wide {
            true => Layout::horizontal([Constraint::Fill(3), Constraint::Fill(1)]).areas(area),
            false => Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(area),
        };
        let border = Block::new().borders(Borders::TOP).title(" last events ");
        let room = usize::from(events.height.saturating_sub(1));
        let lines = self.events(view, room);
        frame.render_widget(Paragraph::new(lines).block(border), events);
        let borders = match wide {
            true => Borders::TOP | Borders::LEFT,
            false => Borders::TOP,
        };
        let border = Block::new().borders(borders).title(" canaries ");
        let lines: Vec<Line<'_>> = view.canaries.iter().map(canary).collect();
        frame.render_widget(Paragraph::new(lines).block(border), canaries);
    }

    /// As many as there is room for; the marked one is always among them.
    fn events(&self, view: &View, room: usize) -> Vec<Line<'static>> {
        if view.events.is_empty() {
            return vec![Line::from("nothing yet").dim()];
        }
        let back = self.marked.unwrap_or(0);
        let end = view
            .events
            .len()
            .saturating_sub((back + 1).saturating_sub(room));
        let begin = end.saturating_sub(room);
        let shown = view.events.get(begin..end).unwrap_or(&[]);
        let mark = view.events.len().checked_sub(back + 1);
        shown
            .iter()
            .zip(begin..)
            .map(|(record, place)| {
                let line = event(record);
                match self.marked.is_some() && Some(place) == mark {
                    true => line.add_modifier(Modifier::REVERSED),
                    false => line,
                }
            })
            .collect()
    }

    fn keys(&self) -> Line<'static> {
        let keys = match self.opened {
            Some(_) => "Esc back  a acknowledge all  q quit",
            None => "↑↓ choose  Enter open  a acknowledge all  q quit",
        };
        let message = match self.message.is_empty() {
            true => String::new(),
            false => format!("   {}", printable(&self.message)),
        };
        Line::from(vec![Span::from(keys).dim(), Span::from(message).bold()])
    }
}

fn lights(view: &View, elapsed: Duration) -> Line<'static> {
    let light = |name: &str, pattern: LedPattern, color: Style| {
        let (mark, style) = match pattern.level_at(elapsed) {
            true => ("●", color.add_modifier(Modifier::BOLD)),
            false => ("○", Style::new().dim()),
        };
        [Span::styled(mark, style), Span::from(format!(" {name}   "))]
    };
    let waiting = match view.waiting {
        0 => "no alert waits".to_owned(),
        1 => "1 alert waits".to_owned(),
        count => format!("{count} alerts wait"),
    };
    let armed = match view.armed {
        LedPattern::Fault => Style::new().yellow(),
        _ => Style::new().green(),
    };
    let mut spans: Vec<Span<'static>> = Vec::new();
    spans.extend(light("armed", view.armed, armed));
    spans.extend(light("alert", view.alert, Style::new().red()));
    spans.push(Span::from(waiting));
    Line::from(spans)
}

fn health(view: &View) -> Vec<Line<'static>> {
    let Some(status) = &view.status else {
        return vec![Line::from("the daemon is not running here").yellow()];
    };
    let remarks = status.faults.iter().chain(&status.warnings);
    let mut lines: Vec<Line<'static>> = remarks
        .map(|remark| Line::from(printable(&remark.text).into_owned()).yellow())
        .collect();
    if lines.is_empty() {
        lines.push(Line::from(format!(
            "well: {}, {} frames, {} dropped, {} canaries",
            printable(&status.capture.interface),
            status.capture.received,
            status.capture.dropped_kernel + status.capture.dropped_interface,
            status.capture.canaries
        )));
    }
    lines
}

fn event(record: &EventRecord) -> Line<'static> {
    let time = record
        .time
        .get(..19)
        .unwrap_or(&record.time)
        .replace('T', " ");
    let client = record
        .client
        .map_or("-".to_owned(), |client| client.to_string());
    let what = match (&record.method, &record.count) {
        (_, Some(count)) => format!("{count} visits"),
        (Some(method), None) => method.clone(),
        (None, None) => record.kind.to_string(),
    };
    let whom = record
        .channel
        .as_deref()
        .or(record.host.as_deref())
        .unwrap_or("-");
    let target = record.target.as_deref().unwrap_or_default();
    // A target may be 64 KiB long; no terminal shows more than this.
    let target: String = target.chars().take(TARGET_MAX).collect();
    let text = format!(
        "{time}  {:<8} {client:<15} {}  {}",
        printable(&what),
        printable(whom),
        printable(&target)
    );
    match record.alert {
        true => Line::from(text).bold(),
        false => Line::from(text),
    }
}

fn canary(line: &crate::cli::watch::view::CanaryLine) -> Line<'static> {
    let text = format!(
        "{:>4} {}  {}",
        line.alerts,
        printable(&line.channel),
        printable(&line.name)
    );
    match line.alerts {
        0 => Line::from(text).dim(),
        _ => Line::from(text),
    }
}

fn open(frame: &mut Frame<'_>, area: Rect, event: &EventRecord) {
    let mut lines = Vec::new();
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(event) {
        for (name, value) in &fields {
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let text: String = printable(&text).chars().take(TEXT_MAX).collect();
            lines.push(Line::from(vec![
                Span::from(format!("{name:<13} ")).dim(),
                Span::from(text),
            ]));
        }
    }
    let border = Block::new().borders(Borders::TOP).title(" event ");
    let text = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(text.block(border), area);
}

/// Columns from which on there is room for a second list.
const WIDE: u16 = 100;
/// Lines from which on there is room for one below.
const HIGH: u16 = 14;
/// Canaries that are shown below.
const BELOW_MAX: u16 = 6;
/// Characters of a value that are shown of an open event; the log holds the rest.
const TEXT_MAX: usize = 800;
/// Characters of a target in a line.
const TARGET_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::cli::watch::view::CanaryLine;
    use crate::daemon::status::{Remark, Status};

    fn record(second: u64, target: &str) -> EventRecord {
        serde_json::from_value(serde_json::json!({
            "seq": second, "time": format!("2013-04-30T17:28:{second:02}.104512Z"),
            "kind": "visit", "alert": true, "canary": "k7", "channel": "skype",
            "client": "65.52.100.214", "method": "HEAD", "target": target,
        }))
        .unwrap()
    }

    fn view() -> View {
        View {
            status: Some(Status {
                healthy: true,
                ..Status::default()
            }),
            armed: LedPattern::ArmedFlash,
            alert: LedPattern::AlertHead,
            waiting: 2,
            events: vec![record(1, "/a"), record(2, "/b\u{1b}[2J\u{202e}")],
            canaries: vec![CanaryLine {
                channel: "skype".into(),
                name: "to Anna".into(),
                visits: 2,
                alerts: 2,
            }],
        }
    }

    fn drawn(screen: &Screen, view: &View, size: (u16, u16), elapsed: Duration) -> String {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal
            .draw(|frame| screen.draw(frame, view, elapsed))
            .unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn lights_blink_as_on_the_pi() {
        let at = |millis| {
            let text = drawn(
                &Screen::default(),
                &view(),
                (80, 24),
                Duration::from_millis(millis),
            );
            text.lines().next().unwrap().to_owned()
        };
        assert!(
            at(30).contains("● armed   ● alert   2 alerts wait"),
            "{}",
            at(30)
        );
        assert!(at(400).contains("○ armed   ● alert"), "{}", at(400));
        assert!(at(1000).contains("○ armed   ○ alert"), "{}", at(1000));
    }

    #[test]
    fn everything_fits_into_eighty_columns_and_less() {
        let text = drawn(&Screen::default(), &view(), (80, 24), Duration::ZERO);
        assert!(
            text.contains("2013-04-30 17:28:01  HEAD     65.52.100.214   skype  /a"),
            "{text}"
        );
        assert!(text.contains("q quit"), "{text}");
        assert!(text.contains(" canaries ─"), "{text}");
        assert!(text.contains("   2 skype  to Anna"), "{text}");
        let text = drawn(&Screen::default(), &view(), (80, 12), Duration::ZERO);
        assert!(!text.contains(" canaries ─"), "{text}");
        for size in [(1, 1), (10, 3), (40, 8), (300, 100)] {
            drawn(&Screen::default(), &view(), size, Duration::ZERO);
        }
    }

    #[test]
    fn a_wide_terminal_shows_the_canaries_too() {
        let text = drawn(&Screen::default(), &view(), (120, 24), Duration::ZERO);
        assert!(text.contains("   2 skype  to Anna"), "{text}");
    }

    #[test]
    fn nothing_from_the_wire_drives_the_terminal() {
        let text = drawn(&Screen::default(), &view(), (120, 24), Duration::ZERO);
        assert!(text.contains("/b\\u{1b}[2J\\u{202e}"), "{text}");
        let mut screen = Screen::default();
        screen.open(&view());
        let text = drawn(&screen, &view(), (120, 24), Duration::ZERO);
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{202e}'),
            "{text}"
        );
    }

    #[test]
    fn an_event_is_chosen_opened_and_closed() {
        let (view, mut screen) = (view(), Screen::default());
        screen.up(&view);
        screen.up(&view); // there is none before the first
        screen.open(&view);
        let text = drawn(&screen, &view, (80, 24), Duration::ZERO);
        assert!(text.contains("target        /a"), "{text}");
        screen.close();
        screen.down();
        screen.down();
        screen.open(&view);
        let text = drawn(&screen, &view, (80, 24), Duration::ZERO);
        assert!(text.contains("target        /b"), "{text}");
    }

    #[test]
    fn faults_are_named_and_a_daemon_that_is_gone_too() {
        let mut view = view();
        if let Some(status) = &mut view.status {
            status.faults.push(Remark {
                name: "silent".into(),
                text: "the mirror is silent".into(),
                cure: String::new(),
            });
        }
        assert!(
            drawn(&Screen::default(), &view, (80, 24), Duration::ZERO)
                .contains("the mirror is silent")
        );
        view.status = None;
        assert!(
            drawn(&Screen::default(), &view, (80, 24), Duration::ZERO).contains("not running here")
        );
    }
}
