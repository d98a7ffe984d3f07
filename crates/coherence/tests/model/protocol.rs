//! The whole state, the model that stateright explores, and what must hold in every state.

use std::sync::Arc;

use hotshelf_coherence::{Admission, Knowledge, Place};
use hotshelf_model::Position;
use stateright::{Model, Property};

use crate::actions::Action;
use crate::coverage::Coverage;
use crate::database::{Change, Database, Document, Server, View};
use crate::node::{Flight, Node, Slot};
use crate::rules::Rules;
use crate::scope::{KEYS_MAX, Scope, Subject};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) database: Database,
    pub(crate) l2: [Option<Document>; KEYS_MAX],
    /// What a rollback of L2 brings back.
    pub(crate) l2_before: [Option<Document>; KEYS_MAX],
    pub(crate) nodes: Vec<Node>,
    pub(crate) faults: u8,
    /// Whether a failover or a restore has been.
    pub(crate) has_lost: bool,
    /// A flight gave a reader less than what its node knew when the reader came.
    is_misled: bool,
    /// A node went on as before although a poll that was good for a proof gave it none.
    pub(crate) is_stuck: bool,
    /// A node renewed the history although nothing was restored in silence.
    pub(crate) is_renewed_needlessly: bool,
}

/// What is explored: the rules, perhaps with one broken, in a scope.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) scope: Scope,
    pub(crate) rules: Rules,
    pub(crate) coverage: Arc<Coverage>,
}

impl State {
    /// Appends a row to the log and sends it to every node.
    pub(crate) fn publish(&mut self, change: Option<Change>) {
        let message = self.database.append(change);
        for node in &mut self.nodes {
            node.mail |= 1 << message;
        }
    }

    /// After commits were lost: no proof from before, and no write whose change is gone, is held against anybody. A poll that the next
    /// primary answers says of so many commits, those that survive, that the node knows them.
    pub(crate) fn lose_proofs(&mut self, survivors: Option<u8>) {
        let database = &self.database;
        let survives = |id| database.primary().commits().any(|change| change.id == id);
        for node in &mut self.nodes {
            node.lose_proofs(survivors);
            for own in &mut node.own {
                if !survives(*own) {
                    *own = 0;
                }
            }
        }
    }

    /// Notes whether a flight's answer is less than what its last reader has to see.
    pub(crate) fn check_answer(&mut self, scope: &Scope, key: usize, flight: &Flight) {
        let Some(asked) = flight.asked else {
            return;
        };
        let view = self.database.primary();
        let is_of_this_branch = self.database.is_open()
            && asked.hist == view.hist
            && asked.timeline == view.head().0
            && self.database.holds(asked.cursor);
        let shows = reflects_rows(view, scope, key, &flight.document, asked.cursor.position);
        let proved =
            asked.proof == 0 || reflects_commits(view, scope, key, &flight.document, asked.proof);
        self.is_misled |= is_of_this_branch && !(shows && proved);
    }

    /// Forgets messages that can do nothing any more, so that states which differ in them alone are one.
    fn sweep(&mut self) {
        for node in &mut self.nodes {
            for (message, row) in self.database.published.iter().enumerate() {
                let knowledge = &node.knowledge;
                if knowledge.place(row.hist, row.timeline, row.cursor.position) == Place::Behind {
                    node.mail &= !(1 << message);
                }
            }
        }
    }

    /// Whether a node follows the branch that the database is on.
    fn is_current(&self, node: &Node) -> bool {
        let view = self.database.primary();
        let knowledge = &node.knowledge;
        knowledge.hist == view.hist
            && knowledge.timeline == view.head().0
            && self.database.is_open()
            && self.database.holds(knowledge.cursor)
    }
}

/// Whether a copy of a key shows every change of it, and of its parent, in the rows up to a position.
fn reflects_rows(
    view: View<'_>,
    scope: &Scope,
    key: usize,
    document: &Document,
    position: Position,
) -> bool {
    let rows = view.rows().filter(|row| row.cursor.position <= position);
    let mut changes = rows.filter_map(|row| row.change.as_ref());
    changes.all(|change| shows(view, scope, key, document, change))
}

/// Whether a copy of a key shows every change of it, and of its parent, that was committed before the moment `now`, and nothing that
/// was lost.
fn reflects_commits(
    view: View<'_>,
    scope: &Scope,
    key: usize,
    document: &Document,
    now: u8,
) -> bool {
    let before = usize::from(now.max(1) - 1);
    let of_key = view.is_at_least(Subject::Key(key), document.content.key, 0);
    let parent = Subject::Parent(scope.parent_of(key));
    let of_parent = view.is_at_least(parent, document.content.parent, 0);
    let mut changes = view.commits().take(before);
    of_key && of_parent && changes.all(|change| shows(view, scope, key, document, change))
}

fn shows(view: View<'_>, scope: &Scope, key: usize, document: &Document, change: &Change) -> bool {
    let held = match change.subject {
        Subject::Key(it) if it == key => document.content.key,
        Subject::Parent(it) if it == scope.parent_of(key) => document.content.parent,
        Subject::Key(_) | Subject::Parent(_) => return true,
    };
    view.is_at_least(change.subject, held, change.id)
}

impl Protocol {
    pub(crate) fn new(scope: Scope, rules: Rules, coverage: Arc<Coverage>) -> Self {
        Protocol {
            scope,
            rules,
            coverage,
        }
    }

    /// Whether `holds` is true of every hit that a read of L1 would be.
    fn every_hit(&self, state: &State, holds: impl Fn(&Node, usize, &Slot) -> bool) -> bool {
        state.nodes.iter().all(|node| {
            (0..self.scope.read).all(|key| {
                let hit = node.hit(&self.rules, key);
                hit.is_none_or(|slot| holds(node, key, slot))
            })
        })
    }

    fn hits_show_applied_rows(&self, state: &State) -> bool {
        let view = state.database.primary();
        self.every_hit(state, |node, key, slot| {
            let position = node.knowledge.cursor.position;
            !state.is_current(node)
                || reflects_rows(view, &self.scope, key, &slot.document, position)
        })
    }

    fn hits_show_what_is_proved(&self, state: &State) -> bool {
        let view = state.database.primary();
        self.every_hit(state, |node, key, slot| {
            let proved = node.proof.max(slot.as_of);
            proved == 0 || reflects_commits(view, &self.scope, key, &slot.document, proved)
        })
    }

    fn hits_equal_the_database_in_the_end(&self, state: &State) -> bool {
        let view = state.database.primary();
        let (_, head) = view.head();
        let is_drained = state.database.is_drained();
        self.every_hit(state, |node, key, slot| {
            let is_at_head = is_drained && state.is_current(node) && node.knowledge.cursor == head;
            !is_at_head || slot.document.content == self.current(view, key).content
        })
    }

    fn current(&self, view: View<'_>, key: usize) -> Document {
        let parent = Subject::Parent(self.scope.parent_of(key));
        view.document(Subject::Key(key), parent)
    }

    /// What the database has now is admitted by every node on its branch that no hint has told more.
    fn what_is_current_is_admitted(&self, state: &State) -> bool {
        let view = state.database.primary();
        state.nodes.iter().all(|node| {
            !state.is_current(node)
                || (0..self.scope.read).all(|key| {
                    let document = self.current(view, key);
                    let admits = |node: &Node| {
                        let admission = node.would_admit(&self.rules, &self.scope, key, &document);
                        admission == Admission::Fresh
                    };
                    admits(node) || admits(&self.without_hints(node))
                })
        })
    }

    fn without_hints(&self, node: &Node) -> Node {
        let mut node = node.clone();
        self.rules.expire_hints(&mut node.floors);
        node
    }

    fn hits_show_own_writes(&self, state: &State) -> bool {
        let view = state.database.primary();
        self.every_hit(state, |node, key, slot| {
            let own = node.own[key];
            own == 0
                || !state.is_current(node)
                || view.is_at_least(Subject::Key(key), slot.document.content.key, own)
        })
    }

    fn proves_a_hit_after_everything(&self, state: &State) -> bool {
        let is_over =
            state.database.writes == self.scope.writes && state.database.bumps == self.scope.bumps;
        is_over
            && state.nodes.iter().any(|node| {
                node.proof == state.database.now() && node.hit(&self.rules, 0).is_some()
            })
    }
}

/// What must hold in every state, by name.
pub(crate) const PROVED: &str = "a hit and a proof after every change";

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let database = Database::new();
        let poll = database.poll(&self.rules, Server::Primary, Default::default(), 1);
        let (knowledge, _) = Knowledge::start(None, &poll);
        vec![State {
            database,
            l2: [None; KEYS_MAX],
            l2_before: [None; KEYS_MAX],
            nodes: vec![Node::new(&self.scope, knowledge); self.scope.nodes],
            faults: 0,
            has_lost: false,
            is_misled: false,
            is_stuck: false,
            is_renewed_needlessly: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut after = state.clone();
        self.take(&mut after, action)?;
        after.sweep();
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("hits show every applied row", Self::hits_show_applied_rows),
            Property::always("hits show what is proved", Self::hits_show_what_is_proved),
            Property::always(
                "hits equal the database in the end",
                Self::hits_equal_the_database_in_the_end,
            ),
            Property::always("hits show own writes", Self::hits_show_own_writes),
            Property::always(
                "what is current is admitted",
                Self::what_is_current_is_admitted,
            ),
            Property::always("no reader is misled", |_, state: &State| !state.is_misled),
            Property::always("no node is stuck", |_, state: &State| !state.is_stuck),
            Property::always("no history is renewed needlessly", |_, state: &State| {
                !state.is_renewed_needlessly
            }),
            Property::sometimes(PROVED, Self::proves_a_hit_after_everything),
        ]
    }
}
