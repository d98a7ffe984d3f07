//! Stampedes: how often the origin is asked when many callers want the same, and what happens when it is slow.

mod database;
mod nodes;

use hotshelf_benches::args::Args;

fn main() -> anyhow::Result<()> {
    let args = Args::read()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        if args.wants("nodes") {
            nodes::run(&args).await?;
        }
        if args.wants("database") {
            database::run(&args).await?;
        }
        Ok(())
    })
}
