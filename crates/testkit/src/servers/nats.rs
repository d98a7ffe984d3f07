//! NATS with JetStream.

use std::path::PathBuf;

use tempfile::TempDir;

use super::folder;
use super::process::{Process, Recipe, find};

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
        let program = find("nats-server", &[PathBuf::from("/usr/sbin")], "nats-server")?;
        let folder = folder::create("nats")?;
        let (process, port) = Process::start_on_free_port(|port| {
            let port = port.to_string();
            let args = [
                "--addr",
                "127.0.0.1",
                "--port",
                &port,
                "--jetstream",
                "--store_dir",
                "streams",
            ];
            Ok(Recipe {
                program: program.clone(),
                args: args.map(str::to_owned).to_vec(),
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
}
