//! Time from sending to visit, by its classes: a bar for each, split by nothing, counted in words.

use maud::{Markup, html};

use crate::experiment::{Answers, Delay};

/// The drawing; nothing where no time is known.
pub(super) fn figure(answers: &Answers, number: usize) -> Markup {
    let counts = CLASSES.map(|class| count(answers, class));
    let most = counts.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return html! {};
    }
    let title = format!("delays-{number}");
    let height = ROW * CLASSES.len() as f64 + 8.0;
    html! {
        figure {
            svg class="small" viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-labelledby=(title) {
                title id=(title) { (words(&counts)) }
                @for (place, (class, count)) in CLASSES.iter().zip(counts).enumerate() {
                    @let top = 4.0 + ROW * place as f64;
                    text x="0" y=(top + 16.0) { (class) }
                    rect class="sent" x=(LEFT) y=(top + 3.0) height=(ROW - 8.0)
                        width=((WIDTH - LEFT - 40.0) * count as f64 / most as f64) {}
                    text x=(LEFT + 8.0 + (WIDTH - LEFT - 40.0) * count as f64 / most as f64)
                        y=(top + 16.0) { (count) }
                }
            }
            figcaption class="figure" { "Time from sending to the first visit, by canary." }
        }
    }
}

fn count(answers: &Answers, class: Delay) -> usize {
    let canaries = answers
        .channels
        .iter()
        .flat_map(|channel| &channel.canaries);
    canaries
        .filter(|canary| canary.delay == Some(class))
        .count()
}

fn words(counts: &[usize; 5]) -> String {
    let parts: Vec<String> = CLASSES
        .iter()
        .zip(counts)
        .map(|(class, count)| format!("{class}: {count}"))
        .collect();
    format!(
        "Time from sending to the first visit. {}.",
        parts.join("; ")
    )
}

const CLASSES: [Delay; 5] = [
    Delay::Before,
    Delay::Seconds,
    Delay::Minutes,
    Delay::Hours,
    Delay::Days,
];
const WIDTH: f64 = 560.0;
const LEFT: f64 = 205.0;
const ROW: f64 = 26.0;
