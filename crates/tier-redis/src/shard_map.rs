//! Which shard takes which key, and the task that keeps a cluster's map current.
//!
//! The map is read at the start, again when a reply or a failure says that it is wrong, and every few seconds. It is asked of
//! the known shards in turn, so that one that was cut off from its cluster cannot keep an old map alive, then of the seeds.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use hotshelf_model::{Breaker, BreakerSettings, BreakerState, Clock};
use parking_lot::RwLock;
use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionAddr, ConnectionInfo, RedisError, Value};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::gather::Lines;
use crate::link::{Dialer, Link};
use crate::settings::RedisSettings;
use crate::shard::Shard;
use crate::slot;

/// At least this long between two readings of a cluster's map, however many replies say that it is wrong.
const REFRESH_GAP: Duration = Duration::from_millis(250);

/// The shards and, for a cluster, the slots of each.
#[derive(Debug, Default)]
pub(crate) struct ShardMap {
    shards: Vec<Arc<Shard>>,
    /// For each slot the index of its shard; empty when one shard takes every key.
    slots: Vec<Option<u16>>,
}

impl ShardMap {
    fn single(shard: Arc<Shard>) -> Self {
        ShardMap {
            shards: vec![shard],
            slots: Vec::new(),
        }
    }

    /// The shard that takes a key; `None` when a cluster has none for its slot.
    pub(crate) fn shard_of(&self, key: &str) -> Option<&Arc<Shard>> {
        if self.slots.is_empty() {
            return self.shards.first();
        }
        let index = (*self.slots.get(usize::from(slot::of(key.as_bytes())))?)?;
        self.shards.get(usize::from(index))
    }

    /// Every shard, in no order.
    pub(crate) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    pub(crate) fn shard_at(&self, address: &str) -> Option<&Arc<Shard>> {
        self.shards.iter().find(|shard| shard.address == address)
    }

    /// Whether every known shard has a connection.
    pub(crate) fn is_connected(&self) -> bool {
        !self.shards.is_empty() && self.shards.iter().all(|shard| shard.connection().is_some())
    }

    /// The worst state of any shard's breaker; open when no shard is known.
    pub(crate) fn worst(&self) -> BreakerState {
        let states = self.shards.iter().map(|shard| shard.state());
        states.max().unwrap_or(BreakerState::Open)
    }
}

/// Builds shards that differ in their address only.
#[derive(Debug)]
pub(crate) struct ShardFactory {
    pub(crate) settings: RedisSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seed: u64,
}

impl ShardFactory {
    fn dialer(&self, info: ConnectionInfo) -> Result<Dialer, RedisError> {
        // Without it, the system would hold small requests back for tens of milliseconds.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok(Dialer {
            client: Client::open(info.set_tcp_settings(tcp))?,
            connect_timeout: self.settings.connect_timeout,
            heartbeat: self.settings.heartbeat,
        })
    }

    fn shard(&self, info: ConnectionInfo) -> Result<Arc<Shard>, RedisError> {
        let address = info.addr().to_string();
        let host = host_of(info.addr());
        let seed = address.bytes().fold(self.seed, |seed, byte| {
            seed.rotate_left(5).wrapping_add(u64::from(byte))
        });
        let breaker = Arc::new(Breaker::new(BreakerSettings {
            seed,
            ..self.settings.breaker
        }));
        let dialer = self.dialer(info)?;
        let links = (1..=self.settings.connections as u64).map(|number| {
            let breaker = breaker.clone();
            let connected = move || breaker.retry_now();
            Link::keep(dialer.clone(), seed.wrapping_add(number), connected)
        });
        Ok(Arc::new(Shard {
            host,
            address,
            mget: !self.settings.is_cluster(),
            lines: Lines::new(self.settings.connections, self.settings.pipeline_keys_max),
            links: links.collect(),
            breaker,
            next: AtomicUsize::new(0),
            clock: self.clock.clone(),
            runtime: Handle::current(),
        }))
    }
}

fn host_of(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => String::new(),
    }
}

/// The same address with another host and port.
fn elsewhere(address: &ConnectionAddr, host: String, port: u16) -> ConnectionAddr {
    match address {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}

/// Slots of one primary, as `CLUSTER SLOTS` says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SlotRange {
    first: u16,
    last: u16,
    host: String,
    port: u16,
}

/// The current map and what keeps it so.
#[derive(Debug)]
pub(crate) struct Shards {
    map: RwLock<Arc<ShardMap>>,
    doubted: Notify,
    factory: ShardFactory,
    seeds: Vec<ConnectionInfo>,
}

impl Shards {
    /// Starts to connect to the one shard; a cluster's are found by [`Shards::follow`].
    pub(crate) fn new(
        factory: ShardFactory,
        seeds: Vec<ConnectionInfo>,
    ) -> Result<Self, RedisError> {
        let map = match seeds.first() {
            Some(seed) if !factory.settings.is_cluster() => {
                ShardMap::single(factory.shard(seed.clone())?)
            }
            Some(_) | None => ShardMap::default(),
        };
        Ok(Shards {
            map: RwLock::new(Arc::new(map)),
            doubted: Notify::new(),
            factory,
            seeds,
        })
    }

    pub(crate) fn current(&self) -> Arc<ShardMap> {
        self.map.read().clone()
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.factory.settings.is_cluster()
    }

    /// Has the map read again soon.
    pub(crate) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Keeps a cluster's map current; never returns.
    pub(crate) async fn follow(self: Arc<Self>) {
        for turn in 0_usize.. {
            match self.read(turn).await {
                Some(ranges) => self.publish(ranges),
                None => tracing::debug!("no redis could say the cluster's slots"),
            }
            sleep(REFRESH_GAP).await;
            let interval = if self.current().shards.is_empty() {
                REFRESH_GAP
            } else {
                self.factory.settings.cluster_refresh
            };
            if timeout(interval, self.doubted.notified()).await.is_ok() {
                tracing::debug!("reading the cluster's slots, because a reply doubts them");
            }
        }
    }

    async fn read(&self, turn: usize) -> Option<Vec<SlotRange>> {
        let map = self.current();
        for step in 0..map.shards.len() {
            let shard = &map.shards[turn.wrapping_add(step) % map.shards.len()];
            if let Some(connection) = shard.connection()
                && let Some(ranges) = self.ask(connection, &shard.host).await
            {
                return Some(ranges);
            }
        }
        for seed in &self.seeds {
            let dialer = self.factory.dialer(seed.clone()).ok()?;
            match dialer.dial().await {
                Ok(connection) => {
                    if let Some(ranges) = self.ask(connection, &host_of(seed.addr())).await {
                        return Some(ranges);
                    }
                }
                Err(error) => {
                    tracing::debug!(address = %seed.addr(), %error, "connecting to a seed failed");
                }
            }
        }
        None
    }

    async fn ask(
        &self,
        mut connection: MultiplexedConnection,
        host: &str,
    ) -> Option<Vec<SlotRange>> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let limit = self.factory.settings.connect_timeout;
        let answer = timeout(limit, connection.send_packed_command(&command)).await;
        let ranges = ranges_of(&answer.ok()?.ok()?, host);
        (!ranges.is_empty()).then_some(ranges)
    }

    /// Takes a map in; shards that stay keep their connections and breakers.
    fn publish(&self, ranges: Vec<SlotRange>) {
        let (Some(seed), old) = (self.seeds.first(), self.current()) else {
            return;
        };
        let mut map = ShardMap {
            shards: Vec::new(),
            slots: vec![None; usize::from(slot::SLOTS)],
        };
        for range in ranges {
            let address = elsewhere(seed.addr(), range.host, range.port);
            let Some(index) = self.place(&mut map, &old, seed, address) else {
                continue;
            };
            let slots = usize::from(range.first)..=usize::from(range.last);
            if let Some(slots) = map.slots.get_mut(slots) {
                slots.fill(Some(index));
            }
        }
        if map.slots != old.slots || map.shards.len() != old.shards.len() {
            let addresses: Vec<_> = map.shards.iter().map(|shard| &shard.address).collect();
            tracing::info!(?addresses, "the shards of the redis cluster");
        }
        *self.map.write() = Arc::new(map);
    }

    /// The index of an address' shard in the new map; it is taken from the old one or made.
    fn place(
        &self,
        map: &mut ShardMap,
        old: &ShardMap,
        seed: &ConnectionInfo,
        address: ConnectionAddr,
    ) -> Option<u16> {
        let text = address.to_string();
        if let Some(index) = map.shards.iter().position(|shard| shard.address == text) {
            return u16::try_from(index).ok();
        }
        let shard = match old.shard_at(&text) {
            Some(shard) => shard.clone(),
            None => self.factory.shard(seed.clone().set_addr(address)).ok()?,
        };
        map.shards.push(shard);
        u16::try_from(map.shards.len() - 1).ok()
    }
}

/// Reads `CLUSTER SLOTS`: rows of first slot, last slot, primary, replicas. What cannot be read is left out. `host` stands for
/// an empty host, which means: the one that was asked.
fn ranges_of(answer: &Value, host: &str) -> Vec<SlotRange> {
    let Value::Array(rows) = answer else {
        return Vec::new();
    };
    rows.iter().filter_map(|row| range_of(row, host)).collect()
}

fn range_of(row: &Value, asked: &str) -> Option<SlotRange> {
    let Value::Array(fields) = row else {
        return None;
    };
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(primary),
        ..,
    ] = &fields[..]
    else {
        return None;
    };
    let [host, Value::Int(port), ..] = &primary[..] else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) if !host.is_empty() && host != b"?" => {
            String::from_utf8(host.clone()).ok()?
        }
        _ => asked.to_owned(),
    };
    let slot = |number: &i64| {
        u16::try_from(*number)
            .ok()
            .filter(|&slot| slot < slot::SLOTS)
    };
    Some(SlotRange {
        first: slot(first)?,
        last: slot(last)?,
        host,
        port: u16::try_from(*port).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: i64, last: i64, host: &str, port: i64) -> Value {
        let primary = vec![
            Value::BulkString(host.as_bytes().to_vec()),
            Value::Int(port),
            Value::BulkString(b"id".to_vec()),
        ];
        Value::Array(vec![
            Value::Int(first),
            Value::Int(last),
            Value::Array(primary.clone()),
            Value::Array(primary),
        ])
    }

    #[test]
    fn rows_are_read_and_an_empty_host_is_the_one_that_was_asked() {
        let answer = Value::Array(vec![row(0, 99, "10.0.0.1", 7000), row(100, 100, "", 7001)]);
        let ranges = ranges_of(&answer, "redis.example");
        let seen: Vec<_> = ranges
            .iter()
            .map(|range| (range.first, range.last, range.host.as_str(), range.port))
            .collect();
        assert_eq!(
            seen,
            [(0, 99, "10.0.0.1", 7000), (100, 100, "redis.example", 7001)]
        );
    }

    #[test]
    fn rows_that_make_no_sense_are_left_out() {
        let answer = Value::Array(vec![
            row(-1, 5, "a", 1),
            row(0, 16_384, "a", 1),
            row(0, 5, "a", 70_000),
            Value::Nil,
            Value::Array(vec![Value::Int(1)]),
        ]);
        assert_eq!(ranges_of(&answer, "b"), []);
        assert_eq!(ranges_of(&Value::Okay, "b"), []);
    }
}
