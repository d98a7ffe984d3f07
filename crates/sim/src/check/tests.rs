//! The checker passes a good history, and finds each way in which one can be wrong.

use hotshelf_model::{Position, Timeline};

use super::*;
use crate::history::{
    Expected, Failure, Fault, Fetch, Flag, Loss, OriginAnswer, Probe, ProbeOutcome, Progress, Read,
    Seen,
};

fn at(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

fn version(number: u64) -> Version {
    Version(1 << 40 | number)
}

fn write(number: u64, acknowledged: u64) -> Write {
    Write {
        product: 1,
        number,
        version: Some(version(number)),
        deleted: false,
        begun: at(acknowledged - 10),
        acknowledged: Some(at(acknowledged)),
        node: None,
    }
}

fn read(number: u64, begun: u64) -> Read {
    Read {
        product: 1,
        node: 0,
        session: None,
        begun: at(begun),
        ended: at(begun + 1),
        version: version(number),
        seen: Seen::Document { product: 1, number },
        flag: Flag::Fresh,
        min_version: None,
    }
}

fn progress(timeline: u32, position: u64, proof: u64, millis: u64) -> Progress {
    Progress {
        node: 0,
        life: 0,
        at: at(millis),
        timeline: Timeline(timeline),
        position: Position(position),
        resyncs: 0,
        proof: Some(at(proof)),
    }
}

fn fault(kind: &'static str, from: u64, to: u64) -> Fault {
    Fault {
        kind: FaultKind(kind),
        from: at(from),
        to: at(to),
    }
}

fn bounds() -> Bounds {
    Bounds {
        staleness: Duration::from_secs(2),
        stale_cap: Duration::from_secs(60),
        tolerance: Duration::from_millis(5),
        fetches_per_node: Some(1),
        failures_max: vec![(FaultKind("database_down"), 0.5)],
        coverage_min: vec![("database_down", 1), ("resync", 2)],
    }
}

/// Two writes at 1 s and at 5 s, reads around them, one fault, and a good end.
fn good() -> History {
    let in_session = Read {
        session: Some(1),
        min_version: Some(version(1)),
        ..read(1, 1500)
    };
    History {
        nodes: 1,
        writes: vec![write(1, 1000), write(2, 5000)],
        reads: vec![in_session, read(1, 6900), read(2, 5100), read(2, 9000)],
        failures: vec![Failure {
            node: 0,
            begun: at(20_500),
            ended: at(20_600),
        }],
        fetches: vec![Fetch {
            product: 1,
            variant: 0,
            version: version(1),
            node: 0,
        }],
        origin_answers: Vec::new(),
        progress: vec![progress(1, 1, 900, 1000), progress(1, 2, 5900, 6000)],
        probes: vec![Probe {
            product: 1,
            node: 0,
            outcome: ProbeOutcome::Servable(version(2)),
        }],
        expected: vec![Expected {
            product: 1,
            version: version(2),
            cached_again: true,
        }],
        faults: vec![fault("database_down", 20_000, 21_000)],
        losses: Vec::new(),
        branches: vec![("resync", 2)],
    }
    .with_reads(&[read(2, 20_600)])
}

impl History {
    fn with_reads(mut self, reads: &[Read]) -> Self {
        self.reads.extend_from_slice(reads);
        self
    }
}

/// The promises that a changed history breaks.
fn broken(change: impl FnOnce(&mut History)) -> Vec<Rule> {
    let mut history = good();
    change(&mut history);
    let mut rules: Vec<Rule> = check(&history, &bounds())
        .into_iter()
        .map(|violation| violation.rule)
        .collect();
    rules.dedup();
    rules
}

#[test]
fn a_good_history_breaks_nothing() {
    assert_eq!(check(&good(), &bounds()), []);
}

#[test]
fn what_nobody_wrote_is_found() {
    for seen in [
        Seen::Torn,
        Seen::Document {
            product: 2,
            number: 2,
        },
        Seen::Document {
            product: 1,
            number: 77,
        },
        Seen::Absent,
    ] {
        let strange = Read {
            seen,
            ..read(2, 6000)
        };
        assert_eq!(
            broken(|history| history.reads.push(strange)),
            [Rule::Provenance],
            "{seen:?}"
        );
    }
    let mixed = Read {
        seen: Seen::Document {
            product: 1,
            number: 1,
        },
        ..read(2, 6000)
    };
    assert_eq!(
        broken(|history| history.reads.push(mixed)),
        [Rule::Provenance],
        "the bytes of one version under the name of another"
    );
    assert_eq!(
        broken(|history| history.reads.push(read(2, 4900))),
        [Rule::Provenance],
        "read before it was written"
    );
}

#[test]
fn an_unlabelled_answer_that_is_too_old_is_found() {
    assert_eq!(
        broken(|history| history.reads.push(read(1, 7100))),
        [Rule::Bounded]
    );
    let labelled = |by: u64, begun| {
        broken(move |history| {
            history.faults.push(fault("database_down", 7800, 8200));
            history.reads.push(Read {
                flag: Flag::Stale(at(by)),
                ..read(1, begun)
            });
        })
    };
    assert_eq!(labelled(3000, 7900), []);
    assert_eq!(labelled(3000, 8100), [Rule::Bounded]);
    assert_eq!(labelled(61_000, 8100), [Rule::Bounded]);
}

#[test]
fn a_label_above_the_cap_needs_an_answer_of_the_database() {
    let beyond = |asked: Option<(u32, u64)>| {
        broken(move |history| {
            history.faults.push(fault("database_down", 7800, 8200));
            history.reads.push(Read {
                flag: Flag::Stale(at(61_000)),
                ..read(2, 8100)
            });
            let answer = |(node, millis)| OriginAnswer {
                product: 1,
                node,
                at: at(millis),
            };
            history.origin_answers.extend(asked.map(answer));
        })
    };
    assert_eq!(beyond(Some((0, 8100))), []);
    for asked in [None, Some((1, 8100)), Some((0, 8000)), Some((0, 8102))] {
        assert_eq!(beyond(asked), [Rule::Bounded], "{asked:?}");
    }
}

#[test]
fn a_label_while_nothing_is_broken_is_found() {
    let labelled = |kind, from, to| {
        broken(move |history| {
            history.faults.push(fault(kind, from, to));
            history.reads.push(Read {
                flag: Flag::Stale(at(3_600)),
                ..read(2, 12_000)
            });
        })
    };
    for (from, to) in [(11_000, 11_500), (12_001, 12_500), (9_000, 10_000)] {
        assert_eq!(labelled("database_down", from, to), [], "{from} to {to}");
    }
    for (kind, from, to) in [
        ("database_down", 9_000, 9_900),
        ("database_down", 12_100, 12_500),
        ("harmless", 11_000, 12_500),
    ] {
        let found = labelled(kind, from, to);
        assert_eq!(found, [Rule::Bounded], "{kind}, {from} to {to}");
    }
}

#[test]
fn a_write_whose_outcome_nobody_knows_binds_nobody_and_may_be_seen() {
    let unknown = Write {
        version: None,
        acknowledged: None,
        ..write(3, 8000)
    };
    let seen = broken(|history| {
        history.writes.push(unknown);
        history.reads.extend([read(2, 11_000), read(3, 11_100)]);
    });
    assert_eq!(seen, []);
}

#[test]
fn a_change_by_time_alone_is_due_as_any_other() {
    let by_time = Write {
        version: Some(version(2)),
        ..write(3, 9500)
    };
    let shown = |number, begun| Read {
        version: version(2),
        ..read(number, begun)
    };
    let broken = |reads: &[Read]| {
        let reads = reads.to_vec();
        broken(move |history| {
            history.writes.push(by_time);
            history.reads.retain(|read| read.begun < at(10_000));
            history.reads.extend(reads);
            history.reads.push(shown(3, 20_600));
        })
    };
    assert_eq!(broken(&[shown(2, 11_000), shown(3, 11_000)]), []);
    assert_eq!(broken(&[shown(2, 11_600)]), [Rule::Bounded]);
}

#[test]
fn what_was_deleted_and_comes_back_is_found() {
    let delete = Write {
        deleted: true,
        ..write(3, 8000)
    };
    let gone = Read {
        seen: Seen::Absent,
        ..read(3, 10_500)
    };
    let history = |reads: &[Read]| {
        let reads = reads.to_vec();
        broken(move |history| {
            history.writes.push(delete);
            history.reads.extend(reads);
            // The read of the base history that comes after the delete.
            history.reads.retain(|read| read.begun != at(20_600));
            history.expected[0].version = version(3);
            history.probes[0].outcome = ProbeOutcome::Nothing;
        })
    };
    assert_eq!(
        history(&[gone]),
        [Rule::Availability],
        "only the base history's fault has no answers left"
    );
    assert_eq!(
        history(&[gone, read(2, 10_600)]),
        [Rule::Resurrection, Rule::Availability]
    );
}

#[test]
fn a_commit_that_a_failover_lost_may_be_shown_for_the_bound_and_no_longer() {
    let lose = |history: &mut History, begun| {
        history.losses.push(Loss {
            product: 1,
            number: 2,
            at: at(9500),
        });
        history.reads.retain(|read| read.begun < at(9500));
        history.faults.clear();
        history.failures.clear();
        history.branches.push(("database_down", 1));
        history.expected[0].version = version(1);
        history.probes[0].outcome = ProbeOutcome::Nothing;
        history.reads.push(begun);
    };
    assert_eq!(broken(|history| lose(history, read(2, 11_000))), []);
    assert_eq!(broken(|history| lose(history, read(1, 13_000))), []);
    assert_eq!(broken(|history| lose(history, read(1, 9600))), []);
    let waited = Read {
        ended: at(9800),
        ..read(1, 9400)
    };
    assert_eq!(broken(|history| lose(history, waited)), []);
    let demanded = Read {
        min_version: Some(version(2)),
        ..read(1, 9600)
    };
    assert_eq!(broken(|history| lose(history, demanded)), []);
    assert_eq!(
        broken(|history| lose(history, read(2, 13_000))),
        [Rule::Bounded]
    );
}

#[test]
fn a_demand_that_is_not_met_is_found() {
    let demanding = Read {
        min_version: Some(version(2)),
        ..read(1, 5500)
    };
    assert_eq!(
        broken(|history| history.reads.push(demanding)),
        [Rule::ReadYourWrites]
    );
    let own = |history: &mut History| history.writes[1].node = Some(0);
    assert_eq!(
        broken(own),
        [Rule::ReadYourWrites],
        "the base history reads the old version after this node wrote the new one"
    );
}

#[test]
fn a_session_that_goes_back_is_found() {
    let session = |number, begun| Read {
        session: Some(4),
        min_version: Some(version(1)),
        ..read(number, begun)
    };
    let reads = [session(2, 5200), session(1, 5300)];
    assert_eq!(
        broken(|history| history.reads.extend(reads)),
        [Rule::Monotonic]
    );
}

#[test]
fn a_tier_that_differs_at_rest_is_found() {
    let probe = |outcome| Probe {
        product: 1,
        node: 0,
        outcome,
    };
    for outcome in [ProbeOutcome::Nothing, ProbeOutcome::Refused(version(1))] {
        assert_eq!(broken(|history| history.probes.push(probe(outcome))), []);
    }
    let servable = probe(ProbeOutcome::Servable(version(1)));
    assert_eq!(
        broken(|history| history.probes.push(servable)),
        [Rule::Convergence]
    );
    assert_eq!(
        broken(|history| history.expected[0].cached_again = false),
        [Rule::Cacheable]
    );
}

#[test]
fn a_node_that_goes_back_is_found() {
    for wrong in [
        progress(1, 1, 6900, 7000),
        progress(0, 9, 6900, 7000),
        progress(1, 3, 100, 7000),
        progress(1, 3, 7100, 7000),
    ] {
        assert_eq!(
            broken(|history| history.progress.push(wrong)),
            [Rule::Progress],
            "{wrong:?}"
        );
    }
    let resynced = Progress {
        resyncs: 1,
        ..progress(1, 1, 100, 7000)
    };
    assert_eq!(broken(|history| history.progress.push(resynced)), []);
    let restarted = Progress {
        life: 1,
        proof: None,
        ..progress(1, 1, 0, 7000)
    };
    assert_eq!(broken(|history| history.progress.push(restarted)), []);
}

#[test]
fn too_many_fetches_are_found() {
    assert_eq!(
        broken(|history| history.fetches.push(history.fetches[0])),
        [Rule::Fetches]
    );
}

#[test]
fn readers_that_get_nothing_are_found() {
    let failure = |begun| Failure {
        node: 0,
        begun: at(begun),
        ended: at(begun + 1),
    };
    assert_eq!(
        broken(|history| history.failures.push(failure(3000))),
        [Rule::Availability]
    );
    assert_eq!(
        broken(|history| history.failures.push(failure(20_700))),
        [Rule::Availability]
    );
}

#[test]
fn a_failure_during_two_faults_is_put_to_the_worse_one() {
    let harmless = |history: &mut History| {
        let fault = history.faults[0];
        history.faults.push(Fault {
            kind: FaultKind("harmless"),
            ..fault
        });
    };
    assert_eq!(broken(harmless), []);
    let alone = |history: &mut History| {
        history.faults.push(fault("harmless", 2900, 3100));
        history.failures.push(Failure {
            node: 0,
            begun: at(3000),
            ended: at(3001),
        });
    };
    assert_eq!(broken(alone), [Rule::Availability]);
}

#[test]
fn a_run_that_did_not_meet_its_faults_is_found() {
    assert_eq!(broken(|history| history.branches.clear()), [Rule::Coverage]);
    let without_fault = |history: &mut History| {
        history.faults.clear();
        history.failures.clear();
    };
    assert_eq!(broken(without_fault), [Rule::Coverage]);
}

#[test]
fn a_promise_that_is_kept_for_want_of_facts_is_found() {
    let unlearnt: [fn(&mut History); 7] = [
        |history| history.probes.clear(),
        |history| {
            history.expected.clear();
            history.probes[0].outcome = ProbeOutcome::Nothing;
        },
        |history| history.progress.clear(),
        |history| history.progress.iter_mut().for_each(|one| one.proof = None),
        |history| history.fetches.clear(),
        |history| history.reads[0].session = None,
        |history| history.reads[0].min_version = None,
    ];
    for (index, unlearn) in unlearnt.into_iter().enumerate() {
        assert_eq!(broken(unlearn), [Rule::Coverage], "{index}");
    }
    let nothing = check(&History::default(), &bounds());
    assert!(nothing.iter().all(|found| found.rule == Rule::Coverage));
    assert_eq!(nothing.len(), 11);
}
