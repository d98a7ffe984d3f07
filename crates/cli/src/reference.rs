//! Documents that are generated from the code.

use clap::CommandFactory;
use clap_complete::Shell;
use hotshelf_config::{example_toml, reference_markdown};
use hotshelf_telemetry::{METRICS, MetricKind};

use crate::args::{Args, Document};
use crate::output::print;

pub(crate) fn run(document: Document) -> anyhow::Result<()> {
    let text = match document {
        Document::ConfigToml => example_toml(),
        Document::ConfigMd => reference_markdown(),
        Document::MetricsMd => metrics_markdown(),
        Document::Openapi => hotshelf_http_api::openapi(),
    };
    print(text)
}

/// Prints a shell's completions.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "hotshelf", &mut script);
    print(String::from_utf8_lossy(&script))
}

fn metrics_markdown() -> String {
    let mut text = String::from(
        "# Metrics\n\nServed in the Prometheus text format on the admin listener at `/metrics`. Labels are bounded; none holds a key.\n\n\
         | metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        text.push_str(&format!(
            "| `{}` | {kind} | {} | {} |\n",
            metric.name,
            labels.join(" "),
            metric.help
        ));
    }
    text
}
