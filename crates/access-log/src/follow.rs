//! Follows a log that another program writes, line by line, past its rotation and past restarts of either.
//!
//! A file is known by its inode and by a hash of its first bytes: a file that was renamed is the same file, and one that was truncated, or
//! that got the inode of a removed one, is not. After a rotation the old file is read until nothing has come for a while, because its
//! writer notices late. Files that came and went between two polls are found beside the followed one, by their name and by when they
//! were written last. Of a file that was copied and truncated, the copy gives what had not been read yet.
//!
//! **Invariant:** a line is handed over when its end has been written, once; only a crash between lines handed over and the next
//! checkpoint has them read again.
//!
//! It polls and holds no thread. What it cannot find again, a rotated file that was removed or compressed meanwhile, it counts as lost.

mod mark;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::Duration;

use hotshelf_model::Boot;
use memchr::{memchr, memchr_iter, memrchr};

use crate::lines::{LINE_BYTES_MAX, without_return};
use mark::{Mark, candidates, load, save};

/// An old file that has not grown for so long gets no more lines.
const OLD_QUIET: Duration = Duration::from_secs(10);
/// Files that are remembered, so that a rotated one is not taken for a new one.
const FILES_MAX: usize = 16;
const BUFFER_BYTES: usize = 4 * LINE_BYTES_MAX;
/// One poll reads no more of a file.
const POLL_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What became of the followed bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowTally {
    /// Lines that were handed over.
    pub lines: u64,
    /// Lines longer than [`LINE_BYTES_MAX`], which were skipped.
    pub too_long: u64,
    /// Rotated files that ended without a line end; what followed their last line was left.
    pub unended: u64,
    /// Files of which the rest could not be found again.
    pub lost: u64,
}

/// Follows one log.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    checkpoint: PathBuf,
    /// In the order in which they were written; the last one is the log's current file.
    files: Vec<Followed>,
    buffer: Vec<u8>,
    tally: FollowTally,
}

/// A file that is, or was, followed.
#[derive(Debug)]
struct Followed {
    mark: Mark,
    /// `None` when no more lines are expected.
    file: Option<File>,
    quiet_since: Option<Boot>,
}

impl Followed {
    fn new(file: File, mark: Mark) -> Self {
        Followed {
            mark,
            file: Some(file),
            quiet_since: None,
        }
    }
}

impl Follow {
    /// Goes on where the checkpoint says. Without one, it begins at the end of the log: what is old is of no use to who follows.
    ///
    /// # Errors
    /// When the log is there and cannot be read, or the checkpoint cannot.
    pub fn open(path: PathBuf, checkpoint: PathBuf) -> io::Result<Self> {
        let mut follow = Follow {
            files: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            tally: FollowTally::default(),
            path,
            checkpoint,
        };
        match load(&follow.checkpoint)? {
            Some(marks) => follow.resume(marks)?,
            None => follow.begin_at_the_end()?,
        }
        Ok(follow)
    }

    /// What became of the bytes so far.
    pub fn tally(&self) -> FollowTally {
        self.tally
    }

    /// Hands over the lines that have come since the last poll, without their ends. True when there are more already.
    ///
    /// # Errors
    /// When a file cannot be read; the lines before are handed over, and the next poll goes on after them. A log that is not there is
    /// no error.
    pub fn poll(&mut self, now: Boot, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        self.find_new()?;
        let mut more = false;
        let mut at = 0;
        while at < self.files.len() {
            self.find_copy_of_truncated(at)?;
            more |= self.read(at, &mut take)?;
            at += 1;
        }
        self.close_old(now)?;
        Ok(more)
    }

    /// Writes down how far the lines were handed over, for a restart.
    ///
    /// # Errors
    /// When the checkpoint cannot be written; the one before stays.
    pub fn checkpoint(&self) -> io::Result<()> {
        let marks: Vec<&Mark> = self.files.iter().map(|followed| &followed.mark).collect();
        save(&self.checkpoint, &marks)
    }

    fn begin_at_the_end(&mut self) -> io::Result<()> {
        let Some(file) = open_if_there(&self.path)? else {
            return Ok(());
        };
        let mut mark = Mark::new(&file)?;
        let length = file.metadata()?.len();
        let from = length.saturating_sub(LINE_BYTES_MAX as u64);
        let buffer = &mut self.buffer[..LINE_BYTES_MAX];
        let count = file.read_at(buffer, from)?;
        // A line that is only half there yet is read from its beginning.
        match memrchr(b'\n', &buffer[..count]) {
            Some(end) => mark.offset = from + end as u64 + 1,
            None if from == 0 => mark.offset = 0,
            None => (mark.offset, mark.skipping) = (length, true),
        }
        mark.learn_head(&file)?;
        self.files.push(Followed::new(file, mark));
        Ok(())
    }

    /// Finds the files of a checkpoint again.
    fn resume(&mut self, marks: Vec<Mark>) -> io::Result<()> {
        let names = candidates(&self.path)?;
        for mark in marks {
            let found = names.iter().find_map(|(file, now)| {
                let same = mark.is_same_file(now) && mark.is_head_of(file);
                same.then(|| file.try_clone())
            });
            let copy = || {
                let mut copies = names.iter().filter(|(file, _)| mark.is_copied_to(file));
                copies.next().map(|(file, _)| file.try_clone())
            };
            match found.or_else(copy).transpose()? {
                Some(file) => {
                    let mark = mark.moved_to(&file)?;
                    let file = (!mark.closed).then_some(file);
                    let quiet_since = None;
                    self.files.push(Followed {
                        mark,
                        file,
                        quiet_since,
                    });
                }
                // Nothing was to be expected of a closed one.
                None => self.tally.lost += u64::from(!mark.closed),
            }
        }
        Ok(())
    }

    /// Looks whether the log is another file than before, and which others came between.
    fn find_new(&mut self) -> io::Result<()> {
        let Some(file) = open_if_there(&self.path)? else {
            return Ok(());
        };
        let current = Mark::new(&file)?;
        // A closed file is gone from our hands, and its inode may have been given to another.
        self.files.retain(|known| {
            let reused = known.file.is_none()
                && known.mark.is_same_file(&current)
                && !known.mark.is_head_of(&file);
            !reused
        });
        if self.is_known(&current) {
            return Ok(());
        }
        if let Some(newest) = self.files.last() {
            let since = match &newest.file {
                Some(file) => file.metadata().map(|file| modified(&file))?,
                None => newest.mark.modified,
            };
            let mut between = candidates(&self.path)?;
            between.retain(|(_, mark)| {
                mark.modified >= since && !mark.is_same_file(&current) && !self.is_known(mark)
            });
            between.sort_by_key(|(_, mark)| mark.modified);
            let between = between.into_iter();
            self.files
                .extend(between.map(|(file, mark)| Followed::new(file, mark)));
        }
        self.files.push(Followed::new(file, current));
        Ok(())
    }

    fn is_known(&self, mark: &Mark) -> bool {
        self.files.iter().any(|known| known.mark.is_same_file(mark))
    }

    /// A file that became shorter, or begins with other bytes, was truncated: it is read from its beginning. What was not read of it
    /// before may be in a copy beside it, which is then read first.
    fn find_copy_of_truncated(&mut self, at: usize) -> io::Result<()> {
        let Followed { mark, file, .. } = &mut self.files[at];
        let Some(file) = file else { return Ok(()) };
        if mark.is_head_of(file) {
            return Ok(());
        }
        let before = std::mem::replace(mark, Mark::new(file)?);
        let mut copies = candidates(&self.path)?.into_iter();
        match copies.find(|(file, mark)| before.is_copied_to(file) && !self.is_known(mark)) {
            Some((file, _)) => {
                let mark = before.moved_to(&file)?;
                self.files.insert(at, Followed::new(file, mark));
            }
            None => self.tally.lost += 1,
        }
        Ok(())
    }

    /// Hands over the lines of one file; true when there are more than one poll reads.
    fn read(&mut self, at: usize, take: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        let Followed {
            mark,
            file,
            quiet_since,
        } = &mut self.files[at];
        let Some(file) = file else { return Ok(false) };
        let begun = mark.offset;
        while mark.offset - begun < POLL_BYTES_MAX {
            let count = file.read_at(&mut self.buffer, mark.offset)?;
            let step = step(&self.buffer[..count], mark, &mut self.tally, take);
            if step == 0 {
                break;
            }
            mark.offset += step as u64;
            *quiet_since = None;
        }
        mark.learn_head(file)?;
        Ok(mark.offset - begun >= POLL_BYTES_MAX)
    }

    /// Closes files that were rotated away and have been quiet.
    fn close_old(&mut self, now: Boot) -> io::Result<()> {
        let old = self.files.len().saturating_sub(1);
        for followed in &mut self.files[..old] {
            let Some(file) = &followed.file else { continue };
            let since = *followed.quiet_since.get_or_insert(now);
            if now.since(since) < OLD_QUIET {
                continue;
            }
            let metadata = file.metadata()?;
            self.tally.unended += u64::from(metadata.len() > followed.mark.offset);
            followed.mark.modified = modified(&metadata);
            followed.mark.closed = true;
            followed.file = None;
        }
        let forgotten = self.files.len().saturating_sub(FILES_MAX);
        let open = self
            .files
            .drain(..forgotten)
            .filter(|old| old.file.is_some());
        self.tally.lost += open.count() as u64;
        Ok(())
    }
}

/// Hands over the whole lines in `bytes`; says how many bytes are done with.
fn step(
    bytes: &[u8],
    mark: &mut Mark,
    tally: &mut FollowTally,
    take: &mut impl FnMut(&[u8]),
) -> usize {
    if mark.skipping {
        let end = memchr(b'\n', bytes);
        mark.skipping = end.is_none();
        return end.map_or(bytes.len(), |end| end + 1);
    }
    let mut start = 0;
    for end in memchr_iter(b'\n', bytes) {
        let line = &bytes[start..end];
        start = end + 1;
        if line.len() > LINE_BYTES_MAX {
            tally.too_long += 1;
            continue;
        }
        tally.lines += 1;
        take(without_return(line));
    }
    if bytes.len() - start > LINE_BYTES_MAX {
        tally.too_long += 1;
        mark.skipping = true;
        start = bytes.len();
    }
    start
}

fn open_if_there(path: &std::path::Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "only a regular file can be followed",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// When a file was written last, in nanoseconds.
fn modified(metadata: &std::fs::Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

#[cfg(test)]
mod tests;
