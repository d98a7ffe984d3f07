//! The task itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_engine::{Cache, HotReason};
use hotshelf_hotkeys::message::{Announced, Held, HotMessage};
use hotshelf_hotkeys::{Found, Frame, HotCursor, Limits, Sender};
use hotshelf_model::{Boot, Bus, BusEvent, Channel, Feed, Hist, Key};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::{SAVE_INTERVAL, save};
use crate::board::hash_of;
use crate::counting::ForCounter;
use crate::detecting::Detecting;
use crate::handle::HotKeys;
use crate::metrics::Metrics;
use crate::saved::{AGE_MAX, HotSetFile, Saved};
use crate::seats::Seats;

const TICK: Duration = Duration::from_millis(100);
/// How often a node says what it holds.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What a task is made of.
pub(super) struct Parts {
    pub(super) limits: Limits,
    pub(super) file: Option<Arc<HotSetFile>>,
    pub(super) hot_keys: HotKeys,
    pub(super) own: Sender,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) seats: Option<Arc<Seats>>,
    pub(super) messages: Arc<Mutex<ForCounter>>,
    pub(super) found: mpsc::Receiver<Found>,
    pub(super) cache: Cache,
}

pub(super) struct Task {
    parts: Parts,
    saved: Option<Saved>,
    detecting: Option<Detecting>,
    /// Keys that this node holds by its own judgement, and until when.
    provisional: HashMap<Key, Boot>,
    reported: Boot,
    begun: Boot,
    saved_at: Boot,
    /// The last writing of the file, for which nobody waits: the disk may be slow.
    saving: Option<JoinHandle<()>>,
    saved_cursor: Option<HotCursor>,
    metrics: Metrics,
}

enum Event {
    Bus(BusEvent),
    Found(Found),
    Tick,
    Seat,
}

impl Task {
    pub(super) fn new(parts: Parts) -> Self {
        let now = parts.hot_keys.shared.clock.now();
        Task {
            parts,
            saved: None,
            detecting: None,
            provisional: HashMap::new(),
            reported: now,
            begun: now,
            saved_at: now,
            saving: None,
            saved_cursor: None,
            metrics: Metrics::new(),
        }
    }

    /// Runs for ever.
    pub(super) async fn run(mut self) {
        if let Some(file) = self.parts.file.clone() {
            let loading = tokio::task::spawn_blocking(move || file.load());
            self.saved = loading.await.ok().flatten();
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (bus, seats) = (&self.parts.bus, &self.parts.seats);
            let seat_changed = async {
                match seats {
                    Some(seats) => seats.changed().await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                event = bus.next(Feed::Hot) => Event::Bus(event),
                _ = ticks.tick() => Event::Tick,
                Some(found) = self.parts.found.recv() => Event::Found(found),
                () = seat_changed => Event::Seat,
            };
            match event {
                Event::Bus(BusEvent::Message(Channel::Frames, frame)) => self.frame(&frame),
                Event::Bus(BusEvent::Message(_, message)) => self.hear(&message),
                // What was missed shows as a gap.
                Event::Bus(_) => {}
                Event::Found(found) => self.found(&found),
                Event::Tick => self.tick(),
                Event::Seat => self.take_seat(),
            }
            // A bus that always has something must not keep the others waiting.
            tokio::task::yield_now().await;
        }
    }

    fn now(&self) -> Boot {
        self.parts.hot_keys.shared.clock.now()
    }

    fn frame(&mut self, bytes: &Bytes) {
        let now = self.now();
        let Some(detecting) = &mut self.detecting else {
            return;
        };
        match Frame::decode(bytes) {
            Ok(frame) => {
                let outcome = detecting.frame(&frame, now);
                self.metrics.frame(outcome);
            }
            Err(error) => {
                self.metrics.unreadable_frame();
                tracing::debug!(%error, "a frame cannot be read");
            }
        }
        self.tell();
    }

    fn hear(&mut self, bytes: &Bytes) {
        let (hist, message) = match HotMessage::decode(bytes) {
            Ok(read) => read,
            Err(error) => {
                self.metrics.unreadable(error);
                tracing::debug!(%error, "a message about hot keys cannot be read");
                return;
            }
        };
        let now = self.now();
        if self.parts.hot_keys.shared.board.lock().hist() != Some(hist) {
            return;
        }
        let detecting = self.detecting.as_mut();
        match &message {
            HotMessage::Questions(hashes) => self.parts.messages.lock().ask(hashes),
            HotMessage::Watched(hashes) => {
                self.parts.messages.lock().watched = Some(hashes.clone());
            }
            HotMessage::Names(names) => {
                let hashes = names.iter().map(|name| hash_of(&name.key, hist));
                self.parts.messages.lock().tell(hashes);
                if let Some(detecting) = detecting {
                    for name in names {
                        detecting.name(&name.key, name.bytes, now);
                    }
                    self.tell();
                }
            }
            HotMessage::Decided(decided) => {
                // A standby that has not heard the name hears it here.
                if let Some(detecting) = detecting {
                    for decision in &decided.decisions {
                        if let Announced::Promoted(told) = decision {
                            detecting.name(&told.key, told.bytes, now);
                        }
                    }
                }
            }
            HotMessage::Want(_) => {
                if let Some(detecting) = detecting {
                    detecting.want();
                }
            }
            HotMessage::State(_)
            | HotMessage::Snapshot(_)
            | HotMessage::Rates(_)
            | HotMessage::Held(_) => {}
        }
        self.parts.hot_keys.take(hist, &message);
    }

    fn found(&mut self, found: &Found) {
        if self.parts.hot_keys.is_frozen() {
            return;
        }
        self.metrics.provisional();
        let key = std::slice::from_ref(&found.key);
        self.parts.cache.promote(key, HotReason::Provisional);
        let before = self.provisional.insert(found.key.clone(), found.until);
        if before.is_none() {
            let (key, rate) = (found.key.as_str(), found.rate.round());
            tracing::info!(
                key,
                rate,
                "no detector speaks, and this node finds a key hot"
            );
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        if let Some(hist) = self.parts.cache.status().hist {
            self.parts.hot_keys.set_hist(hist);
        }
        self.take_seat();
        if let Some(detecting) = &mut self.detecting {
            detecting.set_rules(&self.parts.hot_keys.rules());
            detecting.freeze(self.parts.hot_keys.is_frozen());
            let messages = detecting.tick(&self.parts.hot_keys.shared.board.lock(), now);
            self.publish_all(&messages);
        }
        let wants = self.parts.hot_keys.shared.board.lock().wants(now);
        if wants && self.term().is_none() {
            self.metrics.wanted();
            self.publish(&HotMessage::Want(self.parts.own));
        }
        self.expire(now);
        if now.since(self.reported) >= REPORT_INTERVAL {
            self.reported = now;
            self.report(now);
        }
        self.save(now);
    }

    /// Writes the hot set when it has changed, and now and then, because an old file says nothing.
    fn save(&mut self, now: Boot) {
        let since = now.since(self.saved_at);
        let is_saved = self.saving.as_ref().is_none_or(JoinHandle::is_finished);
        if since < SAVE_INTERVAL || !is_saved {
            return;
        }
        let cursor = self.parts.hot_keys.shared.board.lock().cursor();
        if let Some(file) = self.parts.file.clone()
            && (cursor != self.saved_cursor || since >= AGE_MAX / 2)
        {
            (self.saved_at, self.saved_cursor) = (now, cursor);
            let saving = save(self.parts.hot_keys.clone(), file);
            self.saving = Some(tokio::spawn(saving));
        }
    }

    fn term(&self) -> Option<u64> {
        self.detecting.as_ref().and_then(Detecting::term)
    }

    /// Begins or ends to detect and to lead, as this node's seat and history say.
    fn take_seat(&mut self) {
        let now = self.now();
        let shared = Arc::clone(&self.parts.hot_keys.shared);
        let hist = shared.board.lock().hist();
        let seat = match &self.parts.seats {
            Some(seats) => seats.seat(),
            None => Some(0),
        };
        let Some((seat, hist)) = seat.zip(hist) else {
            if self.detecting.take().is_some() {
                self.parts.bus.hear(Channel::Frames, false);
            }
            shared.leads.store(false, Ordering::Relaxed);
            return;
        };
        let is_of_use = |detecting: &Detecting| {
            let has_resigned = seat != 0 && detecting.term().is_some();
            detecting.hist() == hist && !has_resigned
        };
        if !self.detecting.as_ref().is_some_and(is_of_use) {
            self.parts.bus.hear(Channel::Frames, true);
            let rules = self.parts.hot_keys.rules();
            let (limits, own) = (self.parts.limits, self.parts.own);
            self.detecting = Some(Detecting::new(rules, limits, own, hist, seat, now));
        }
        let heard = shared.board.lock().term();
        // One who leads and hears of a later term leads in one that is later still: its lease says that it does.
        if seat == 0 && self.term().is_none_or(|term| term < heard) {
            self.lead(hist, heard, now);
        }
        shared.leads.store(seat == 0, Ordering::Relaxed);
    }

    fn lead(&mut self, hist: Hist, heard: u64, now: Boot) {
        let of_database = self.parts.cache.status().database_now;
        let term = of_database
            .map_or(0, |now| now.0)
            .max(heard.saturating_add(1));
        let is_young = now.since(self.begun) <= AGE_MAX;
        let saved = self.saved.as_ref();
        let saved = saved.filter(|saved| is_young && saved.hist == hist);
        let saved = saved.map_or(&[][..], |saved| &saved.keys);
        let Some(detecting) = &mut self.detecting else {
            return;
        };
        let board = self.parts.hot_keys.shared.board.lock();
        let messages = detecting.lead(&board, saved, term, now);
        drop(board);
        tracing::info!(term, "this node leads in finding hot keys");
        self.publish_all(&messages);
    }

    /// Says what was decided, and asks.
    fn tell(&mut self) {
        let now = self.now();
        if let Some(detecting) = &mut self.detecting {
            let messages = detecting.tell(&self.parts.hot_keys.shared.board.lock(), now);
            self.publish_all(&messages);
        }
    }

    fn publish_all(&self, messages: &[HotMessage]) {
        for message in messages {
            self.publish(message);
        }
    }

    /// Tells the others, after this node itself: it knows what it says whether the bus is there or not.
    fn publish(&self, message: &HotMessage) {
        let hist = self.parts.hot_keys.shared.board.lock().hist();
        let Some(hist) = hist else {
            return;
        };
        self.metrics.published(message);
        self.parts.hot_keys.take(hist, message);
        let message = message.encode(hist);
        self.parts.bus.publish(Channel::Hot, message);
    }

    /// Lets go what this node held by its own judgement and has not found again.
    fn expire(&mut self, now: Boot) {
        let over = self.provisional.extract_if(|_, until| *until <= now);
        let over: Vec<Key> = over.map(|(key, _)| key).collect();
        self.parts.cache.demote(&over, HotReason::Provisional);
    }

    /// Says what this node holds, and tries again for what it was to hold and could not.
    fn report(&mut self, now: Boot) {
        let local = self.parts.cache.hot_keys();
        let board = self.parts.hot_keys.shared.board.lock();
        let status = self
            .detecting
            .as_ref()
            .map(|detecting| detecting.status(now));
        self.metrics
            .look(&board, status.as_ref(), self.term().is_some());
        let Some(cursor) = board.cursor() else {
            return;
        };
        let held = Held {
            from: self.parts.own,
            cursor,
            missing: board.missing(&local),
        };
        let detected = local
            .iter()
            .filter(|hot| hot.reasons.contains(HotReason::Detected));
        let detected: std::collections::HashSet<&Key> = detected.map(|hot| &hot.key).collect();
        let keys = board.hot().map(|(_, hot)| &hot.key);
        let refused: Vec<Key> = keys
            .filter(|key| !detected.contains(key))
            .cloned()
            .collect();
        if !refused.is_empty() {
            self.parts.cache.promote(&refused, HotReason::Detected);
        }
        drop(board);
        self.publish(&HotMessage::Held(held));
    }
}
