//! `codegen`: files whose text is what the binary says of itself.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use lexopt::Arg::Long;

use crate::args;
use crate::{process, test};

/// What to ask of `hotshelf reference`, and the file that holds the answer.
const FILES: [(&str, &str); 4] = [
    ("config-toml", "config/example.toml"),
    ("config-md", "docs/config.md"),
    ("metrics-md", "docs/metrics.md"),
    ("openapi", "docs/openapi.json"),
];

pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    let mut only_check = false;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("check") => only_check = true,
            other => return Err(args::unexpected("codegen", &other)),
        }
    }
    let mut build = process::cargo();
    process::run(build.args(["build", "-p", "hotshelf-cli", "--bin", "hotshelf"]))?;
    let binary = test::binary()?;
    if only_check {
        return check(&binary);
    }
    write(&binary)
}

/// Fails when a file is not what the binary says now; names all of them.
pub(crate) fn check(binary: &Path) -> anyhow::Result<()> {
    let mut stale = 0;
    for (name, file) in FILES {
        let fresh = reference(binary, name)?;
        let held = fs::read_to_string(process::root().join(file)).unwrap_or_default();
        if let Some(difference) = difference(&held, &fresh) {
            println!("{file}: {difference}");
            stale += 1;
        }
    }
    if stale > 0 {
        bail!("{stale} generated files are out of date; run `cargo xtask codegen`");
    }
    Ok(())
}

fn write(binary: &Path) -> anyhow::Result<()> {
    for (name, file) in FILES {
        let fresh = reference(binary, name)?;
        let path = process::root().join(file);
        if fs::read_to_string(&path).is_ok_and(|held| held == fresh) {
            continue;
        }
        fs::write(&path, fresh).with_context(|| format!("writing {file}"))?;
        println!("wrote {file}");
    }
    Ok(())
}

fn reference(binary: &Path, name: &str) -> anyhow::Result<String> {
    let printed = process::output(Command::new(binary).args(["reference", name]))?;
    let text = String::from_utf8(printed)
        .with_context(|| format!("reading what `hotshelf reference {name}` printed"))?;
    if text.trim().is_empty() {
        bail!("`hotshelf reference {name}` printed nothing");
    }
    Ok(text)
}

/// The first line that differs, with its number, or `None` when the texts are the same.
fn difference(held: &str, fresh: &str) -> Option<String> {
    if held == fresh {
        return None;
    }
    let mut fresh_lines = fresh.lines();
    for (index, line) in held.lines().enumerate() {
        let number = index + 1;
        match fresh_lines.next() {
            Some(other) if other == line => {}
            Some(other) => return Some(format!("line {number} is `{line}`, should be `{other}`")),
            None => return Some(format!("should end before line {number}, `{line}`")),
        }
    }
    Some(match fresh_lines.next() {
        Some(line) => format!("should go on with `{line}`"),
        None => "differs in line ends only".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let cases = [
            ("a\nb\n", "a\nc\n", "line 2 is `b`, should be `c`"),
            ("a\nb\n", "a\n", "should end before line 2, `b`"),
            ("", "a\n", "should go on with `a`"),
            ("a", "a\n", "differs in line ends only"),
        ];
        for (held, fresh, expect) in cases {
            assert_eq!(difference(held, fresh).as_deref(), Some(expect));
        }
    }

    #[test]
    fn a_binary_that_says_nothing_is_an_error() {
        assert!(reference(Path::new("/bin/true"), "openapi").is_err());
        assert!(reference(Path::new("/bin/false"), "openapi").is_err());
    }
}
