//! Standard output. Who stops reading it ends a command early, and that is no failure.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use anyhow::Context;

/// Writes a text to standard output.
pub(crate) fn print(text: impl Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("writing to standard output"),
    }
}

/// Columns of text, each as wide as it has to be. Nothing that a terminal would obey gets through.
pub(crate) struct Table<const N: usize>(Vec<[String; N]>);

impl<const N: usize> Table<N> {
    pub(crate) fn new(heads: [&str; N]) -> Self {
        Table(vec![heads.map(str::to_owned)])
    }

    pub(crate) fn add(&mut self, row: [String; N]) {
        self.0
            .push(row.map(|cell| cell.replace(char::is_control, "\u{fffd}")));
    }

    /// The table below an empty line; nothing at all without a row.
    pub(crate) fn text(&self) -> String {
        if self.0.len() < 2 {
            return String::new();
        }
        let mut widths = [0; N];
        for row in &self.0 {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let line = |row: &[String; N]| {
            let cells = row.iter().zip(widths);
            let padded = cells.map(|(cell, width)| format!("{cell:width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        "\n".to_owned() + &self.0.iter().map(line).collect::<String>()
    }
}
