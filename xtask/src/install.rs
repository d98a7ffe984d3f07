//! What building and testing need from the system: the one list, how each is found, how apt-get gets it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use lexopt::Arg::{Long, Value};

use crate::args;
use crate::process;

/// How often apt-get is tried: mirrors fail now and then.
const ATTEMPTS: usize = 2;

/// What is to be done, and so what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building without RocksDB.
    Quick,
    /// Building everything.
    Build,
    /// Building everything and running the tests.
    Test,
    /// The same, with everything that tests may do without elsewhere.
    Ci,
}

/// One thing that the system must have.
#[derive(Debug)]
struct Need {
    what: &'static str,
    why: &'static str,
    packages: &'static [&'static str],
    probe: Probe,
    /// Without an optional one things work, slower.
    optional: bool,
}

#[derive(Debug)]
enum Probe {
    Programs(&'static [&'static str]),
    Libclang,
    Postgres,
    File(&'static str),
}

const COMPILER: Need = Need {
    what: "a C and C++ compiler",
    why: "SQLite, zstd and RocksDB are compiled from source",
    packages: &["gcc", "g++", "libc6-dev"],
    probe: Probe::Programs(&["cc", "c++"]),
    optional: false,
};
const CLANG: Need = Need {
    what: "clang",
    why: "its headers let bindgen read RocksDB's",
    packages: &["clang"],
    probe: Probe::Programs(&["clang"]),
    optional: false,
};
const LIBCLANG: Need = Need {
    what: "libclang",
    why: "bindgen reads RocksDB's headers with it",
    packages: &["libclang-dev"],
    probe: Probe::Libclang,
    optional: false,
};
const CCACHE: Need = Need {
    what: "ccache",
    why: "RocksDB takes minutes to compile and is needed in two profiles",
    packages: &["ccache"],
    probe: Probe::Programs(&["ccache"]),
    optional: true,
};
const REDIS: Need = Need {
    what: "redis-server",
    why: "the tests of tier l2 start their own",
    packages: &["redis-server"],
    probe: Probe::Programs(&["redis-server", "redis-cli"]),
    optional: false,
};
const POSTGRES: Need = Need {
    what: "PostgreSQL",
    why: "the tests of the origin start their own",
    packages: &["postgresql"],
    probe: Probe::Postgres,
    optional: false,
};
const NATS: Need = Need {
    what: "nats-server",
    why: "the tests of the change log start their own",
    packages: &["nats-server"],
    probe: Probe::Programs(&["nats-server"]),
    optional: false,
};

const JAVA: Need = Need {
    what: "a JDK",
    why: "the chaos test reads through the near cache in Java",
    packages: &["default-jdk-headless"],
    probe: Probe::Programs(&["javac", "java"]),
    optional: false,
};
const CAFFEINE: Need = Need {
    what: "Caffeine",
    why: "the near cache in Java holds its copies in it",
    packages: &["libcaffeine-java"],
    probe: Probe::File("/usr/share/java/caffeine.jar"),
    optional: false,
};
const GO: Need = Need {
    what: "Go",
    why: "the chaos test reads through the near cache in Go",
    packages: &["golang-go"],
    probe: Probe::Programs(&["go"]),
    optional: false,
};

impl Purpose {
    fn needs(self) -> &'static [Need] {
        match self {
            Self::Quick => &[COMPILER],
            Self::Build => &[COMPILER, CLANG, LIBCLANG, CCACHE],
            Self::Test => &[COMPILER, CLANG, LIBCLANG, CCACHE, REDIS, POSTGRES, NATS],
            Self::Ci => &[
                COMPILER, CLANG, LIBCLANG, CCACHE, REDIS, POSTGRES, NATS, JAVA, CAFFEINE, GO,
            ],
        }
    }
}

impl Probe {
    fn finds(&self) -> bool {
        match self {
            Self::Programs(names) => names.iter().all(|name| process::which(name).is_some()),
            Self::File(path) => Path::new(path).is_file(),
            Self::Libclang => libclang_folders().iter().any(|folder| has_libclang(folder)),
            Self::Postgres => postgres_folders()
                .iter()
                .any(|folder| process::is_executable(&folder.join("initdb"))),
        }
    }
}

/// The command `install`.
pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    let mut purpose = Purpose::Test;
    let mut install = true;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("no-install") => install = false,
            Value(name) if name == "build" => purpose = Purpose::Build,
            Value(name) if name == "test" => purpose = Purpose::Test,
            Value(name) if name == "ci" => purpose = Purpose::Ci,
            other => return Err(args::unexpected("install", &other)),
        }
    }
    ensure(purpose, install)?;
    println!("nothing that is needed is missing");
    Ok(())
}

/// Says what is missing and installs it; fails when something needed is missing in the end.
pub(crate) fn ensure(purpose: Purpose, install: bool) -> anyhow::Result<()> {
    let missing = missing(purpose.needs(), Probe::finds);
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.what, need.why);
    }
    match means(install)? {
        Means::Direct(prefix) => apt_get(&prefix, &packages(&missing))?,
        Means::Told(reason) => return tell(&missing, reason),
    }
    let left = self::missing(purpose.needs(), Probe::finds);
    let left: Vec<&str> = left
        .iter()
        .filter(|need| !need.optional)
        .map(|need| need.what)
        .collect();
    if !left.is_empty() {
        bail!(
            "apt-get has run, but this is still missing: {}",
            left.join(", ")
        );
    }
    Ok(())
}

/// Prints the line that installs; an error unless all that is missing is optional.
fn tell(missing: &[&Need], reason: &str) -> anyhow::Result<()> {
    println!(
        "{reason}; install with:\n  {}",
        sudo_line(&packages(missing))
    );
    if missing.iter().all(|need| need.optional) {
        println!("going on without: it works, slower");
        return Ok(());
    }
    bail!("something needed is missing; install it with the line above and start again")
}

fn missing(needs: &[Need], finds: impl Fn(&Probe) -> bool) -> Vec<&Need> {
    needs.iter().filter(|need| !finds(&need.probe)).collect()
}

fn packages(missing: &[&Need]) -> Vec<&'static str> {
    missing
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect()
}

fn sudo_line(packages: &[&str]) -> String {
    let packages = packages.join(" ");
    format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {packages}")
}

/// Who may install here.
enum Means {
    /// We may, with this in front of the command.
    Direct(Vec<&'static str>),
    /// Only the reader may, for this reason.
    Told(&'static str),
}

fn means(install: bool) -> anyhow::Result<Means> {
    if !install {
        return Ok(Means::Told("not installing, as asked"));
    }
    if process::which("apt-get").is_none() {
        return Ok(Means::Told(
            "there is no apt-get here; these are Debian's names",
        ));
    }
    let id = process::output(Command::new("id").arg("-u"))?;
    if id.trim_ascii() == b"0" {
        return Ok(Means::Direct(Vec::new()));
    }
    if process::which("sudo").is_some() && sudo_asks_nothing()? {
        return Ok(Means::Direct(vec!["sudo", "-n"]));
    }
    Ok(Means::Told("installing needs root"))
}

fn sudo_asks_nothing() -> anyhow::Result<bool> {
    let status = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("asking sudo whether it needs a password")?;
    Ok(status.success())
}

fn apt_get(prefix: &[&str], packages: &[&str]) -> anyhow::Result<()> {
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages);
    let mut last = Ok(());
    for _ in 0..ATTEMPTS {
        last = apt_get_once(prefix, &["update"]).and_then(|()| apt_get_once(prefix, &install));
        match &last {
            Ok(()) => return Ok(()),
            Err(error) => eprintln!("xtask: {error:#}"),
        }
    }
    last.context("installing with apt-get")
}

fn apt_get_once(prefix: &[&str], args: &[&str]) -> anyhow::Result<()> {
    // sudo drops the environment, so `env` sets what keeps dpkg from asking questions.
    let mut words = prefix.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    // Another apt-get may be at work: wait for it for a while instead of failing.
    words.extend(["-q", "-o", "DPkg::Lock::Timeout=120"]);
    words.extend(args);
    let mut command = Command::new(words[0]);
    process::run(command.args(&words[1..]).stdin(Stdio::null()))
}

fn libclang_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("LIBCLANG_PATH")
        .iter()
        .map(PathBuf::from)
        .collect();
    folders.extend(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    for child in children(Path::new("/usr/lib")) {
        folders.push(child.join("lib"));
        folders.push(child);
    }
    folders
}

/// Whether bindgen would find its library here: `libclang.so*` or `libclang-15.so*`, but not `libclang-cpp.so`.
fn has_libclang(folder: &Path) -> bool {
    children(folder).iter().any(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let rest = name.strip_prefix("libclang").unwrap_or_default();
        rest.starts_with(".so")
            || (rest.starts_with('-') && rest.contains(".so") && !rest.starts_with("-cpp"))
    })
}

/// Debian keeps the programs of each major version apart and off the path.
fn postgres_folders() -> Vec<PathBuf> {
    let on_path = process::which("initdb");
    let on_path = on_path.and_then(|file| file.parent().map(Path::to_path_buf));
    children(Path::new("/usr/lib/postgresql"))
        .into_iter()
        .map(|version| version.join("bin"))
        .chain(on_path)
        .collect()
}

/// What is in a folder; nothing when it is not there.
fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_contains_the_smaller_one() {
        let names = |purpose: Purpose| -> Vec<&str> {
            purpose.needs().iter().map(|need| need.what).collect()
        };
        assert!(names(Purpose::Build).starts_with(&names(Purpose::Quick)));
        assert!(names(Purpose::Test).starts_with(&names(Purpose::Build)));
        assert!(names(Purpose::Ci).starts_with(&names(Purpose::Test)));
    }

    #[test]
    fn the_line_installs_what_is_missing_and_nothing_else() {
        let without_clang = |probe: &Probe| !matches!(probe, Probe::Libclang | Probe::Postgres);
        let missing = missing(Purpose::Test.needs(), without_clang);
        let line = sudo_line(&packages(&missing));
        assert!(line.ends_with(" libclang-dev postgresql"), "{line}");
        assert!(line.starts_with("sudo apt-get update && sudo apt-get install -y "));
    }

    #[test]
    fn only_what_is_needed_stops() {
        assert!(tell(&[&CCACHE], "not installing, as asked").is_ok());
        assert!(tell(&[&CCACHE, &CLANG], "not installing, as asked").is_err());
    }

    #[test]
    fn nothing_is_found_in_a_folder_that_is_not_there() {
        assert!(!has_libclang(Path::new("/no/such/folder")));
    }

    #[test]
    fn libclang_is_told_from_libclang_cpp() {
        let folder = std::env::temp_dir().join(format!("xtask-libclang-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("libclang-cpp.so.15"), "").unwrap();
        assert!(!has_libclang(&folder));
        fs::write(folder.join("libclang-15.so.1"), "").unwrap();
        assert!(has_libclang(&folder));
        fs::remove_dir_all(&folder).unwrap();
    }
}
