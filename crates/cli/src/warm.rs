//! `hotshelf warm`: plans, starts, follows and verifies warm-ups over the admin API of a node.

mod ids;
mod told;
mod verify;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::admin::{self, Admin};
use crate::args::{WarmCommand, WarmJobArgs, WarmListArgs, WarmRunArgs, WarmWishArgs};
use crate::exit::LIMIT;
use crate::output::print;
use crate::progress;

/// How long a node has to answer: a plan reads the database, and a body may hold a million ids.
const DEADLINE: Duration = Duration::from_mins(2);
/// How often a job is looked at while it is followed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) fn run(command: &WarmCommand) -> anyhow::Result<ExitCode> {
    admin::run(async {
        match command {
            WarmCommand::Plan(args) => plan(args).await,
            WarmCommand::Run(args) => start(args).await,
            WarmCommand::Verify(args) => verify::verify(args).await,
            WarmCommand::List(args) => list(args).await,
            WarmCommand::Pause(args) => change(args, "pause").await,
            WarmCommand::Resume(args) => change(args, "resume").await,
            WarmCommand::Cancel(args) => change(args, "cancel").await,
        }
    })
}

/// The body that asks for what the arguments say.
fn wish(args: &WarmWishArgs) -> anyhow::Result<Value> {
    let (include, exclude) = ids::sources(&args.sources, &args.namespace)?;
    if include.is_empty() {
        bail!("say what is to be warm: --file, --category, --where, --log, --hot or --everything");
    }
    let variant: serde_json::Map<String, Value> = args
        .variant
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    Ok(json!({
        "namespace": args.namespace.as_str(), "variants": [variant], "include": include, "exclude": exclude,
        "tiers": args.tiers, "nodes": args.nodes,
    }))
}

async fn plan(args: &WarmWishArgs) -> anyhow::Result<ExitCode> {
    let admin = Admin::new(&args.node, DEADLINE)?;
    let plan = admin.post("/admin/v1/warm/plans", &wish(args)?).await?;
    match args.json {
        true => print(format!("{plan}\n"))?,
        false => print(told::plan(&plan))?,
    }
    Ok(fits(&plan))
}

fn fits(plan: &Value) -> ExitCode {
    match plan["fits"].as_bool() {
        Some(true) => ExitCode::SUCCESS,
        _ => ExitCode::from(LIMIT),
    }
}

async fn start(args: &WarmRunArgs) -> anyhow::Result<ExitCode> {
    let admin = Admin::new(&args.wish.node, DEADLINE)?;
    let mut wish = wish(&args.wish)?;
    if !args.force {
        let plan = admin.post("/admin/v1/warm/plans", &wish).await?;
        if fits(&plan) != ExitCode::SUCCESS {
            eprint!("{}", told::plan(&plan));
            eprintln!("nothing was started; --force starts it all the same");
            return Ok(ExitCode::from(LIMIT));
        }
    }
    wish["who"] = json!(args.who);
    let started = admin.post("/admin/v1/warm/jobs", &wish).await?;
    let job = started["job"].as_u64().context("the node named no job")?;
    if args.detach {
        match args.wish.json {
            true => print(format!("{started}\n"))?,
            false => print(format!("job {job} is started\n"))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("job {job} is started; it goes on when this command ends");
    let followed = tokio::select! {
        followed = follow(&admin, job) => followed?,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("job {job} goes on; `hotshelf warm list` shows it, `hotshelf warm cancel {job}` ends it");
            return Ok(ExitCode::SUCCESS);
        }
    };
    match args.wish.json {
        true => print(format!("{followed}\n"))?,
        false => print(told::job(&followed))?,
    }
    Ok(match followed["state"].as_str() {
        Some("done") => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Shows how far a job is until it is over. A node that does not answer for a while does not end that.
async fn follow(admin: &Admin, job: u64) -> anyhow::Result<Value> {
    let mut bar: Option<ProgressBar> = None;
    loop {
        let looked = admin.get(&format!("/admin/v1/warm/jobs/{job}")).await;
        let looked = match looked {
            Ok(looked) => looked,
            Err(error) if error.is_passing() => {
                if let Some(bar) = &bar {
                    bar.set_message(format!("{error}"));
                }
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let (done, of) = told::progress(&looked);
        let bar = bar.get_or_insert_with(|| progress::items(of, "warm"));
        bar.set_length(of);
        bar.set_position(done);
        bar.set_message(told::mood(&looked));
        if !matches!(looked["state"].as_str(), Some("running" | "paused")) {
            bar.finish_and_clear();
            return Ok(looked);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn list(args: &WarmListArgs) -> anyhow::Result<ExitCode> {
    let admin = Admin::new(&args.node, DEADLINE)?;
    let jobs = admin.get("/admin/v1/warm/jobs").await?;
    match args.json {
        true => print(format!("{jobs}\n"))?,
        false => {
            let jobs = jobs["jobs"].as_array().into_iter().flatten();
            print(jobs.map(told::job).collect::<String>())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn change(args: &WarmJobArgs, wish: &str) -> anyhow::Result<ExitCode> {
    let admin = Admin::new(&args.node, DEADLINE)?;
    let who = percent_encoding::utf8_percent_encode(&args.who, percent_encoding::NON_ALPHANUMERIC);
    let path = format!("/admin/v1/warm/jobs/{}/{wish}?who={who}", args.job);
    let job = admin.post(&path, &json!({})).await?;
    print(told::job(&job))?;
    Ok(ExitCode::SUCCESS)
}
