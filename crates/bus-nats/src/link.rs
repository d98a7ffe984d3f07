//! The task that makes one connection after another.

use std::io;
use std::sync::Arc;

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::bus::Shared;
use crate::rarely::Rarely;
use crate::session::Session;
use crate::settings::NatsSettings;
use crate::stream::Stream;

/// Messages of one subject that the client holds before the session takes them; what comes beyond is lost, and the node is told.
const SUBSCRIPTION_MESSAGES_MAX: usize = 1024;
/// Messages on their way from the queue to the socket.
const WRITES_MAX: usize = 64;

pub(crate) struct Link {
    settings: NatsSettings,
    addresses: Vec<ServerAddr>,
    shared: Arc<Shared>,
    random: StdRng,
    stream: Stream,
}

impl Link {
    pub(crate) fn new(
        settings: NatsSettings,
        addresses: Vec<ServerAddr>,
        shared: Arc<Shared>,
        seed: u64,
    ) -> Self {
        let stream = Stream::new(&settings, Arc::clone(&shared));
        Link {
            settings,
            addresses,
            shared,
            random: StdRng::seed_from_u64(seed),
            stream,
        }
    }

    pub(crate) async fn keep(mut self) {
        let (mut wait, mut failures) = (self.settings.reconnect_min, Rarely::default());
        loop {
            match self.connect().await {
                Ok((client, lost)) => {
                    self.shared.counters.connected.increment(1);
                    wait = self.settings.reconnect_min;
                    self.serve(client, lost).await;
                }
                Err(error) => {
                    self.shared.counters.failed.increment(1);
                    if let Some(held_back) = failures.say() {
                        tracing::warn!(%error, held_back, "connecting to nats failed; changes are read from the database meanwhile");
                    }
                }
            }
            let jitter = self.random.random_range(0.5..1.5);
            sleep(wait.mul_f64(jitter)).await;
            wait = (wait * 2).min(self.settings.reconnect_max);
        }
    }

    /// Uses one connection until it is lost.
    async fn serve(&self, client: Client, mut lost: watch::Receiver<bool>) {
        tracing::info!("connected to nats");
        let session = Session {
            settings: &self.settings,
            shared: &self.shared,
            stream: &self.stream,
            client,
        };
        let reason = tokio::select! {
            reason = session.run() => reason,
            _ = lost.wait_for(|lost| *lost) => "the connection broke".into(),
        };
        self.shared.set_connected(false);
        tracing::warn!(%reason, "nats is lost; changes are read from the database meanwhile");
    }

    async fn connect(
        &self,
    ) -> Result<(Client, watch::Receiver<bool>), Box<dyn std::error::Error + Send + Sync>> {
        let (losing, lost) = watch::channel(false);
        let shared = Arc::clone(&self.shared);
        let events = move |event| {
            react(&event, &losing, &shared);
            std::future::ready(())
        };
        let options = self.options().await?.event_callback(events);
        Ok((options.connect(&self.addresses[..]).await?, lost))
    }

    async fn options(&self) -> io::Result<ConnectOptions> {
        let settings = &self.settings;
        let mut options = ConnectOptions::new()
            .name(&settings.name)
            .connection_timeout(settings.connect_timeout)
            .request_timeout(Some(settings.connect_timeout))
            .ping_interval(settings.ping_interval)
            .subscription_capacity(SUBSCRIPTION_MESSAGES_MAX)
            .client_capacity(WRITES_MAX)
            // Each server once: what comes then is this task's to do.
            .max_reconnects(self.addresses.len())
            .require_tls(settings.tls.required);
        if let Some(authorities) = &settings.tls.authorities {
            options = options.add_root_certificates(authorities.clone());
        }
        if let Some((certificate, key)) = &settings.tls.client {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        if let Some((user, password)) = self.addresses.iter().find_map(user_and_password) {
            options = options.user_and_password(user, password);
        }
        match &settings.credentials {
            Some(credentials) => options.credentials_file(credentials).await,
            None => Ok(options),
        }
    }
}

/// The client does not take them from the URL itself.
fn user_and_password(address: &ServerAddr) -> Option<(String, String)> {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let password = address.password().map(plain).unwrap_or_default();
    Some((plain(address.username()?), password))
}

fn react(event: &Event, losing: &watch::Sender<bool>, shared: &Shared) {
    match event {
        Event::Disconnected | Event::Closed => {
            losing.send_replace(true);
        }
        Event::SlowConsumer(_) => shared.inbox.lag(),
        Event::ServerError(error) => {
            if let Some(held_back) = shared.refusals.lock().say() {
                tracing::warn!(%error, held_back, "nats refuses something");
            }
        }
        Event::Connected | Event::Draining | Event::LameDuckMode | Event::ClientError(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_nats::ServerError;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_nats_refuses_is_said_once_a_minute() {
        let shared = Shared::new(&NatsSettings::default());
        let (losing, lost) = watch::channel(false);
        for _ in 0..3 {
            let refusal = ServerError::Other("Permissions Violation".to_owned());
            react(&Event::ServerError(refusal), &losing, &shared);
        }
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(shared.refusals.lock().say(), Some(2), "one was said");
        assert!(!*lost.borrow());
    }
}
