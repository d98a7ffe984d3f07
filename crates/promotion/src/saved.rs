//! The hot set in a file, for the start of a whole cluster: who leads first holds what was hot before, so that the crowd meets warm nodes.
//!
//! The file is the messages of a snapshot, each after its length (u32, big-endian), and replaced as a whole. One that is damaged, of another
//! history or older than ten minutes is none.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotshelf_hotkeys::HotMessage;
use hotshelf_hotkeys::message::{HOT_MESSAGE_BYTES_MAX, PARTS_MAX, Told};
use hotshelf_model::Hist;
use parking_lot::Mutex;

/// What was hot longer ago says nothing of now.
pub(crate) const AGE_MAX: Duration = Duration::from_mins(10);

/// A hot set of before.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) hist: Hist,
    pub(crate) keys: Vec<Told>,
}

/// The file. Reading and writing it may wait for the disk.
#[derive(Debug)]
pub(crate) struct HotSetFile {
    path: PathBuf,
    /// One writes at a time: a writing may outlast who asked for it.
    writing: Mutex<()>,
}

impl HotSetFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        HotSetFile {
            path,
            writing: Mutex::new(()),
        }
    }

    /// Reads the file; none when there is none that is of use.
    pub(crate) fn load(&self) -> Option<Saved> {
        let bytes_max = u64::from(PARTS_MAX) * (HOT_MESSAGE_BYTES_MAX as u64 + 4);
        let about = fs::metadata(&self.path).ok()?;
        // This machine's own clock on both sides. One that was set back makes the file too young to be believed.
        let age = about.modified().ok()?.elapsed().ok()?;
        if age > AGE_MAX || about.len() > bytes_max {
            return None;
        }
        read(&fs::read(&self.path).ok()?)
    }

    /// Replaces the file by the parts of a snapshot.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn write(&self, hist: Hist, parts: &[HotMessage]) -> io::Result<()> {
        let _alone = self.writing.lock();
        write(&self.path, hist, parts)
    }
}

fn read(mut bytes: &[u8]) -> Option<Saved> {
    let mut saved: Option<Saved> = None;
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (message, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        let (hist, HotMessage::Snapshot(part)) = HotMessage::decode(message).ok()? else {
            return None;
        };
        let saved = saved.get_or_insert(Saved {
            hist,
            keys: Vec::new(),
        });
        if saved.hist != hist {
            return None;
        }
        saved.keys.extend(part.keys);
    }
    saved.filter(|_| bytes.is_empty())
}

fn write(path: &Path, hist: Hist, parts: &[HotMessage]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = PathBuf::from(format!("{}.new", path.display()));
    let mut file = File::create(&beside)?;
    for part in parts {
        let message = part.encode(hist);
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        file.write_all(&length.to_be_bytes())?;
        file.write_all(&message)?;
    }
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use hotshelf_hotkeys::HotCursor;
    use hotshelf_hotkeys::message::Snapshot;

    use super::*;
    use crate::testing::told;

    fn parts(count: usize) -> Vec<HotMessage> {
        let keys: Vec<Told> = (0..count)
            .map(|number| told(&format!("P{number}")))
            .collect();
        let cursor = HotCursor { term: 1, number: 0 };
        let parts = Snapshot::parts_of(cursor, &keys).into_iter();
        parts.map(HotMessage::Snapshot).collect()
    }

    #[test]
    fn what_was_written_reads_back_and_damage_is_no_hot_set() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hot.snapshot");
        let file = HotSetFile::new(path.clone());
        assert!(file.load().is_none(), "there is none");
        file.write(Hist(7), &parts(100)).unwrap();
        file.write(Hist(7), &parts(150)).unwrap();
        let saved = file.load().unwrap();
        assert_eq!((saved.hist, saved.keys.len()), (Hist(7), 150));
        let whole = fs::read(&path).unwrap();
        for length in [1, 5, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(file.load().is_none(), "{length}");
        }
    }

    #[test]
    fn two_who_write_at_once_leave_a_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = HotSetFile::new(folder.path().join("hot.snapshot"));
        let (few, many) = (parts(3), parts(2000));
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| file.write(Hist(7), &few).unwrap());
                scope.spawn(|| file.write(Hist(7), &many).unwrap());
            }
        });
        let keys = file.load().unwrap().keys.len();
        assert!([3, 2000].contains(&keys), "{keys}");
    }

    #[test]
    fn an_old_file_says_nothing_of_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hot.snapshot");
        let file = HotSetFile::new(path.clone());
        file.write(Hist(7), &parts(1)).unwrap();
        let open = File::options().write(true).open(&path).unwrap();
        let written = open.metadata().unwrap().modified().unwrap();
        let set = |time: SystemTime| open.set_modified(time).unwrap();
        set(written - Duration::from_secs(300));
        assert!(file.load().is_some());
        set(written - Duration::from_secs(700));
        assert!(file.load().is_none());
        set(written + Duration::from_secs(300));
        assert!(file.load().is_none(), "of a clock that was set back");
    }
}
