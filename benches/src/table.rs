//! Tables on standard output, which `cargo xtask bench` keeps.
#![expect(clippy::print_stdout, reason = "a bench answers on standard output")]

use crate::rounds::{Measured, Sample};

/// A line of text.
pub fn say(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// A heading with an empty line above.
pub fn heading(text: &str) {
    println!("\n## {text}\n");
}

/// Rows under columns; the first column is text, the others are figures.
pub fn rows(columns: &[&str], rows: &[Vec<String>]) {
    let width = |at: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(at))
            .map(|cell| cell.chars().count());
        cells
            .chain([columns[at].chars().count()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    line(&widths, columns.iter().copied());
    for row in rows {
        line(&widths, row.iter().map(String::as_str));
    }
}

fn line<'a>(widths: &[usize], cells: impl Iterator<Item = &'a str>) {
    let mut text = String::new();
    for (at, (cell, width)) in cells.zip(widths).enumerate() {
        match at {
            0 => text.push_str(&format!("{cell:<width$}")),
            _ => text.push_str(&format!("  {cell:>width$}")),
        }
    }
    println!("{}", text.trim_end());
}

/// A target, beside what was measured.
pub fn target(what: &str, measured: f64, at_most: f64) {
    let verdict = if measured <= at_most { "met" } else { "missed" };
    println!("target: {what} <= {at_most}: measured {measured:.2}, {verdict}");
}

/// A target that is not to be fallen short of, beside what was measured.
pub fn target_at_least(what: &str, measured: f64, at_least: f64) {
    let verdict = if measured >= at_least {
        "met"
    } else {
        "missed"
    };
    println!("target: {what} >= {at_least}: measured {measured:.2}, {verdict}");
}

/// The figure of a sample that a bench is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// The time that goes by.
    Wall,
    /// Processor time.
    Cpu,
}

impl Figure {
    /// Reads it from a sample.
    pub fn of(self, sample: &Sample) -> f64 {
        match self {
            Figure::Wall => sample.wall_ns,
            Figure::Cpu => sample.cpu_ns,
        }
    }
}

/// All contenders, each beside the one at `base`.
pub fn comparison(operation: &str, measured: &[Measured], base: usize) {
    let base = &measured[base];
    let cells = |contender: &Measured| {
        let (least, greatest) = contender.range(|sample| sample.wall_ns);
        vec![
            contender.name.clone(),
            nanos(contender.median(|sample| sample.wall_ns)),
            format!("{} to {}", nanos(least), nanos(greatest)),
            format!("{:.2}", contender.ratio_to(base, |sample| sample.wall_ns)),
            nanos(contender.median(|sample| sample.cpu_ns)),
            format!("{:.2}", contender.ratio_to(base, |sample| sample.cpu_ns)),
        ]
    };
    let time = format!("time/{operation}");
    let cpu = format!("cpu/{operation}");
    let columns = ["", &time, "range", "ratio", &cpu, "ratio"];
    rows(&columns, &measured.iter().map(cells).collect::<Vec<_>>());
}

/// Nanoseconds for people.
pub fn nanos(nanos: f64) -> String {
    match nanos {
        short if short < 10_000.0 => format!("{short:.0} ns"),
        middle if middle < 10_000_000.0 => format!("{:.1} µs", middle / 1e3),
        long => format!("{:.1} ms", long / 1e6),
    }
}
