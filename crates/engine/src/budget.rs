//! The origin budget: how many fetches are under way at once, over all keys, in three classes.
//!
//! The limit adapts to the origin's latency by additive increase and multiplicative decrease (Chiu and Jain, 1989): it grows while it
//! is used and the origin answers as fast as it usually does, and shrinks when answers slow down or most of them fail. What is usual
//! is known for each kind of statement, so that many large ones are not taken for a slow origin. An urgent class goes first; the
//! others may use only their share. Who waits in the queue past its deadline is shed; and when it is full, who came last of the least urgent.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{Boot, Clock, NamespaceName};
use hotshelf_telemetry::{Counter, Gauge, metric};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::settings::{BudgetSettings, Class};

/// The limit moves at most once in this time.
const WINDOW: Duration = Duration::from_millis(100);
/// Answers slower than the usual latency by this factor shrink the limit.
const SLOWER: f64 = 2.0;
/// Differences below this are noise.
const NOISE: Duration = Duration::from_millis(5);
/// How long a sign of pressure counts.
const PRESSED: Duration = Duration::from_secs(1);
const SHRINK: f64 = 0.9;
const SHRINK_ON_FAILURE: f64 = 0.7;
/// The usual latency follows slower answers by this share per window, so that a lasting change is accepted.
const DRIFT: f64 = 0.02;

/// Why a fetch is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shed;

#[derive(Debug)]
struct State {
    limit: f64,
    in_use: [usize; Class::COUNT],
    queues: [VecDeque<oneshot::Sender<Permit>>; Class::COUNT],
    /// Seconds; as many as there are namespaces and bit lengths of a statement's documents.
    usual_latency: HashMap<StatementKind, f64>,
    window: Window,
    /// When the limit last shrank, or somebody who gives way last had to.
    pressed_at: Boot,
}

/// Statements that may be expected to take the same time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StatementKind {
    namespace: NamespaceName,
    /// The number of bits of the number of documents asked for.
    documents_bits: u32,
}

impl StatementKind {
    /// The kind of a statement that asks for so many documents.
    pub(crate) fn of(namespace: &NamespaceName, documents: usize) -> Self {
        StatementKind {
            namespace: namespace.clone(),
            documents_bits: usize::BITS - documents.leading_zeros(),
        }
    }
}

#[derive(Debug, Default)]
struct Window {
    ends: Boot,
    /// In order, because what a sum of fractions comes to depends on it.
    latencies: BTreeMap<StatementKind, Latencies>,
    failures: u32,
    saturated: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Latencies {
    answers: u32,
    sum: f64,
}

impl Window {
    fn answers(&self) -> u32 {
        self.latencies.values().map(|kind| kind.answers).sum()
    }
}

impl State {
    /// Whether the answers of a window took longer than such statements usually take.
    fn is_slow(&self, window: &Window) -> bool {
        let (mut took, mut usual) = (0.0, 0.0);
        for (kind, latencies) in &window.latencies {
            let answers = f64::from(latencies.answers);
            let mean = latencies.sum / answers;
            took += latencies.sum;
            usual += answers * self.usual_latency.get(kind).unwrap_or(&mean);
        }
        took > usual * SLOWER + NOISE.as_secs_f64() * f64::from(window.answers())
    }

    fn learn_usual(&mut self, latencies: BTreeMap<StatementKind, Latencies>) {
        for (kind, latencies) in latencies {
            let mean = latencies.sum / f64::from(latencies.answers);
            let usual = self.usual_latency.entry(kind).or_insert(mean);
            *usual = if mean < *usual {
                mean
            } else {
                *usual + (mean - *usual) * DRIFT
            };
        }
    }
}

#[derive(Debug)]
struct Gauges {
    limit: Gauge,
    in_use: Gauge,
    queue: [Gauge; Class::COUNT],
    shed: [Counter; Class::COUNT],
}

#[derive(Debug)]
pub(crate) struct Budget {
    settings: BudgetSettings,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    gauges: Gauges,
}

/// The right to make one fetch. Dropping it gives the right to the next in the queue.
#[derive(Debug)]
pub(crate) struct Permit {
    budget: Option<Arc<Budget>>,
    class: Class,
}

impl Permit {
    /// Tells the budget how the fetch went.
    pub(crate) fn finish(self, kind: StatementKind, latency: Duration, succeeded: bool) {
        if let Some(budget) = &self.budget {
            budget.observe(kind, latency, succeeded);
        }
    }

    /// Takes the right out without passing it on.
    fn defuse(mut self) {
        self.budget = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.take() {
            budget.release(self.class);
        }
    }
}

impl Budget {
    pub(crate) fn new(settings: BudgetSettings, clock: Arc<dyn Clock>) -> Arc<Self> {
        assert!(
            settings.concurrency_min >= 1 && settings.concurrency_min <= settings.concurrency_max
        );
        let start = settings
            .concurrency_max
            .div_ceil(2)
            .max(settings.concurrency_min);
        let by_class = |class: Class| [("class", class.as_str())];
        let gauges = Gauges {
            limit: metric::BUDGET_LIMIT.gauge(&[]),
            in_use: metric::BUDGET_IN_USE.gauge(&[]),
            queue: Class::ALL.map(|class| metric::BUDGET_QUEUE.gauge(&by_class(class))),
            shed: Class::ALL.map(|class| metric::BUDGET_SHED.counter(&by_class(class))),
        };
        let state = State {
            limit: to_f64(start),
            in_use: [0; Class::COUNT],
            queues: Default::default(),
            usual_latency: HashMap::new(),
            window: Window::default(),
            pressed_at: Boot::default(),
        };
        gauges.limit.set(to_f64(start));
        Arc::new(Budget {
            settings,
            clock,
            state: Mutex::new(state),
            gauges,
        })
    }

    /// Waits for a permit. Cancel safe: a permit that arrives after the caller has gone passes on.
    ///
    /// # Errors
    /// `Shed` when the queue is full or `patience` runs out.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        class: Class,
        patience: Duration,
    ) -> Result<Permit, Shed> {
        let receiver = match self.try_acquire(class) {
            Ok(permit) => return Ok(permit),
            Err(None) => return Err(self.shed(class)),
            Err(Some(receiver)) => receiver,
        };
        match tokio::time::timeout(patience, receiver).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(self.shed(class)),
        }
    }

    fn shed(&self, class: Class) -> Shed {
        self.gauges.shed[class.index()].increment(1);
        Shed
    }

    fn try_acquire(
        self: &Arc<Self>,
        class: Class,
    ) -> Result<Permit, Option<oneshot::Receiver<Permit>>> {
        let mut state = self.state.lock();
        if state.queues[class.index()].is_empty() && self.has_room(&state, class) {
            state.in_use[class.index()] += 1;
            self.show(&state);
            return Ok(Permit {
                budget: Some(Arc::clone(self)),
                class,
            });
        }
        state.window.saturated = true;
        if class.gives_way() && self.is_full(&state) {
            state.pressed_at = self.clock.now();
        }
        for queue in &mut state.queues {
            while queue.front().is_some_and(oneshot::Sender::is_closed) {
                queue.pop_front();
            }
        }
        let waiting = state.queues.iter().map(VecDeque::len).sum::<usize>();
        if waiting >= self.settings.queue_max && !Self::give_way(&mut state, class) {
            return Err(None);
        }
        let (sender, receiver) = oneshot::channel();
        state.queues[class.index()].push_back(sender);
        self.show(&state);
        Err(Some(receiver))
    }

    /// Sheds who came last of those that are least urgent, if they are less urgent than `class`; says whether there was one.
    fn give_way(state: &mut State, class: Class) -> bool {
        let less_urgent = &mut state.queues[class.index() + 1..];
        let mut queues = less_urgent.iter_mut().rev();
        // The drop of its sender tells the waiter.
        queues.any(|queue| queue.pop_back().is_some())
    }

    fn has_room(&self, state: &State, class: Class) -> bool {
        let limit = whole(state.limit);
        let used: usize = state.in_use.iter().sum();
        let share = match class {
            Class::Interactive => limit,
            Class::Refresh => share(limit, self.settings.refresh_share_percent),
            Class::Warm | Class::Background => share(limit, self.settings.warm_share_percent),
        };
        let used_of_share = if class.gives_way() {
            state.in_use[Class::Warm.index()..].iter().sum()
        } else {
            state.in_use[class.index()]
        };
        used < limit && used_of_share < share
    }

    /// Whether nobody gets a permit now, of whatever class.
    fn is_full(&self, state: &State) -> bool {
        state.in_use.iter().sum::<usize>() >= whole(state.limit)
    }

    /// Whether the origin has been slow, or readers have taken what a warm-up could have had, within the last second.
    pub(crate) fn is_pressed(&self) -> bool {
        let pressed_at = self.state.lock().pressed_at;
        pressed_at != Boot::default() && self.clock.now().since(pressed_at) < PRESSED
    }

    fn release(self: &Arc<Self>, class: Class) {
        let mut state = self.state.lock();
        state.in_use[class.index()] = state.in_use[class.index()].saturating_sub(1);
        self.hand_out(&mut state);
        self.show(&state);
    }

    fn hand_out(self: &Arc<Self>, state: &mut State) {
        for class in Class::ALL {
            while self.has_room(state, class) {
                let Some(waiter) = state.queues[class.index()].pop_front() else {
                    break;
                };
                let permit = Permit {
                    budget: Some(Arc::clone(self)),
                    class,
                };
                match waiter.send(permit) {
                    Ok(()) => state.in_use[class.index()] += 1,
                    // The waiter has gone; its permit was never counted, and its drop would take the lock held here.
                    Err(permit) => permit.defuse(),
                }
            }
        }
    }

    fn observe(self: &Arc<Self>, kind: StatementKind, latency: Duration, succeeded: bool) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let latencies = state.window.latencies.entry(kind).or_default();
        latencies.answers += 1;
        latencies.sum += latency.as_secs_f64();
        state.window.failures += u32::from(!succeeded);
        if now < state.window.ends {
            return;
        }
        let window = std::mem::replace(
            &mut state.window,
            Window {
                ends: now.plus(WINDOW),
                ..Window::default()
            },
        );
        // One bad query among many good ones says nothing of the database.
        let failing = window.failures * 2 >= window.answers();
        let limit = match (failing, state.is_slow(&window), window.saturated) {
            (true, ..) => state.limit * SHRINK_ON_FAILURE,
            (false, true, _) => state.limit * SHRINK,
            (false, false, true) => state.limit + 1.0,
            (false, false, false) => state.limit,
        };
        if window.failures == 0 {
            state.learn_usual(window.latencies);
        }
        if limit < state.limit {
            state.pressed_at = now;
        }
        state.limit = limit.clamp(
            to_f64(self.settings.concurrency_min),
            to_f64(self.settings.concurrency_max),
        );
        self.hand_out(&mut state);
        self.show(&state);
    }

    fn show(&self, state: &State) {
        self.gauges.limit.set(state.limit);
        self.gauges.in_use.set(to_f64(state.in_use.iter().sum()));
        for class in Class::ALL {
            self.gauges.queue[class.index()].set(to_f64(state.queues[class.index()].len()));
        }
    }

    #[cfg(test)]
    fn limit(&self) -> usize {
        whole(self.state.lock().limit)
    }
}

fn share(limit: usize, percent: u8) -> usize {
    (limit * usize::from(percent) / 100).max(1)
}

fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the limit is clamped to the settings' range"
)]
fn whole(limit: f64) -> usize {
    limit as usize
}

#[cfg(test)]
mod tests;
