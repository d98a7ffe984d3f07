//! What is published once a second: what the tiers and the hot set hold.

use std::sync::Weak;
use std::time::Duration;

use hotshelf_telemetry::metric;

use crate::cache::Engine;
use crate::counters::gauge;

const INTERVAL: Duration = Duration::from_secs(1);

/// Publishes until the engine is gone.
pub(crate) async fn publish(engine: Weak<Engine>) {
    loop {
        let Some(engine) = engine.upgrade() else {
            return;
        };
        engine.publish_gauges();
        drop(engine);
        tokio::time::sleep(INTERVAL).await;
    }
}

impl Engine {
    fn publish_gauges(&self) {
        for (at, (entries, bytes)) in self.l1.usage().into_iter().enumerate() {
            self.counters.entries[at].set(gauge(entries));
            self.counters.bytes[at].set(gauge(bytes));
        }
        self.publish_hot();
        for tier in [&self.l2, &self.l3].into_iter().flatten() {
            let status = tier.status();
            let label = [("tier", tier.name().as_str())];
            metric::BREAKER_STATE
                .gauge(&label)
                .set(f64::from(status.breaker.number()));
            if let Some(entries) = status.entries {
                metric::ENTRIES.gauge(&label).set(gauge(entries));
            }
            if let Some(bytes) = status.bytes {
                metric::BYTES.gauge(&label).set(gauge(bytes));
            }
        }
    }

    fn publish_hot(&self) {
        let (mut held, mut crowded, mut missing, mut bytes) = (0, 0, 0, 0);
        for listed in self.l1.hot.list() {
            bytes += if listed.has_room { listed.bytes } else { 0 };
            if self.is_held(&listed) {
                held += 1;
            } else if self.l1.peek(&listed.key).is_some() {
                crowded += 1;
            } else {
                missing += 1;
            }
        }
        for (state, keys) in [("held", held), ("crowded", crowded), ("missing", missing)] {
            metric::HOT_KEYS.gauge(&[("state", state)]).set(gauge(keys));
        }
        metric::HOT_BYTES.gauge(&[]).set(gauge(bytes));
    }
}
