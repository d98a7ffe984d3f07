//! What a run tells in the end: as text, as JSON, and its latencies as a percentile distribution (`.hgrm`).

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::generator::Ran;
use crate::replay::ReplayTally;
use crate::tally::{LATE, Tally};

const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("max", 1.0),
];
const MS: f64 = 1_000_000.0;
/// Lines of a distribution for each halving of the distance to 100 %, as other tools of the format have it.
const TICKS: u32 = 5;

/// A run, told.
#[derive(Clone, Debug)]
pub struct Report {
    /// The run.
    pub ran: Ran,
    /// Requests per second as they were asked for; a replay's follow from its logs.
    pub rate: Option<f64>,
    /// What became of the logs of a replay.
    pub replay: Option<ReplayTally>,
}

impl Report {
    /// Requests per second that were due.
    pub fn rate_asked(&self) -> f64 {
        let intervals = self.ran.tally.due.saturating_sub(1);
        self.rate
            .unwrap_or_else(|| per_second(intervals, self.ran.span))
    }

    /// Requests per second that were sent, until the last one ended.
    pub fn rate_reached(&self) -> f64 {
        per_second(self.ran.tally.sent, self.ran.elapsed)
    }

    /// For people.
    pub fn text(&self) -> String {
        let tally = &self.ran.tally;
        let ended = if self.ran.is_stopped {
            "ended early after"
        } else {
            "in"
        };
        let mut text = format!(
            "{} requests were due {ended} {:.1} s: {} sent ({} of them late), {} answered\n",
            tally.due,
            self.ran.elapsed.as_secs_f64(),
            tally.sent,
            tally.late,
            tally.answers(),
        );
        let mut line = |name: &str, value: &dyn Display| {
            writeln!(text, "{name:9} {value}").ok();
        };
        let rates = format!(
            "{:.1}/s asked, {:.1}/s reached",
            self.rate_asked(),
            self.rate_reached()
        );
        line("rate", &rates);
        line("errors", &errors(tally));
        if let Some(failure) = &tally.first_failure {
            line("first", failure);
        }
        if tally.abandoned > 0 {
            line("abandoned", &tally.abandoned);
        }
        line("status", &counts(&tally.statuses));
        line("tier", &counts(&tally.tiers));
        line("stale", &tally.stale);
        line("bytes", &tally.bytes);
        if let Some(replay) = &self.replay {
            line("logs", &logs(replay));
        }
        text + &latencies(tally)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let tally = &self.ran.tally;
        let mut report = json!({
            "elapsed_s": self.ran.elapsed.as_secs_f64(), "ended_early": self.ran.is_stopped,
            "rate": {"asked": self.rate_asked(), "reached": self.rate_reached()},
            "due": tally.due, "sent": tally.sent, "late": tally.late, "answered": tally.answers(),
            "abandoned": tally.abandoned,
            "errors": {
                "all": tally.errors(), "rate": tally.error_rate(), "status": tally.bad_answers(), "refused": tally.refused,
                "broken": tally.broken, "timed_out": tally.timed_out, "unsent": tally.unsent, "first": tally.first_failure,
            },
            "statuses": tally.statuses, "tiers": tally.tiers, "stale": tally.stale, "bytes": tally.bytes,
            "latency_ms": {"from_due": quantiles(&tally.from_due), "service": quantiles(&tally.service)},
        });
        if let Some(replay) = &self.replay {
            report["logs"] = json!({
                "reads": replay.reads, "other": replay.other, "skipped": replay.skipped, "problem": replay.problem,
                "out_of_order": replay.out_of_order, "left_out": replay.left_out,
            });
        }
        report
    }

    /// Writes the latencies from due as a percentile distribution, in milliseconds, in the form that HdrHistogram's plotter reads.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write_distribution(&self, mut out: impl Write) -> io::Result<()> {
        let histogram = &self.ran.tally.from_due;
        writeln!(
            out,
            "{:>12} {:>14} {:>10} {:>14}\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        )?;
        let mut count = 0;
        for step in histogram.iter_quantiles(TICKS) {
            count += step.count_since_last_iteration();
            let quantile = step.quantile_iterated_to();
            let ms = step.value_iterated_to() as f64 / MS;
            write!(out, "{ms:12.3} {quantile:14.12} {count:10}")?;
            match quantile < 1.0 {
                true => writeln!(out, " {:14.2}", 1.0 / (1.0 - quantile))?,
                false => writeln!(out)?,
            }
        }
        let (mean, deviation) = (histogram.mean() / MS, histogram.stdev() / MS);
        writeln!(
            out,
            "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]"
        )?;
        let (max, count) = (histogram.max() as f64 / MS, histogram.len());
        writeln!(out, "#[Max     = {max:12.3}, Total count    = {count:12}]")?;
        writeln!(
            out,
            "#[Buckets = {:12}, SubBuckets     = {:12}]",
            histogram.buckets(),
            sub_buckets(histogram)
        )
    }
}

/// Values that a bucket tells apart: the least power of two that keeps the digits.
fn sub_buckets(histogram: &Histogram<u64>) -> u32 {
    (2 * 10_u32.pow(u32::from(histogram.sigfig()))).next_power_of_two()
}

fn per_second(count: u64, time: Duration) -> f64 {
    match time.is_zero() {
        true => 0.0,
        false => count as f64 / time.as_secs_f64(),
    }
}

fn errors(tally: &Tally) -> String {
    let mut text = format!("{} ({:.3} %)", tally.errors(), tally.error_rate() * 100.0);
    let kinds = [
        ("by status", tally.bad_answers()),
        ("refused", tally.refused),
        ("broken", tally.broken),
        ("timed out", tally.timed_out),
        ("unsent", tally.unsent),
    ];
    for (kind, count) in kinds.iter().filter(|(_, count)| *count > 0) {
        write!(text, ", {kind}: {count}").ok();
    }
    text
}

fn counts<K: Display>(counts: &BTreeMap<K, u64>) -> String {
    let counts: Vec<_> = counts
        .iter()
        .map(|(name, count)| format!("{name}: {count}"))
        .collect();
    match counts.is_empty() {
        true => "none told".to_owned(),
        false => counts.join(", "),
    }
}

fn logs(replay: &ReplayTally) -> String {
    let ReplayTally {
        reads,
        other,
        skipped,
        ..
    } = replay;
    let mut text = format!("{reads} reads, {other} lines of other requests, {skipped} skipped");
    if let Some(problem) = &replay.problem {
        write!(text, " ({problem})").ok();
    }
    if replay.out_of_order > 0 {
        write!(
            text,
            "; {} out of order by more than two seconds",
            replay.out_of_order
        )
        .ok();
    }
    if replay.left_out > 0 {
        write!(
            text,
            "; {} left out of records of very many reads",
            replay.left_out
        )
        .ok();
    }
    text
}

fn latencies(tally: &Tally) -> String {
    let mut text = format!("{:9}", "ms");
    for (name, _) in QUANTILES {
        write!(text, " {name:>10}").ok();
    }
    for (name, histogram) in [("from due", &tally.from_due), ("service", &tally.service)] {
        write!(text, "\n{name:9}").ok();
        for (_, quantile) in QUANTILES {
            write!(
                text,
                " {:>10.3}",
                histogram.value_at_quantile(quantile) as f64 / MS
            )
            .ok();
        }
    }
    let late = LATE.as_millis();
    text + &format!(
        "\nfrom due: since the request should have been sent; late: more than {late} ms after that\n"
    )
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let values = QUANTILES.map(|(name, quantile)| {
        let ms = histogram.value_at_quantile(quantile) as f64 / MS;
        (name.replace('.', "_"), json!(ms))
    });
    let mean = ("mean".to_owned(), json!(histogram.mean() / MS));
    Value::Object(values.into_iter().chain([mean]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(latencies_ms: impl Iterator<Item = u64>) -> Report {
        let mut tally = Tally::default();
        for ms in latencies_ms {
            tally.due += 1;
            tally.add_unsent(Duration::from_millis(ms));
        }
        Report {
            ran: Ran {
                tally,
                span: Duration::from_secs(9),
                elapsed: Duration::from_secs(10),
                is_stopped: false,
            },
            rate: None,
            replay: None,
        }
    }

    #[test]
    fn the_distribution_has_the_form_that_plotters_read() {
        let mut out = Vec::new();
        report(1..=1000).write_distribution(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (head, rest) = text.split_once("\n\n").unwrap();
        let names: Vec<_> = head.split_whitespace().collect();
        assert_eq!(
            names,
            ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        );
        let (rows, foot): (Vec<_>, Vec<_>) = rest.lines().partition(|line| !line.starts_with("#["));
        let numbers = |row: &str| -> Vec<f64> {
            row.split_whitespace()
                .map(|number| number.parse().unwrap())
                .collect()
        };
        let rows: Vec<_> = rows.into_iter().map(numbers).collect();
        let median = rows.iter().find(|row| (row[1] - 0.5).abs() < 1e-9).unwrap();
        assert!((median[0] - 500.0).abs() < 1.0, "{median:?}");
        assert_eq!(median[2..], [500.0, 2.0]);
        assert!(
            rows.is_sorted_by(|row, next| row[0] <= next[0]
                && row[1] < next[1]
                && row[2] <= next[2])
        );
        let last = rows.last().unwrap();
        assert_eq!(last[1..], [1.0, 1000.0]);
        assert_eq!(foot.len(), 3);
        assert!(
            foot[1].contains("Total count    =         1000]"),
            "{foot:?}"
        );
        assert!(
            foot[2].ends_with("SubBuckets     =         2048]"),
            "{foot:?}"
        );
    }

    #[test]
    fn rates_are_of_what_was_asked_and_what_was_sent() {
        let mut report = report(1..=91);
        report.ran.tally.sent = 80;
        assert!((report.rate_asked() - 10.0).abs() < 1e-9);
        assert!((report.rate_reached() - 8.0).abs() < 1e-9);
        report.rate = Some(9.0);
        assert!((report.rate_asked() - 9.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_at_all_is_told_too() {
        let report = report(std::iter::empty());
        assert_eq!(report.json()["latency_ms"]["from_due"], Value::Null);
        assert!(report.text().contains("none told"));
        let mut out = Vec::new();
        report.write_distribution(&mut out).unwrap();
    }
}
