//! A hit in L1 over HTTP: processor time of the server for each request beside a bare epoll loop, a bare axum handler, and nginx with
//! a Lua shared dictionary, all under the same load in one run.

mod catalogue;
mod floor;
mod handler;
mod load;
mod servers;
mod subscribers;
mod syscalls;
mod wrk;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use hotshelf_benches::rounds::{Contender, Measured, Sample, compare};
use hotshelf_benches::{args::Args, shelf, table, zipf};

use crate::load::{Load, Run};
use crate::servers::Server;
use crate::wrk::Wrk;

/// As in the binary `hotshelf`: the bare handler must not lose by its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A whole answer of the node, in the run's folder.
const ANSWER: &str = "answer";
/// The document in it.
const DOCUMENT: &str = "document";
const CONNECTIONS: usize = 32;
const PACED_PER_SECOND: u32 = 20_000;
const WRK_SECONDS: u32 = 2;
/// Places among the servers; nginx may be missing.
const FLOOR: usize = 0;
const NGINX: usize = 2;
const TARGET_FLOOR: f64 = 1.3;
const TARGET_NGINX: f64 = 0.8;

fn path(number: usize) -> String {
    format!("/v1/products/{}", shelf::id(number))
}

fn main() -> anyhow::Result<()> {
    let role: Vec<String> = std::env::args().skip(1).take(4).collect();
    if let [role, port, file, count] = &role[..]
        && !role.starts_with("--")
    {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        let (port, file) = (port.parse()?, Path::new(file));
        return match role.as_str() {
            "floor" => floor::serve(port, file),
            "handler" => handler::serve(port, file, count.parse()?),
            _ => anyhow::bail!("there is no role `{role}`"),
        };
    }
    run(&Args::read()?)
}

fn run(args: &Args) -> anyhow::Result<()> {
    let (count, reads) = args.size((10_000, 100_000), (100, 500));
    let folder = tempfile::tempdir()?;
    let load = Load::new((0..count).map(path), CONNECTIONS);
    let every: Vec<u32> = (0..).take(count).collect();
    let ours = nodes(args, folder.path(), count, &|port| {
        load.run(port, &every, Duration::ZERO)
    })?;
    let answer = hit(&ours[0])?;
    std::fs::write(folder.path().join(ANSWER), &answer)?;
    std::fs::write(folder.path().join(DOCUMENT), body(&answer))?;
    let mut servers = peers(folder.path(), count)?;
    let first_of_ours = servers.len();
    servers.extend(ours);
    table::say(format!(
        "{count} documents of {} bytes, answers of {} bytes; {reads} requests a round, Zipf {}, {CONNECTIONS} keep-alive connections, the load on the same processors",
        body(&answer).len(),
        answer.len(),
        zipf::EXPONENT
    ));
    let servers = Servers {
        all: servers,
        ours: first_of_ours,
    };
    let reads = zipf::sequence(count, reads, 4);
    let paced = Duration::from_secs(1) / args.size(PACED_PER_SECOND, 1000);
    servers.measure(args, "fast", "as fast as answers come", &|port| {
        load.run(port, &reads, Duration::ZERO)
    })?;
    servers.measure(args, "paced", "20,000 requests a second", &|port| {
        load.run(port, &reads[..reads.len() / 2], paced)
    })?;
    let paths = reads.iter().map(|&read| path(read as usize));
    let seconds = args.size(WRK_SECONDS, 1);
    match Wrk::prepare(folder.path(), paths, CONNECTIONS, seconds)? {
        Some(wrk) => servers.measure(
            args,
            "wrk",
            "one thread of wrk, slower than the servers",
            &|port| wrk.run(port),
        )?,
        None => table::say("wrk is not installed: apt-get install wrk"),
    }
    if args.wants("calls") {
        let few = &reads[..reads.len() / 10];
        count_calls(&servers.all, &load, few, folder.path())?;
    }
    drop(servers);
    if args.wants("subscribers") {
        subscribers::measure(args, folder.path())?;
    }
    Ok(())
}

/// Nodes with one worker and with as many as they choose, their L1 filled by `fill`.
fn nodes(
    args: &Args,
    folder: &Path,
    count: usize,
    fill: &dyn Fn(u16) -> anyhow::Result<Run>,
) -> anyhow::Result<Vec<Server>> {
    let program = args.hotshelf_program()?;
    let kinds = [
        (
            "hotshelf serve, 1 worker",
            vec!["http.workers=1".to_owned()],
        ),
        ("hotshelf serve, as it comes", Vec::new()),
    ];
    let node = |(number, (name, settings)): (usize, (&'static str, Vec<String>))| {
        let own = folder.join(format!("node-{number}"));
        std::fs::create_dir(&own)?;
        catalogue::write(&own, count)?;
        let node = servers::hotshelf(name, &program, &own, &settings, &path(0))?;
        fill(node.port)?;
        hit(&node)?;
        Ok(node)
    };
    kinds.into_iter().enumerate().map(node).collect()
}

/// The floor, and those who do with less what a node does.
fn peers(folder: &Path, count: usize) -> anyhow::Result<Vec<Server>> {
    let (answer, document, probe) = (folder.join(ANSWER), folder.join(DOCUMENT), path(0));
    let mut peers = vec![
        servers::own("epoll loop, fixed answer", "floor", &answer, 0, &probe)?,
        servers::own(
            "axum handler over moka",
            "handler",
            &document,
            count,
            &probe,
        )?,
    ];
    let nginx = servers::nginx(folder, &document, count, &probe)?;
    if nginx.is_none() {
        table::say(
            "nginx or its Lua module is not installed: apt-get install nginx libnginx-mod-http-lua",
        );
    }
    peers.extend(nginx);
    Ok(peers)
}

/// One answer of the node, which has to come from L1.
fn hit(server: &Server) -> anyhow::Result<Vec<u8>> {
    let answer = load::get(server.port, &path(0))?;
    let text = String::from_utf8_lossy(&answer);
    ensure!(
        text.contains("detail=l1"),
        "the node does not answer from L1: {text}"
    );
    Ok(answer)
}

fn body(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    end.map_or(&[], |end| &answer[end + 4..])
}

/// Sends a server's port its load.
type Generator<'a> = &'a dyn Fn(u16) -> anyhow::Result<Run>;

/// The servers that are compared; the floor is the first, and what is ours begins somewhere behind.
struct Servers {
    all: Vec<Server>,
    ours: usize,
}

impl Servers {
    fn measure(
        &self,
        args: &Args,
        part: &str,
        what: &str,
        generator: Generator<'_>,
    ) -> anyhow::Result<()> {
        if !args.wants(part) {
            return Ok(());
        }
        table::heading(&format!("server processor time for each request, {what}"));
        let failure = RefCell::new(None);
        let latencies: Vec<RefCell<Histogram<u64>>> = self
            .all
            .iter()
            .map(|_| Histogram::new_with_max(load::LATENCY_MAX_NS, 3).map(RefCell::new))
            .collect::<Result<_, _>>()?;
        let contender = |at: usize| {
            let (server, latencies, failure) = (&self.all[at], &latencies[at], &failure);
            Contender::new(server.name, move || match round(server, generator) {
                Ok((sample, run)) => {
                    // Histograms of one precision add up.
                    latencies.borrow_mut().add(&run.latencies).ok();
                    sample
                }
                Err(error) => {
                    failure.borrow_mut().get_or_insert(error);
                    Sample::default()
                }
            })
        };
        let mut contenders: Vec<_> = (0..self.all.len()).map(contender).collect();
        let measured = compare(args.size(11, 1), &mut contenders);
        drop(contenders);
        if let Some(error) = failure.into_inner() {
            return Err(error.context("the load met something else than answers"));
        }
        show(&self.all, &measured, &latencies)?;
        for (server, ours) in self.all.iter().zip(&measured).skip(self.ours) {
            hit(server)?;
            for (other, name, target) in [
                (FLOOR, "epoll loop", TARGET_FLOOR),
                (NGINX, "nginx", TARGET_NGINX),
            ] {
                if other < self.ours {
                    let ratio = ours.ratio_to(&measured[other], |sample| sample.cpu_ns);
                    table::target(&format!("{} / {name}", server.name), ratio, target);
                }
            }
        }
        Ok(())
    }
}

fn round(server: &Server, generator: Generator<'_>) -> anyhow::Result<(Sample, Run)> {
    let before = server.cpu_nanos()?;
    let run = generator(server.port)?;
    let used = server.cpu_nanos()? - before;
    Ok((Sample::over(run.requests, run.wall_ns, used), run))
}

fn show(
    servers: &[Server],
    measured: &[Measured],
    latencies: &[RefCell<Histogram<u64>>],
) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for ((server, measured_here), latencies) in servers.iter().zip(measured).zip(latencies) {
        let latencies = latencies.borrow();
        let quantile = |quantile: f64| table::nanos(latencies.value_at_quantile(quantile) as f64);
        let (least, most) = measured_here.range(|sample| sample.cpu_ns);
        rows.push(vec![
            server.name.to_owned(),
            format!(
                "{:.2} µs",
                measured_here.median(|sample| sample.cpu_ns) / 1e3
            ),
            format!("{:.2} to {:.2}", least / 1e3, most / 1e3),
            format!(
                "{:.2}",
                measured_here.ratio_to(&measured[FLOOR], |sample| sample.cpu_ns)
            ),
            format!("{:.0} %", server.system_share()? * 100.0),
            format!("{:.0}", measured_here.median(|sample| 1e9 / sample.wall_ns)),
            quantile(0.5),
            quantile(0.99),
            quantile(0.999),
        ]);
    }
    let columns = [
        "",
        "cpu/request",
        "range",
        "ratio",
        "system",
        "requests/s",
        "p50",
        "p99",
        "p999",
    ];
    table::rows(&columns, &rows);
    Ok(())
}

fn count_calls(
    servers: &[Server],
    load: &Load,
    reads: &[u32],
    folder: &Path,
) -> anyhow::Result<()> {
    table::heading("system calls for each request, under strace");
    let mut rows = Vec::new();
    for server in servers {
        let counted = syscalls::count(server, load, reads, folder)
            .with_context(|| format!("counting system calls of {}", server.name))?;
        let Some((calls, named)) = counted else {
            table::say("strace is not installed, or may not attach");
            return Ok(());
        };
        rows.push(vec![server.name.to_owned(), format!("{calls:.2}"), named]);
    }
    table::rows(&["", "calls", "of which"], &rows);
    Ok(())
}
