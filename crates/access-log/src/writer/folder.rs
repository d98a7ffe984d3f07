//! The numbered files of a log, and the lock on their folder.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use hotshelf_model::{Error, ErrorKind};
use rustix::fs::{FlockOperation, flock};

const PREFIX: &str = "access-";
const DIGITS: usize = 10;
const EXTENSIONS: [&str; 2] = ["hslog", "jsonl"];

/// Invariant: `files` are in order of their numbers, which is the order in which they were made.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    files: VecDeque<Numbered>,
    /// The greatest number that was given, so that none is given twice.
    last: u64,
    /// The folder itself, locked.
    lock: File,
}

#[derive(Debug)]
struct Numbered {
    number: u64,
    path: PathBuf,
    bytes: u64,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |what: &str, error: io::Error| {
            let context = format!("{what} the folder {} for the access log", path.display());
            Error::new(ErrorKind::Unavailable, context).with_source(error)
        };
        fs::create_dir_all(path).map_err(|error| failed("making", error))?;
        let lock = File::open(path).map_err(|error| failed("opening", error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            let context = format!(
                "locking the folder {} for the access log: it is in use by another process; give each node its own",
                path.display()
            );
            Error::new(ErrorKind::Unavailable, context).with_source(error)
        })?;
        let files = list(path).map_err(|error| failed("listing", error))?;
        Ok(Folder {
            path: path.to_owned(),
            last: files.back().map_or(0, |newest| newest.number),
            files,
            lock,
        })
    }

    /// Makes the next file.
    pub(super) fn create(&mut self, extension: &str) -> io::Result<File> {
        let (number, path, file) = loop {
            let number = self.last + 1;
            let path = self
                .path
                .join(format!("{PREFIX}{number:0DIGITS$}.{extension}"));
            let mut options = OpenOptions::new();
            match options.append(true).create_new(true).open(&path) {
                // Not a file of ours, or it would have been listed: left alone.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.last = number,
                outcome => break (number, path, outcome?),
            }
        };
        self.last = number;
        self.files.push_back(Numbered {
            number,
            path,
            bytes: 0,
        });
        Ok(file)
    }

    /// What all files hold together.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Says that the newest file has grown.
    pub(super) fn grown(&mut self, bytes: u64) {
        if let Some(newest) = self.files.back_mut() {
            newest.bytes += bytes;
        }
    }

    /// How many there are.
    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    /// Removes the oldest file.
    pub(super) fn remove_oldest(&mut self) -> io::Result<()> {
        let Some(oldest) = self.files.front() else {
            return Ok(());
        };
        match fs::remove_file(&oldest.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            // Somebody else may have removed it.
            Ok(()) | Err(_) => {
                self.files.pop_front();
                Ok(())
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing it is not enough: a process that is just being started may still share it.
        flock(&self.lock, FlockOperation::Unlock).ok();
    }
}

fn list(path: &Path) -> io::Result<VecDeque<Numbered>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(number) else {
            continue;
        };
        // A link is not followed, and a folder is none of ours.
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            files.push(Numbered {
                number,
                path: entry.path(),
                bytes: metadata.len(),
            });
        }
    }
    files.sort_by_key(|file| file.number);
    Ok(files.into())
}

/// The number in a name of ours.
fn number(name: &str) -> Option<u64> {
    let (digits, extension) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let is_ours = digits.len() == DIGITS
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && EXTENSIONS.contains(&extension);
    is_ours.then(|| digits.parse().ok()).flatten()
}
