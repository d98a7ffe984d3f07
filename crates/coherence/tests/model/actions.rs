//! What can happen next: which steps are possible in a state, and what each does to it.

use hotshelf_coherence::{Admission, Place, PollStep, ResyncReason};
use hotshelf_model::Position;

use crate::coverage::Branch;
use crate::database::{ChangeId, Document, Server};
use crate::node::UnderWay;
use crate::protocol::{Protocol, State};
use crate::rules::{Mutant, Rules};
use crate::scope::{Feature, Subject};

/// Histories of one exploration.
const HISTS_MAX: u64 = 4;

/// Where a copy lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    L1,
    L2,
    L3,
}

/// One step. Numbers are of nodes and of keys unless they say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Write {
        key: usize,
    },
    Bump {
        parent: usize,
    },
    Sequence {
        change: ChangeId,
    },
    OpenTimeline,
    Deliver {
        node: usize,
        message: usize,
    },
    ReadLog {
        node: usize,
    },
    SendPoll {
        node: usize,
    },
    AnswerPoll {
        node: usize,
        server: Server,
    },
    LearnPoll {
        node: usize,
    },
    WriteHere {
        node: usize,
        key: usize,
    },
    Hint {
        node: usize,
        key: usize,
    },
    LateHint {
        node: usize,
    },
    ExpireHints {
        node: usize,
    },
    Fetch {
        node: usize,
        key: usize,
        server: Server,
    },
    FetchBoth {
        node: usize,
        server: Server,
    },
    Revalidate {
        node: usize,
        key: usize,
        tier: Tier,
        server: Server,
    },
    Join {
        node: usize,
        key: usize,
    },
    Land {
        node: usize,
        key: usize,
    },
    LandLastAttempt {
        node: usize,
        key: usize,
    },
    ReadTier {
        node: usize,
        key: usize,
        tier: Tier,
    },
    Recheck {
        node: usize,
        key: usize,
    },
    PutL2 {
        node: usize,
        key: usize,
    },
    Checkpoint {
        node: usize,
    },
    Restart {
        node: usize,
        l3_comes_back: bool,
        forgets: bool,
        /// Who answers the first poll.
        server: Server,
    },
    Prune,
    EvictL2 {
        key: usize,
    },
    RollBackL2 {
        key: usize,
    },
    FailOver {
        kept: usize,
    },
    Restore {
        kept: usize,
    },
    RestoreSilently {
        kept: usize,
    },
}

impl Protocol {
    pub(crate) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        let database = &state.database;
        if database.writes < self.scope.writes {
            actions.extend((0..self.scope.keys).map(|key| Action::Write { key }));
        }
        if database.bumps < self.scope.bumps {
            actions.extend((0..self.scope.parents).map(|parent| Action::Bump { parent }));
        }
        if database.is_open() {
            let waiting = database.primary().outbox();
            actions.extend(waiting.map(|change| Action::Sequence { change: change.id }));
        } else {
            actions.push(Action::OpenTimeline);
        }
        for node in 0..state.nodes.len() {
            self.possible_log_steps(state, node, actions);
            for key in 0..self.scope.read {
                self.possible_reads(state, node, key, actions);
                self.possible_hints(state, node, key, actions);
            }
            self.possible_node_steps(state, node, actions);
        }
        if state.faults < self.scope.faults {
            self.possible_faults(state, actions);
        }
    }

    fn possible_log_steps(&self, state: &State, node: usize, actions: &mut Vec<Action>) {
        let database = &state.database;
        let it = &state.nodes[node];
        // Positions don't show that the rows after the cursor are of another branch with the same timeline: what a silent restore
        // hides between two polls is not covered.
        if !self.scope.has(Feature::SilentRestore) || database.holds(it.knowledge.cursor) {
            let messages = 0..database.published.len();
            let waiting = messages.filter(|message| it.mail & 1 << message != 0);
            actions.extend(waiting.map(|message| Action::Deliver { node, message }));
            let next = Position(it.knowledge.cursor.position.0 + 1);
            if database.row(next).is_some() {
                actions.push(Action::ReadLog { node });
            }
        }
        match &it.poll {
            None => actions.push(Action::SendPoll { node }),
            Some(poll) if poll.answer.is_some() => actions.push(Action::LearnPoll { node }),
            Some(_) => {
                let servers = self.servers(state);
                actions.extend(servers.map(|server| Action::AnswerPoll { node, server }));
            }
        }
    }

    fn possible_hints(&self, state: &State, node: usize, key: usize, actions: &mut Vec<Action>) {
        let writes_left = state.database.writes < self.scope.writes;
        if self.scope.has(Feature::OwnWrites) && writes_left {
            actions.push(Action::WriteHere { node, key });
        }
        if self.scope.has(Feature::Hints)
            && state.database.primary().last(Subject::Key(key)).is_some()
        {
            actions.push(Action::Hint { node, key });
        }
    }

    fn possible_reads(&self, state: &State, node: usize, key: usize, actions: &mut Vec<Action>) {
        let it = &state.nodes[node];
        if it.slots[key].is_some_and(|slot| slot.is_doubted) {
            actions.push(Action::Recheck { node, key });
        }
        if it.puts[key].is_some() {
            actions.push(Action::PutL2 { node, key });
        }
        if it.flights[key].is_some() {
            actions.push(Action::Land { node, key });
            if self.scope.has(Feature::LastAttempts) {
                actions.push(Action::LandLastAttempt { node, key });
            }
            if self.scope.has(Feature::Joins) {
                actions.push(Action::Join { node, key });
            }
            return;
        }
        for server in self.servers(state) {
            actions.push(Action::Fetch { node, key, server });
            if self.scope.has(Feature::Batches) && key == 0 && it.flights[1].is_none() {
                actions.push(Action::FetchBoth { node, server });
            }
            if self.scope.has(Feature::Revalidation) {
                let tiers = [Tier::L1, Tier::L2, Tier::L3].into_iter();
                actions.extend(
                    tiers
                        .filter(|&tier| self.is_suspect(state, node, key, tier))
                        .map(|tier| Action::Revalidate {
                            node,
                            key,
                            tier,
                            server,
                        }),
                );
            }
        }
        if state.l2[key].is_some() {
            actions.push(Action::ReadTier {
                node,
                key,
                tier: Tier::L2,
            });
        }
        if it.l3[key].is_some() {
            actions.push(Action::ReadTier {
                node,
                key,
                tier: Tier::L3,
            });
        }
    }

    fn copy_in(&self, state: &State, node: usize, key: usize, tier: Tier) -> Option<Document> {
        let it = &state.nodes[node];
        let copy = match tier {
            Tier::L1 => it.slots[key].map(|slot| slot.document),
            Tier::L2 => state.l2[key],
            Tier::L3 => it.l3[key],
        };
        copy.filter(|copy| self.rules.is_found(copy, it.knowledge.hist))
    }

    fn is_suspect(&self, state: &State, node: usize, key: usize, tier: Tier) -> bool {
        let it = &state.nodes[node];
        let Some(copy) = self.copy_in(state, node, key, tier) else {
            return false;
        };
        let is_held = tier == Tier::L1
            && it.slots[key].is_some_and(|slot| slot.generation != it.knowledge.generation);
        is_held || it.would_admit(&self.rules, &self.scope, key, &copy) == Admission::Suspect
    }

    fn possible_node_steps(&self, state: &State, node: usize, actions: &mut Vec<Action>) {
        if self.scope.has(Feature::Hints) {
            if state.database.lost.is_some() {
                actions.push(Action::LateHint { node });
            }
            actions.push(Action::ExpireHints { node });
        }
        if self.scope.has(Feature::Checkpoints) {
            actions.push(Action::Checkpoint { node });
        }
        if state.faults < self.scope.faults && self.scope.has(Feature::Restarts) {
            self.possible_restarts(state, node, actions);
        }
    }

    fn possible_restarts(&self, state: &State, node: usize, actions: &mut Vec<Action>) {
        let it = &state.nodes[node];
        let both = |is_possible: bool| [Some(false), is_possible.then_some(true)].into_iter();
        for l3_comes_back in both(it.l3 != it.l3_before).flatten() {
            for forgets in both(it.remembered.is_some()).flatten() {
                actions.extend(self.servers(state).map(|server| Action::Restart {
                    node,
                    l3_comes_back,
                    forgets,
                    server,
                }));
            }
        }
    }

    /// Who can answer.
    fn servers(&self, state: &State) -> impl Iterator<Item = Server> {
        let has_replicas = self.scope.has(Feature::Replicas);
        let standbys = has_replicas.then(|| state.database.standbys());
        [Server::Primary]
            .into_iter()
            .chain(standbys.into_iter().flatten())
    }

    fn possible_faults(&self, state: &State, actions: &mut Vec<Action>) {
        let database = &state.database;
        let has = |feature| self.scope.has(feature);
        let (_, head) = database.primary().head();
        if has(Feature::Pruning) && database.oldest < head.position {
            actions.push(Action::Prune);
        }
        if has(Feature::L2Faults) {
            for key in 0..self.scope.read {
                if state.l2[key].is_some() {
                    actions.push(Action::EvictL2 { key });
                }
                if state.l2[key] != state.l2_before[key] {
                    actions.push(Action::RollBackL2 { key });
                }
            }
        }
        if state.has_lost {
            return;
        }
        let length = database.written.len();
        if has(Feature::Failover) {
            actions.extend((0..=length).map(|kept| Action::FailOver { kept }));
        }
        if has(Feature::Restore) {
            actions.extend((0..length).map(|kept| Action::Restore { kept }));
        }
        let is_covered =
            database.is_drained() && state.nodes.iter().all(|node| node.knowledge.cursor == head);
        if has(Feature::SilentRestore) && is_covered {
            actions.extend((0..length).map(|kept| Action::RestoreSilently { kept }));
        }
    }

    /// Takes a step; `None` if there is nothing to it.
    pub(crate) fn take(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Write { key } => {
                state.database.commit(&self.rules, Subject::Key(key));
            }
            Action::Bump { parent } => {
                state.database.commit(&self.rules, Subject::Parent(parent));
            }
            Action::Sequence { change } => {
                let change = *state
                    .database
                    .primary()
                    .outbox()
                    .find(|it| it.id == change)?;
                state.publish(Some(change));
            }
            Action::OpenTimeline => state.publish(None),
            Action::Deliver { node, message } => self.deliver(state, node, message),
            Action::ReadLog { node } => self.read_log(state, node)?,
            Action::SendPoll { node } => Self::send_poll(state, node)?,
            Action::AnswerPoll { node, server } => self.answer_poll(state, node, server)?,
            Action::LearnPoll { node } => self.learn_poll(state, node)?,
            Action::WriteHere { node, key } => {
                let change = state.database.commit(&self.rules, Subject::Key(key));
                state.nodes[node].write(&self.rules, &change);
            }
            Action::Hint { node, key } => {
                let change = *state.database.primary().last(Subject::Key(key))?;
                state.nodes[node].hint(&self.rules, &change);
            }
            Action::LateHint { node } => {
                let change = state.database.lost?;
                state.nodes[node].hint(&self.rules, &change);
            }
            Action::ExpireHints { node } => {
                self.rules.expire_hints(&mut state.nodes[node].floors);
                self.coverage.reached(Branch::HintExpired);
            }
            other => return self.take_read_or_fault(state, other),
        }
        Some(())
    }

    fn take_read_or_fault(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Fetch { node, key, server } => self.fetch(state, node, &[key], server)?,
            Action::FetchBoth { node, server } => self.fetch(state, node, &[0, 1], server)?,
            Action::Revalidate {
                node,
                key,
                tier,
                server,
            } => {
                self.revalidate(state, node, key, tier, server)?;
            }
            Action::Join { node, key } => self.join(state, node, key)?,
            Action::Land { node, key } => self.land(state, node, key)?,
            Action::LandLastAttempt { node, key } => self.land_last_attempt(state, node, key)?,
            Action::ReadTier { node, key, tier } => {
                let copy = self.copy_in(state, node, key, tier)?;
                let admission = state.nodes[node].admit(&self.rules, &self.scope, key, copy, 0);
                self.coverage.admitted(tier, admission);
            }
            Action::Recheck { node, key } => {
                let admission = state.nodes[node].recheck(&self.rules, &self.scope, key)?;
                self.coverage.rechecked(admission);
            }
            Action::PutL2 { node, key } => Self::put_l2(state, node, key)?,
            Action::Checkpoint { node } => {
                let remembered = state.nodes[node].checkpoint(&self.rules);
                state.nodes[node].remembered = Some(remembered);
            }
            Action::Restart {
                node,
                l3_comes_back,
                forgets,
                server,
            } => {
                let it = &mut state.nodes[node];
                if l3_comes_back {
                    it.l3 = it.l3_before;
                }
                if forgets {
                    it.remembered = None;
                }
                self.restart(state, node, server);
            }
            fault => self.take_fault(state, fault),
        }
        Some(())
    }

    fn take_fault(&self, state: &mut State, fault: Action) {
        state.faults += 1;
        match fault {
            Action::EvictL2 { key } => state.l2[key] = None,
            Action::RollBackL2 { key } => state.l2[key] = state.l2_before[key],
            Action::FailOver { kept } => {
                self.lose(state);
                state.database.fail_over(kept);
                if !self.scope.has(Feature::LateOpening) {
                    state.publish(None);
                }
                let survivors = state.database.now() - 1;
                state.lose_proofs(Some(survivors));
            }
            Action::Restore { kept } | Action::RestoreSilently { kept } => {
                self.lose(state);
                state.database.lose(kept);
                state.database.lost = None;
                let is_told = matches!(fault, Action::Restore { .. });
                if is_told && !self.rules.are(Mutant::RestoreWithoutNewHist) {
                    state.database.renew_hist();
                }
                state.lose_proofs(None);
            }
            _ => state.database.prune(),
        }
    }

    fn lose(&self, state: &mut State) {
        state.has_lost = true;
        if self.scope.has(Feature::LostBranch) {
            state.database.keep_branch();
        }
    }

    fn deliver(&self, state: &mut State, node: usize, message: usize) {
        let row = state.database.published[message];
        let it = &mut state.nodes[node];
        it.mail &= !(1 << message);
        let place = it.take_row(&self.rules, &self.scope, &row);
        self.coverage.placed(place);
    }

    fn read_log(&self, state: &mut State, node: usize) -> Option<()> {
        let it = &mut state.nodes[node];
        let next = Position(it.knowledge.cursor.position.0 + 1);
        let row = *state.database.row(next)?;
        let place = it.take_row(&self.rules, &self.scope, &row);
        (place == Place::Next).then_some(())
    }

    fn send_poll(state: &mut State, node: usize) -> Option<()> {
        let now = state.database.now();
        let it = &mut state.nodes[node];
        let (timeline, head) = state.database.primary().head();
        let knows_all = it.knowledge.hist == state.database.hist
            && it.knowledge.timeline == timeline
            && it.knowledge.cursor == head;
        if knows_all && it.proof >= now {
            return None;
        }
        it.poll = Some(UnderWay {
            sent: now,
            asked: it.knowledge.cursor,
            answer: None,
        });
        Some(())
    }

    fn answer_poll(&self, state: &mut State, node: usize, server: Server) -> Option<()> {
        let under_way = state.nodes[node].poll?;
        state.database.view(server)?;
        let (asked, sent) = (under_way.asked, under_way.sent);
        let poll = state.database.poll(&self.rules, server, asked, sent);
        state.nodes[node].poll = Some(UnderWay {
            answer: Some(poll),
            ..under_way
        });
        if self.scope.has(Feature::SlowPolls) {
            return Some(());
        }
        self.learn_poll(state, node)
    }

    fn learn_poll(&self, state: &mut State, node: usize) -> Option<()> {
        let it = &mut state.nodes[node];
        let under_way = it.poll.take()?;
        let poll = under_way.answer?;
        let learnt = it.learn(&self.rules, under_way.sent, under_way.asked, &poll);
        state.is_stuck |= learnt.is_stuck;
        self.coverage.stepped(learnt.step);
        if learnt.step == PollStep::LostHistory
            && state.database.hist == state.nodes[node].knowledge.hist
        {
            self.renew_hist(state);
        }
        Some(())
    }

    fn renew_hist(&self, state: &mut State) {
        if state.database.hist.0 < HISTS_MAX {
            state.database.renew_hist();
            state.is_renewed_needlessly |= !self.scope.has(Feature::SilentRestore);
            self.coverage.reached(Branch::HistRenewed);
        }
    }

    fn fetch(&self, state: &mut State, node: usize, keys: &[usize], server: Server) -> Option<()> {
        let now = state.database.now();
        let as_of = if server == Server::Primary || self.rules.are(Mutant::AsOfFromReplica) {
            now
        } else {
            0
        };
        let view = state.database.view(server)?;
        let it = &mut state.nodes[node];
        for &key in keys {
            let parent = Subject::Parent(self.scope.parent_of(key));
            let mut document = view.document(Subject::Key(key), parent);
            if self.rules.are(Mutant::FetchedHistIgnored) {
                document.hist = it.knowledge.hist;
            }
            it.begin(key, document, as_of, self.scope.has(Feature::Joins));
        }
        Some(())
    }

    fn revalidate(
        &self,
        state: &mut State,
        node: usize,
        key: usize,
        tier: Tier,
        server: Server,
    ) -> Option<()> {
        let known = self.copy_in(state, node, key, tier)?;
        let now = state.database.now();
        let view = state.database.view(server)?;
        let parent = Subject::Parent(self.scope.parent_of(key));
        let current = view.document(Subject::Key(key), parent);
        let document = self.rules.revalidate(&known, &current);
        let branch = if document.is_some() {
            Branch::Unchanged
        } else if known.stamp.version == current.stamp.version {
            Branch::ParentChanged
        } else {
            Branch::VersionChanged
        };
        self.coverage.reached(branch);
        let it = &mut state.nodes[node];
        let as_of = if server == Server::Primary { now } else { 0 };
        it.begin(key, document?, as_of, self.scope.has(Feature::Joins));
        if let Some(flight) = &mut it.flights[key] {
            flight.is_revalidation = true;
        }
        Some(())
    }

    fn join(&self, state: &mut State, node: usize, key: usize) -> Option<()> {
        let it = &mut state.nodes[node];
        if !it.may_join(&self.rules, key) {
            self.coverage.reached(Branch::JoinRefused);
            return None;
        }
        let asks = it.asks();
        it.flights[key].as_mut()?.asked = Some(asks);
        Some(())
    }

    fn land(&self, state: &mut State, node: usize, key: usize) -> Option<()> {
        let mut flight = state.nodes[node].flights[key].take()?;
        let takes_later_head = match flight.is_revalidation {
            true => self.rules.are(Mutant::RevalidatedWithLaterHead),
            false => self.rules.are(Mutant::FetchedWithLaterHead),
        };
        if takes_later_head {
            let (_, head) = state.database.primary().head();
            flight.document.stamp.position = head.position;
        }
        let it = &mut state.nodes[node];
        let admission = it.admit(&self.rules, &self.scope, key, flight.document, flight.as_of);
        self.coverage.landed(&flight, admission);
        if admission == Admission::Fresh {
            self.write_back(state, node, key, flight.document);
        }
        let is_answer = admission == Admission::Fresh
            || self.rules.are(Mutant::LandedUnchecked)
            || self.rules.are(Mutant::JoinedAndLandedUnchecked);
        if is_answer {
            state.check_answer(&self.scope, key, &flight);
        }
        Some(())
    }

    fn land_last_attempt(&self, state: &mut State, node: usize, key: usize) -> Option<()> {
        let flight = state.nodes[node].flights[key].take()?;
        let it = &state.nodes[node];
        let admission = it.would_admit(&self.rules, &self.scope, key, &flight.document);
        let may =
            Rules::may_be_last_attempt(&it.knowledge, &flight.document, admission, flight.as_of);
        if !may {
            return None;
        }
        self.coverage.reached(Branch::LastAttempt);
        state.check_answer(&self.scope, key, &flight);
        Some(())
    }

    fn write_back(&self, state: &mut State, node: usize, key: usize, document: Document) {
        if self.scope.has(Feature::NoTiers) {
            return;
        }
        let it = &mut state.nodes[node];
        it.puts[key] = Some(document);
        if !self.scope.has(Feature::LatePuts) {
            Self::put_l2(state, node, key);
        }
        let it = &mut state.nodes[node];
        if self.scope.has(Feature::L3) && it.l3[key] != Some(document) {
            it.l3_before[key] = it.l3[key];
            it.l3[key] = Some(document);
        }
    }

    /// The fenced put of L2, under a key that holds the history.
    fn put_l2(state: &mut State, node: usize, key: usize) -> Option<()> {
        let document = state.nodes[node].puts[key].take()?;
        let rank = |document: Document| (document.hist.0, document.stamp);
        if state.l2[key].is_none_or(|held| rank(held) <= rank(document)) {
            state.l2_before[key] = state.l2[key];
            state.l2[key] = Some(document);
        }
        Some(())
    }

    fn restart(&self, state: &mut State, node: usize, server: Server) {
        state.faults += 1;
        let it = &mut state.nodes[node];
        let asked = it.remembered.as_ref().map(|it| it.checkpoint.cursor);
        let (asked, sent) = (asked.unwrap_or_default(), state.database.now());
        let poll = state.database.poll(&self.rules, server, asked, sent);
        let step = it.restart(&self.rules, &self.scope, &poll);
        if step == PollStep::LostHistory {
            self.renew_hist(state);
        }
        self.coverage.reached_if(
            matches!(step, PollStep::UpToDate | PollStep::Behind),
            Branch::WentOnFromCheckpoint,
        );
        let is_start = step == PollStep::Resync(ResyncReason::Start);
        self.coverage.reached_if(is_start, Branch::StartedAnew);
    }
}
