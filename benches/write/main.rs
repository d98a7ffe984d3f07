//! What it costs those who write that their changes are recorded: PostgreSQL with hotshelf's triggers beside PostgreSQL without.
//!
//! The figures are processor time of the database's server, which other load on the machine does not change. Sequencing is not in them: a
//! node does that, and the outbox is emptied between rounds. What that node takes has a part of its own.

mod following;
mod parts;
mod shop;

use hotshelf_benches::args::Args;
use shop::Shop;

fn main() -> anyhow::Result<()> {
    let args = Args::read()?;
    let shop = Shop::open(&args)?;
    if args.wants("price") {
        parts::price(&shop, &args)?;
    }
    if args.wants("bulk") {
        parts::bulk(&shop, &args)?;
    }
    if args.wants("contended") {
        parts::contended(&shop, &args)?;
    }
    if args.wants("paced") {
        parts::paced(&shop, &args)?;
    }
    if args.wants("following") {
        following::measure(&shop, &args)?;
    }
    Ok(())
}
