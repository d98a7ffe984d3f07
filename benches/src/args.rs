//! The arguments of every bench.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{bail, ensure};
use lexopt::Arg::{Long, Value};
use lexopt::ValueExt;

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// Sizes so small that the figures mean nothing: only to see that the bench runs.
    pub quick: bool,
    /// Everything, however long it takes.
    pub full: bool,
    /// The program to serve with; by default the release build beside the bench.
    pub server: Option<PathBuf>,
    /// Only the parts whose name holds this.
    pub part: Option<String>,
}

impl Args {
    /// Reads the process's arguments. Cargo adds `--bench`.
    ///
    /// # Errors
    /// For an argument that no bench knows.
    pub fn read() -> anyhow::Result<Self> {
        Self::parse(std::env::args_os().skip(1))
    }

    fn parse(args: impl Iterator<Item = OsString>) -> anyhow::Result<Self> {
        let mut read = Args::default();
        let mut parser = lexopt::Parser::from_args(args.collect::<Vec<_>>());
        while let Some(arg) = parser.next()? {
            match arg {
                Long("bench") => {}
                Long("test" | "quick") => read.quick = true,
                Long("full") => read.full = true,
                Long("server") => read.server = Some(parser.value()?.parse()?),
                Value(part) => read.part = Some(part.parse()?),
                other => bail!(
                    "{}; there are --quick, --full, --server PATH and the name of a part",
                    other.unexpected()
                ),
            }
        }
        Ok(read)
    }

    /// Whether a part is to be run.
    pub fn wants(&self, part: &str) -> bool {
        self.part
            .as_ref()
            .is_none_or(|wanted| part.contains(wanted))
    }

    /// The program that was named, or the release build that stands beside the bench.
    ///
    /// # Errors
    /// When there is none.
    pub fn hotshelf_program(&self) -> anyhow::Result<PathBuf> {
        let own = std::env::current_exe()?;
        let beside = own.ancestors().nth(2).map(|folder| folder.join("hotshelf"));
        let program = self.server.clone().or(beside).unwrap_or_default();
        ensure!(
            program.is_file(),
            "there is no {}; build it with `cargo build --release -p hotshelf-cli`, or name one with --server",
            program.display()
        );
        Ok(program)
    }

    /// `usual`, or `tiny` in a quick run.
    pub fn size<T>(&self, usual: T, tiny: T) -> T {
        if self.quick { tiny } else { usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> anyhow::Result<Args> {
        Args::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn cargo_own_argument_is_passed_over_and_an_unknown_one_is_refused() {
        let args = parse(&["--bench", "--test"]).unwrap();
        assert!(args.quick && !args.full);
        assert_eq!(args.size(10, 1), 1);
        assert!(args.wants("l2"));
        assert!(!parse(&["l3"]).unwrap().wants("l2"));
        assert!(parse(&["--fast"]).is_err());
    }
}
