//! Reads of many keys at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use hotshelf_model::{Boot, Error, Key, Version};

use super::Step;
use crate::answer::Answer;
use crate::cache::Engine;
use crate::fill::Pending;
use crate::flight::{Flight, too_many_flights};
use crate::settings::ReadOptions;

/// One key of a batch on its way.
enum Reading<'k> {
    /// A hit in L1, which is counted already.
    Done(Answer),
    Found(&'k Key, Result<Answer, Error>, Boot),
    Alone(&'k Key),
    Joined(&'k Key, Arc<Flight>, Boot),
    Begun(&'k Key, Arc<Flight>, Boot),
}

impl Engine {
    /// Reads in one pass per tier: what L1 lacks is filled together.
    pub(crate) async fn read_many(
        self: &Arc<Self>,
        keys: &[Key],
        options: ReadOptions<'_>,
    ) -> Vec<Result<Answer, Error>> {
        let mut distinct: HashMap<&Key, usize> = HashMap::with_capacity(keys.len());
        let mut reads = Vec::with_capacity(keys.len());
        // In order, so that the same batch always starts its fills in the same order.
        let mut fills: BTreeMap<(&str, &str), Vec<Pending>> = BTreeMap::new();
        for key in keys {
            if distinct.contains_key(key) {
                continue;
            }
            distinct.insert(key, reads.len());
            reads.push(self.begin_read(key, options, &mut fills));
        }
        for pending in fills.into_values() {
            let Some(source) = pending
                .first()
                .and_then(|first| self.source(first.guard.key()).ok())
            else {
                continue;
            };
            // What cannot take off lands by the drop of its guard, with its reason.
            self.fly(&Arc::clone(source), pending, options.class).ok();
        }
        let outcomes = join_all(
            reads
                .into_iter()
                .map(|read| self.finish_read(read, options)),
        )
        .await;
        keys.iter()
            .map(|key| outcomes[distinct[key]].clone())
            .collect()
    }

    fn begin_read<'k>(
        self: &Arc<Self>,
        key: &'k Key,
        options: ReadOptions<'_>,
        fills: &mut BTreeMap<(&'k str, &'k str), Vec<Pending>>,
    ) -> Reading<'k> {
        if options.min_version.is_some() {
            return Reading::Alone(key);
        }
        if let Some(answer) = self.try_get(key.into(), &options, |_| true) {
            return Reading::Done(answer);
        }
        self.counters.l1_miss();
        let started = self.clock.now();
        let source = match self.source(key) {
            Ok(source) => source,
            Err(error) => return Reading::Found(key, Err(error), started),
        };
        match self.join_or_begin(source, key, Version::NONE, options.class) {
            Step::Landed(landed) => {
                Reading::Found(key, Ok(self.landed_answer(key, landed)), started)
            }
            Step::Full => {
                let found = self.stale_or(key, Version::NONE, too_many_flights());
                Reading::Found(key, found, started)
            }
            Step::Joined(flight) => Reading::Joined(key, flight, started),
            Step::Begun(pending) => {
                let flight = pending.guard.flight();
                fills
                    .entry((key.namespace(), key.variant()))
                    .or_default()
                    .push(*pending);
                Reading::Begun(key, flight, started)
            }
        }
    }

    async fn finish_read(
        self: &Arc<Self>,
        read: Reading<'_>,
        options: ReadOptions<'_>,
    ) -> Result<Answer, Error> {
        let (key, flight, started, joined) = match read {
            Reading::Done(answer) => return Ok(answer),
            Reading::Alone(key) => return self.get(key, options).await,
            Reading::Found(key, outcome, started) => {
                self.count(key, outcome.as_ref(), started, &options);
                return outcome;
            }
            Reading::Joined(key, flight, started) => (key, flight, started, true),
            Reading::Begun(key, flight, started) => (key, flight, started, false),
        };
        let left = self.left(options, started);
        let outcome = self.wait(key, Version::NONE, &flight, left).await;
        let outcome = if joined && self.is_for_others(key, &outcome, &flight, options.class) {
            self.read_once(key, Version::NONE, options, started).await
        } else {
            outcome.map(|landed| self.landed_answer(key, landed))
        };
        self.count(key, outcome.as_ref(), started, &options);
        outcome
    }
}
