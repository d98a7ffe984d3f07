//! `bench`: runs benches and keeps what they print, with the machine they ran on.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use anyhow::{Context, bail};
use lexopt::Arg::Value;

use crate::args;
use crate::process;

const PACKAGE: &str = "hotshelf-benches";
const RESULTS: &str = "benches/results";

pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    let (ours, theirs) = args::split_at_dashes(args);
    let known = names(&process::metadata(false)?);
    if known.is_empty() {
        bail!("{PACKAGE} declares no bench in its manifest");
    }
    let chosen = choose(ours, &known)?;
    for name in chosen {
        keep(&name, theirs).with_context(|| format!("running the bench `{name}`"))?;
    }
    Ok(())
}

fn choose(args: &[OsString], known: &[String]) -> anyhow::Result<Vec<String>> {
    let mut chosen = Vec::new();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(name) => chosen.push(name.to_string_lossy().into_owned()),
            other => return Err(args::unexpected("bench", &other)),
        }
    }
    if let Some(name) = chosen.iter().find(|name| !known.contains(name)) {
        let known = known.join(", ");
        return Err(args::usage(format!(
            "there is no bench `{name}`; there are {known}"
        )));
    }
    if chosen.is_empty() {
        return Ok(known.to_vec());
    }
    Ok(chosen)
}

/// The benches that the manifest declares.
fn names(metadata: &serde_json::Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| package["name"] == PACKAGE)
        .flat_map(|package| package["targets"].as_array().into_iter().flatten())
        .filter(|target| target["kind"][0] == "bench")
        .filter_map(|target| target["name"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Runs one bench and, when it has ended well, puts its output in the place of the last one's.
fn keep(name: &str, bench_args: &[OsString]) -> anyhow::Result<()> {
    process::run(command(name).arg("--no-run"))?;
    let mut bench = command(name);
    if !bench_args.is_empty() {
        bench.arg("--").args(bench_args);
    }
    let mut text = header(&process::describe(&bench));
    process::run_lines(&mut bench, |line| {
        println!("{line}");
        text.push_str(line.trim_end());
        text.push('\n');
    })?;
    let folder = process::root().join(RESULTS);
    fs::create_dir_all(&folder).with_context(|| format!("creating {RESULTS}"))?;
    let file = format!("{name}.txt");
    fs::write(folder.join(&file), text).with_context(|| format!("writing {RESULTS}/{file}"))?;
    println!("kept in {RESULTS}/{file}");
    Ok(())
}

fn command(name: &str) -> Command {
    let mut command = process::cargo();
    command.args(["bench", "-p", PACKAGE, "--bench", name]);
    command
}

fn header(command: &str) -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let date = process::first_line("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]);
    let kernel = process::first_line("uname", &["-sr"]);
    let rustc = process::first_line("rustc", &["-V"]);
    let mut text = format!(
        "# command: {command}\n# date: {date}\n# commit: {}\n",
        commit()
    );
    text.push_str(&format!("# cpu: {}\n", cpu(&cpus)));
    text.push_str(&format!("# kernel: {kernel}\n# rustc: {rustc}\n\n"));
    text
}

/// The short commit, marked when the tree has changes that it does not hold.
fn commit() -> String {
    let commit = process::first_line("git", &["rev-parse", "--short", "HEAD"]);
    let changes = process::first_line("git", &["status", "--porcelain", "--untracked-files=no"]);
    if matches!(changes.as_str(), "unknown" | "") {
        return commit;
    }
    format!("{commit} with changes")
}

/// `2 × AMD EPYC 7B13`, from the text of `/proc/cpuinfo`.
fn cpu(cpuinfo: &str) -> String {
    let cores = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|rest| rest.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    format!("{cores} × {model}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    #[test]
    fn benches_are_read_from_the_manifest() {
        let metadata = serde_json::json!({"packages": [
            {"name": "hotshelf-benches", "targets": [
                {"name": "hotshelf_benches", "kind": ["lib"]},
                {"name": "fill", "kind": ["bench"]}]},
            {"name": "other", "targets": [{"name": "x", "kind": ["bench"]}]}]});
        assert_eq!(names(&metadata), ["fill"]);
    }

    #[test]
    fn no_name_means_all_and_an_unknown_one_is_refused() {
        let known = ["fill".to_owned(), "tiers".to_owned()];
        assert_eq!(choose(&[], &known).unwrap(), known);
        assert_eq!(choose(&os(&["tiers"]), &known).unwrap(), ["tiers"]);
        let error = choose(&os(&["tyres"]), &known).unwrap_err();
        assert!(error.to_string().contains("fill, tiers"), "{error}");
    }

    #[test]
    fn the_machine_is_described() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some CPU\n\nprocessor\t: 1\nmodel name\t: Some CPU\n";
        assert_eq!(cpu(cpuinfo), "2 × Some CPU");
    }
}
