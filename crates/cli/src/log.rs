//! `hotshelf log cat`: the access log's blocks as JSON lines.

use std::io::{BufWriter, ErrorKind, StdoutLock, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use hotshelf_access_log::{Skipped, block, json};

use crate::args::{LogCatArgs, LogCommand};

pub(crate) fn run(command: &LogCommand) -> anyhow::Result<ExitCode> {
    match command {
        LogCommand::Cat(args) => cat(args),
    }
}

fn cat(args: &LogCatArgs) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut records, mut is_whole) = (0, true);
    for path in &args.files {
        let mut file = Catenated::default();
        let outcome = file.print(path, &mut out);
        records += file.records;
        is_whole &= outcome.is_ok() && file.skipped == Skipped::default();
        file.tell_skipped(path);
        match outcome {
            Ok(()) => {}
            Err(error) if is_closed_pipe(&error) => return Ok(ExitCode::SUCCESS),
            Err(error) => eprintln!("hotshelf: {error:#}"),
        }
    }
    match out.flush().context("writing to standard output") {
        Err(error) if is_closed_pipe(&error) => return Ok(ExitCode::SUCCESS),
        outcome => outcome?,
    }
    Ok(match records == 0 && !is_whole {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<std::io::Error>();
    cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

/// What became of one file.
#[derive(Default)]
struct Catenated {
    records: u64,
    skipped: Skipped,
}

impl Catenated {
    fn print(&mut self, path: &Path, out: &mut BufWriter<StdoutLock<'_>>) -> anyhow::Result<()> {
        let reading = || format!("reading {}", path.display());
        let mut reader = block::open(path).with_context(reading)?;
        let mut line = Vec::new();
        loop {
            let record = reader.next().with_context(reading);
            let Some(record) = record? else { break };
            line.clear();
            json::push_line(&record, &mut line);
            self.records += 1;
            out.write_all(&line).context("writing to standard output")?;
        }
        self.skipped = reader.skipped();
        Ok(())
    }

    fn tell_skipped(&self, path: &Path) {
        let Skipped {
            damaged,
            damaged_bytes,
            newer,
        } = self.skipped;
        let path = path.display();
        if damaged > 0 {
            eprintln!("{path}: skipped {damaged} damaged places of {damaged_bytes} bytes in all");
        }
        if newer > 0 {
            eprintln!("{path}: skipped {newer} blocks of a format that a newer hotshelf writes");
        }
    }
}
