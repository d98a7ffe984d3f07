//! The access log on disk: files of bounded size and age, and a bound on all of them together.
//!
//! The files of a folder are numbered, and only names of that form are ever touched. The folder is locked for one writer: two would
//! remove each other's files. After a restart writing goes on in a new file, so that what a crash tore off stays at a file's end.
//!
//! What cannot be written is given up and counted: an access log takes nothing down, and tries again with the next chunk. Nothing is
//! synced, so a machine that loses its power loses the last seconds of the log; a process that dies loses what was not yet handed over.

mod folder;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use hotshelf_model::{Boot, Error};
use hotshelf_telemetry::Counter;
use hotshelf_telemetry::metric::{ACCESS_LOG_BYTES, ACCESS_LOG_FAILURES};

use folder::Folder;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Compressed blocks ([`crate::block`]); files end in `.hslog`.
    Blocks,
    /// JSON lines ([`crate::json`]); files end in `.jsonl`.
    Json,
}

impl LogFormat {
    fn extension(self) -> &'static str {
        match self {
            LogFormat::Blocks => "hslog",
            LogFormat::Json => "jsonl",
        }
    }
}

/// Where the log goes, and how much of it is kept.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// The folder, which is made when it is missing. Another writer must not use it at the same time.
    pub folder: PathBuf,
    /// How records are written.
    pub format: LogFormat,
    /// A file is followed by the next one before it is larger than this.
    pub file_bytes_max: u64,
    /// A file is followed by the next one when it is older than this.
    pub file_age_max: Duration,
    /// All files together are never larger than this; the oldest go first. At least one file of [`WriterSettings::file_bytes_max`].
    pub bytes_max: u64,
}

/// Appends chunks to the newest file.
#[derive(Debug)]
pub struct Writer {
    settings: WriterSettings,
    folder: Folder,
    current: Option<Current>,
    counters: Counters,
}

/// The file that is written to.
#[derive(Debug)]
struct Current {
    file: File,
    bytes: u64,
    opened: Boot,
}

#[derive(Debug)]
struct Counters {
    bytes: Counter,
    create: Counter,
    write: Counter,
    remove: Counter,
}

impl Writer {
    /// Takes the folder. No file is made before there is something to write.
    ///
    /// # Errors
    /// When the folder cannot be made or listed, or another writer has it.
    pub fn open(settings: WriterSettings) -> Result<Self, Error> {
        let failure = |call| ACCESS_LOG_FAILURES.counter(&[("call", call)]);
        Ok(Writer {
            folder: Folder::open(&settings.folder)?,
            settings,
            current: None,
            counters: Counters {
                bytes: ACCESS_LOG_BYTES.counter(&[]),
                create: failure("create"),
                write: failure("write"),
                remove: failure("remove"),
            },
        })
    }

    /// How records are written.
    pub fn format(&self) -> LogFormat {
        self.settings.format
    }

    /// Appends whole blocks or lines. After an error nothing of the chunk is in the log, or it lies torn at a file's end.
    ///
    /// # Errors
    /// When there is no room within the bounds, or the file system fails. It is counted, and the next chunk may succeed.
    pub fn write(&mut self, chunk: &[u8], now: Boot) -> io::Result<()> {
        let bytes = chunk.len() as u64;
        if bytes > self.settings.bytes_max {
            self.counters.write.increment(1);
            return Err(io::Error::other("a chunk is larger than the log may be"));
        }
        if self.is_over(bytes, now) {
            self.current = None;
        }
        self.make_room(bytes)?;
        let current = match &mut self.current {
            Some(current) => current,
            none => {
                let file = self.folder.create(self.settings.format.extension());
                let file = file.inspect_err(|_| self.counters.create.increment(1))?;
                none.insert(Current {
                    file,
                    bytes: 0,
                    opened: now,
                })
            }
        };
        if let Err(error) = current.file.write_all(chunk) {
            self.counters.write.increment(1);
            self.take_back();
            return Err(error);
        }
        current.bytes += bytes;
        self.folder.grown(bytes);
        self.counters.bytes.increment(bytes);
        Ok(())
    }

    /// Whether the current file is not to be written to any more.
    fn is_over(&self, bytes: u64, now: Boot) -> bool {
        let Some(current) = &self.current else {
            return false;
        };
        let is_full = current.bytes > 0 && current.bytes + bytes > self.settings.file_bytes_max;
        let is_old = now.since(current.opened) >= self.settings.file_age_max;
        // Somebody may have removed the file, and what goes into it then is gone.
        let is_gone = current.file.metadata().is_ok_and(|file| file.nlink() == 0);
        is_full || is_old || is_gone
    }

    /// Removes the oldest files until there is room for a chunk.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        while self.folder.bytes() + bytes > self.settings.bytes_max {
            // The file that is written to is the last to go.
            if self.folder.files() == 1 {
                self.current = None;
            }
            self.folder
                .remove_oldest()
                .inspect_err(|_| self.counters.remove.increment(1))?;
        }
        Ok(())
    }

    /// Cuts off what an unfinished write left. Where that fails, the file ends torn, and another one follows it.
    fn take_back(&mut self) {
        let Some(current) = &mut self.current else {
            return;
        };
        if current.file.set_len(current.bytes).is_err() {
            let length = current.file.metadata().map_or(0, |file| file.len());
            self.folder.grown(length.saturating_sub(current.bytes));
            self.current = None;
        }
    }
}

#[cfg(test)]
mod tests;
