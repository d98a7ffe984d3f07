//! `hotshelf hot report`: the hot keys of access logs.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use hotshelf_access_log::events::PROBLEMS_KEPT;
use hotshelf_access_log::report::Peak;
use hotshelf_access_log::{Event, Events, InTime, KeyPattern, Peaks, Report, Tally, utc};
use hotshelf_hotkeys::{Decision, Limits, Promotion, PromotionReason, Replay, Replayed, Rules};
use hotshelf_model::Key;

use crate::args::HotReportArgs;
use crate::output::print;

pub(super) fn report(args: &HotReportArgs) -> anyhow::Result<()> {
    let pattern = KeyPattern::new(&args.key, &args.namespace);
    let pattern = pattern.map_err(|problem| anyhow!("--{problem}"))?;
    let rules = Rules::new(args.threshold, &[]).map_err(|problems| {
        let problems = problems.iter().map(|problem| format!("--{problem}"));
        anyhow!(problems.collect::<Vec<_>>().join("; "))
    })?;
    let mut report = Report::default();
    let tallies = read(args, &pattern, |event| report.add(event))?;
    let top = report.top(args.top);
    let mut peaks = Peaks::new(top.iter().map(|(key, _)| key.clone()), args.window);
    let mut replay = Replay::new(rules, Limits::default());
    for event in InTime::open(&args.files, args.format, &pattern)? {
        peaks.add(&event);
        replay.add(event.at_ms, &event.key, event.reads);
    }
    let (decisions, late) = replay.finish();
    let rows = top.into_iter().filter_map(|(key, reads)| {
        let peak = peaks.peak(&key)?;
        Some(Row { key, reads, peak })
    });
    let told = Told {
        rows: rows.collect(),
        threshold: args.threshold,
        hot: hot(decisions),
        late,
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

/// A time for which a key would have been hot.
struct Hot {
    promotion: Promotion,
    onset_ms: u64,
    from_ms: u64,
    until_ms: Option<u64>,
}

/// What would have been hot, from the decisions in the order of time.
fn hot(decisions: Vec<Replayed>) -> Vec<Hot> {
    let mut hot: Vec<Hot> = Vec::new();
    for replayed in decisions {
        match replayed.decision {
            Decision::Promote(promotion) => hot.push(Hot {
                promotion,
                onset_ms: replayed.onset_ms.unwrap_or(replayed.at_ms),
                from_ms: replayed.at_ms,
                until_ms: None,
            }),
            Decision::Demote(demotion) => {
                let mut newest_first = hot.iter_mut().rev();
                if let Some(hot) = newest_first.find(|hot| hot.promotion.key == demotion.key) {
                    hot.until_ms = Some(replayed.at_ms);
                }
            }
        }
    }
    hot
}

/// Why a key would have been hot.
fn why(promotion: &Promotion) -> String {
    match promotion.why {
        PromotionReason::Surge { window, sigmas } => {
            format!("{sigmas:.0} sigma over {}", window.as_str())
        }
        why @ (PromotionReason::Rule | PromotionReason::Snapshot) => why.as_str().to_owned(),
    }
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
    threshold: u32,
    hot: Vec<Hot>,
    late: u64,
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
        text + &self.hot_text()
    }

    /// What a detector would have done.
    fn hot_text(&self) -> String {
        let mut text = match self.hot.is_empty() {
            true => format!(
                "\nno key would have been hot at {} reads/s\n",
                self.threshold
            ),
            false => format!("\nwould have been hot at {} reads/s:\n", self.threshold),
        };
        if self.late > 0 {
            text += &format!(
                "{} reads came too late in the logs to be judged\n",
                self.late
            );
        }
        for hot in &self.hot {
            let until = hot.until_ms.map_or_else(|| "the end".to_owned(), utc);
            text += &format!(
                "{}  from {} to {until}, {} ms after its onset: {:.0} reads/s, {:.1} % of all, {}\n",
                name(&hot.promotion.key),
                utc(hot.from_ms),
                hot.from_ms.saturating_sub(hot.onset_ms),
                hot.promotion.rate,
                hot.promotion.share * 100.0,
                why(&hot.promotion),
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
        let hot = self.hot.iter().map(|hot| {
            let key = &hot.promotion.key;
            serde_json::json!({
                "namespace": key.namespace(), "id": key.id(), "variant": key.variant(),
                "onset_ms": hot.onset_ms, "from_ms": hot.from_ms, "until_ms": hot.until_ms,
                "reads_per_s": hot.promotion.rate, "share": hot.promotion.share, "why": why(&hot.promotion),
            })
        });
        let span = self.report.span_ms();
        serde_json::json!({
            "reads": self.report.reads(), "keys": self.report.keys(), "missed_max": self.report.missed(),
            "first_ms": span.map(|(first, _)| first), "last_ms": span.map(|(_, last)| last),
            "other": self.sum(|tally| tally.other), "skipped": self.sum(|tally| tally.skipped),
            "problems": problems.collect::<Vec<_>>(), "top": top.collect::<Vec<_>>(),
            "threshold": self.threshold, "hot": hot.collect::<Vec<_>>(), "late": self.late,
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
