//! What every bus counts.

use hotshelf_model::{Channel, Published};
use metrics::{Counter, Gauge};

use crate::metric::{BUS_CONNECTED, BUS_MESSAGES};

/// The handles of one bus, taken once.
#[derive(Debug)]
pub struct BusCounters {
    channels: [ChannelCounters; 4],
    connected: Gauge,
}

#[derive(Debug)]
struct ChannelCounters {
    published: [Counter; 3],
    delivered: Counter,
    dropped: Counter,
}

const PUBLISHED: [Published; 3] = [Published::Sent, Published::Dropped, Published::TooLarge];

impl BusCounters {
    /// The handles of the bus of that name.
    pub fn new(bus: &'static str) -> Self {
        let connected = BUS_CONNECTED.gauge(&[("bus", bus)]);
        connected.set(0.0);
        BusCounters {
            channels: Channel::ALL.map(|channel| ChannelCounters::new(bus, channel)),
            connected,
        }
    }

    /// Counts what became of a message that was to be published.
    pub fn published(&self, channel: Channel, outcome: Published) {
        self.channel(channel).published[outcome as usize].increment(1);
    }

    /// Counts a message that arrived, and whether the node had room for it.
    pub fn arrived(&self, channel: Channel, delivered: bool) {
        let counters = self.channel(channel);
        let counter = if delivered {
            &counters.delivered
        } else {
            &counters.dropped
        };
        counter.increment(1);
    }

    /// Says whether there is a connection.
    pub fn connected(&self, connected: bool) {
        self.connected.set(f64::from(u8::from(connected)));
    }

    fn channel(&self, channel: Channel) -> &ChannelCounters {
        &self.channels[channel as usize]
    }
}

impl ChannelCounters {
    fn new(bus: &'static str, channel: Channel) -> Self {
        let counter = |direction, outcome| {
            BUS_MESSAGES.counter(&[
                ("bus", bus),
                ("channel", channel.as_str()),
                ("direction", direction),
                ("outcome", outcome),
            ])
        };
        ChannelCounters {
            published: PUBLISHED.map(|outcome| counter("out", outcome.as_str())),
            delivered: counter("in", "delivered"),
            dropped: counter("in", "dropped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_and_every_channel_has_its_place() {
        for (place, outcome) in PUBLISHED.into_iter().enumerate() {
            assert_eq!(outcome as usize, place, "{outcome:?}");
        }
        for (place, channel) in Channel::ALL.into_iter().enumerate() {
            assert_eq!(channel as usize, place, "{channel:?}");
        }
    }
}
