//! The body of an explanation.

use hotshelf_engine::{
    Class, CopyExplanation, Explanation, HotExplanation, HotReason, Recorded, TierCopy,
};
use hotshelf_model::{
    DbTime, Encoding, Key, Kind, NamespaceName, NodeFacts, Parent, TierName, Version,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::json_body::millis;

/// What a node holds of a document.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(crate) struct ExplanationBody {
    /// The node's name.
    node: String,
    /// The number that it writes into the entries that it fills.
    number: u32,
    /// The namespace.
    namespace: String,
    /// The document's id.
    id: String,
    /// The variant; empty where the namespace declares no dimensions.
    variant: String,
    /// The position up to which the node has applied the change log; `null` before its first poll.
    position: Option<u64>,
    /// The timeline of that position.
    timeline: Option<u32>,
    /// The low mark: a copy that was read at a position below it is suspect.
    low: Option<u64>,
    /// Milliseconds since the node last proved that it knows every change; `null` before the first proof.
    proof_age_ms: Option<u64>,
    /// The least version that the node serves; `null` if it knows of no change.
    floor: Option<String>,
    /// The version of the namespace's last bump that the node knows; `null` if it knows of none.
    bump: Option<String>,
    /// Why the key is hot; `null` if it is not.
    hot: Option<HotBody>,
    /// Whether the key may not become hot.
    banned: bool,
    /// The class of the fill of the key that is under way: `interactive`, `refresh`, `warm` or `background`; `null` if there is none.
    flight: Option<&'static str>,
    /// Each tier of this node, in the order of a read.
    tiers: Vec<TierBody>,
    /// What the database has recorded; `null` if it did not say in time.
    database: Option<DatabaseBody>,
}

/// Why a key is hot.
#[derive(Serialize, ToSchema)]
#[schema(as = HotExplanation)]
struct HotBody {
    /// `detected`, `provisional`, `pinned`.
    reasons: Vec<&'static str>,
    /// For how long on this node, in milliseconds.
    age_ms: u64,
    /// Whether its copy is kept from being evicted; otherwise there is no room for it.
    has_room: bool,
}

/// What one tier holds.
#[derive(Serialize, ToSchema)]
#[schema(as = TierExplanation)]
struct TierBody {
    /// `l1`, `l2` or `l3`.
    tier: &'static str,
    /// `held`; `missed`, it has none that can be used; `unavailable`, it could not be asked; or `unasked`, before the node's first poll.
    state: &'static str,
    /// Why it missed (`not_found`, `damaged`, `unknown_format`, `wrong_key`) or was unavailable (`open`, `deadline`, `failed`, `busy`).
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The copy that it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<CopyBody>,
}

/// One copy.
#[derive(Serialize, ToSchema)]
#[schema(as = CopyExplanation)]
struct CopyBody {
    /// What the node would do with it: `current`, serve it as fresh; `suspect`, serve it once the database has said that its version is
    /// unchanged; `stale`, serve it labelled if nothing better is to be had, because its time is over or the node's proof is late; `refused`,
    /// never serve it, because something newer is known; `other_history`, never serve it.
    standing: &'static str,
    /// Whether it is of the version that the database has recorded; `null` if the database did not say.
    unchanged: Option<bool>,
    /// `present` or `absent`.
    kind: &'static str,
    /// Its version; `null` of what has never been recorded.
    version: Option<String>,
    /// The timeline that it was read on.
    timeline: u32,
    /// The head of the change log when it was read; not known of copies in L1.
    position: Option<u64>,
    /// Milliseconds since the origin gave its bytes; not known of copies in L1.
    age_ms: Option<u64>,
    /// Milliseconds since it was last proved current; `null` if nothing that this node knows proves it.
    proof_age_ms: Option<u64>,
    /// Milliseconds until a refresh is due.
    soft_ttl_ms: u64,
    /// Milliseconds until it is no longer fresh by age.
    hard_ttl_ms: u64,
    /// The moment at which its document changes by time alone, in milliseconds since 1970 on the database's clock.
    valid_until_ms: Option<u64>,
    /// Bytes of the document.
    document_bytes: u64,
    /// Bytes that the tier holds of it: in L1 all that the copy accounts for, in others the document as it is encoded there.
    bytes: u64,
    /// The encodings that are there: `identity`, `zstd`, `gzip`.
    encodings: Vec<&'static str>,
    /// The number of the node that fetched it; not known of copies in L1.
    filled_by: Option<u32>,
    /// How long that fetch took, in microseconds; not known of copies in L1.
    fetch_us: Option<u32>,
    /// The document that it becomes at `valid_until_ms`, if that was fetched ahead.
    next: Option<NextBody>,
}

/// A document that was fetched ahead.
#[derive(Serialize, ToSchema)]
#[schema(as = NextCopy)]
struct NextBody {
    /// Its version.
    version: Option<String>,
    /// Bytes of the document.
    document_bytes: u64,
    /// When it changes in its turn by time alone.
    valid_until_ms: Option<u64>,
}

/// What the database has recorded.
#[derive(Serialize, ToSchema)]
#[schema(as = DatabaseExplanation)]
struct DatabaseBody {
    /// The document's version; `null` if no change of it was ever recorded.
    version: Option<String>,
    /// The version of the namespace's last bump; `null` if there was none.
    bump: Option<String>,
    /// The head of the change log.
    position: u64,
    /// The database's clock, in milliseconds since 1970.
    now_ms: u64,
}

impl ExplanationBody {
    pub(super) fn new(key: &Key, node: &NodeFacts, explanation: &Explanation) -> Self {
        ExplanationBody {
            node: node.name.clone(),
            number: explanation.node,
            namespace: key.namespace().to_owned(),
            id: key.id().to_owned(),
            variant: key.variant().to_owned(),
            position: explanation.position.map(|position| position.0),
            timeline: explanation.timeline.map(|timeline| timeline.0),
            low: explanation.low.map(|low| low.0),
            proof_age_ms: explanation.proof_age.map(millis),
            floor: token(explanation.floor),
            bump: token(explanation.bump),
            hot: explanation.hot.as_ref().map(hot),
            banned: explanation.banned,
            flight: explanation.flight.map(Class::as_str),
            tiers: explanation.tiers.iter().map(tier).collect(),
            database: explanation
                .recorded
                .as_ref()
                .map(|recorded| database(key, recorded)),
        }
    }
}

fn token(version: Version) -> Option<String> {
    (version != Version::NONE).then(|| version.token().to_string())
}

fn hot(hot: &HotExplanation) -> HotBody {
    HotBody {
        reasons: hot.reasons.iter().map(HotReason::as_str).collect(),
        age_ms: millis(hot.age),
        has_room: hot.has_room,
    }
}

fn tier((name, held): &(TierName, TierCopy)) -> TierBody {
    let (state, reason) = match held {
        TierCopy::Held(_) => ("held", None),
        TierCopy::Missed(reason) => ("missed", Some(reason.as_str())),
        TierCopy::Unavailable(reason) => ("unavailable", Some(reason.as_str())),
        TierCopy::Unasked => ("unasked", None),
    };
    TierBody {
        tier: name.as_str(),
        state,
        reason,
        copy: match held {
            TierCopy::Held(held) => Some(copy(held)),
            _ => None,
        },
    }
}

fn copy(copy: &CopyExplanation) -> CopyBody {
    let moment = |at: DbTime| at.0;
    CopyBody {
        standing: copy.standing.as_str(),
        unchanged: copy.unchanged,
        kind: match copy.kind {
            Kind::Present => "present",
            Kind::Absent => "absent",
        },
        version: token(copy.version),
        timeline: copy.timeline.0,
        position: copy.position.map(|position| position.0),
        age_ms: copy.age.map(millis),
        proof_age_ms: copy.proof_age.map(millis),
        soft_ttl_ms: millis(copy.soft_ttl),
        hard_ttl_ms: millis(copy.hard_ttl),
        valid_until_ms: copy.valid_until.map(moment),
        document_bytes: copy.document_bytes,
        bytes: copy.bytes,
        encodings: copy
            .encodings
            .iter()
            .copied()
            .map(Encoding::as_str)
            .collect(),
        filled_by: copy.facts.map(|facts| facts.node),
        fetch_us: copy.facts.map(|facts| facts.fetch_us),
        next: copy.next.map(|next| NextBody {
            version: token(next.version),
            document_bytes: next.document_bytes,
            valid_until_ms: next.valid_until.map(moment),
        }),
    }
}

fn database(key: &Key, recorded: &Recorded) -> DatabaseBody {
    let namespace = NamespaceName::new(key.namespace()).ok();
    let own = namespace.map(|name| Parent::namespace(&name, Version::NONE).name_hash);
    let mut parents = recorded.parents.as_slice().iter();
    let bump = parents.find(|parent| Some(parent.name_hash) == own);
    DatabaseBody {
        version: token(recorded.version),
        bump: bump.and_then(|bump| token(bump.version)),
        position: recorded.position.0,
        now_ms: recorded.now.0,
    }
}
