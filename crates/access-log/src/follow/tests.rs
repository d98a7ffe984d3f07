//! Every line once, whatever becomes of the file.

use std::fs::{self, OpenOptions};
use std::io::Write;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A log, whoever writes it, and whoever follows it.
struct Stage {
    folder: TempDir,
    follow: Follow,
    lines: Vec<String>,
    now: Boot,
}

impl Stage {
    /// Follows a log that is not there yet.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::over(folder)
    }

    fn over(folder: TempDir) -> Self {
        let follow = open(&folder);
        Stage {
            folder,
            follow,
            lines: Vec::new(),
            now: Boot(0),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Appends as a program does that opened the file by this name.
    fn append(&self, name: &str, text: &str) {
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Polls until there is no more; gives the lines that came.
    fn poll(&mut self) -> Vec<String> {
        let mut came = Vec::new();
        let take = |line: &[u8], came: &mut Vec<String>| {
            came.push(String::from_utf8(line.to_vec()).unwrap());
        };
        while self
            .follow
            .poll(self.now, |line| take(line, &mut came))
            .unwrap()
        {}
        self.lines.extend(came.iter().cloned());
        came
    }

    fn restart(&mut self) {
        self.follow.checkpoint().unwrap();
        let tally = self.follow.tally;
        self.follow = open(&self.folder);
        self.follow.tally.lost += tally.lost;
    }
}

fn open(folder: &TempDir) -> Follow {
    // Beside the log and with its name before it, as somebody will put it.
    let path = |name: &str| folder.path().join(name);
    Follow::open(path("access.log"), path("access.log.checkpoint")).unwrap()
}

#[test]
fn a_line_comes_when_its_end_does() {
    let mut stage = Stage::new();
    assert!(stage.poll().is_empty());
    stage.append("access.log", "one\ntw");
    assert_eq!(stage.poll(), ["one"]);
    assert!(stage.poll().is_empty());
    stage.append("access.log", "o\r\n\nthree");
    assert_eq!(stage.poll(), ["two", ""]);
    stage.restart();
    stage.append("access.log", "\n");
    assert_eq!(stage.poll(), ["three"]);
}

#[test]
fn without_a_checkpoint_it_begins_at_the_last_line_that_is_not_ended() {
    for (held, more, wanted) in [
        ("old\nhal", "f\n", vec!["half"]),
        ("old\n", "new\n", vec!["new"]),
        ("hal", "f\n", vec!["half"]),
        ("", "new\n", vec!["new"]),
        (&*"x".repeat(LINE_BYTES_MAX + 1), "x\nnew\n", vec!["new"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("access.log"), held).unwrap();
        let mut stage = Stage::over(folder);
        assert!(stage.poll().is_empty());
        stage.append("access.log", more);
        assert_eq!(stage.poll(), wanted);
    }
}

#[test]
fn a_line_that_is_too_long_is_skipped_and_counted_once() {
    let mut stage = Stage::new();
    stage.append("access.log", "a\n");
    for _ in 0..5 {
        stage.append("access.log", &"x".repeat(BUFFER_BYTES / 2));
        stage.poll();
        stage.restart();
    }
    stage.append("access.log", "x\nb\n");
    stage.append("access.log", &("y".repeat(LINE_BYTES_MAX + 1) + "\nc\n"));
    stage.poll();
    assert_eq!(stage.lines, ["a", "b", "c"]);
    let longest = "z".repeat(LINE_BYTES_MAX);
    stage.append("access.log", &(longest.clone() + "\n"));
    assert_eq!(stage.poll(), [longest]);
    assert_eq!(
        stage.follow.tally().too_long,
        1,
        "the first was counted before a restart"
    );
}

#[test]
fn a_writer_that_notices_the_rotation_late_loses_nothing() {
    let mut stage = Stage::new();
    stage.append("access.log", "1\n");
    stage.poll();
    stage.append("access.log", "2\n3");
    stage.rename("access.log", "access.log.1");
    assert_eq!(stage.poll(), ["2"]);
    stage.append("access.log.1", "\n4\n");
    stage.append("access.log", "5\n");
    assert_eq!(stage.poll(), ["3", "4", "5"]);
    stage.append("access.log.1", "6\nunended");
    stage.append("access.log", "7\n");
    stage.restart();
    assert_eq!(stage.poll(), ["6", "7"]);
    // The old file is closed when it has been quiet for long enough, and not before.
    let almost = OLD_QUIET - Duration::from_secs(1);
    for line in ["8", "9"] {
        stage.now = stage.now.plus(almost);
        stage.append("access.log.1", &format!("\n{line}\nunended"));
        assert_eq!(stage.poll(), ["unended", line]);
        assert!(stage.follow.files[0].file.is_some());
    }
    stage.now = stage.now.plus(OLD_QUIET);
    stage.poll();
    assert!(stage.follow.files[0].file.is_none());
    assert_eq!(stage.follow.tally().unended, 1);
}

#[test]
fn files_that_came_and_went_between_two_polls_are_read_and_older_ones_are_not() {
    for restart in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let ancient = folder.path().join("access.log.3");
        fs::write(&ancient, "ancient\n").unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let ancient = fs::File::options().append(true).open(ancient).unwrap();
        ancient.set_modified(long_ago).unwrap();
        let mut stage = Stage::over(folder);
        stage.append("access.log", "1\n");
        stage.poll();
        if restart {
            stage.follow.checkpoint().unwrap();
        }
        stage.append("access.log", "2\n");
        stage.rename("access.log", "access.log.2");
        stage.append("access.log", "3\n");
        stage.rename("access.log", "access.log.1");
        stage.append("access.log.1.gz", "compressed\n");
        stage.append("access.log.swp", "an editor's\n");
        stage.append("access.log", "4\n");
        if restart {
            stage.follow = open(&stage.folder);
        }
        assert_eq!(stage.poll(), ["2", "3", "4"]);
        assert_eq!(stage.follow.tally().lost, 0);
    }
}

#[test]
fn a_log_that_is_truncated_is_read_from_its_beginning() {
    let mut stage = Stage::new();
    stage.append("access.log", "a long first line\nsecond\n");
    stage.poll();
    fs::write(stage.path("access.log"), "new\n").unwrap();
    assert_eq!(stage.poll(), ["new"]);
    // Also when it has grown past its former length before anybody looked.
    fs::write(stage.path("access.log"), "again another text\n".repeat(3)).unwrap();
    assert_eq!(stage.poll().len(), 3);
    assert_eq!(
        stage.follow.tally().lost,
        2,
        "what was not read before cannot be known"
    );
}

#[test]
fn what_was_written_before_a_copy_and_truncation_is_read_from_the_copy() {
    for restart in [false, true] {
        let mut stage = Stage::new();
        stage.append("access.log", "1\n2\n");
        stage.poll();
        stage.follow.checkpoint().unwrap();
        stage.append("access.log", "3\n4");
        fs::copy(stage.path("access.log"), stage.path("access.log.1")).unwrap();
        let log = OpenOptions::new()
            .write(true)
            .open(stage.path("access.log"))
            .unwrap();
        log.set_len(0).unwrap();
        if restart {
            stage.follow = open(&stage.folder);
        }
        stage.append("access.log", "5\n");
        assert_eq!(stage.poll(), ["3", "5"], "{restart}");
        assert_eq!(stage.follow.tally().lost, 0);
    }
}

#[test]
fn a_rotated_file_that_is_gone_after_a_restart_is_counted_as_lost() {
    let mut stage = Stage::new();
    stage.append("access.log", "1\n");
    stage.poll();
    stage.follow.checkpoint().unwrap();
    stage.append("access.log", "2\n");
    stage.rename("access.log", "elsewhere.log");
    stage.append("access.log", "3\n");
    stage.follow = open(&stage.folder);
    assert_eq!(stage.poll(), ["3"]);
    assert_eq!(stage.follow.tally().lost, 1);
}

#[test]
fn no_old_file_is_taken_for_one_of_which_nothing_was_read() {
    let mut stage = Stage::new();
    stage.append("access.log.1", "of yesterday\n");
    stage.append("access.log", "");
    stage.poll();
    stage.follow.checkpoint().unwrap();
    fs::remove_file(stage.path("access.log")).unwrap();
    stage.follow = open(&stage.folder);
    assert!(stage.poll().is_empty());
}

#[test]
fn a_checkpoint_that_cannot_be_understood_is_none() {
    for bytes in ["", "{}", "{\"format\":9,\"files\":[]}", "\u{0}"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("access.log.checkpoint"), bytes).unwrap();
        fs::write(folder.path().join("access.log"), "old\n").unwrap();
        let mut stage = Stage::over(folder);
        stage.append("access.log", "new\n");
        assert_eq!(stage.poll(), ["new"]);
    }
}

#[test]
fn a_folder_in_the_place_of_the_log_is_an_error_and_passes() {
    let mut stage = Stage::new();
    fs::create_dir(stage.path("access.log")).unwrap();
    assert!(stage.follow.poll(Boot(0), |_| ()).is_err());
    fs::remove_dir(stage.path("access.log")).unwrap();
    stage.append("access.log", "1\n");
    assert_eq!(stage.poll(), ["1"]);
}

#[test]
fn a_poll_is_bounded_and_says_that_there_is_more() {
    let mut stage = Stage::new();
    let text = "0123456789\n".repeat(2_000_000);
    stage.append("access.log", &text);
    let mut lines = 0;
    assert!(stage.follow.poll(Boot(0), |_| lines += 1).unwrap());
    assert!(lines < 2_000_000);
    assert!(!stage.follow.poll(Boot(0), |_| lines += 1).unwrap());
    assert_eq!(lines, 2_000_000);
}

/// What may happen to a log.
#[derive(Clone, Copy, Debug)]
enum Step {
    Line,
    Half,
    Rotate,
    Late,
    Poll,
    Restart,
    Wait,
}

fn any_step() -> impl Strategy<Value = Step> {
    use Step::{Half, Late, Line, Poll, Restart, Rotate, Wait};
    prop::sample::select(vec![
        Line, Line, Half, Rotate, Late, Poll, Poll, Restart, Wait,
    ])
}

proptest! {
    #[test]
    fn renaming_loses_and_repeats_no_line(steps in proptest::collection::vec(any_step(), 0..40)) {
        let mut stage = Stage::new();
        stage.append("access.log", "");
        stage.poll();
        let (mut number, mut rotations) = (0, 0);
        let mut line = |half: bool| {
            number += 1;
            if half { format!("{number}\n{number}") } else { format!("-{number}\n") }
        };
        for step in steps {
            match step {
                Step::Line => stage.append("access.log", &line(false)),
                Step::Half => stage.append("access.log", &line(true)),
                // Twelve at most are remembered; nobody rotates more often between two polls.
                Step::Rotate if rotations < 12 && stage.path("access.log").try_exists().unwrap() => {
                    // The file of a rotation ends with a line.
                    stage.append("access.log", &line(false));
                    rotations += 1;
                    stage.rename("access.log", &format!("access.log.{rotations}"));
                }
                Step::Late if rotations > 0 && stage.follow.files.iter().all(|old| old.file.is_some()) => {
                    stage.append(&format!("access.log.{rotations}"), &line(false));
                }
                Step::Rotate | Step::Late => {}
                Step::Poll => drop(stage.poll()),
                Step::Restart => stage.restart(),
                Step::Wait => stage.now = stage.now.plus(OLD_QUIET),
            }
        }
        stage.append("access.log", "-end\n");
        stage.poll();
        let mut wanted = Vec::new();
        for name in (1..=rotations).map(|n| format!("access.log.{n}")).chain(["access.log".to_owned()]) {
            let text = fs::read_to_string(stage.path(&name)).unwrap();
            wanted.extend(text.lines().map(str::to_owned));
        }
        wanted.sort();
        stage.lines.sort();
        prop_assert_eq!(&stage.lines, &wanted);
        prop_assert_eq!(stage.follow.tally().lost, 0);
    }
}
