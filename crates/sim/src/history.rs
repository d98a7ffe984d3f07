//! What a run records. All moments are of one clock.

use std::fmt;
use std::time::Duration;

use hotshelf_model::{Position, Timeline, Version};

/// A moment of the run's clock, from its start.
pub type Moment = Duration;

/// A number that a product has in the run.
pub type Product = u32;

/// A number that a node has in the run; one that is started again keeps it. Near caches have numbers behind the nodes'.
pub type Node = u32;

/// A commit, as the writer saw it; or a change by time alone, which has the version of the commit that planned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// What was written.
    pub product: Product,
    /// The number that the written document holds; unique in the run.
    pub number: u64,
    /// The version that the database gave it; `None` when the writer was not told.
    pub version: Option<Version>,
    /// Whether the product was deleted. A deleted product shows no number, only its version.
    pub deleted: bool,
    /// The commit is not earlier.
    pub begun: Moment,
    /// The commit is not later; `None` when the writer does not know whether there was one.
    pub acknowledged: Option<Moment>,
    /// The node through which it was written; `None` for another program.
    pub node: Option<Node>,
}

/// What a reader was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A whole document of this product with this number.
    Document {
        /// The product that the document says it is of.
        product: Product,
        /// The number of its write.
        number: u64,
    },
    /// That there is no such product.
    Absent,
    /// Bytes that no write made: torn, or of two documents.
    Torn,
}

/// How an answer was labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Not at all: current within the staleness bound.
    Fresh,
    /// Stale by at most this.
    Stale(Duration),
}

/// An answered read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// What was asked for.
    pub product: Product,
    /// Who answered.
    pub node: Node,
    /// Readers of one session pass the greatest version that they saw along.
    pub session: Option<u32>,
    /// When it was sent.
    pub begun: Moment,
    /// When the answer was there.
    pub ended: Moment,
    /// The version in the answer.
    pub version: Version,
    /// What was in it.
    pub seen: Seen,
    /// Its label.
    pub flag: Flag,
    /// The version that the reader demanded.
    pub min_version: Option<Version>,
}

/// A read without an answer: an error, a refusal for load, or nothing in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who failed to answer.
    pub node: Node,
    /// When it was sent.
    pub begun: Moment,
    /// When the reader knew.
    pub ended: Moment,
}

/// A document read from the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Of what.
    pub product: Product,
    /// A number that the variant has in the run.
    pub variant: u32,
    /// The version that it brought.
    pub version: Version,
    /// By whom.
    pub node: Node,
}

/// An answer of the database about a product: its document, or only its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginAnswer {
    /// About what.
    pub product: Product,
    /// To whom.
    pub node: Node,
    /// When it came.
    pub at: Moment,
}

/// Where a node stood in the change log, in the order in which it stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which node.
    pub node: Node,
    /// How often it had been started.
    pub life: u32,
    /// When it was seen.
    pub at: Moment,
    /// The timeline of its cursor.
    pub timeline: Timeline,
    /// Its cursor.
    pub position: Position,
    /// How many resyncs it had made.
    pub resyncs: u64,
    /// The moment that its last proof is of; `None` before the first one, and where it is not known within the bounds' tolerance.
    pub proof: Option<Moment>,
}

/// What a look into one tier of one node found after the run had come to rest, without promoting anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What was looked for.
    pub product: Product,
    /// Where.
    pub node: Node,
    /// What was there.
    pub outcome: ProbeOutcome,
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// Nothing that could be served.
    Nothing,
    /// A copy that would be served as fresh.
    Servable(Version),
    /// A copy that would be checked or fetched anew first.
    Refused(Version),
}

/// What the database held when the run had come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Of what.
    pub product: Product,
    /// Its version.
    pub version: Version,
    /// Whether a second read after the rest was answered without the database.
    pub cached_again: bool,
}

/// A kind of fault, by its name in the run's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultKind(pub &'static str);

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A fault, from when it began to when it was mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it was.
    pub kind: FaultKind,
    /// When it began.
    pub from: Moment,
    /// When all was well again.
    pub to: Moment,
}

/// Commits that a failover or a restore lost: what was read of them before was no lie, and after it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The product.
    pub product: Product,
    /// The number of the write that is gone.
    pub number: u64,
    /// When the database without it took over.
    pub at: Moment,
}

/// A run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// How many nodes there were.
    pub nodes: u32,
    /// Every write, in any order.
    pub writes: Vec<Write>,
    /// Every answered read, in any order.
    pub reads: Vec<Read>,
    /// Every read without an answer.
    pub failures: Vec<Failure>,
    /// Every document read from the database, as the nodes count it.
    pub fetches: Vec<Fetch>,
    /// Every answer of the database to a node, in the order of time; none where a run cannot record them.
    pub origin_answers: Vec<OriginAnswer>,
    /// Where nodes stood, in the order of time.
    pub progress: Vec<Progress>,
    /// What lay in the tiers at the end.
    pub probes: Vec<Probe>,
    /// What the database held at the end.
    pub expected: Vec<Expected>,
    /// Every fault.
    pub faults: Vec<Fault>,
    /// Every lost commit.
    pub losses: Vec<Loss>,
    /// How often each branch of the protocol was taken, by its name.
    pub branches: Vec<(&'static str, u64)>,
}
