//! `hotshelf load`: reads at a fixed rate or as access logs tell, and what they met.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use hotshelf_access_log::{InTime, KeyPattern};
use hotshelf_load::{
    Arrival, Crowd, Generator, Ids, Order, Progress, Replay, ReplayTally, Report, Steady, Stops,
    arrivals,
};
use hotshelf_model::{Error, ErrorKind};
use http::HeaderMap;
use indicatif::ProgressBar;
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::LoadArgs;
use crate::exit::LIMIT;
use crate::output::print;
use crate::progress;

/// Of a rate run that says neither how long nor how many.
const DURATION: Duration = Duration::from_secs(60);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

type Arrivals = Box<dyn Iterator<Item = Arrival> + Send>;

pub(crate) fn run(args: &LoadArgs) -> anyhow::Result<ExitCode> {
    let replay = match args.replay.is_empty() {
        true => None,
        false => Some(replay(args)?),
    };
    let tally = replay.as_ref().map(Replay::tally);
    let arrivals = arrivals(args, replay)?;
    // Made before the run, so that a path that cannot be written costs no run.
    let distribution = args.hdr.as_ref().map(|path| {
        let file =
            File::create(path).with_context(|| format!("--hdr: writing {}", path.display()))?;
        anyhow::Ok(BufWriter::new(file))
    });
    let distribution = distribution.transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    let bar = progress::line();
    let ran = runtime.block_on(async {
        let stops = Stops::default();
        tokio::spawn(stop_on_signals(stops.clone()));
        let mut meter = Meter::new(&bar, args.rate);
        let told = |progress: Progress<'_>| meter.tell(&progress);
        generator(args).run(arrivals, &stops, told).await
    });
    bar.finish_and_clear();
    let report = Report {
        ran: ran.map_err(|error| begun_badly(error, tally.as_deref()))?,
        rate: args.rate,
        replay: tally.map(|tally| tally.lock().clone()),
    };
    if let Some(mut file) = distribution {
        let written = report
            .write_distribution(&mut file)
            .and_then(|()| file.flush());
        written.context("--hdr: writing the distribution")?;
    }
    match args.json {
        true => print(report.json().to_string() + "\n")?,
        false => print(report.text())?,
    }
    Ok(judged(args, &report))
}

/// The first signal ends the sending, the second the waiting.
async fn stop_on_signals(stops: Stops) {
    let listening = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    let (Ok(mut interrupt), Ok(mut terminate)) = listening else {
        // Then signals do what they do to any program.
        return;
    };
    for stop in [stops.sending, stops.waiting] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    }
}

fn generator(args: &LoadArgs) -> Generator {
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    Generator {
        bases: args.urls.clone(),
        template: args.path.clone(),
        headers,
        connections: args.connections.into(),
        timeout: args.timeout,
        progress_interval: PROGRESS_INTERVAL,
    }
}

fn replay(args: &LoadArgs) -> anyhow::Result<Replay> {
    let pattern = KeyPattern::new(&args.key, &args.namespace);
    let pattern = pattern.map_err(|problem| anyhow!("--{problem}"))?;
    let events = InTime::open(&args.replay, args.format, &pattern).context("--replay")?;
    Ok(Replay::new(events, args.speed))
}

/// What is due when.
fn arrivals(args: &LoadArgs, replay: Option<Replay>) -> anyhow::Result<Arrivals> {
    let is_endless = replay.is_none() && args.count.is_none();
    let mut arrivals: Arrivals = match (replay, args.rate) {
        (Some(replay), _) => Box::new(replay),
        (None, Some(rate)) => Box::new(Steady::new(ids(args)?, order(args), rate, args.seed)),
        (None, None) => bail!("--rate: needed without --replay"),
    };
    if let Some(id) = &args.flash_crowd {
        let key = arrivals::key(id, &args.namespace);
        let key = key.map_err(|problem| anyhow!("--flash-crowd: {}", problem.reason))?;
        let stay = [args.after, args.lasting];
        arrivals = Box::new(Crowd::new(arrivals, key, args.share, stay, args.seed));
    }
    if let Some(duration) = args.duration.or(is_endless.then_some(DURATION)) {
        arrivals = Box::new(arrivals.take_while(move |arrival| arrival.due < duration));
    }
    if let Some(count) = args.count {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        arrivals = Box::new(arrivals.take(count));
    }
    Ok(arrivals)
}

fn order(args: &LoadArgs) -> Order {
    match args.in_order {
        true => Order::AsListed,
        false => Order::Zipf(args.zipf),
    }
}

fn ids(args: &LoadArgs) -> anyhow::Result<Ids> {
    let Some(path) = &args.ids else {
        let ids = Ids::new(args.id.iter().map(String::as_str), &args.namespace);
        return ids.map_err(|problem| anyhow!("--id: {}", problem.reason));
    };
    let ids = match path.as_os_str() == "-" {
        true => Ids::read(std::io::stdin().lock(), &args.namespace),
        false => {
            let file =
                File::open(path).with_context(|| format!("--ids: reading {}", path.display()))?;
            Ids::read(BufReader::new(file), &args.namespace)
        }
    };
    ids.map_err(|problem| anyhow!("--ids: {} {}", path.display(), problem.reason))
}

/// Why a run could not begin; of logs without reads, what else was in them.
fn begun_badly(error: Error, replay: Option<&Mutex<ReplayTally>>) -> anyhow::Error {
    let is_empty = error.kind() == ErrorKind::Invalid;
    match replay.filter(|_| is_empty) {
        None => error.into(),
        Some(tally) => {
            let ReplayTally { other, skipped, .. } = *tally.lock();
            anyhow!(
                "--replay: the logs tell of no reads of keys: {other} lines of other requests, {skipped} that cannot be read; \
                 --key finds keys in other paths"
            )
        }
    }
}

/// Whether the limits were kept.
fn judged(args: &LoadArgs, report: &Report) -> ExitCode {
    let tally = &report.ran.tally;
    let mut is_kept = true;
    let mut broken = |what: String| {
        eprintln!("hotshelf: {what}");
        is_kept = false;
    };
    let rate = tally.error_rate();
    if args.max_error_rate.is_some_and(|max| rate > max) {
        broken(format!(
            "{:.3} % of the requests failed, more than --max-error-rate",
            rate * 100.0
        ));
    }
    match (args.max_p99, tally.latency(0.99)) {
        (Some(_), None) => broken("nothing was measured, so --max-p99 was not kept".to_owned()),
        (Some(max), Some(p99)) if p99 > max => {
            broken(format!(
                "the 99th percentile was {p99:.1?}, longer than --max-p99"
            ));
        }
        _ => {}
    }
    match is_kept {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(LIMIT),
    }
}

/// The progress line: rates since it was last told, counts and latencies since the beginning.
struct Meter<'a> {
    bar: &'a ProgressBar,
    rate: Option<f64>,
    elapsed: Duration,
    due: u64,
    sent: u64,
    answers: u64,
}

impl<'a> Meter<'a> {
    fn new(bar: &'a ProgressBar, rate: Option<f64>) -> Self {
        Meter {
            bar,
            rate,
            elapsed: Duration::ZERO,
            due: 0,
            sent: 0,
            answers: 0,
        }
    }

    fn tell(&mut self, progress: &Progress<'_>) {
        self.bar.tick();
        let text = self.text(progress);
        self.bar.set_message(text);
    }

    fn text(&mut self, progress: &Progress<'_>) -> String {
        let tally = progress.tally;
        let answers = tally.answers();
        let passed = (progress.elapsed - self.elapsed)
            .as_secs_f64()
            .max(f64::EPSILON);
        let per_second = |now: u64, before: u64| (now - before) as f64 / passed;
        let asked = self.rate.unwrap_or_else(|| per_second(tally.due, self.due));
        let ms = |quantile| {
            let latency = tally.latency(quantile).unwrap_or_default();
            latency.as_secs_f64() * 1000.0
        };
        let text = format!(
            "{:.0} s, {asked:.0}/s asked, {:.0}/s sent, {:.0}/s answered, {} waiting, {} errors, p50 {:.1} ms, p99 {:.1} ms",
            progress.elapsed.as_secs_f64(),
            per_second(tally.sent, self.sent),
            per_second(answers, self.answers),
            tally.due - tally.sent - tally.unsent,
            tally.errors(),
            ms(0.5),
            ms(0.99),
        );
        (self.due, self.sent, self.answers) = (tally.due, tally.sent, answers);
        self.elapsed = progress.elapsed;
        text
    }
}

#[cfg(test)]
mod tests {
    use hotshelf_load::Tally;

    use super::*;

    #[test]
    fn the_progress_line_has_the_rates_since_it_was_last_told() {
        let bar = ProgressBar::hidden();
        let mut meter = Meter::new(&bar, None);
        let mut text = |seconds, due, sent, answered| {
            let tally = Tally {
                due,
                sent,
                statuses: [(200, answered)].into(),
                timed_out: 2,
                ..Tally::default()
            };
            let elapsed = Duration::from_secs(seconds);
            meter.text(&Progress {
                elapsed,
                tally: &tally,
            })
        };
        text(10, 1000, 1000, 1000);
        assert_eq!(
            text(12, 3000, 2600, 2500),
            "12 s, 1000/s asked, 800/s sent, 750/s answered, 400 waiting, 2 errors, p50 0.0 ms, p99 0.0 ms"
        );
    }
}
