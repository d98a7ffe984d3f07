//! `hotshelf hot report`: the hot keys of access logs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use hotshelf_access_log::events::PROBLEMS_KEPT;
use hotshelf_access_log::report::Peak;
use hotshelf_access_log::{Event, Events, KeyPattern, Peaks, Report, Tally, utc};
use hotshelf_model::Key;

use crate::args::{HotCommand, HotReportArgs};
use crate::output::print;

pub(crate) fn run(command: &HotCommand) -> anyhow::Result<ExitCode> {
    match command {
        HotCommand::Report(args) => report(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn report(args: &HotReportArgs) -> anyhow::Result<()> {
    let pattern = KeyPattern::new(&args.key, &args.namespace);
    let pattern = pattern.map_err(|problem| anyhow!("--{problem}"))?;
    let mut report = Report::default();
    let tallies = read(args, &pattern, |event| report.add(event))?;
    let top = report.top(args.top);
    let mut peaks = Peaks::new(top.iter().map(|(key, _)| key.clone()), args.window);
    read(args, &pattern, |event| peaks.add(event))?;
    let rows = top.into_iter().filter_map(|(key, reads)| {
        let peak = peaks.peak(&key)?;
        Some(Row { key, reads, peak })
    });
    let told = Told {
        rows: rows.collect(),
        report,
        tallies,
    };
    match args.json {
        true => print(told.json().to_string() + "\n"),
        false => print(told.text()),
    }
}

/// Reads every file, and says what became of its lines.
fn read(
    args: &HotReportArgs,
    pattern: &KeyPattern,
    mut take: impl FnMut(&Event),
) -> anyhow::Result<Vec<(PathBuf, Tally)>> {
    let mut tallies = Vec::new();
    for path in &args.files {
        let mut events = Events::open(path, args.format, pattern.clone())?;
        events.by_ref().for_each(|event| take(&event));
        tallies.push((path.clone(), events.tally().clone()));
    }
    Ok(tallies)
}

/// A key of the report.
struct Row {
    key: Key,
    reads: u64,
    peak: Peak,
}

struct Told {
    report: Report,
    rows: Vec<Row>,
    tallies: Vec<(PathBuf, Tally)>,
}

impl Told {
    fn sum(&self, count: impl Fn(&Tally) -> u64) -> u64 {
        self.tallies.iter().map(|(_, tally)| count(tally)).sum()
    }

    /// The first problems of all files.
    fn problems(&self) -> impl Iterator<Item = (&Path, Option<u64>, &str)> {
        let files = self.tallies.iter().flat_map(|(path, tally)| {
            let problems = tally.problems.iter();
            problems.map(|problem| (path.as_path(), problem.line, &*problem.reason))
        });
        files.take(PROBLEMS_KEPT)
    }

    #[expect(clippy::cast_precision_loss, reason = "a share is for reading")]
    fn share(&self, row: &Row) -> f64 {
        row.reads as f64 / self.report.reads().max(1) as f64
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{} reads of {} keys{}; {} lines of other requests, {} skipped\n",
            self.report.reads(),
            self.report.keys(),
            self.report
                .span_ms()
                .map_or_else(String::new, |(first, last)| format!(
                    ", {} to {}",
                    utc(first),
                    utc(last)
                )),
            self.sum(|tally| tally.other),
            self.sum(|tally| tally.skipped),
        );
        if self.report.missed() > 0 {
            let missed = self.report.missed();
            text += &format!(
                "there were more keys than are counted: a count may be {missed} too low\n"
            );
        }
        for (path, line, reason) in self.problems() {
            let line = line.map_or_else(String::new, |line| format!(":{line}"));
            text += &format!("skipped {}{line}: {reason}\n", path.display());
        }
        if self.rows.is_empty() {
            return text;
        }
        let widest = self.rows.iter().map(|row| name(&row.key).chars().count());
        let width = widest.max().unwrap_or_default().max("key".len());
        text += &format!(
            "\n{:width$}  {:>10}  {:>7}  {:>10}  peak at\n",
            "key", "reads", "share", "peak/s"
        );
        for row in &self.rows {
            text += &format!(
                "{:width$}  {:>10}  {:>5.2} %  {:>10.1}  {}\n",
                name(&row.key),
                row.reads,
                self.share(row) * 100.0,
                row.peak.reads_per_s,
                utc(row.peak.at_ms)
            );
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let top = self.rows.iter().map(|row| {
            serde_json::json!({
                "namespace": row.key.namespace(), "id": row.key.id(), "variant": row.key.variant(),
                "reads": row.reads, "share": self.share(row),
                "peak": {"at_ms": row.peak.at_ms, "reads": row.peak.reads, "reads_per_s": row.peak.reads_per_s},
            })
        });
        let problems = self.problems().map(|(path, line, reason)| {
            serde_json::json!({"file": path.to_string_lossy(), "line": line, "reason": reason})
        });
        let span = self.report.span_ms();
        serde_json::json!({
            "reads": self.report.reads(), "keys": self.report.keys(), "missed_max": self.report.missed(),
            "first_ms": span.map(|(first, _)| first), "last_ms": span.map(|(_, last)| last),
            "other": self.sum(|tally| tally.other), "skipped": self.sum(|tally| tally.skipped),
            "problems": problems.collect::<Vec<_>>(), "top": top.collect::<Vec<_>>(),
        })
    }
}

/// A key for people; an id holds no control characters.
fn name(key: &Key) -> String {
    let variant = match key.variant() {
        "" => String::new(),
        variant => format!(" ({variant})"),
    };
    format!("{}/{}{variant}", key.namespace(), key.id())
}
