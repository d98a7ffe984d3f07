//! The bus suite passes on the fake and fails on wrong buses.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::*;
use crate::fakes::{BusFaults, FakeBus, FakeHub};

/// What a wrong bus does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Loses,
    Duplicates,
    Reorders,
    DropsItsOwn,
    DropsHints,
    Cuts,
    NeverLags,
    KeepsWhatWasPublishedInAnOutage,
    HidesOutages,
    HearsNoFrames,
    HearsAllFrames,
}

struct Subject {
    fault: Fault,
    hub: Arc<FakeHub>,
    nodes: Mutex<Vec<Arc<FakeBus>>>,
    away: Arc<AtomicBool>,
}

impl Subject {
    fn new(fault: Fault) -> Self {
        let hub = FakeHub::new(7);
        hub.set_faults(match fault {
            Fault::Loses => BusFaults {
                lose_percent: 5,
                ..BusFaults::NONE
            },
            Fault::Duplicates => BusFaults {
                duplicate_percent: 5,
                ..BusFaults::NONE
            },
            Fault::Reorders => BusFaults {
                delay_percent: 5,
                ..BusFaults::NONE
            },
            _ => BusFaults::NONE,
        });
        Subject {
            fault,
            hub,
            nodes: Mutex::default(),
            away: Arc::default(),
        }
    }

    fn each(&self, act: impl Fn(&FakeBus)) {
        if self.fault != Fault::HidesOutages {
            self.nodes.lock().iter().for_each(|node| act(node));
        }
    }
}

impl BusSubject for Subject {
    fn join(&self) -> BoxFuture<'_, Arc<dyn Bus>> {
        let inner = self.hub.join();
        self.nodes.lock().push(Arc::clone(&inner));
        let (fault, away) = (self.fault, Arc::clone(&self.away));
        let bus: Arc<dyn Bus> = Arc::new(Wrong { fault, inner, away });
        Box::pin(std::future::ready(bus))
    }

    fn can_go_away(&self) -> bool {
        true
    }

    fn take_away(&self) {
        self.away.store(true, Ordering::Relaxed);
        self.each(FakeBus::disconnect);
    }

    fn bring_back(&self) {
        self.away.store(false, Ordering::Relaxed);
        self.each(FakeBus::reconnect);
    }
}

#[derive(Debug)]
struct Wrong {
    fault: Fault,
    inner: Arc<FakeBus>,
    away: Arc<AtomicBool>,
}

impl Bus for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn publish(&self, channel: Channel, payload: Bytes) -> Published {
        match self.fault {
            Fault::DropsHints if channel == Channel::Hint => Published::Sent,
            Fault::Cuts => self
                .inner
                .publish(channel, payload.slice(..payload.len().min(5000))),
            Fault::KeepsWhatWasPublishedInAnOutage if self.away.load(Ordering::Relaxed) => {
                Published::Sent
            }
            _ => self.inner.publish(channel, payload),
        }
    }

    fn hear(&self, channel: Channel, wanted: bool) {
        match self.fault {
            Fault::HearsNoFrames if channel == Channel::Frames => {}
            Fault::HearsAllFrames => self.inner.hear(Channel::Frames, true),
            _ => self.inner.hear(channel, wanted),
        }
    }

    fn next(&self, feed: Feed) -> BoxFuture<'_, BusEvent> {
        Box::pin(async move {
            loop {
                let event = self.inner.next(feed).await;
                match (self.fault, &event) {
                    (Fault::NeverLags, BusEvent::Lagged) => {}
                    (Fault::DropsItsOwn, BusEvent::Message(_, payload))
                        if payload.starts_with(b"0 of 0") => {}
                    _ => return event,
                }
            }
        })
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }
}

#[tokio::test(start_paused = true)]
async fn the_fake_bus_passes() {
    bus(&Subject::new(Fault::None)).await;
}

#[tokio::test(start_paused = true)]
async fn every_wrong_bus_is_found_out() {
    let faults = [
        Fault::Loses,
        Fault::Duplicates,
        Fault::Reorders,
        Fault::DropsItsOwn,
        Fault::DropsHints,
        Fault::Cuts,
        Fault::NeverLags,
        Fault::KeepsWhatWasPublishedInAnOutage,
        Fault::HidesOutages,
        Fault::HearsNoFrames,
        Fault::HearsAllFrames,
    ];
    let here = tokio::task::LocalSet::new();
    for fault in faults {
        let run = here.spawn_local(async move { bus(&Subject::new(fault)).await });
        let found = here.run_until(run).await.is_err();
        assert!(found, "{fault:?} was not found out");
    }
}
