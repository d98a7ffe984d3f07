//! The log's bounds hold, and what fails is given up and nothing else.

use std::fs;
use std::path::Path;

use hotshelf_model::ErrorKind;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

const NOW: Boot = Boot(1_000_000_000_000);

fn settings(folder: &Path) -> WriterSettings {
    WriterSettings {
        folder: folder.to_owned(),
        format: LogFormat::Blocks,
        file_bytes_max: 100,
        file_age_max: Duration::from_secs(60),
        bytes_max: 250,
    }
}

/// Names and sizes of the folder's files, in order.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                entry.metadata().unwrap().len(),
            )
        })
        .collect();
    files.sort();
    files
}

fn named(files: &[(u64, u64)]) -> Vec<(String, u64)> {
    let name = |&(number, bytes)| (format!("access-{number:010}.hslog"), bytes);
    files.iter().map(name).collect()
}

#[test]
fn a_file_is_followed_by_the_next_before_it_is_too_large_and_the_oldest_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(settings(folder.path())).unwrap();
    assert_eq!(files(folder.path()), []);
    let mut seen = Vec::new();
    for _ in 0..7 {
        writer.write(&[b'x'; 40], NOW).unwrap();
        let held: u64 = files(folder.path()).iter().map(|(_, bytes)| bytes).sum();
        assert!(held <= 250, "{held}");
        seen = files(folder.path());
    }
    assert_eq!(seen, named(&[(2, 80), (3, 80), (4, 40)]));
}

#[test]
fn a_file_is_followed_by_the_next_when_it_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(settings(folder.path())).unwrap();
    for seconds in [0, 59, 60, 61] {
        writer
            .write(b"x", NOW.plus(Duration::from_secs(seconds)))
            .unwrap();
    }
    assert_eq!(files(folder.path()), named(&[(1, 2), (2, 2)]));
}

#[test]
fn a_chunk_larger_than_a_file_has_one_of_its_own_and_one_larger_than_the_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(settings(folder.path())).unwrap();
    for bytes in [10, 150, 10] {
        writer.write(&vec![b'x'; bytes], NOW).unwrap();
    }
    assert_eq!(files(folder.path()), named(&[(1, 10), (2, 150), (3, 10)]));
    assert!(writer.write(&[b'x'; 251], NOW).is_err());
    writer.write(b"x", NOW).unwrap();
    assert_eq!(files(folder.path()), named(&[(1, 10), (2, 150), (3, 11)]));
}

#[test]
fn a_restart_goes_on_with_a_new_file_and_touches_none_that_is_not_ours() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = [
        "access-1.hslog",
        "access-0000000001.log",
        "access-0000000001.hslog.gz",
        "access.log",
        "notes.txt",
    ];
    for name in foreign {
        fs::write(folder.path().join(name), [b'x'; 300]).unwrap();
    }
    std::os::unix::fs::symlink("notes.txt", folder.path().join("access-0000000001.hslog")).unwrap();
    fs::create_dir(folder.path().join("access-0000000002.hslog")).unwrap();
    fs::write(folder.path().join("access-0000000007.jsonl"), [b'x'; 120]).unwrap();
    let before = files(folder.path());
    for _ in 0..4 {
        // Each time as after a crash.
        let mut writer = Writer::open(settings(folder.path())).unwrap();
        writer.write(&[b'x'; 60], NOW).unwrap();
    }
    let after = files(folder.path());
    let kept = before.iter().filter(|(name, _)| !name.ends_with("7.jsonl"));
    for file in kept {
        assert!(after.contains(file), "{file:?}");
    }
    let new = after.iter().filter(|file| !before.contains(file)).cloned();
    assert_eq!(
        new.collect::<Vec<_>>(),
        named(&[(8, 60), (9, 60), (10, 60), (11, 60)])
    );
    assert!(!after.iter().any(|(name, _)| name.ends_with("7.jsonl")));
}

#[test]
fn a_name_that_is_taken_by_something_else_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("access-0000000001.hslog");
    std::os::unix::fs::symlink("elsewhere", &taken).unwrap();
    let mut writer = Writer::open(settings(folder.path())).unwrap();
    writer.write(b"x", NOW).unwrap();
    fs::remove_file(taken).unwrap();
    assert_eq!(files(folder.path()), named(&[(2, 1)]));
}

#[test]
fn a_folder_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(settings(folder.path())).unwrap();
    let second = Writer::open(settings(folder.path())).unwrap_err();
    assert!(
        second.to_string().contains("in use by another process"),
        "{second}"
    );
    assert_eq!(second.kind(), ErrorKind::Unavailable);
    drop(writer);
    Writer::open(settings(folder.path())).unwrap();
}

#[test]
fn a_folder_that_goes_away_costs_only_what_is_written_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut writer = Writer::open(settings(&log)).unwrap();
    writer.write(b"before", NOW).unwrap();
    fs::remove_dir_all(&log).unwrap();
    writer.write(b"meanwhile", NOW).unwrap_err();
    fs::create_dir(&log).unwrap();
    writer.write(b"after", NOW).unwrap();
    assert_eq!(files(&log), named(&[(2, 5)]));
}

#[test]
fn a_file_that_somebody_removed_is_followed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(settings(folder.path())).unwrap();
    writer.write(&[b'x'; 60], NOW).unwrap();
    fs::remove_file(folder.path().join("access-0000000001.hslog")).unwrap();
    writer.write(b"after", NOW).unwrap();
    assert_eq!(files(folder.path()), named(&[(2, 5)]));
}

#[test]
fn the_bound_holds_while_old_files_cannot_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(settings(folder.path())).unwrap();
    for _ in 0..3 {
        writer.write(&[b'x'; 80], NOW).unwrap();
    }
    // What is no file any more is not removed.
    let oldest = folder.path().join("access-0000000001.hslog");
    fs::remove_file(&oldest).unwrap();
    fs::create_dir(&oldest).unwrap();
    for _ in 0..3 {
        writer.write(&[b'x'; 80], NOW).unwrap_err();
    }
    fs::remove_dir(&oldest).unwrap();
    writer.write(&[b'x'; 80], NOW).unwrap();
    assert_eq!(files(folder.path()), named(&[(2, 80), (3, 80), (4, 80)]));
}

/// Runs a test again in a process of its own that lives on when it writes past a limit; true in that process.
fn in_a_process_of_its_own(test: &str) -> bool {
    const MARK: &str = "HAS_A_PROCESS_OF_ITS_OWN";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let run = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(format!("writer::tests::{test}"))
        .env(MARK, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    false
}

#[test]
fn a_write_that_stops_half_way_is_taken_back_and_writing_resumes() {
    if !in_a_process_of_its_own("a_write_that_stops_half_way_is_taken_back_and_writing_resumes") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(settings(folder.path())).unwrap();
    writer.write(&[b'a'; 40], NOW).unwrap();
    // A file of this process may have 50 bytes: as a full disk does, it takes ten of the next forty.
    let limit = getrlimit(Resource::Fsize);
    let small = Rlimit {
        current: Some(50),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Fsize, small).unwrap();
    let error = writer.write(&[b'b'; 40], NOW).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
    assert_eq!(files(folder.path()), named(&[(1, 40)]));
    setrlimit(Resource::Fsize, limit).unwrap();
    writer.write(&[b'c'; 40], NOW).unwrap();
    let held = fs::read(folder.path().join("access-0000000001.hslog")).unwrap();
    assert_eq!(held, [[b'a'; 40], [b'c'; 40]].concat());
}
