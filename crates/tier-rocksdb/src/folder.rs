//! The folder of L3: whose it is, opening it, and starting cold when what it holds is damaged.
//!
//! A file of ours marks the folder. Without it nothing but an empty folder is accepted, so that neither the size limit nor a cold
//! start can remove somebody else's database.

use std::fs;
use std::io;
use std::path::Path;

use hotshelf_model::{Error, ErrorKind};
use rocksdb::{DB, Options};

use crate::options::options;
use crate::settings::RocksSettings;

const MARK: &str = "HOTSHELF-L3";
const MARK_TEXT: &str =
    "This folder is a cache of hotshelf. RocksDB's files in it may be removed at any time.\n";
/// Made by `mkfs` at the root of a filesystem.
const LOST_AND_FOUND: &str = "lost+found";

/// A database that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) db: DB,
    /// What it held was damaged and has been removed.
    pub(crate) recreated: bool,
}

pub(crate) fn open(settings: &RocksSettings) -> Result<Opened, Error> {
    claim(&settings.folder)?;
    if lost_its_manifest(&settings.folder)? {
        return recreate(settings, "its CURRENT file is missing");
    }
    match open_db(settings) {
        Ok(db) => Ok(Opened {
            db,
            recreated: false,
        }),
        Err(error) if is_damage(&error) => recreate(settings, error.as_ref()),
        Err(error) => Err(open_error(settings, error)),
    }
}

fn recreate(settings: &RocksSettings, why: &str) -> Result<Opened, Error> {
    let folder = settings.folder.display();
    tracing::warn!(%folder, why, "l3 is damaged: removing what it holds and starting cold");
    DB::destroy(&Options::default(), &settings.folder).map_err(|error| {
        let context = format!("removing the damaged l3 in {folder}");
        Error::new(ErrorKind::Unavailable, context).with_source(error)
    })?;
    let db = open_db(settings).map_err(|error| open_error(settings, error))?;
    Ok(Opened {
        db,
        recreated: true,
    })
}

fn open_db(settings: &RocksSettings) -> Result<DB, rocksdb::Error> {
    let opened = open_with(settings, settings.direct_io);
    match opened {
        Err(error) if settings.direct_io && refuses_direct_io(&error) => {
            let folder = settings.folder.display();
            tracing::warn!(%folder, %error, "l3's filesystem refuses direct I/O: using the page cache");
            open_with(settings, false)
        }
        Ok(_) | Err(_) => opened,
    }
}

fn open_with(settings: &RocksSettings, direct_io: bool) -> Result<DB, rocksdb::Error> {
    let options = options(settings, direct_io)?;
    // The column family is named, because only then is there a handle to it, which a batch of lookups needs.
    DB::open_cf_with_opts(&options, &settings.folder, [("default", options.clone())])
}

/// Makes the folder ours, or says why it can't be.
fn claim(folder: &Path) -> Result<(), Error> {
    let failed = |error: io::Error| {
        let context = format!("opening l3's folder {}", folder.display());
        Error::new(ErrorKind::Unavailable, context).with_source(error)
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let mark = folder.join(MARK);
    if mark.try_exists().map_err(failed)? {
        return Ok(());
    }
    for file in fs::read_dir(folder).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        if name != LOST_AND_FOUND {
            let context = format!(
                "opening l3's folder {}: it holds `{}` and was not made by hotshelf; name an empty folder or empty this one",
                folder.display(),
                name.to_string_lossy()
            );
            return Err(Error::new(ErrorKind::Invalid, context));
        }
    }
    fs::write(mark, MARK_TEXT).map_err(failed)
}

/// Whether there are table files that no CURRENT file leads to. RocksDB would begin anew among them.
fn lost_its_manifest(folder: &Path) -> Result<bool, Error> {
    let look = || -> io::Result<bool> {
        if folder.join("CURRENT").try_exists()? {
            return Ok(false);
        }
        for file in fs::read_dir(folder)? {
            let name = file?.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".sst") || name.starts_with("MANIFEST-") {
                return Ok(true);
            }
        }
        Ok(false)
    };
    look().map_err(|error| {
        let context = format!("listing l3's folder {}", folder.display());
        Error::new(ErrorKind::Unavailable, context).with_source(error)
    })
}

fn refuses_direct_io(error: &rocksdb::Error) -> bool {
    error.as_ref().contains("Direct I/O")
}

/// A file that the manifest names and the folder has not is damage too. A full disk, a held lock or a lack of rights is not.
fn is_damage(error: &rocksdb::Error) -> bool {
    let missing = error.as_ref().contains("No such file or directory");
    error.kind() == rocksdb::ErrorKind::Corruption || missing
}

fn open_error(settings: &RocksSettings, error: rocksdb::Error) -> Error {
    let folder = settings.folder.display();
    let text = error.as_ref();
    let locked = text.contains("lock hold by current process") || text.contains("While lock file");
    let context = if locked {
        format!(
            "opening l3 in {folder}: it is in use by another process; give each node its own folder"
        )
    } else {
        format!("opening l3 in {folder}")
    };
    Error::new(ErrorKind::Unavailable, context).with_source(error)
}
