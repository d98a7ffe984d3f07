//! NATS with JetStream.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use super::folder;
use super::process::{Process, Recipe, find};

const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// One NATS server; its streams lie in its own folder.
#[derive(Debug)]
pub struct NatsServer {
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl NatsServer {
    /// Starts a server.
    ///
    /// # Errors
    /// When NATS is not installed or does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// As [`NatsServer::start`], with further options: `&["--user", "shop", "--pass", "secret"]`.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub fn start_with(options: &[&str]) -> anyhow::Result<Self> {
        let jetstream = ["--jetstream", "--store_dir", "streams"];
        Self::launch(&[&jetstream, options].concat())
    }

    /// A server that keeps nothing.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub fn start_without_jetstream() -> anyhow::Result<Self> {
        Self::launch(&[])
    }

    fn launch(options: &[&str]) -> anyhow::Result<Self> {
        let program = find("nats-server", &[PathBuf::from("/usr/sbin")], "nats-server")?;
        let folder = folder::create("nats")?;
        let (process, port) = Process::start_on_free_port(|port| {
            let port = port.to_string();
            let own = ["--addr", "127.0.0.1", "--port", &port];
            let args = own.iter().chain(options);
            Ok(Recipe {
                program: program.clone(),
                args: args.map(|&arg| arg.to_owned()).collect(),
                folder: folder.path().to_owned(),
                user: None,
                ready: "Server is ready",
            })
        })?;
        Ok(NatsServer {
            process,
            port,
            _folder: folder,
        })
    }

    /// `nats://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the process (`SIGSTOP`): connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Kills the process (`SIGKILL`) and returns when it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Kills the process if it runs, and starts it on the same port with its streams.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> anyhow::Result<()> {
        self.process.restart()
    }

    /// What the server has logged since it was last started.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Removes every message of a stream; its numbers go on.
    ///
    /// # Errors
    /// When the server cannot be reached or says no.
    pub fn purge_stream(&self, stream: &str) -> anyhow::Result<()> {
        self.ask(&format!("STREAM.PURGE.{stream}"), REQUEST_LIMIT)
            .map(drop)
    }

    /// Removes a stream; one that is made again begins at 1.
    ///
    /// # Errors
    /// As [`NatsServer::purge_stream`].
    pub fn delete_stream(&self, stream: &str) -> anyhow::Result<()> {
        self.ask(&format!("STREAM.DELETE.{stream}"), REQUEST_LIMIT)
            .map(drop)
    }

    /// What the server says of a stream, as JSON.
    ///
    /// # Errors
    /// As [`NatsServer::purge_stream`]; also when there is no such stream.
    pub fn stream_info(&self, stream: &str) -> anyhow::Result<String> {
        self.stream_info_within(stream, REQUEST_LIMIT)
    }

    /// The same from who may not answer at all, as a cluster that has no leader.
    pub(super) fn stream_info_within(
        &self,
        stream: &str,
        limit: Duration,
    ) -> anyhow::Result<String> {
        self.ask(&format!("STREAM.INFO.{stream}"), limit)
    }

    /// Asks JetStream, on a connection of its own and without a client library, which is what tests are about.
    fn ask(&self, question: &str, limit: Duration) -> anyhow::Result<String> {
        let attempt = || -> anyhow::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(limit))?;
            let request = format!(
                "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB $JS.API.{question} answer 0\r\n\r\n"
            );
            stream.write_all(request.as_bytes())?;
            read_answer(&mut BufReader::new(stream))
        };
        let answer = attempt().with_context(|| format!("asking NATS on port {}", self.port))?;
        ensure!(
            !answer.contains("\"error\""),
            "NATS answered to {question}: {answer}"
        );
        Ok(answer)
    }
}

/// Reads up to the first message: `MSG SUBJECT SID BYTES`, then its bytes.
fn read_answer(reader: &mut impl BufRead) -> anyhow::Result<String> {
    loop {
        let mut line = String::new();
        ensure!(
            reader.read_line(&mut line)? > 0,
            "the connection was closed"
        );
        let mut words = line.split_whitespace();
        match words.next() {
            Some("MSG") => {
                let length = words.last().context("a message has a length")?.parse()?;
                let mut bytes = vec![0; length];
                reader.read_exact(&mut bytes)?;
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            Some("-ERR") => anyhow::bail!("NATS answered: {line}"),
            _ => {}
        }
    }
}
