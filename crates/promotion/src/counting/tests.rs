//! What is counted is what somebody waited for, as the frames say.

use hotshelf_access_log::{Clocks, Recorder, RecorderSettings, Recording};
use hotshelf_engine::ProcessBus;
use hotshelf_hotkeys::{Frame, Rules};
use hotshelf_model::{
    Asker, BootClock, BusEvent, Feed, KeyRef, Read, ReadObserver as _, ReadOutcome, TierName,
    Version,
};

use super::*;

const HIST: Hist = Hist(7);

fn read(recorder: &Recorder, key: &Key, is_interactive: bool) {
    recorder.read(&Read {
        key: KeyRef::from(key),
        at: Boot(7),
        latency: None,
        tier: TierName::L1,
        outcome: ReadOutcome::Hit,
        version: Version(9),
        bytes: 2000,
        is_interactive,
        asker: Asker::default(),
    });
}

#[tokio::test]
async fn reads_in_the_background_count_for_nothing_and_a_wanted_key_is_told() {
    let bus = ProcessBus::new(1 << 20);
    bus.hear(Channel::Frames, true);
    bus.hear(Channel::Hot, true);
    let hot_keys = HotKeys::new(Arc::new(BootClock), Rules::default());
    hot_keys.set_hist(HIST);
    let own = Sender {
        node: 1,
        incarnation: 2,
    };
    let messages: Arc<Mutex<ForCounter>> = Arc::default();
    let (finds, _found) = mpsc::channel(8);
    let to_others = Arc::clone(&bus) as Arc<dyn Bus>;
    let counter = Counter::new(hot_keys, to_others, own, 8192, Arc::clone(&messages), finds);
    let clocks = Clocks {
        boot: Arc::new(BootClock),
        wall_ms: || 0,
    };
    let (recorder, recording) =
        Recording::start(RecorderSettings::default(), clocks, None, counter).unwrap();
    let key = Key::parse("products//lamp").unwrap();
    let hash = KeyHash::of(key.as_str(), HIST.0);
    messages.lock().ask(&[hash]);
    let (mut reads, mut names) = (0, Vec::new());
    // The history is known from the counter's first pass on; what comes before counts for nothing.
    while names.is_empty() || reads == 0 {
        read(&recorder, &key, true);
        for _ in 0..100 {
            read(&recorder, &key, false);
        }
        match tokio::time::timeout(Duration::from_secs(30), bus.next(Feed::Hot)).await {
            Ok(BusEvent::Message(Channel::Frames, frame)) => {
                let frame = Frame::decode(&frame).unwrap();
                assert_eq!((frame.sender, frame.dropped), (own, 0));
                reads += frame.reads;
            }
            Ok(BusEvent::Message(_, message)) => {
                let (hist, HotMessage::Names(told)) = HotMessage::decode(&message).unwrap() else {
                    panic!("only names are told");
                };
                assert_eq!(hist, HIST);
                names = told;
            }
            Ok(BusEvent::Connected) => {}
            other => panic!("{other:?}"),
        }
    }
    recording.stop();
    assert_eq!((&names[0].key, names[0].bytes), (&key, 2000));
    assert!(
        reads < 20,
        "{reads}: those in the background count for nothing"
    );
}
