//! What those who follow `/v1/changes` cost a node: memory, and processor time while nothing changes and for each change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use hotshelf_benches::args::Args;
use hotshelf_benches::table;
use hotshelf_benches::time::Stopwatch;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::servers::{self, Server};
use crate::{catalogue, path};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Events that all subscribers together have been told.
#[derive(Debug, Default)]
struct Told {
    resets: watch::Sender<usize>,
    changes: watch::Sender<usize>,
}

pub(crate) fn measure(args: &Args, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.join("subscribed");
    std::fs::create_dir(&folder)?;
    catalogue::write(&folder, 1)?;
    let count = args.size(2000, 10);
    let settings = [format!("http.subscribers_max={count}")];
    let program = args.hotshelf_program()?;
    let server = servers::hotshelf("hotshelf serve", &program, &folder, &settings, &path(0))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let row = runtime.block_on(subscribe(args, &server, count))?;
    table::heading("each of those who follow /v1/changes");
    table::rows(
        &["subscribers", "memory", "cpu/s, no changes", "cpu/change"],
        &[row],
    );
    Ok(())
}

async fn subscribe(args: &Args, server: &Server, count: usize) -> anyhow::Result<Vec<String>> {
    let told = Arc::new(Told::default());
    let before = server.resident_bytes()?;
    for _ in 0..count {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await?;
        let request = b"GET /v1/changes HTTP/1.1\r\nHost: shop.example\r\n\r\n";
        stream.write_all(request).await?;
        tokio::spawn(listen(stream, Arc::clone(&told)));
    }
    until(&told.resets, count).await?;
    let memory = server.resident_bytes()? - before;

    let (idle, at_rest) = (Stopwatch::start(), server.cpu_nanos()?);
    sleep(Duration::from_secs(args.size(10, 1))).await;
    let idle_share = (server.cpu_nanos()? - at_rest) / idle.nanos();

    let changes = args.size(100, 3);
    let (changing, before) = (Stopwatch::start(), server.cpu_nanos()?);
    for change in 1..=changes {
        write(server.port, change).await?;
        until(&told.changes, change * count).await?;
    }
    let used = server.cpu_nanos()? - before - idle_share * changing.nanos();
    let each = |all: f64| all / count as f64;
    Ok(vec![
        count.to_string(),
        format!("{:.0} KiB", each(memory) / 1024.0),
        table::nanos(each(idle_share * 1e9)),
        table::nanos(each(used) / changes as f64),
    ])
}

async fn until(events: &watch::Sender<usize>, wanted: usize) -> anyhow::Result<()> {
    let mut events = events.subscribe();
    let all = events.wait_for(|&told| told >= wanted);
    timeout(PATIENCE, all)
        .await
        .with_context(|| format!("not all of {wanted} events came"))??;
    Ok(())
}

/// Counts the events of one subscription until it ends.
async fn listen(stream: TcpStream, told: Arc<Told>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let events = match line.as_str() {
            "event: reset" => &told.resets,
            "event: change" => &told.changes,
            _ => continue,
        };
        events.send_modify(|count| *count += 1);
    }
}

/// Changes the title of the only product.
async fn write(port: u16, change: usize) -> anyhow::Result<()> {
    let body = format!("{{\"title\":\"Title {change}\"}}");
    let request = format!(
        "PATCH {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/merge-patch+json\r\nContent-Length: {}\r\n\r\n{body}",
        path(0),
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(
        answer.starts_with("HTTP/1.1 200"),
        "the write was answered {answer}"
    );
    Ok(())
}
