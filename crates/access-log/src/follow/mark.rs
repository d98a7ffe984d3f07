//! How far a file was read, and by what it is known again.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::modified;

/// So many of a file's first bytes are compared: a few lines, which hold times and addresses.
const HEAD_BYTES: u64 = 512;
const FORMAT: u32 = 1;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    device: u64,
    inode: u64,
    /// All before it was handed over or skipped.
    pub(super) offset: u64,
    /// In the middle of a line that is too long.
    pub(super) skipping: bool,
    /// No more lines are expected.
    pub(super) closed: bool,
    /// When it was written last, as known when it was opened or closed.
    pub(super) modified: i128,
    /// How many of its first bytes `head_hash` is of; never more than were read.
    head_bytes: u64,
    head_hash: u64,
}

#[derive(Serialize, Deserialize)]
struct Checkpoint<M> {
    format: u32,
    files: Vec<M>,
}

impl Mark {
    /// The beginning of a file.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Mark {
            device: metadata.dev(),
            inode: metadata.ino(),
            offset: 0,
            skipping: false,
            closed: false,
            modified: modified(&metadata),
            head_bytes: 0,
            head_hash: xxh3_64(b""),
        })
    }

    /// The same place in a copy of the file.
    pub(super) fn moved_to(&self, file: &File) -> io::Result<Self> {
        let Mark { device, inode, .. } = Mark::new(file)?;
        Ok(Mark {
            device,
            inode,
            ..self.clone()
        })
    }

    pub(super) fn is_same_file(&self, other: &Mark) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether the file reaches to the offset and begins as this one did.
    pub(super) fn is_head_of(&self, file: &File) -> bool {
        let reaches = file.metadata().is_ok_and(|file| file.len() >= self.offset);
        let hash = head_hash(file, self.head_bytes).ok();
        reaches && hash == Some(self.head_hash)
    }

    /// Whether another file holds all that was read of this one: by bytes that only it can begin with.
    pub(super) fn is_copied_to(&self, file: &File) -> bool {
        self.head_bytes > 0 && self.is_head_of(file)
    }

    /// Looks at the first bytes, as far as they were read and as long as there are not enough of them.
    pub(super) fn learn_head(&mut self, file: &File) -> io::Result<()> {
        let known = self.offset.min(HEAD_BYTES);
        if known > self.head_bytes {
            self.head_hash = head_hash(file, known)?;
            self.head_bytes = known;
        }
        Ok(())
    }
}

fn head_hash(file: &File, bytes: u64) -> io::Result<u64> {
    let mut head = vec![0; usize::try_from(bytes.min(HEAD_BYTES)).unwrap_or_default()];
    file.read_exact_at(&mut head, 0)?;
    Ok(xxh3_64(&head))
}

/// The log and the files beside it that may have been it: `access.log`, `access.log.1`, `access.log-20261121`.
pub(super) fn candidates(path: &Path) -> io::Result<Vec<(File, Mark)>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let sibling = entry.file_name();
        let sibling = sibling.to_string_lossy();
        let Some(rest) = sibling.strip_prefix(&*name) else {
            continue;
        };
        if !is_of_rotation(rest) {
            continue;
        }
        // It may be gone again, or not be ours to read.
        let opened = entry
            .metadata()
            .is_ok_and(|it| it.is_file())
            .then(|| File::open(entry.path()));
        if let Some(Ok(file)) = opened {
            let mark = Mark::new(&file)?;
            found.push((file, mark));
        }
    }
    Ok(found)
}

/// Whether a name goes on after the log's as rotation lets it: with a number or a time. A compressed file, or an editor's, is none.
fn is_of_rotation(rest: &str) -> bool {
    let counts = |rest: &str| {
        rest.bytes()
            .all(|byte| byte.is_ascii_digit() || b".-_:T".contains(&byte))
    };
    rest.is_empty() || rest == ".old" || (rest.starts_with(['.', '-', '_']) && counts(rest))
}

/// Reads a checkpoint; `None` when there is none, or none that can be understood.
pub(super) fn load(path: &Path) -> io::Result<Option<Vec<Mark>>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice::<Checkpoint<Mark>>(&bytes) {
        Ok(checkpoint) if checkpoint.format == FORMAT => Ok(Some(checkpoint.files)),
        Ok(_) | Err(_) => {
            let path = path.display();
            tracing::warn!(%path, "the checkpoint of a followed log cannot be understood; following from the log's end");
            Ok(None)
        }
    }
}

/// Puts a checkpoint in the place of the one before, whole or not at all.
pub(super) fn save(path: &Path, files: &[&Mark]) -> io::Result<()> {
    let checkpoint = Checkpoint {
        format: FORMAT,
        files: files.to_vec(),
    };
    let bytes = serde_json::to_vec(&checkpoint)?;
    let mut new = PathBuf::from(path).into_os_string();
    new.push(".new");
    fs::write(&new, bytes)?;
    fs::rename(&new, path)
}
