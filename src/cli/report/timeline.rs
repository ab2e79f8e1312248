//! The time line: sendings and visits for each channel, the time that was watched shaded.

use std::time::Duration;

use maud::{Markup, html};

use crate::cli::render::printable;
use crate::cli::report::answers;
use crate::cli::report::gather::Report;
use crate::cli::report::zone::Zone;
use crate::engine::frame::Timestamp;
use crate::experiment::{Answers, CanaryAnswer, Sent, Watching};

/// The drawing, with what it says in words for who does not see it.
pub(super) fn figure(
    answers: &Answers,
    number: usize,
    report: &Report,
    watching: &Watching,
    zone: &Zone,
) -> Markup {
    let rows = rows(answers);
    let axis = Axis::over(answers, &rows);
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let title = format!("timeline-{number}");
    let named = answers::title(answers);
    html! {
        figure {
          div class="wide" tabindex="0" role="region" aria-label=(format!("{named}: time line")) {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-labelledby=(title) {
                title id=(title) { (words(answers, &rows)) }
                @for (from, until) in watching.spans() {
                    @if let Some((left, right)) = axis.span(*from, *until) {
                        rect class="watched" x=(left) y=(TOP) width=(right - left)
                            height=(ROW * rows.len() as f64) {}
                    }
                }
                @for (place, row) in rows.iter().enumerate() {
                    (draw(row, place, &axis, report))
                }
                (ticks(&axis, height, zone))
            }
          }
            figcaption class="figure" {
                "Filled marks: sent. Rings: visited from outside. Shaded: the tap was watching."
            }
        }
    }
}

/// One line of the drawing.
struct Line<'a> {
    name: String,
    canaries: Vec<&'a CanaryAnswer>,
}

fn rows(answers: &Answers) -> Vec<Line<'_>> {
    let channels = answers.channels.iter().map(|channel| Line {
        name: printable(&channel.channel).into_owned(),
        canaries: channel.canaries.iter().collect(),
    });
    let rest = [
        ("controls", &answers.controls),
        ("comparisons", &answers.comparisons),
    ];
    let rest = rest
        .into_iter()
        .filter(|(_, canaries)| !canaries.is_empty());
    let rest = rest.map(|(name, canaries)| Line {
        name: name.to_owned(),
        canaries: canaries.iter().collect(),
    });
    channels.chain(rest).collect()
}

fn draw(row: &Line<'_>, place: usize, axis: &Axis, report: &Report) -> Markup {
    let middle = TOP + ROW * (place as f64 + 0.5);
    let sent = row.canaries.iter().filter_map(|canary| match canary.sent {
        Sent::At(at, _) => axis.place(at),
        Sent::NotNoted | Sent::Never => None,
    });
    let is_of_row = |id: &str| row.canaries.iter().any(|canary| canary.member.id == id);
    let visits = report
        .alerts
        .iter()
        .filter(|alert| alert.record.canary.as_deref().is_some_and(is_of_row))
        .filter_map(|alert| axis.place(alert.at));
    html! {
        text x="0" y=(middle + 4.0) { (shortened(&row.name)) }
        line class="axis" x1=(LEFT) x2=(WIDTH) y1=(middle) y2=(middle) {}
        @for x in sent { rect class="sent" x=(x - 4.0) y=(middle - 4.0) width="8" height="8" {} }
        @for x in visits { circle class="visit" cx=(x) cy=(middle) r="7" {} }
    }
}

fn ticks(axis: &Axis, height: f64, zone: &Zone) -> Markup {
    let length = axis.until.since(axis.from);
    let to_the_day = length > Duration::from_secs(4 * 86_400);
    html! {
        @for step in 0..=TICKS {
            @let at = axis.from.plus(length * step / TICKS);
            @let x = axis.place(at).unwrap_or(LEFT);
            @let anchor = match step { 0 => "start", TICKS => "end", _ => "middle" };
            line class="axis" x1=(x) x2=(x) y1=(height - BOTTOM) y2=(height - BOTTOM + 5.0) {}
            text class="tick" x=(x) y=(height - 6.0) text-anchor=(anchor) { (zone.tick(at, to_the_day)) }
        }
    }
}

fn words(answers: &Answers, rows: &[Line<'_>]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            let visited = row
                .canaries
                .iter()
                .filter(|one| one.facts.is_visited())
                .count();
            format!("{}: {visited} of {} visited", row.name, row.canaries.len())
        })
        .collect();
    format!(
        "Time line from {} to {}. {}.",
        answers.began,
        answers.now,
        rows.join("; ")
    )
}

/// From time to place.
struct Axis {
    from: Timestamp,
    until: Timestamp,
}

impl Axis {
    /// From the first that is known of until now.
    fn over(answers: &Answers, rows: &[Line<'_>]) -> Self {
        let canaries = rows.iter().flat_map(|row| &row.canaries);
        let times = canaries.flat_map(|canary| {
            let sent = match canary.sent {
                Sent::At(at, _) => Some(at),
                Sent::NotNoted | Sent::Never => None,
            };
            sent.into_iter()
                .chain(canary.facts.first.as_ref().map(|first| first.at))
        });
        let from = times.chain([answers.began]).min().unwrap_or(answers.began);
        let until = answers.now.max(from.plus(Duration::from_secs(60)));
        Self { from, until }
    }

    fn place(&self, at: Timestamp) -> Option<f64> {
        let inside = at >= self.from && at <= self.until;
        let part = at.since(self.from).as_secs_f64() / self.until.since(self.from).as_secs_f64();
        inside.then_some(round(LEFT + part * (WIDTH - LEFT)))
    }

    fn span(&self, from: Timestamp, until: Timestamp) -> Option<(f64, f64)> {
        let (from, until) = (from.max(self.from), until.min(self.until));
        (from < until).then_some(())?;
        Some((self.place(from)?, self.place(until)?))
    }
}

/// To a tenth: nobody sees more, and files grow by it.
fn round(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_MAX - 1).chain(['…']).collect()
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 160.0;
const TOP: f64 = 8.0;
const ROW: f64 = 30.0;
const BOTTOM: f64 = 26.0;
const TICKS: u32 = 4;
const NAME_MAX: usize = 20;
