//! The load of `wrk` where it is installed. One thread of it takes longer to make a request than a server to answer one; so the server
//! mostly waits, and nearly every request has to wake it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;

use crate::load::{LATENCY_MAX_NS, Run};

/// What `wrk` is told: which requests, and what to print in the end. It knows its latencies in microseconds.
const SCRIPT: &str = r#"
local requests, at = {}, 0
init = function()
  for path in io.lines("PATHS") do requests[#requests + 1] = wrk.format("GET", path) end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
done = function(summary, latency)
  local errors = summary.errors
  print("requests " .. summary.requests)
  print("errors " .. errors.connect + errors.read + errors.write + errors.status + errors.timeout)
  for part = 0.05, 99.95, 0.1 do print("latency " .. latency:percentile(part)) end
end
"#;

/// A load that is ready to run.
#[derive(Debug)]
pub(crate) struct Wrk {
    script: PathBuf,
    connections: usize,
    seconds: u32,
}

impl Wrk {
    /// Writes the script; `None` when `wrk` is not installed.
    pub(crate) fn prepare(
        folder: &Path,
        paths: impl Iterator<Item = String>,
        connections: usize,
        seconds: u32,
    ) -> anyhow::Result<Option<Self>> {
        if Command::new("wrk").arg("-v").output().is_err() {
            return Ok(None);
        }
        let (list, script) = (folder.join("paths"), folder.join("wrk.lua"));
        fs::write(&list, paths.collect::<Vec<_>>().join("\n"))?;
        fs::write(
            &script,
            SCRIPT.replace("PATHS", &list.display().to_string()),
        )?;
        Ok(Some(Wrk {
            script,
            connections,
            seconds,
        }))
    }

    pub(crate) fn run(&self, port: u16) -> anyhow::Result<Run> {
        let output = Command::new("wrk")
            .args(["-t", "1", "-c", &self.connections.to_string()])
            .args(["-d", &format!("{}s", self.seconds), "-s"])
            .arg(&self.script)
            .arg(format!("http://127.0.0.1:{port}"))
            .output()
            .context("running wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (mut requests, mut errors) = (0, None);
        let mut latencies = Histogram::new_with_max(LATENCY_MAX_NS, 3)?;
        for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            match name {
                "requests" => requests = value.parse()?,
                "errors" => errors = Some(value.parse::<u64>()?),
                "latency" => latencies.saturating_record(value.parse::<u64>()? * 1000),
                _ => {}
            }
        }
        ensure!(errors == Some(0) && requests > 0, "wrk says {text}");
        let wall_ns = Duration::from_secs(self.seconds.into()).as_nanos() as f64;
        Ok(Run {
            requests,
            wall_ns,
            latencies,
        })
    }
}
