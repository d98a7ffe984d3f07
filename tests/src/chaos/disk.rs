//! A disk so small that it can be filled: a file system in memory, where this process may mount one.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const FILLER: &str = "filler";
const SIZE: &str = "size=48m,mode=0755";

/// A mounted file system.
#[derive(Debug)]
pub(super) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one; `None` where that is not allowed.
    pub(super) fn mount() -> Option<Self> {
        let folder = tempfile::Builder::new()
            .prefix("hotshelf-disk-")
            .tempdir()
            .ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]);
        mount.arg(folder.path()).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then_some(SmallDisk { folder })
    }

    /// The folder on it that a node may use.
    pub(super) fn folder(&self) -> String {
        self.folder.path().join("l3").display().to_string()
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join(FILLER)
    }

    /// Takes all space that is left.
    ///
    /// # Errors
    /// When some of it may be left.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        let mut zeros = std::io::repeat(0);
        let mut file = std::fs::File::create(self.filler())?;
        match std::io::copy(&mut zeros, &mut file) {
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Ok(()),
            Err(error) => Err(error.into()),
            Ok(written) => anyhow::bail!("the disk took {written} bytes and is not full"),
        }
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When it could not.
    pub(super) fn empty(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }
}

impl Drop for SmallDisk {
    /// Lazily, because a node that was killed a moment ago may still hold files.
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        unmount.arg("--lazy").arg(self.folder.path());
        unmount.status().ok();
    }
}
