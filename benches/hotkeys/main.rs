//! Hot keys: what counting and merging cost, and how long a flash crowd goes unnoticed, beside the rule of JD-hotkey.

mod counting;
mod crowds;
mod jd;
mod merging;
mod nodes;

use hotshelf_benches::args::Args;

fn main() -> anyhow::Result<()> {
    let args = Args::read()?;
    if args.wants("counting") {
        counting::run(&args);
    }
    if args.wants("merging") {
        merging::run(&args);
    }
    if args.wants("crowds") {
        crowds::run(&args)?;
    }
    Ok(())
}
