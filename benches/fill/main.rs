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
        nodes::run(&args).await?;
        database::run(&args).await
    })
}
