//! A cluster of NATS servers with JetStream.

use std::time::Duration;

use anyhow::Context;

use super::nats::NatsServer;
use super::port::free_port;
use crate::wait::poll;

const SERVERS: usize = 3;
const CLUSTER_LIMIT: Duration = Duration::from_secs(60);
/// While there is no leader, nobody answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Three NATS servers that form one cluster, whose streams may have three replicas.
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts three servers; each knows JetStream's leader when this returns.
    ///
    /// # Errors
    /// When NATS is not installed, or the servers do not find each other.
    pub fn start() -> anyhow::Result<Self> {
        let routes: Vec<String> = (0..SERVERS)
            .map(|_| format!("nats://127.0.0.1:{}", free_port()))
            .collect();
        let all = routes.join(",");
        let servers = routes.iter().enumerate().map(|(at, route)| {
            let name = server_name(at);
            let own = ["--server_name", &name, "--cluster_name", "shop"];
            let routes = ["--cluster", route, "--routes", &all];
            NatsServer::start_with(&[own, routes].concat())
        });
        let cluster = NatsCluster {
            servers: servers.collect::<anyhow::Result<_>>()?,
        };
        let is_led = |server: &NatsServer| server.log().contains("JetStream cluster");
        poll(CLUSTER_LIMIT, || {
            cluster.servers.iter().all(is_led).then_some(())
        })
        .context("the NATS servers have chosen no leader of JetStream")?;
        Ok(cluster)
    }

    /// The servers.
    pub fn servers(&self) -> &[NatsServer] {
        &self.servers
    }

    /// What the stream's leader says of it, as JSON, asked through one of the servers; `None` while it has no leader, or is not there.
    pub fn stream_info(&self, stream: &str, asked: usize) -> Option<String> {
        let server = self.servers.get(asked)?;
        server.stream_info_within(stream, ANSWER_LIMIT).ok()
    }

    /// Which server leads a stream, asked through one of the servers; `None` while none does, or the stream is not there.
    pub fn leader_of(&self, stream: &str, asked: usize) -> Option<usize> {
        let info = self.stream_info(stream, asked)?;
        (0..SERVERS).find(|&at| info.contains(&format!("\"leader\":\"{}\"", server_name(at))))
    }
}

fn server_name(at: usize) -> String {
    format!("server-{at}")
}
