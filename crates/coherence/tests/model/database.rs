//! The database of the model: commits, the change log among them, replicas that lag, a failover that loses a tail, a restore.

use hotshelf_coherence::Cursor;
use hotshelf_model::{DbTime, Head, Hist, Poll, Position, Stamp, Timeline, Version};

use crate::rules::{Mutant, Rules};
use crate::scope::Subject;

/// The id of a change: never used twice, so that what a lost commit wrote is told from what its successor with the same version
/// wrote. No node sees it. 0 is what was there before the first change.
pub(crate) type ChangeId = u8;

/// A change of a key, or of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    pub(crate) id: ChangeId,
    pub(crate) subject: Subject,
    pub(crate) version: Version,
}

/// A row of the log, with one change or (to open a timeline) none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) hist: Hist,
    pub(crate) timeline: Timeline,
    pub(crate) cursor: Cursor,
    pub(crate) change: Option<Change>,
}

/// What the database has written durably, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Written {
    Commit(Change),
    Row(Row),
}

/// Which change of the key, and which of its parent, a document shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    pub(crate) key: ChangeId,
    pub(crate) parent: ChangeId,
}

/// A document with what proves it, as the model keeps it; `node::entry_of` makes a real entry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Document {
    pub(crate) hist: Hist,
    pub(crate) stamp: Stamp,
    pub(crate) parent: Version,
    pub(crate) content: Content,
}

/// Where a statement is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Primary,
    /// A replica that has replayed so much of what is written.
    Replica(usize),
    /// A replica of the branch that a failover or a restore ended, which nobody has told.
    LostBranch,
}

/// One server's view: a history and what of it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) hist: Hist,
    pub(crate) written: &'a [Written],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Database {
    pub(crate) hist: Hist,
    /// The primary's own timeline; the log's lags behind until a row opens it.
    pub(crate) timeline: Timeline,
    pub(crate) written: Vec<Written>,
    /// The oldest row that is not pruned.
    pub(crate) oldest: Position,
    pub(crate) writes: u8,
    pub(crate) bumps: u8,
    changes: ChangeId,
    nonces: u64,
    /// Every row that was ever sent over the bus, lost ones too.
    pub(crate) published: Vec<Row>,
    /// The last change that a failover lost.
    pub(crate) lost: Option<Change>,
    branch: Option<(Hist, Vec<Written>)>,
}

impl Written {
    fn commit(&self) -> Option<&Change> {
        match self {
            Written::Commit(change) => Some(change),
            Written::Row(_) => None,
        }
    }

    fn row(&self) -> Option<&Row> {
        match self {
            Written::Row(row) => Some(row),
            Written::Commit(_) => None,
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn commits(self) -> impl DoubleEndedIterator<Item = &'a Change> {
        self.written.iter().filter_map(Written::commit)
    }

    pub(crate) fn rows(self) -> impl DoubleEndedIterator<Item = &'a Row> {
        self.written.iter().filter_map(Written::row)
    }

    pub(crate) fn last(self, subject: Subject) -> Option<&'a Change> {
        self.commits().rfind(|change| change.subject == subject)
    }

    pub(crate) fn version(self, subject: Subject) -> Version {
        self.last(subject)
            .map_or(Version::NONE, |change| change.version)
    }

    pub(crate) fn head(self) -> (Timeline, Cursor) {
        self.rows()
            .next_back()
            .map_or((Timeline(1), Cursor::default()), |row| {
                (row.timeline, row.cursor)
            })
    }

    pub(crate) fn document(self, key: Subject, parent: Subject) -> Document {
        let (timeline, head) = self.head();
        let id = |subject| self.last(subject).map_or(0, |change| change.id);
        Document {
            hist: self.hist,
            stamp: Stamp {
                timeline,
                version: self.version(key),
                position: head.position,
            },
            parent: self.version(parent),
            content: Content {
                key: id(key),
                parent: id(parent),
            },
        }
    }

    /// The nonce of the row at a position, pruned or not.
    pub(crate) fn nonce(self, position: Position) -> Option<u64> {
        if position == Position(0) {
            return Some(0);
        }
        self.rows()
            .find(|row| row.cursor.position == position)
            .map(|row| row.cursor.nonce)
    }

    /// Changes without a position.
    pub(crate) fn outbox(self) -> impl Iterator<Item = &'a Change> {
        let is_logged = move |id| {
            self.rows()
                .any(|row| row.change.is_some_and(|it| it.id == id))
        };
        self.commits().filter(move |change| !is_logged(change.id))
    }

    /// Whether `held`, a change of `subject`, is `wanted` or later. What a lost change wrote is never later than anything.
    pub(crate) fn is_at_least(self, subject: Subject, held: ChangeId, wanted: ChangeId) -> bool {
        let place = |id| match id {
            0 => Some(0),
            _ => self
                .commits()
                .filter(|change| change.subject == subject)
                .position(|change| change.id == id)
                .map(|place| place + 1),
        };
        place(held).is_some_and(|held| place(wanted).is_none_or(|wanted| held >= wanted))
    }
}

impl Database {
    pub(crate) fn new() -> Self {
        Database {
            hist: Hist(1),
            timeline: Timeline(1),
            written: Vec::new(),
            oldest: Position(0),
            writes: 0,
            bumps: 0,
            changes: 0,
            nonces: 0,
            published: Vec::new(),
            lost: None,
            branch: None,
        }
    }

    pub(crate) fn primary(&self) -> View<'_> {
        View {
            hist: self.hist,
            written: &self.written,
        }
    }

    pub(crate) fn view(&self, server: Server) -> Option<View<'_>> {
        match server {
            Server::Primary => Some(self.primary()),
            Server::Replica(replayed) => Some(View {
                hist: self.hist,
                written: &self.written[..replayed],
            }),
            Server::LostBranch => self.branch.as_ref().map(|(hist, written)| View {
                hist: *hist,
                written,
            }),
        }
    }

    /// Every server but the primary.
    pub(crate) fn standbys(&self) -> impl Iterator<Item = Server> {
        let lost = self.branch.as_ref().map(|_| Server::LostBranch);
        (0..self.written.len()).map(Server::Replica).chain(lost)
    }

    /// How many commits there are, and one: the moment "now" in claims of freshness, of which 0 is none.
    pub(crate) fn now(&self) -> u8 {
        u8::try_from(self.primary().commits().count() + 1).unwrap()
    }

    /// Whether the log's timeline is the primary's own.
    pub(crate) fn is_open(&self) -> bool {
        self.primary().head().0 == self.timeline
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.is_open() && self.primary().outbox().next().is_none()
    }

    /// Whether a cursor lies on the branch that the database is on.
    pub(crate) fn holds(&self, cursor: Cursor) -> bool {
        self.primary().nonce(cursor.position) == Some(cursor.nonce)
    }

    /// A row that can still be read.
    pub(crate) fn row(&self, position: Position) -> Option<&Row> {
        let row = self
            .primary()
            .rows()
            .find(|row| row.cursor.position == position);
        row.filter(|_| position >= self.oldest)
    }

    /// A commit. Its version is as in the schema: the server's own timeline, and a sequence that may start again where a lost tail began.
    pub(crate) fn commit(&mut self, rules: &Rules, subject: Subject) -> Change {
        match subject {
            Subject::Key(_) => self.writes += 1,
            Subject::Parent(_) => self.bumps += 1,
        }
        self.changes += 1;
        let timeline = if rules.are(Mutant::VersionsWithoutTimeline) {
            Timeline(1)
        } else if rules.are(Mutant::VersionsOfTheLogsTimeline) {
            self.primary().head().0
        } else {
            self.timeline
        };
        let sequence = u64::from(self.now());
        let change = Change {
            id: self.changes,
            subject,
            version: Version(u64::from(timeline.0) << 40 | sequence),
        };
        self.written.push(Written::Commit(change));
        change
    }

    /// Gives a change its position, or opens a timeline; gives the row's number in `published`.
    pub(crate) fn append(&mut self, change: Option<Change>) -> usize {
        self.nonces += 1;
        let position = Position(self.primary().head().1.position.0 + 1);
        let row = Row {
            hist: self.hist,
            timeline: self.timeline,
            cursor: Cursor {
                position,
                nonce: self.nonces,
            },
            change,
        };
        self.written.push(Written::Row(row));
        self.published.push(row);
        self.published.len() - 1
    }

    /// What a poll says that was sent at `sent`, about the row at `asked`.
    pub(crate) fn poll(&self, rules: &Rules, server: Server, asked: Cursor, sent: u8) -> Poll {
        let view = self.view(server).unwrap_or_else(|| self.primary());
        let primary = server == Server::Primary;
        let (timeline, head) = view.head();
        let known = asked.position <= head.position && asked.position >= self.oldest;
        let before = usize::from(sent.max(1) - 1);
        let is_before = |id| view.commits().take(before).any(|change| change.id == id);
        let is_drained = rules.are(Mutant::ProofWithoutOutbox)
            || !view.outbox().any(|change| is_before(change.id));
        let is_open = rules.are(Mutant::ProofBeforeTimelineIsOpen) || timeline == self.timeline;
        Poll {
            head: Head {
                hist: view.hist,
                timeline,
                position: head.position,
                now: DbTime(0),
                primary,
            },
            head_nonce: head.nonce,
            known_nonce: if known {
                view.nonce(asked.position)
            } else {
                None
            },
            oldest: self.oldest,
            version_max: Version::NONE,
            settled: is_drained && is_open && (primary || rules.are(Mutant::ProofFromReplica)),
            sequenced: None,
        }
    }

    /// Prunes all rows but the head.
    pub(crate) fn prune(&mut self) {
        self.oldest = self.primary().head().1.position;
    }

    /// Goes on from a point in the past: with a new timeline (a standby took over), or with a new history (a backup was restored).
    pub(crate) fn lose(&mut self, kept: usize) {
        self.lost = self.written[kept..]
            .iter()
            .rev()
            .find_map(Written::commit)
            .copied();
        self.written.truncate(kept);
        self.oldest = self.oldest.min(self.primary().head().1.position);
    }

    /// Keeps what a replica that is never told goes on answering from.
    pub(crate) fn keep_branch(&mut self) {
        self.branch = Some((self.hist, self.written.clone()));
    }

    pub(crate) fn fail_over(&mut self, kept: usize) {
        self.lose(kept);
        self.timeline = Timeline(self.timeline.0 + 1);
    }

    pub(crate) fn renew_hist(&mut self) {
        self.hist = Hist(self.hist.0 + 1);
    }
}
