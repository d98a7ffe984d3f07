//! PostgreSQL: a cluster of its own, made by `initdb`, for anybody on 127.0.0.1.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use super::folder;
use super::process::{Process, Recipe, User, find};
use crate::wait::poll;

/// Nothing of it must survive a power loss, and many of them run side by side.
const SETTINGS: [&str; 8] = [
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=200",
    "max_wal_size=256MB",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "timezone=UTC",
];

const STOP_LIMIT: Duration = Duration::from_secs(20);

/// One PostgreSQL server.
#[derive(Debug)]
pub struct PostgresServer {
    process: Process,
    port: u16,
    psql: PathBuf,
    _folder: TempDir,
}

impl PostgresServer {
    /// Makes a cluster and starts a server on it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// As [`PostgresServer::start`], with further settings: `&["fsync=on", "max_connections=20"]`.
    ///
    /// # Errors
    /// As [`PostgresServer::start`]; an unknown setting is one too.
    pub fn start_with(settings: &[&str]) -> anyhow::Result<Self> {
        let postgres = find("postgres", &program_folders(), "postgresql")?;
        let psql = find("psql", &program_folders(), "postgresql-client")?;
        let folder = folder::create("postgres")?;
        let user = user()?;
        if let Some(user) = user {
            chown(folder.path(), Some(user.uid), Some(user.gid))
                .context("giving the folder away")?;
        }
        init(&postgres, folder.path(), user)?;
        let ready = "database system is ready to accept connections";
        let (process, port) = start_in(folder.path(), &postgres, user, settings, ready)?;
        Ok(PostgresServer {
            process,
            port,
            psql,
            _folder: folder,
        })
    }

    /// Copies the cluster and starts a standby on the copy, which follows this server asynchronously and answers reads.
    ///
    /// # Errors
    /// When the copy cannot be made or the standby does not start.
    pub fn standby(&self) -> anyhow::Result<Self> {
        let postgres = find("postgres", &program_folders(), "postgresql")?;
        let folder = folder::create("postgres")?;
        let user = user()?;
        if let Some(user) = user {
            chown(folder.path(), Some(user.uid), Some(user.gid))
                .context("giving the folder away")?;
        }
        let mut copy = Command::new(find(
            "pg_basebackup",
            &program_folders(),
            "postgresql-client",
        )?);
        copy.args([
            "-D",
            "data",
            "-X",
            "stream",
            "-R",
            "-c",
            "fast",
            "--no-sync",
        ]);
        copy.args(["-d", &self.url("postgres")]);
        copy.current_dir(folder.path());
        if let Some(user) = user {
            user.apply(&mut copy);
        }
        run(copy).context("copying a PostgreSQL cluster")?;
        // What it says depends on whether it still is a standby.
        let ready = "database system is ready to accept";
        let (process, port) = start_in(folder.path(), &postgres, user, &[], ready)?;
        Ok(PostgresServer {
            process,
            port,
            psql: self.psql.clone(),
            _folder: folder,
        })
    }

    /// A standby receives nothing any more, and keeps what it has.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn stop_following(&self) -> anyhow::Result<()> {
        self.sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''")?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        let following = "SELECT count(*) FROM pg_stat_wal_receiver";
        let stopped = || {
            self.sql("postgres", following)
                .ok()
                .filter(|count| count == "0")
        };
        poll(STOP_LIMIT, stopped).context("the standby still follows its primary")?;
        Ok(())
    }

    /// Makes a standby a primary on the next timeline, and returns when it is one.
    ///
    /// # Errors
    /// When it is none, or takes longer than a minute.
    pub fn promote(&self) -> anyhow::Result<()> {
        let promoted = self.sql("postgres", "SELECT pg_promote(true, 60)")?;
        ensure!(promoted == "t", "the standby was not promoted in time");
        Ok(())
    }

    /// One server for the whole test process, started by the first caller. It ends with the process; its folder is removed
    /// by the next test process.
    ///
    /// # Panics
    /// When it cannot be started.
    #[expect(clippy::panic, reason = "a test cannot go on without its server")]
    pub fn shared() -> &'static PostgresServer {
        static SHARED: OnceLock<Result<PostgresServer, String>> = OnceLock::new();
        let shared =
            SHARED.get_or_init(|| PostgresServer::start().map_err(|error| format!("{error:#}")));
        match shared {
            Ok(server) => server,
            Err(error) => panic!("{error}"),
        }
    }

    /// Creates an empty database and gives its URL, `postgres://postgres@127.0.0.1:PORT/NAME`.
    ///
    /// # Errors
    /// When there is a database of that name already, or the server cannot be reached.
    pub fn database(&self, name: &str) -> anyhow::Result<String> {
        self.sql(
            "postgres",
            &format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\"")),
        )?;
        Ok(self.url(name))
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL in a database through `psql`; answers rows as lines with `|` between the columns.
    ///
    /// # Errors
    /// When a statement fails; those before it stay done.
    pub fn sql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(&self.psql);
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        psql.args([
            "--set",
            "ON_ERROR_STOP=1",
            "--dbname",
            &self.url(database),
            "--command",
            sql,
        ]);
        run(psql).with_context(|| format!("running SQL in database {database}"))
    }

    /// Runs `pgbench` against a database, and answers what it prints at its end.
    ///
    /// # Errors
    /// When it is not installed, does not know an argument, or lost a client.
    pub fn pgbench(&self, database: &str, args: &[&str]) -> anyhow::Result<String> {
        let mut pgbench = Command::new(find("pgbench", &program_folders(), "postgresql")?);
        pgbench.args(["--no-vacuum", "--host=127.0.0.1", "--username=postgres"]);
        pgbench.arg(format!("--port={}", self.port));
        pgbench.args(args).arg(database);
        run(pgbench).with_context(|| format!("running pgbench against database {database}"))
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Stops every process of the server (`SIGSTOP`): connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Kills every process of the server (`SIGKILL`) and returns when they are gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Kills the server if it runs, and starts it on the same port and data; returns after its recovery.
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
}

/// Starts a server on the cluster in a folder's `data`.
fn start_in(
    folder: &Path,
    postgres: &Path,
    user: Option<User>,
    settings: &[&str],
    ready: &'static str,
) -> anyhow::Result<(Process, u16)> {
    Process::start_on_free_port(|port| {
        let port = format!("port={port}");
        let data = ["-D", "data", "-c", &port].map(str::to_owned);
        let settings = SETTINGS.iter().chain(settings);
        let settings = settings.flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
        Ok(Recipe {
            program: postgres.to_owned(),
            args: data.into_iter().chain(settings).collect(),
            folder: folder.to_owned(),
            user,
            ready,
        })
    })
}

/// PostgreSQL refuses to run as root.
fn user() -> anyhow::Result<Option<User>> {
    let root = rustix::process::geteuid().is_root();
    root.then(|| User::named("postgres")).transpose()
}

/// Where Debian puts the programs, the newest version first.
fn program_folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(|folder| {
            let version = folder.file_name().to_str()?.parse().ok()?;
            Some((version, folder.path().join("bin")))
        })
        .collect();
    folders.sort_by(|one, other| other.cmp(one));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

fn init(postgres: &Path, folder: &Path, user: Option<User>) -> anyhow::Result<()> {
    let mut initdb = Command::new(postgres.with_file_name("initdb"));
    initdb.args(["-D", "data", "--username", "postgres", "--auth", "trust"]);
    initdb.args(["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]);
    initdb.current_dir(folder);
    if let Some(user) = user {
        user.apply(&mut initdb);
    }
    run(initdb).context("making a PostgreSQL cluster").map(drop)
}

fn run(mut command: Command) -> anyhow::Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(
        status.success(),
        "{}",
        String::from_utf8_lossy(&stderr).trim_end()
    );
    Ok(String::from_utf8_lossy(&stdout).trim_end().to_owned())
}
