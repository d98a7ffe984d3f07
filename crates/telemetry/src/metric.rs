//! The one list of metrics. A metric that is not listed here does not exist; `docs/metrics.md` is generated from it.
//!
//! Handles are taken once, when a component is built, and kept: the hot path touches an atomic and no name.
//! Labels are bounded: tiers, outcomes, reasons and classes, never a key, an id or an address.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, SharedString};

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

/// A metric: its Prometheus name (base units), what it means, and its labels.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: MetricKind,
    pub help: &'static str,
    pub labels: &'static [&'static str],
}

macro_rules! metrics_list {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: MetricKind::$kind, help: $help, labels: &[$($label),*] };
        )*
        /// Every metric, in the order of the documentation.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics_list! {
    READS = Counter "hotshelf_reads_total" ["tier", "outcome"]
        "Answers to reads, by the tier that gave them and whether they were hit, absent, stale or failed.";
    READ_SECONDS = Histogram "hotshelf_read_duration_seconds" ["tier"]
        "Time from the call to the answer, by the tier that answered; L1 hits are sampled, 1 in 64.";
    LOOKUPS = Counter "hotshelf_lookups_total" ["tier", "outcome"]
        "Lookups that reached a tier, by outcome: hit, absent, miss or unavailable.";
    LOOKUP_SECONDS = Histogram "hotshelf_lookup_duration_seconds" ["tier"]
        "Time of a lookup in a tier outside the process, or of a fetch from the origin.";
    MISSES = Counter "hotshelf_misses_total" ["tier", "reason"]
        "Misses by reason: not_found, damaged, unknown_format or wrong_key.";
    UNAVAILABLE = Counter "hotshelf_unavailable_total" ["tier", "reason"]
        "Lookups that a tier could not answer, by reason: open, deadline, failed or busy.";
    PUTS = Counter "hotshelf_puts_total" ["tier", "outcome"]
        "Writes to a tier, by outcome: stored, fenced, declined or unavailable.";
    ADMISSIONS = Counter "hotshelf_admissions_total" ["tier", "verdict"]
        "Copies from outside the process, by what admission said: fresh, suspect, expired or dead.";
    REVALIDATIONS = Counter "hotshelf_revalidations_total" ["outcome"]
        "Suspect copies checked by version: same, changed or failed.";
    ENTRIES = Gauge "hotshelf_tier_entries" ["tier"]
        "Entries held by a tier; absent entries of L1 are counted as tier `l1_absent`.";
    BYTES = Gauge "hotshelf_tier_bytes" ["tier"]
        "Bytes held by a tier, keys and bookkeeping included.";
    EVICTIONS = Counter "hotshelf_evictions_total" ["tier"]
        "Entries that L1 evicted to make room, documents (`l1`) and absent entries (`l1_absent`).";
    FLIGHTS = Gauge "hotshelf_flights" []
        "Fills under way, one for each key.";
    FLIGHT_JOINS = Counter "hotshelf_flight_joins_total" []
        "Reads that waited for a fill begun by another read.";
    FLIGHTS_ABANDONED = Counter "hotshelf_flights_abandoned_total" []
        "Fills that ended without an outcome, by a panic; their waiters were told at once.";
    LEASES = Counter "hotshelf_leases_total" ["outcome"]
        "Attempts to get a cross-node lease: acquired, held, waited (the copy came from the holder), expired, overdue (the holder was waited for long enough, and the key fetched without one) or unavailable.";
    FETCHES = Counter "hotshelf_origin_fetches_total" ["class", "outcome"]
        "Statements or requests sent to the origin for documents, by class and outcome: ok, failed or timeout.";
    FETCHED_DOCUMENTS = Counter "hotshelf_origin_documents_total" ["class"]
        "Documents asked of the origin, by class.";
    BUDGET_LIMIT = Gauge "hotshelf_origin_budget_limit" []
        "Fetches that the origin budget allows at once, as adapted to the origin's latency.";
    BUDGET_IN_USE = Gauge "hotshelf_origin_budget_in_use" []
        "Fetches under way.";
    BUDGET_QUEUE = Gauge "hotshelf_origin_budget_queue" ["class"]
        "Fetches waiting for the budget.";
    BUDGET_SHED = Counter "hotshelf_origin_budget_shed_total" ["class"]
        "Fetches refused because the budget's queue was full or their time ran out in it.";
    BREAKER_STATE = Gauge "hotshelf_breaker_state" ["tier"]
        "The worst of a tier's breakers, as of the last second: 0 closed, 1 half open, 2 open.";
    REFRESHES = Counter "hotshelf_refreshes_total" ["outcome"]
        "Background refreshes: started, or skipped because too many were under way.";
    PROMOTIONS = Counter "hotshelf_promotions_total" ["outcome"]
        "Attempts to promote a key: promoted, known (it was hot already), banned, full (there are as many hot keys as there may be) or unknown (no such namespace).";
    DEMOTIONS = Counter "hotshelf_demotions_total" ["cause"]
        "Keys that are hot no longer: demoted, banned, or displaced by a pin when the hot set was full.";
    HOT_KEYS = Gauge "hotshelf_hot_keys" ["state"]
        "Hot keys, as of the last second: held (a copy is in L1 and stays there), crowded (the hot set's share of L1 is used up) or missing (there is no copy).";
    HOT_BYTES = Gauge "hotshelf_hot_bytes" []
        "Bytes of L1 that are reserved for hot keys.";
    HOT_OVERFLOWS = Counter "hotshelf_hot_overflows_total" []
        "Copies of hot keys for which the hot set's share of L1 had no room, so that they may be evicted.";
    HOT_KEEPS = Counter "hotshelf_hot_keeps_total" ["lack", "outcome"]
        "Attempts to mend what a hot key lacked, a copy or the next document of a scheduled change, by outcome: kept or failed.";
    HOT_FLIPS = Counter "hotshelf_hot_flips_total" []
        "Documents fetched ahead of a scheduled change that took their place at its moment.";
    HOT_FRAMES = Counter "hotshelf_hot_frames_total" ["outcome"]
        "Frames of what nodes have read: sent, dropped or too_large by this node; counted, doubled, late, former, realigned, nodes_max or unreadable by its detector.";
    HOT_TAU = Gauge "hotshelf_hot_sampled_tau" []
        "Counts below it were left to chance in this node's last frame; 1 when none was.";
    HOT_LEADS = Gauge "hotshelf_hot_leads" []
        "Whether this node's detector leads: 0 or 1. Exactly one node's does.";
    HOT_STANDS_BY = Gauge "hotshelf_hot_stands_by" []
        "Whether this node's detector stands by: 0 or 1.";
    HOT_LAG = Gauge "hotshelf_hot_detector_lag_seconds" []
        "How far this node's detector lags behind the nodes that it hears; 0 without one.";
    HOT_TRACKED = Gauge "hotshelf_hot_tracked_keys" []
        "Keys that this node's detector counts exactly; 0 without one.";
    HOT_CLUSTER_KEYS = Gauge "hotshelf_hot_cluster_keys" []
        "Keys that are hot in the cluster, as far as this node knows.";
    HOT_DECISIONS = Counter "hotshelf_hot_decisions_total" ["decision"]
        "Keys that the cluster's decisions have changed on this node: promoted or demoted.";
    HOT_PROVISIONAL = Counter "hotshelf_hot_provisional_total" []
        "Times that this node has found a key hot by itself, because no detector spoke.";
    HOT_QUESTIONS = Counter "hotshelf_hot_questions_total" []
        "Hashes whose keys this node's detector has asked for.";
    HOT_NAMES = Counter "hotshelf_hot_names_total" []
        "Keys that this node has told detectors.";
    HOT_SNAPSHOTS = Counter "hotshelf_hot_snapshots_total" ["direction"]
        "Hot sets that this node has asked for (in) or told (out), because a decision was missing or a node has come.";
    HOT_UNREADABLE = Counter "hotshelf_hot_unreadable_total" ["reason"]
        "Messages about hot keys that could not be read: undecodable or unknown_format.";
    PINS = Gauge "hotshelf_pins" ["state"]
        "Keys that operators have pinned: held by this node, or refused, because its hot set has no room or bans them.";
    SWITCHED = Gauge "hotshelf_switches_set" []
        "Switches that do not stand as configured on this node.";
    DECISIONS_UNREADABLE = Counter "hotshelf_decisions_unreadable_total" ["setting"]
        "Pins or switches in the database that this node could not read; those before them stay in force.";
    HOT_RULES_VERSION = Gauge "hotshelf_hot_rules_version" []
        "Version of the rules for hot keys that are in force on this node; 0 for those of the configuration.";
    HOT_RULES_UNREADABLE = Counter "hotshelf_hot_rules_unreadable_total" []
        "Rules for hot keys in the database that this node could not read; those before them stay in force.";
    STALE_SECONDS = Histogram "hotshelf_stale_age_seconds" []
        "Age beyond freshness of answers that were labelled stale.";
    LOG_POSITION = Gauge "hotshelf_change_log_position" []
        "The position up to which this node has applied the change log.";
    LOG_REACH = Gauge "hotshelf_change_log_reach" []
        "Positions between the low mark and the applied position: copies read within them need no check of their version.";
    LOG_ROWS = Counter "hotshelf_change_log_rows_total" ["source"]
        "Rows of the change log that this node applied, by where they came from first: log (the database) or bus.";
    LOG_RECORDS = Counter "hotshelf_change_log_records_total" ["source"]
        "Records of the rows that this node applied, by where they came from: log or bus.";
    LOG_GAPS = Counter "hotshelf_change_log_gaps_total" []
        "Rows read from the database because the bus had brought a later one and not them.";
    FLOORS = Gauge "hotshelf_floors" []
        "Keys whose least version is remembered from the change log.";
    RESYNCS = Counter "hotshelf_resyncs_total" ["reason"]
        "Times that every copy became suspect: start, timeline, pruned, other_history; lost_history counts restores that did not renew the history.";
    CHECKPOINTS = Counter "hotshelf_checkpoints_total" ["outcome"]
        "Checkpoints of what a restart has to remember: written or failed.";
    CHECKPOINT_BYTES = Gauge "hotshelf_checkpoint_bytes" []
        "Size of the last checkpoint.";
    HINTS = Counter "hotshelf_hints_total" ["outcome"]
        "Hints of writers on other nodes: news, known, foreign (another history or an older timeline); expired, not confirmed in time; and given_up, because there was no room.";
    LOG_POLLS = Counter "hotshelf_change_log_polls_total" ["outcome"]
        "Polls of the change log: settled, unsettled or failed.";
    LOG_POLLS_SHARED = Counter "hotshelf_change_log_polls_shared_total" ["side"]
        "Polls of the change log that the leading node made for others: asked, taken by the node that asked, or answered, by the one that made them.";
    LOG_FAILURES = Counter "hotshelf_change_log_failures_total" ["call"]
        "Calls of the change log beside its polls that failed or took too long: read or sequence.";
    FOLLOWER_PANICS = Counter "hotshelf_follower_panics_total" ["lane"]
        "Panics in following the change log, which begins anew after each: polling, listening or leading.";
    LOG_SEQUENCED = Counter "hotshelf_change_log_sequenced_total" []
        "Records of the change log to which this node gave a position.";
    LOG_SKIPPED = Counter "hotshelf_change_log_skipped_total" []
        "Records of the change log that no key can name, so that this node left them out.";
    LOG_PRUNED = Counter "hotshelf_change_log_pruned_total" []
        "Rows of the change log that this node removed, because they were past its retention.";
    SEQUENCER_LEADS = Gauge "hotshelf_sequencer_leads" []
        "Whether this node leads the sequencing of the change log: 0 or 1.";
    SEQUENCER_CONFLICTS = Counter "hotshelf_sequencer_conflicts_total" []
        "Positions that another node took first, so that this one started again.";
    BUS_MESSAGES = Counter "hotshelf_bus_messages_total" ["bus", "channel", "direction", "outcome"]
        "Messages between nodes, by channel (log, hint, hot or frames): out are sent, dropped or too_large; in are delivered or dropped.";
    BUS_CONNECTED = Gauge "hotshelf_bus_connected" ["bus"]
        "Whether the bus has a connection: 0 or 1. Without one, nodes learn of changes from the database.";
    BUS_CONNECTS = Counter "hotshelf_bus_connects_total" ["bus", "outcome"]
        "Attempts to connect to the bus: ok or failed.";
    BUS_STORES = Counter "hotshelf_bus_stores_total" ["bus", "outcome"]
        "Rows of this node that the bus keeps for nodes that are away: stored or refused.";
    BUS_HEARS = Gauge "hotshelf_bus_hears" []
        "Whether the bus brought this node its own last test message: 0 or 1.";
    BUS_SECONDS = Histogram "hotshelf_bus_round_trip_seconds" []
        "Time from publishing a test message on the bus until it comes back.";
    BUS_UNREADABLE = Counter "hotshelf_bus_unreadable_total" ["reason"]
        "Messages of the bus that could not be read: undecodable or unknown_format.";
    PROOF_AGE = Gauge "hotshelf_proof_age_seconds" []
        "Time since this node last proved that it knows every change.";
    DATABASE_CLOCK_BOUND = Gauge "hotshelf_database_clock_bound_seconds" []
        "Largest possible error of this node's idea of the database's clock.";
    WRITES = Counter "hotshelf_writes_total" ["method", "outcome"]
        "Writes by method (put, patch, delete) and outcome: created, updated, unchanged, deleted, mismatch, absent, invalid, denied, shed, failed (nothing written) or unknown (perhaps written).";
    WRITE_SECONDS = Histogram "hotshelf_write_duration_seconds" ["method"]
        "Time of a write's transaction in the database, by method.";
    HTTP_REQUESTS = Counter "hotshelf_http_requests_total" ["listener", "status"]
        "HTTP answers, by listener and status code.";
    HTTP_SECONDS = Histogram "hotshelf_http_request_duration_seconds" ["listener"]
        "Time from the request's head to the answer's head; sampled: the first and then every 64th request of each connection.";
    HTTP_CONNECTIONS = Gauge "hotshelf_http_connections" ["listener"]
        "Open connections.";
    HTTP_CONNECTIONS_REFUSED = Counter "hotshelf_http_connections_refused_total" ["listener"]
        "Connections closed at once because the limit was reached.";
    BATCHES_SHED = Counter "hotshelf_batches_shed_total" []
        "Batches answered 503 because there was no room for one more answer.";
    SUBSCRIBERS = Gauge "hotshelf_subscribers" []
        "Clients that follow /v1/changes or /v1/hot.";
    SUBSCRIBERS_REFUSED = Counter "hotshelf_subscribers_refused_total" []
        "Clients of /v1/changes and /v1/hot that were turned away because the limit was reached.";
    SUBSCRIBERS_RESET = Counter "hotshelf_subscribers_reset_total" []
        "Resets sent to clients of /v1/changes and /v1/hot; one for each that begins, and one whenever what has happened cannot be told.";
    HTTP_CONNECTIONS_SLOW = Counter "hotshelf_http_connections_slow_total" ["listener", "reason"]
        "Connections closed because the client was too slow: head, reading, request or idle.";
    ACCESS_RECORDS = Counter "hotshelf_access_records_total" ["outcome"]
        "Access records, one for each read: counted; written, unsampled, lost (queued for a log that could not take them) or dropped (the reader's ring was full).";
    ACCESS_RINGS = Gauge "hotshelf_access_rings" []
        "Threads whose reads are recorded, each with a ring of its own.";
    ACCESS_PANICS = Counter "hotshelf_access_drainer_panics_total" []
        "Panics in taking access records from their rings, which goes on with the next record.";
    ACCESS_LOG_BYTES = Counter "hotshelf_access_log_bytes_total" []
        "Bytes written to the access log.";
    ACCESS_LOG_FAILURES = Counter "hotshelf_access_log_failures_total" ["call"]
        "Calls of the file system for the access log that failed: create, write or remove.";
    L3_RECREATED = Counter "hotshelf_l3_recreated_total" []
        "Times that L3 was found damaged when it was opened, removed, and started cold.";
    L3_PUTS_STOPPED = Gauge "hotshelf_l3_puts_stopped" []
        "Whether L3 declines puts because its filesystem has less free space than the reserve: 0 or 1.";
}

impl Metric {
    fn key(&self, labels: &[(&'static str, &'static str)]) -> Key {
        debug_assert!(
            labels.len() == self.labels.len()
                && labels
                    .iter()
                    .zip(self.labels)
                    .all(|((name, _), listed)| name == listed),
            "the labels of {} are {:?}",
            self.name,
            self.labels
        );
        let labels: Vec<Label> = labels
            .iter()
            .map(|&(name, value)| Label::from_static_parts(name, value))
            .collect();
        Key::from_parts(KeyName::from_const_str(self.name), labels)
    }

    fn metadata() -> Metadata<'static> {
        Metadata::new("hotshelf", Level::INFO, None)
    }

    /// A handle on this counter with these labels, in the order of the list.
    pub fn counter(&self, labels: &[(&'static str, &'static str)]) -> Counter {
        debug_assert_eq!(self.kind, MetricKind::Counter, "{}", self.name);
        metrics::with_recorder(|recorder| {
            recorder.register_counter(&self.key(labels), &Self::metadata())
        })
    }

    /// A handle on this gauge with these labels, in the order of the list.
    pub fn gauge(&self, labels: &[(&'static str, &'static str)]) -> Gauge {
        debug_assert_eq!(self.kind, MetricKind::Gauge, "{}", self.name);
        metrics::with_recorder(|recorder| {
            recorder.register_gauge(&self.key(labels), &Self::metadata())
        })
    }

    /// A handle on this histogram with these labels, in the order of the list.
    pub fn histogram(&self, labels: &[(&'static str, &'static str)]) -> Histogram {
        debug_assert_eq!(self.kind, MetricKind::Histogram, "{}", self.name);
        metrics::with_recorder(|recorder| {
            recorder.register_histogram(&self.key(labels), &Self::metadata())
        })
    }

    pub(crate) fn describe(&self) {
        let name = KeyName::from_const_str(self.name);
        let help = SharedString::const_str(self.help);
        metrics::with_recorder(|recorder| match self.kind {
            MetricKind::Counter => recorder.describe_counter(name, None, help),
            MetricKind::Gauge => recorder.describe_gauge(name, None, help),
            MetricKind::Histogram => recorder.describe_histogram(name, None, help),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_prometheus() {
        for metric in METRICS {
            assert!(metric.name.starts_with("hotshelf_"), "{}", metric.name);
            let total = metric.name.ends_with("_total");
            assert_eq!(
                metric.kind == MetricKind::Counter,
                total,
                "{}: counters end in _total",
                metric.name
            );
            if metric.kind == MetricKind::Histogram {
                assert!(
                    metric.name.ends_with("_seconds") || metric.name.ends_with("_bytes"),
                    "{}",
                    metric.name
                );
            }
            assert!(
                metric.help.ends_with('.'),
                "{}: help is a sentence",
                metric.name
            );
        }
    }

    #[test]
    fn no_name_is_listed_twice() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }
}
