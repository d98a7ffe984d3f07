//! The nodes of the cluster: this one says that it is there, and `GET /admin/v1/nodes` tells who is.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use hotshelf_model::{Boot, Clock, ClusterNodes, Error, KnownNode, NodeFacts, Role};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{sleep, timeout};
use utoipa::ToSchema;

use crate::json_body;
use crate::problem::ProblemBody;
use crate::request_id::RequestId;
use crate::state::ApiState;

/// How often a node says that it is there.
const BEAT_INTERVAL: Duration = Duration::from_secs(5);
/// A node that was not seen for this long is missing: it has left out two beats.
const MISSING_AFTER: Duration = Duration::from_secs(15);
/// How long the database is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// This node among the others.
#[derive(Debug)]
pub struct Membership {
    facts: NodeFacts,
    table: Arc<dyn ClusterNodes>,
    clock: Arc<dyn Clock>,
    started: Boot,
    /// The nodes as the database last told them, and when it did.
    last: Mutex<(Vec<KnownNode>, Boot)>,
}

impl Membership {
    /// This node, whose process starts now.
    pub fn new(facts: NodeFacts, table: Arc<dyn ClusterNodes>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let started = clock.now();
        Arc::new(Membership {
            facts,
            table,
            clock,
            started,
            last: Mutex::default(),
        })
    }

    /// What this node says of itself.
    pub(crate) fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    /// Says every few seconds that this node is there, and remembers who else is, until the task is aborted.
    pub async fn keep_beating(self: Arc<Self>) {
        loop {
            if let Err(error) = self.beat().await {
                tracing::debug!(?error, "the database does not know that this node is there");
            }
            sleep(BEAT_INTERVAL).await;
        }
    }

    /// Says once that this node is there, and remembers who else is.
    ///
    /// # Errors
    /// As [`ClusterNodes::beat`].
    pub async fn beat(&self) -> Result<(), Error> {
        let uptime = self.clock.now().since(self.started);
        self.table.beat(&self.facts, uptime).await?;
        self.read().await.map(drop)
    }

    /// Says that this node stops. Takes a second at most; who is not heard is missing a little later.
    pub async fn leave(&self) {
        match timeout(PATIENCE, self.table.leave(&self.facts)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(?error, "this node stops without saying so"),
            Err(_late) => tracing::debug!("this node stops without saying so"),
        }
    }

    async fn read(&self) -> Result<Vec<KnownNode>, Error> {
        let nodes = self.table.nodes().await?;
        *self.last.lock() = (nodes.clone(), self.clock.now());
        Ok(nodes)
    }

    /// The nodes as the database tells them; or, if it does not in time, as it did last.
    async fn nodes(&self) -> NodesBody {
        if let Ok(Ok(nodes)) = timeout(PATIENCE, self.read()).await {
            return self.body(Source::Database, nodes, Duration::ZERO);
        }
        let (nodes, at) = self.last.lock().clone();
        self.body(Source::Memory, nodes, self.clock.now().since(at))
    }

    /// `since` is the time since the nodes were told. Nobody could be heard in it, so nobody is missing for it.
    fn body(&self, source: Source, nodes: Vec<KnownNode>, since: Duration) -> NodesBody {
        let body = |node: KnownNode| {
            let answering = node.facts == self.facts;
            NodeBody {
                name: node.facts.name,
                number: node.facts.number,
                admin: node.facts.admin,
                version: node.facts.version,
                started_ms: Some(node.started.0),
                seen_ms_ago: Some(json_body::millis(node.seen + since)),
                present: answering || node.seen < MISSING_AFTER,
                answering,
            }
        };
        let mut nodes: Vec<NodeBody> = nodes.into_iter().map(body).collect();
        if !nodes.iter().any(|node| node.answering) {
            nodes.insert(0, self.unheard());
        }
        NodesBody { source, nodes }
    }

    /// This node, of which the database has not heard, or not yet.
    fn unheard(&self) -> NodeBody {
        let NodeFacts {
            name,
            number,
            admin,
            version,
        } = self.facts.clone();
        NodeBody {
            name,
            number,
            admin,
            version,
            started_ms: None,
            seen_ms_ago: None,
            present: true,
            answering: true,
        }
    }
}

/// Who told of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// The database.
    Database,
    /// What this node remembers of it.
    Memory,
}

/// The nodes of the cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = Nodes)]
pub(crate) struct NodesBody {
    /// `database`; or `memory` when the database does not answer, and these are the nodes that it told of last.
    source: Source,
    /// Each node that was seen within a day, by name.
    nodes: Vec<NodeBody>,
}

/// A node.
#[derive(Serialize, ToSchema)]
#[schema(as = Node)]
pub(crate) struct NodeBody {
    /// What it is called.
    name: String,
    /// The number that it writes into the entries that it fills.
    number: u32,
    /// The URL of its admin listener.
    admin: String,
    /// The version of its program.
    version: String,
    /// When its process started, in milliseconds since 1970 on the database's clock; `null` while the database has not heard of it.
    started_ms: Option<u64>,
    /// Milliseconds since it last said that it is there, by the database's clock; `null` while the database has not heard of it.
    seen_ms_ago: Option<u64>,
    /// Whether that was lately enough to take it for there.
    present: bool,
    /// Whether it is the node that answers.
    answering: bool,
}

/// Every node of the cluster that was seen within a day.
///
/// Nodes say in the database every five seconds that they are there; one that has not for fifteen is not `present`, and one that stops in order
/// is taken off the list. While the database does not answer, the nodes are those that it told of last.
#[utoipa::path(
    get,
    path = "/admin/v1/nodes",
    operation_id = "nodes",
    tag = "admin",
    security(("token" = [])),
    responses(
        (status = 200, description = "The nodes", body = NodesBody),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `viewer`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_nodes(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    let answer = match state.writing.access.to_administer(&headers, Role::Viewer) {
        Ok(_who) => json_body::answer(StatusCode::OK, &state.membership.nodes().await),
        Err(problem) => problem.answer(&RequestId::of(&headers)),
    };
    answer.map(Into::into)
}

#[cfg(test)]
mod tests;
