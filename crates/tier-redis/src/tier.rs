//! The tier itself: lookups, fenced puts and removals.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::{
    BoxFuture, Clock, Entry, FieldProblem, Kind, Lookup, MissReason, PutOutcome, Tier, TierKey,
    TierName, TierRoom, TierStatus, UnavailableReason, envelope,
};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use redis::Value;

use crate::call::{Action, Call, Reply};
use crate::exchange::Exchange;
use crate::settings::RedisSettings;
use crate::shard_map::{ShardFactory, Shards};

/// How often a start looks whether the connections are there.
const CONNECTED_PAUSE: Duration = Duration::from_millis(5);

/// L2, and the table of leases beside it.
pub struct RedisTier {
    pub(crate) settings: RedisSettings,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) random: Mutex<StdRng>,
}

impl fmt::Debug for RedisTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTier")
            .field("settings", &self.settings)
            .field("breaker", &self.exchange.state())
            .finish_non_exhaustive()
    }
}

impl RedisTier {
    /// Starts to connect, in the background, on the current tokio runtime. Until it has, and whenever Redis is down, every
    /// answer is `Unavailable`. `seed` feeds lease tokens and jitter: take it from the system's randomness, so that no two
    /// nodes share it.
    ///
    /// # Errors
    /// Everything that is wrong with the settings; a Redis that is down is no error.
    pub fn connect(
        settings: RedisSettings,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Result<Arc<Self>, Vec<FieldProblem>> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let seeds = settings.seeds()?;
        let factory = ShardFactory {
            settings: settings.clone(),
            clock,
            seed,
        };
        let shards = Shards::new(factory, seeds)
            .map_err(|error| vec![FieldProblem::new("urls", error.to_string())])?;
        let exchange = Exchange::start(shards, settings.ops_max, settings.pipeline_keys_max);
        Ok(Arc::new(RedisTier {
            settings,
            exchange: Arc::new(exchange),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        }))
    }

    /// Waits until there is a connection to every shard, or until `patience` runs out; says which. A node that starts waits a
    /// little, because lookups before that are answered `Unavailable` and the first reads would all go to the origin.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn connected(&self, patience: Duration) -> bool {
        let connecting = async {
            while !self.exchange.map().is_connected() {
                tokio::time::sleep(CONNECTED_PAUSE).await;
            }
        };
        tokio::time::timeout(patience, connecting).await.is_ok()
    }

    fn key(&self, key: &TierKey) -> String {
        format!("{}:{key}", self.settings.prefix)
    }

    async fn look_up(&self, key: &TierKey) -> Lookup {
        let call = Call::new(self.key(key), Action::Get);
        match self.exchange.look_up(call, self.settings.deadline).await {
            Ok((value, errand)) => {
                let (lookup, beginning) = self.lookup(key, Ok(value));
                if let Some(beginning) = beginning {
                    let action = Action::RemoveSame { beginning };
                    self.remove_damaged(vec![Call::new(errand.call.key, action)]);
                }
                lookup
            }
            Err(reason) => Lookup::Unavailable(reason),
        }
    }

    async fn lookups(&self, keys: &[TierKey]) -> Vec<Lookup> {
        let calls: Vec<Call> = keys
            .iter()
            .map(|key| Call::new(self.key(key), Action::Get))
            .collect();
        let replies = self.exchange.make(&calls, self.settings.deadline).await;
        let mut lookups = Vec::with_capacity(keys.len());
        let mut damaged = Vec::new();
        for ((key, call), reply) in keys.iter().zip(calls).zip(replies) {
            let (lookup, beginning) = self.lookup(key, reply);
            lookups.push(lookup);
            if let Some(beginning) = beginning {
                damaged.push(Call::new(call.key, Action::RemoveSame { beginning }));
            }
        }
        self.remove_damaged(damaged);
        lookups
    }

    /// The outcome for one key; also the beginning of bytes that ought to be removed.
    fn lookup(&self, key: &TierKey, reply: Reply) -> (Lookup, Option<Bytes>) {
        let bytes = match reply {
            Ok(Value::BulkString(bytes)) => Bytes::from(bytes),
            Ok(Value::Nil) => return (Lookup::Miss(MissReason::NotFound), None),
            Ok(Value::ServerError(error)) if error.code() == "WRONGTYPE" => {
                return (Lookup::Miss(MissReason::UnknownFormat), None);
            }
            Ok(_) => return (Lookup::Unavailable(UnavailableReason::Failed), None),
            Err(reason) => return (Lookup::Unavailable(reason), None),
        };
        match envelope::decode(&bytes, &key.key, self.settings.document_bytes_max) {
            Ok(entry) => (Lookup::found(entry), None),
            Err(reason @ (MissReason::Damaged | MissReason::WrongKey)) => {
                let beginning = bytes.slice(..bytes.len().min(IDENTIFYING_BYTES));
                (Lookup::Miss(reason), Some(beginning))
            }
            Err(reason) => (Lookup::Miss(reason), None),
        }
    }

    /// Removes damaged copies in the background, unless they were replaced meanwhile: with a damaged stamp they might fence
    /// every put until they expire.
    fn remove_damaged(&self, calls: Vec<Call>) {
        if calls.is_empty() {
            return;
        }
        let (exchange, deadline) = (self.exchange.clone(), self.settings.put_deadline);
        tokio::spawn(async move {
            exchange.make(&calls, deadline).await;
        });
    }

    async fn puts(&self, entries: &[(TierKey, Entry)]) -> Vec<PutOutcome> {
        let mut outcomes = vec![PutOutcome::Declined; entries.len()];
        let (mut calls, mut places) = (Vec::new(), Vec::new());
        for (place, (key, entry)) in entries.iter().enumerate() {
            match self.put_call(key, entry) {
                Ok(call) => {
                    calls.push(call);
                    places.push(place);
                }
                Err(outcome) => outcomes[place] = outcome,
            }
        }
        let replies = self.exchange.make(&calls, self.settings.put_deadline).await;
        for (place, reply) in places.into_iter().zip(replies) {
            outcomes[place] = put_outcome(&reply);
        }
        outcomes
    }

    fn put_call(&self, key: &TierKey, entry: &Entry) -> Result<Call, PutOutcome> {
        let text = self.key(key);
        // Compressing for a breaker that is open would cost more than the put.
        if self.exchange.refuses(&text) {
            return Err(PutOutcome::Unavailable(UnavailableReason::Open));
        }
        let envelope = envelope::encode(&key.key, entry, self.settings.encode_options());
        if envelope.len() > self.settings.value_bytes_max {
            return Err(PutOutcome::Declined);
        }
        let ttl = match entry.kind() {
            Kind::Present => self.settings.ttl_present,
            Kind::Absent => self.settings.ttl_absent,
        };
        Ok(Call::new(text, Action::Put { envelope, ttl }))
    }

    async fn removals(&self, keys: &[TierKey]) {
        let calls: Vec<Call> = keys
            .iter()
            .map(|key| Call::new(self.key(key), Action::Unlink))
            .collect();
        self.exchange.make(&calls, self.settings.put_deadline).await;
    }
}

/// What Redis keeps for a key that expires, beside its name and its value: two entries of hash tables and the rounding of allocations.
const KEY_BYTES: usize = 128;

/// The fixed prefix holds the stamp and the body's check, so two copies do not share it.
const IDENTIFYING_BYTES: usize = envelope::PREFIX_BYTES;

fn put_outcome(reply: &Reply) -> PutOutcome {
    match reply {
        Ok(Value::Int(1)) => PutOutcome::Stored,
        Ok(Value::Int(0)) => PutOutcome::Fenced,
        Ok(_) => PutOutcome::Unavailable(UnavailableReason::Failed),
        Err(reason) => PutOutcome::Unavailable(*reason),
    }
}

impl Tier for RedisTier {
    fn name(&self) -> TierName {
        TierName::L2
    }

    fn get_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<Lookup>> {
        match keys {
            [key] => Box::pin(async move { vec![self.look_up(key).await] }),
            _ => Box::pin(self.lookups(keys)),
        }
    }

    fn put_many<'a>(&'a self, entries: &'a [(TierKey, Entry)]) -> BoxFuture<'a, Vec<PutOutcome>> {
        Box::pin(self.puts(entries))
    }

    fn room(&self) -> BoxFuture<'_, TierRoom> {
        Box::pin(self.exchange.room(self.settings.put_deadline))
    }

    fn weigh(&self, key: &TierKey, entry: &Entry) -> u64 {
        let envelope = envelope::encode(&key.key, entry, self.settings.encode_options());
        let bytes = envelope.len() + self.key(key).len() + KEY_BYTES;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    fn remove_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, ()> {
        Box::pin(self.removals(keys))
    }

    fn status(&self) -> TierStatus {
        TierStatus {
            breaker: self.exchange.state(),
            bytes: None,
            entries: None,
        }
    }
}
