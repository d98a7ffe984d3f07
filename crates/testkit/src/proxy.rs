//! A line between a client and a server that can be slowed, stalled and cut.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::servers::free_port;
use crate::wait::wait_until;

const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks on their way at once in one direction; a sender beyond that waits, as it would for a full window.
const CHUNKS_MAX: usize = 256;
const SWITCH_LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Stalled,
    Cut,
}

#[derive(Clone, Copy, Debug)]
struct Mode {
    state: State,
    delay: Duration,
    target: u16,
}

/// A TCP proxy on a port of its own, on threads of its own: it also works from blocking tests and under a paused clock.
#[derive(Debug)]
pub struct TcpProxy {
    port: u16,
    mode: watch::Sender<Mode>,
    listening: watch::Receiver<bool>,
    runtime: Option<Runtime>,
}

impl TcpProxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `port` of the same address.
    ///
    /// # Errors
    /// When no thread or socket is to be had.
    pub fn start(port: u16) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()
            .context("starting the proxy's thread")?;
        let open = Mode {
            state: State::Open,
            delay: Duration::ZERO,
            target: port,
        };
        let (mode, modes) = watch::channel(open);
        let (listens, listening) = watch::channel(false);
        let proxy = TcpProxy {
            port: free_port(),
            mode,
            listening,
            runtime: Some(runtime),
        };
        if let Some(runtime) = &proxy.runtime {
            runtime.spawn(serve(proxy.port, modes, listens));
        }
        proxy.wait_listening(true);
        Ok(proxy)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes every connection and refuses new ones, until [`TcpProxy::heal`].
    pub fn cut(&self) {
        self.mode.send_modify(|mode| mode.state = State::Cut);
        self.wait_listening(false);
    }

    /// Keeps connections open, accepts new ones, and holds all bytes, until [`TcpProxy::heal`].
    pub fn stall(&self) {
        self.mode.send_modify(|mode| mode.state = State::Stalled);
        self.wait_listening(true);
    }

    /// Lets everything that the server sends from now on arrive that much later, without narrowing the line.
    pub fn delay(&self, delay: Duration) {
        self.mode.send_modify(|mode| mode.delay = delay);
    }

    /// Leads new connections to another port; those that are open stay where they are.
    pub fn retarget(&self, port: u16) {
        self.mode.send_modify(|mode| mode.target = port);
    }

    /// Ends a cut, a stall and a delay; bytes held by a stall go on.
    pub fn heal(&self) {
        self.mode.send_modify(|mode| {
            mode.state = State::Open;
            mode.delay = Duration::ZERO;
        });
        self.wait_listening(true);
    }

    fn wait_listening(&self, expected: bool) {
        wait_until("the proxy opens or closes its port", SWITCH_LIMIT, || {
            *self.listening.borrow() == expected
        });
    }
}

impl Drop for TcpProxy {
    /// A runtime must not be dropped where blocking is forbidden, and a proxy may be dropped there.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(port: u16, mut modes: watch::Receiver<Mode>, listens: watch::Sender<bool>) {
    while modes
        .wait_for(|mode| mode.state != State::Cut)
        .await
        .is_ok()
    {
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        listens.send_replace(true);
        tokio::select! {
            () = accept(&listener, &modes) => {}
            _ = was_cut(modes.clone()) => {}
        }
        drop(listener);
        listens.send_replace(false);
    }
}

async fn was_cut(mut modes: watch::Receiver<Mode>) {
    modes.wait_for(|mode| mode.state == State::Cut).await.ok();
}

async fn accept(listener: &TcpListener, modes: &watch::Receiver<Mode>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, modes.clone()));
    }
}

/// One connection. Its ends are closed when both directions have ended, or at a cut.
async fn connect(client: TcpStream, modes: watch::Receiver<Mode>) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, modes.borrow().target));
    let forward = async {
        let server = TcpStream::connect(address).await?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::try_join!(
            pump(from_client, to_server, modes.clone(), false),
            pump(from_server, to_client, modes.clone(), true),
        )
    };
    tokio::select! {
        // A broken connection is what the two ends see for themselves.
        _ = forward => {}
        () = was_cut(modes.clone()) => {}
    }
}

/// Moves bytes one way: one half reads and stamps each chunk with the moment of its arrival, the other lets it out.
async fn pump(
    from: tcp::OwnedReadHalf,
    to: tcp::OwnedWriteHalf,
    modes: watch::Receiver<Mode>,
    delayed: bool,
) -> io::Result<()> {
    let (chunks, waiting) = mpsc::channel(CHUNKS_MAX);
    let receive = take_in(from, chunks, modes.clone(), delayed);
    tokio::try_join!(receive, let_out(to, waiting, modes))?;
    Ok(())
}

async fn take_in(
    mut from: tcp::OwnedReadHalf,
    chunks: mpsc::Sender<(Instant, Vec<u8>)>,
    modes: watch::Receiver<Mode>,
    delayed: bool,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let delay = if delayed {
            modes.borrow().delay
        } else {
            Duration::ZERO
        };
        let due = Instant::now() + delay;
        if chunks.send((due, buffer[..length].to_vec())).await.is_err() {
            return Ok(());
        }
    }
}

async fn let_out(
    mut to: tcp::OwnedWriteHalf,
    mut waiting: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut modes: watch::Receiver<Mode>,
) -> io::Result<()> {
    while let Some((due, chunk)) = waiting.recv().await {
        tokio::time::sleep_until(due).await;
        if modes
            .wait_for(|mode| mode.state != State::Stalled)
            .await
            .is_err()
        {
            return Ok(());
        }
        to.write_all(&chunk).await?;
    }
    to.shutdown().await
}
