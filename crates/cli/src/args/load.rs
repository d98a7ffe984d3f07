//! What can be said to `hotshelf load`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, value_parser};
use hotshelf_access_log::parse::{Format, OWN_PATHS};
use hotshelf_load::target::header;
use hotshelf_load::{Base, Template};
use hotshelf_model::{FieldProblem, NamespaceName};
use http::{HeaderName, HeaderValue};

use super::{log_format, namespace, time};

/// Beyond this no clock would tell requests apart.
const RATE_MAX: f64 = 1_000_000.0;
const EXPONENT_MAX: f64 = 10.0;
const SPEED_MAX: f64 = 10_000.0;

#[derive(Debug, Args)]
#[command(override_usage = "\
hotshelf load URL... --rate RATE (--ids FILE | --id ID...) [OPTIONS]
       hotshelf load URL... --replay FILE... [OPTIONS]")]
#[command(group = ArgGroup::new("source").required(true).args(["id", "ids", "replay"]))]
#[command(after_help = "\
Requests are sent when they are due, whether those before them were answered or not, and latency counts from then, so a server that stalls \
does not look fast. An error is any answer but 2xx, 304 and 404, and any request without an answer in --timeout.

Exit codes: 0 done, 1 could not begin or write, 2 the command line could not be read, 5 a limit was not kept (--max-error-rate, --max-p99). \
Ctrl-C ends the run early, with the report; the second time without waiting for answers.")]
pub(crate) struct LoadArgs {
    /// The servers, such as http://127.0.0.1:7400; connections are spread over several evenly.
    #[arg(required = true, value_name = "URL", value_parser = base)]
    pub(crate) urls: Vec<Base>,
    /// The path of a request; {id} and {namespace} are those of the key. A variant that a log tells is added as a query.
    #[arg(long, value_name = "TEMPLATE", default_value = "/v1/{namespace}/{id}", value_parser = template)]
    pub(crate) path: Template,
    /// A header of every request; repeatable.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = named_value)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,

    /// Requests per second.
    #[arg(long, value_name = "RATE", value_parser = rate, required_unless_present = "replay", conflicts_with = "replay")]
    pub(crate) rate: Option<f64>,
    /// An id to read; repeatable.
    #[arg(long, value_name = "ID", conflicts_with = "ids")]
    pub(crate) id: Vec<String>,
    /// A file of ids to read, one on a line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: Option<PathBuf>,
    /// The namespace of ids, and of logs where the pattern has no group for it.
    #[arg(long, default_value = "products", value_parser = namespace)]
    pub(crate) namespace: NamespaceName,
    /// Reads the id at place n of the list as often as n to the power of minus this says; 0 reads all alike.
    #[arg(long, value_name = "EXPONENT", default_value = "0.99", value_parser = exponent)]
    pub(crate) zipf: f64,
    /// Reads the ids in the order of the list, again and again.
    #[arg(long, conflicts_with_all = ["replay", "zipf"])]
    pub(crate) in_order: bool,
    /// What is drawn at random is the same for the same seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Sends the reads of access logs at the times that they tell: nginx's, Envoy's or hotshelf's own, plain or gzip; several are merged.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) replay: Vec<PathBuf>,
    /// How many times as fast as the logs.
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed, conflicts_with_all = ["id", "ids"])]
    pub(crate) speed: f64,
    /// The format of the logs; guessed from each one's first lines when not told.
    #[arg(long, value_name = "FORMAT", value_parser = log_format(), conflicts_with_all = ["id", "ids"])]
    pub(crate) format: Option<Format>,
    /// Finds the key in a logged request's path, as in `hotshelf hot report`.
    #[arg(long, value_name = "REGEX", default_value = OWN_PATHS, conflicts_with_all = ["id", "ids"])]
    pub(crate) key: String,

    /// A flash crowd: this id takes the place of a share of all requests for a while.
    #[arg(long, value_name = "ID")]
    pub(crate) flash_crowd: Option<String>,
    /// The crowd's share, such as 20% or 0.2.
    #[arg(long, default_value = "20%", value_parser = share, requires = "flash_crowd")]
    pub(crate) share: f64,
    /// When the crowd comes, from the beginning.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time_or_zero, requires = "flash_crowd")]
    pub(crate) after: Duration,
    /// How long the crowd stays.
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = time, requires = "flash_crowd")]
    pub(crate) lasting: Duration,

    /// Sends what is due in this time; one minute unless --count or --replay say otherwise.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) duration: Option<Duration>,
    /// Sends so many requests at most.
    #[arg(long, value_name = "REQUESTS", value_parser = value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Connections kept open; no more requests are under way. What finds none free waits, and has been waiting since it was due.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(1..=10_000))]
    pub(crate) connections: u16,
    /// How long a request may take from when it is due; what could not be sent by then is counted as unsent.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) timeout: Duration,

    /// Prints the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Writes the latencies from due as an HDR percentile distribution (.hgrm), in milliseconds.
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr: Option<PathBuf>,
    /// The exit code is 5 when a greater share of the requests fails, such as 0.1%.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) max_error_rate: Option<f64>,
    /// The exit code is 5 when the 99th percentile of the latency from due is longer.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) max_p99: Option<Duration>,
}

fn reason(problem: FieldProblem) -> String {
    problem.reason
}

fn base(text: &str) -> Result<Base, String> {
    text.parse().map_err(reason)
}

fn template(text: &str) -> Result<Template, String> {
    text.parse().map_err(reason)
}

fn named_value(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    header(text).map_err(reason)
}

fn number(text: &str, within: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| within.contains(number));
    number.ok_or_else(|| {
        format!(
            "expected a number from {} to {}",
            within.start(),
            within.end()
        )
    })
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 0.001..=RATE_MAX)
}

fn exponent(text: &str) -> Result<f64, String> {
    number(text, 0.0..=EXPONENT_MAX)
}

fn speed(text: &str) -> Result<f64, String> {
    number(text, 0.001..=SPEED_MAX)
}

fn share(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => number(percent, 0.0..=100.0).map(|percent| percent / 100.0),
        None => number(text, 0.0..=1.0),
    };
    share.map_err(|_| "expected a share from 0% to 100%, or from 0 to 1".to_owned())
}

fn time_or_zero(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0s" | "0ms" => Ok(Duration::ZERO),
        text => time(text),
    }
}
