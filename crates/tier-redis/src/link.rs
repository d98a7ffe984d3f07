//! One connection to one Redis, shared by many operations and kept alive by a task of its own.
//!
//! The task connects, publishes the connection, and checks it on each heartbeat and whenever an operation doubts it; a lost
//! one is withdrawn and made again, after a wait that doubles up to a bound. Operations only ever take what is published.
//! `redis::aio::ConnectionManager` is not used: while it reconnects, commands wait for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// Operations that wait to be written on one connection; beyond that a caller waits within its deadline.
const QUEUE_MAX: usize = 1024;

/// How to reach one Redis.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub(crate) client: Client,
    pub(crate) connect_timeout: Duration,
    pub(crate) heartbeat: Duration,
}

impl Dialer {
    /// Connects and waits for one answer.
    pub(crate) async fn dial(&self) -> Result<MultiplexedConnection, RedisError> {
        // Deadlines are set by each operation, so the connection has none.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE_MAX);
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        self.check(&mut connection).await?;
        Ok(connection)
    }

    async fn check(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let ping = redis::cmd("PING");
        let answer = timeout(self.connect_timeout, connection.send_packed_command(&ping)).await;
        let answer = answer.map_err(|_| RedisError::from(std::io::Error::from(TIMED_OUT)))??;
        match answer {
            // While it loads its data it is of no use, and a closed breaker would only be opened again.
            redis::Value::ServerError(error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

const TIMED_OUT: std::io::ErrorKind = std::io::ErrorKind::TimedOut;

/// A connection with its keeper; dropping it ends both.
pub(crate) struct Link {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

#[derive(Default)]
struct Shared {
    connection: RwLock<Option<MultiplexedConnection>>,
    doubted: Notify,
}

impl Link {
    /// Starts to connect. `connected` is told after each time that it worked.
    pub(crate) fn keep(
        dialer: Dialer,
        seed: u64,
        connected: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let keeper = Keeper {
            dialer,
            random: StdRng::seed_from_u64(seed),
            shared: shared.clone(),
        };
        let keeper = tokio::spawn(keeper.run(connected)).abort_handle();
        Link { shared, keeper }
    }

    /// The connection, if there is one now.
    pub(crate) fn connection(&self) -> Option<MultiplexedConnection> {
        self.shared.connection.read().clone()
    }

    /// Has the connection checked now, because an operation failed on it.
    pub(crate) fn doubt(&self) {
        self.shared.doubted.notify_one();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("connected", &self.shared.connection.read().is_some())
            .finish()
    }
}

struct Keeper {
    dialer: Dialer,
    random: StdRng,
    shared: Arc<Shared>,
}

impl Keeper {
    async fn run(mut self, connected: impl Fn() + Send + Sync) {
        let address = self.dialer.client.get_connection_info().addr().to_string();
        let mut wait = RECONNECT_MIN;
        loop {
            match self.dialer.dial().await {
                Ok(connection) => {
                    tracing::debug!(address, "connected to redis");
                    *self.shared.connection.write() = Some(connection.clone());
                    connected();
                    self.watch(connection).await;
                    *self.shared.connection.write() = None;
                    wait = RECONNECT_MIN;
                }
                Err(error) => tracing::debug!(address, %error, "connecting to redis failed"),
            }
            let jitter = self.random.random_range(0.75..1.25);
            sleep(wait.mul_f64(jitter)).await;
            wait = (wait * 2).min(RECONNECT_MAX);
        }
    }

    /// Returns when the connection is lost.
    async fn watch(&self, mut connection: MultiplexedConnection) {
        loop {
            let doubted = self.shared.doubted.notified();
            if timeout(self.dialer.heartbeat, doubted).await.is_ok() {
                tracing::trace!("checking a connection to redis after a failure");
            }
            if let Err(error) = self.dialer.check(&mut connection).await {
                tracing::debug!(%error, "lost a connection to redis");
                return;
            }
        }
    }
}
