//! Who detects: three seats, each a lease in the database. The holder of the first leads; the others stand by on the same input.
//!
//! The holder of a seat says on the bus that it is there, and nobody asks the database for a seat whose holder is heard; so the
//! database's work does not grow with the nodes. A standby asks for the leader's seat as soon as the leader is silent, the others only
//! where no standby is heard. A node without the bus has no seat: it would hear nothing, and nobody would hear it.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_hotkeys::message::SEATS;
use hotshelf_model::{Boot, Bus, ClusterLeases, Error, LeaseToken};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::board::Known;
use crate::handle::HotKeys;

/// The leases' names in the database.
const LEASES: [&str; SEATS] = ["detector", "detector-2", "detector-3"];
/// How long a holder may be silent before the database gives its seat to another.
const TTL: Duration = Duration::from_millis(1500);
const RENEW_INTERVAL: Duration = Duration::from_millis(500);
/// How long the database's answer is waited for.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Between two looks at who is heard; a node adds some of its own, so that not all ask at once.
const LOOK_INTERVAL: Duration = Duration::from_millis(150);
const LOOK_JITTER_MS: u64 = 50;
/// A leader says something ten times a second; one that is silent for so long may be gone.
const LEADER_PATIENCE: Duration = Duration::from_millis(400);
/// A node that knows no hot set waits until it would have heard that others do.
const NEWCOMER_PATIENCE: Duration = Duration::from_millis(1300);
/// A node that knows less than others leaves the lead to them, or what it does not know would be let go; if none leads, it does.
const BEHIND_PATIENCE: Duration = Duration::from_secs(5);
/// A standby says something twice a second.
const STANDBY_PATIENCE: Duration = Duration::from_millis(1500);
/// A node without a seat asks again for one that it did not get after this, and up to as long again.
const RETRY_MS: u64 = 500;
/// Without the bus for so long, a node gives its seat up.
const BUS_PATIENCE: Duration = Duration::from_secs(1);

/// A seat that this node has.
#[derive(Clone, Copy, Debug)]
struct Taken {
    seat: usize,
    token: LeaseToken,
    /// When the lease was last asked for with success.
    renewed: Boot,
}

/// Takes and keeps a seat.
#[derive(Debug)]
pub(crate) struct Seats {
    leases: Arc<dyn ClusterLeases>,
    bus: Arc<dyn Bus>,
    hot_keys: HotKeys,
    taken: Mutex<Option<Taken>>,
    changed: Notify,
}

impl Seats {
    pub(crate) fn new(
        leases: Arc<dyn ClusterLeases>,
        bus: Arc<dyn Bus>,
        hot_keys: HotKeys,
    ) -> Arc<Self> {
        Arc::new(Seats {
            leases,
            bus,
            hot_keys,
            taken: Mutex::new(None),
            changed: Notify::new(),
        })
    }

    /// The seat that this node has now; 0 leads. A lease that ran out is none, whatever the database has answered since.
    pub(crate) fn seat(&self) -> Option<usize> {
        let now = self.now();
        let taken = *self.taken.lock();
        let lasts = |taken: &Taken| now.since(taken.renewed) < TTL;
        taken.filter(lasts).map(|taken| taken.seat)
    }

    /// Waits until the seat has changed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes a seat when one is free, and keeps it, for ever.
    pub(crate) async fn keep(&self) {
        let begun = self.now();
        let mut connected = begun;
        let mut next_try = [begun; SEATS];
        loop {
            let jitter = rand::random_range(0..=LOOK_JITTER_MS);
            sleep(LOOK_INTERVAL + Duration::from_millis(jitter)).await;
            let now = self.now();
            if self.bus.is_connected() {
                connected = now;
            } else {
                if now.since(connected) > BUS_PATIENCE {
                    self.give_up().await;
                }
                continue;
            }
            let taken = *self.taken.lock();
            match taken {
                Some(taken) => self.hold(taken, begun).await,
                None => self.look(begun, &mut next_try).await,
            }
        }
    }

    /// Renews a seat, and asks for the leader's when that is silent.
    async fn hold(&self, taken: Taken, begun: Boot) {
        let now = self.now();
        if now.since(taken.renewed) >= RENEW_INTERVAL {
            let name = LEASES[taken.seat];
            match self.ask(self.leases.renew(name, taken.token, TTL)).await {
                Some(true) => self.set(Some(Taken {
                    renewed: now,
                    ..taken
                })),
                Some(false) => return self.set(None),
                None if now.since(taken.renewed) >= TTL => return self.set(None),
                // It lasts as long as it was last renewed for.
                None => {}
            }
        }
        if taken.seat > 0
            && self.silence(0, begun) > self.patience_with_leader()
            && let Some(leading) = self.acquire(0).await
        {
            self.set(Some(leading));
            self.release(taken).await;
        }
    }

    /// Asks for the first seat whose holder is not heard.
    async fn look(&self, begun: Boot, next_try: &mut [Boot; SEATS]) {
        if self.hot_keys.shared.board.lock().hist().is_none() {
            return;
        }
        let has_standby = (1..SEATS).any(|seat| {
            let heard = self.hot_keys.shared.board.lock();
            heard
                .silence_of(seat, self.now())
                .is_some_and(|silence| silence <= STANDBY_PATIENCE)
        });
        for (seat, next_try) in next_try.iter_mut().enumerate() {
            let patience = match seat {
                0 if has_standby => self.patience_with_leader().max(2 * TTL),
                0 => self.patience_with_leader(),
                _ => STANDBY_PATIENCE,
            };
            if self.silence(seat, begun) <= patience || self.now() < *next_try {
                continue;
            }
            let wait = rand::random_range(RETRY_MS..=2 * RETRY_MS);
            *next_try = self.now().plus(Duration::from_millis(wait));
            if let Some(taken) = self.acquire(seat).await {
                return self.set(Some(taken));
            }
        }
    }

    /// How long the leader may be silent before this node asks for its seat.
    fn patience_with_leader(&self) -> Duration {
        match self.hot_keys.shared.board.lock().knowledge() {
            Known::All => LEADER_PATIENCE,
            Known::Nothing => NEWCOMER_PATIENCE,
            Known::LessThanOthers => BEHIND_PATIENCE,
        }
    }

    /// How long the holder of a seat has been silent, as far as this node can tell.
    fn silence(&self, seat: usize, begun: Boot) -> Duration {
        let now = self.now();
        let silence = self.hot_keys.shared.board.lock().silence_of(seat, now);
        silence.unwrap_or_else(|| now.since(begun))
    }

    async fn acquire(&self, seat: usize) -> Option<Taken> {
        let renewed = self.now();
        let acquired = self.ask(self.leases.acquire(LEASES[seat], TTL)).await;
        let token = acquired.flatten()?;
        Some(Taken {
            seat,
            token,
            renewed,
        })
    }

    async fn release(&self, taken: Taken) {
        self.ask(self.leases.release(LEASES[taken.seat], taken.token))
            .await;
    }

    /// Gives the seat up, so that another node takes it at once.
    pub(crate) async fn give_up(&self) {
        let taken = self.taken.lock().take();
        if let Some(taken) = taken {
            self.changed.notify_one();
            self.release(taken).await;
        }
    }

    /// What the database answers; none when it cannot say.
    async fn ask<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Option<T> {
        match timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::debug!(?error, "a detector's seat cannot be asked for");
                None
            }
            Err(_) => None,
        }
    }

    fn set(&self, taken: Option<Taken>) {
        let mut held = self.taken.lock();
        let seat = |taken: &Option<Taken>| taken.as_ref().map(|taken| taken.seat);
        let is_changed = seat(&held) != seat(&taken);
        *held = taken;
        drop(held);
        if is_changed {
            self.changed.notify_one();
        }
    }

    fn now(&self) -> Boot {
        self.hot_keys.shared.clock.now()
    }
}
