//! Events for people and for programs: table, JSON lines, CSV. One rendering for `log` and
//! `replay`.
//!
//! What comes from the wire cannot drive the terminal: control characters and those that turn or
//! hide text are escaped in every format.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;

use crate::store::EventRecord;

pub use escape::{is_unsafe, printable};

mod csv;
mod escape;
mod jsonl;
mod table;

/// How events are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns, for people
    #[default]
    Table,
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values with a header (RFC 4180)
    Csv,
}

/// What a table is fitted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Columns of the terminal; none: as wide as the rows are.
    pub width: Option<usize>,
    /// Whether colours may be used.
    pub colours: bool,
}

impl Look {
    /// That of standard output: fitted to a terminal, plain otherwise. `NO_COLOR` (any value but
    /// an empty one) turns colours off.
    pub fn of_stdout() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self::default();
        }
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        let columns = size.map_or(0, |size| usize::from(size.ws_col));
        let refused = |name, value: &str| std::env::var_os(name).is_some_and(|is| is == value);
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            width: (columns > 0).then_some(columns),
            colours: !no_color && !refused("TERM", "dumb"),
        }
    }
}

/// Prints events one after the other; keeps none.
#[derive(Debug)]
pub struct EventPrinter<W: Write> {
    out: W,
    form: Form,
    begun: bool,
}

#[derive(Debug)]
enum Form {
    Table(table::Table),
    Jsonl,
    Csv,
}

impl<W: Write> EventPrinter<W> {
    /// A printer onto `out`, which should be buffered.
    pub fn new(format: Format, out: W, look: Look) -> Self {
        let form = match format {
            Format::Table => Form::Table(table::Table::new(look)),
            Format::Jsonl => Form::Jsonl,
            Format::Csv => Form::Csv,
        };
        Self {
            out,
            form,
            begun: false,
        }
    }

    /// The same for events of several taps: a table says which.
    #[must_use]
    pub fn with_taps(mut self) -> Self {
        if let Form::Table(table) = &mut self.form {
            table.add_taps();
        }
        self
    }

    /// Prints one event; ahead of the first one the header, where the format has one.
    ///
    /// # Errors
    /// The output failed.
    pub fn print(&mut self, event: &EventRecord) -> io::Result<()> {
        self.begin()?;
        match &mut self.form {
            Form::Table(table) => table.row(&mut self.out, event),
            Form::Jsonl => jsonl::line(&mut self.out, event),
            Form::Csv => csv::row(&mut self.out, event),
        }
    }

    /// Prints the header if no event came, and flushes.
    ///
    /// # Errors
    /// The output failed.
    pub fn flush(&mut self) -> io::Result<()> {
        self.begin()?;
        self.out.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        match &self.form {
            Form::Table(table) => table.header(&mut self.out),
            Form::Jsonl => Ok(()),
            Form::Csv => csv::header(&mut self.out),
        }
    }
}

/// A printer onto standard output.
pub fn on_stdout(format: Format) -> EventPrinter<io::BufWriter<io::StdoutLock<'static>>> {
    let out = io::BufWriter::new(io::stdout().lock());
    EventPrinter::new(format, out, Look::of_stdout())
}

#[cfg(test)]
mod tests;
