//! Standard output: tables, times and sizes in words. Who stops reading it ends a command early, and that is no failure.

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

    /// The table; nothing at all without a row.
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
        self.0.iter().map(line).collect()
    }

    /// The table below an empty line; nothing at all without a row.
    pub(crate) fn paragraph(&self) -> String {
        match self.text() {
            text if text.is_empty() => text,
            text => "\n".to_owned() + &text,
        }
    }
}

/// A cell; a dash for nothing.
pub(crate) fn cell(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        text => text.to_owned(),
    }
}

/// A time in milliseconds; a dash for none.
pub(crate) fn span(ms: Option<u64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms @ 0..1000) => format!("{ms} ms"),
        Some(ms @ 1000..120_000) => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        Some(ms @ 120_000..7_200_000) => format!("{} min", ms / 60_000),
        Some(ms @ 7_200_000..172_800_000) => format!("{} h", ms / 3_600_000),
        Some(ms) => format!("{} d", ms / 86_400_000),
    }
}

/// A size in bytes; a dash for none.
pub(crate) fn bytes(bytes: Option<u64>) -> String {
    match bytes {
        None => "-".to_owned(),
        Some(bytes @ 0..10_240) => format!("{bytes} B"),
        Some(bytes @ 10_240..10_485_760) => format!("{} KiB", bytes >> 10),
        Some(bytes) => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_obey_nobody() {
        let mut table = Table::new(["node", "tier"]);
        assert_eq!(table.paragraph(), "");
        for row in [["é", "l1"], ["shelf-1", ""], ["\u{1b}", "l2"]] {
            table.add(row.map(str::to_owned));
        }
        let expected = "node     tier\né        l1\nshelf-1\n\u{fffd}        l2\n";
        assert_eq!(table.text(), expected);
        assert_eq!(table.paragraph(), "\n".to_owned() + expected);
    }

    #[test]
    fn times_and_sizes_are_in_words() {
        let spans = [
            None,
            Some(0),
            Some(1250),
            Some(600_000),
            Some(86_400_000),
            Some(345_600_000),
        ];
        assert_eq!(
            spans.map(span),
            ["-", "0 ms", "1.2 s", "10 min", "24 h", "4 d"]
        );
        assert_eq!(
            [Some(2048), Some(20 << 10), Some(30 << 20)].map(bytes),
            ["2048 B", "20 KiB", "30 MiB"]
        );
    }
}
