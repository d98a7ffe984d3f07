//! A server's own folder in the system's temporary folder.

use std::path::Path;
use std::sync::Once;

use anyhow::Context;
use tempfile::TempDir;

const PREFIX: &str = "hotshelf-test-";
static CLEANED: Once = Once::new();

/// Makes a folder that is removed when dropped. Its name holds this process's id, by which folders that a killed process
/// left behind are known and removed first.
pub(super) fn create(server: &str) -> anyhow::Result<TempDir> {
    CLEANED.call_once(remove_stale);
    let prefix = format!("{PREFIX}{}-{server}-", std::process::id());
    tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir()
        .with_context(|| format!("creating a temporary folder for {server}"))
}

/// Removing is best effort: another process may be doing the same.
fn remove_stale() {
    let Ok(folders) = std::fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for folder in folders.flatten() {
        if owner(&folder.file_name().to_string_lossy()).is_some_and(is_gone) {
            std::fs::remove_dir_all(folder.path()).unwrap_or_default();
        }
    }
}

fn owner(folder: &str) -> Option<u32> {
    folder.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Processes of this one's own time do not count as gone, whatever `/proc` says: it may not be mounted.
fn is_gone(pid: u32) -> bool {
    let listed = |pid: u32| {
        Path::new(&format!("/proc/{pid}"))
            .try_exists()
            .unwrap_or(true)
    };
    listed(std::process::id()) && !listed(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_processes_that_ended_are_stale() {
        assert_eq!(owner("hotshelf-test-123-redis-Ab1"), Some(123));
        assert_eq!(owner("hotshelf-testing"), None);
        assert!(!is_gone(std::process::id()));
        assert!(is_gone(u32::MAX));
    }
}
