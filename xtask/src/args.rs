//! What the commands share in reading their arguments.

use std::ffi::OsString;
use std::fmt;

/// A command line that was not understood: the process ends with 2 instead of 1.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(text.into()))
}

/// Says which argument of `command` was not understood and where the valid ones are listed.
pub(crate) fn unexpected(command: &str, arg: &lexopt::Arg<'_>) -> anyhow::Error {
    let text = match arg {
        lexopt::Arg::Short(letter) => format!("flag `-{letter}`"),
        lexopt::Arg::Long(name) => format!("flag `--{name}`"),
        lexopt::Arg::Value(value) => format!("argument `{}`", value.display()),
    };
    usage(format!(
        "`{command}` does not know the {text}; see `cargo xtask {command} --help`"
    ))
}

/// Refuses any argument to a command that takes none.
pub(crate) fn none(command: &str, args: &[OsString]) -> anyhow::Result<()> {
    let mut parser = lexopt::Parser::from_args(args);
    match parser.next()? {
        None => Ok(()),
        Some(arg) => Err(unexpected(command, &arg)),
    }
}

/// Splits at the first `--`: ours before it, another program's after it.
pub(crate) fn split_at_dashes(args: &[OsString]) -> (&[OsString], &[OsString]) {
    match args.iter().position(|arg| arg == "--") {
        None => (args, &[]),
        Some(at) => (&args[..at], &args[at + 1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    #[test]
    fn only_the_first_dashes_split() {
        let args = os(&["--quick", "--", "a", "--", "b"]);
        let (ours, theirs) = split_at_dashes(&args);
        assert_eq!(ours, os(&["--quick"]));
        assert_eq!(theirs, os(&["a", "--", "b"]));
    }

    #[test]
    fn a_command_without_arguments_refuses_any() {
        assert!(none("tidy", &[]).is_ok());
        for arg in ["--fix", "-f", "now"] {
            let error = none("tidy", &os(&[arg])).unwrap_err();
            assert!(error.is::<Usage>(), "{arg}");
            assert!(error.to_string().contains(arg), "{error}");
        }
    }
}
