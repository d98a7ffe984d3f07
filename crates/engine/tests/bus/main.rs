//! The bus within one process keeps the contract of a bus.

use std::sync::Arc;

use bytes::Bytes;
use hotshelf_engine::ProcessBus;
use hotshelf_model::message::MESSAGE_BYTES_MAX;
use hotshelf_model::{BoxFuture, Bus, Channel, Published};
use hotshelf_testkit::conformance::{self, BusSubject};

struct Subject(Arc<ProcessBus>);

impl BusSubject for Subject {
    fn join(&self) -> BoxFuture<'_, Arc<dyn Bus>> {
        let bus: Arc<dyn Bus> = self.0.join();
        Box::pin(std::future::ready(bus))
    }

    fn can_go_away(&self) -> bool {
        false
    }

    fn take_away(&self) {}

    fn bring_back(&self) {}
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_bus() {
    conformance::bus(&Subject(ProcessBus::new(1 << 20))).await;
}

#[test]
fn what_no_bus_carries_is_refused() {
    let bus = ProcessBus::new(0);
    let largest = Bytes::from(vec![0; MESSAGE_BYTES_MAX]);
    assert_eq!(bus.publish(Channel::Log, largest), Published::Sent);
    let larger = Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1]);
    assert_eq!(bus.publish(Channel::Log, larger), Published::TooLarge);
}
