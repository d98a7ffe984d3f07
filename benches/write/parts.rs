//! The four loads.

use anyhow::Context;
use hotshelf_benches::args::Args;
use hotshelf_benches::rounds::{Measured, Sample};
use hotshelf_benches::table;

use crate::shop::{Shop, Triggers};

const BOTH: [Triggers; 2] = [Triggers::Off, Triggers::On];
const CLIENTS: u64 = 20;
const CONTENDED_KEYS: u64 = 20;
const PACE: u64 = 500;

/// One price of one product, in a transaction of its own.
fn price_script(shop: &Shop) -> String {
    format!(
        "\\set id random(1, {})\nUPDATE hotshelf.price SET list_minor = list_minor + 1 WHERE id = :id;\n",
        shop.products
    )
}

/// Transactions that change one price; the ratio of what a processor does of them in the same time.
pub(crate) fn price(shop: &Shop, args: &Args) -> anyhow::Result<()> {
    let (rounds, transactions) = (args.size(7, 2), args.size(40_000, 200));
    table::heading(&format!(
        "{transactions} transactions that change one price, 4 clients, {rounds} rounds"
    ));
    let script = price_script(shop);
    let each = format!("--transactions={}", transactions / 4);
    let mut measured = BOTH.map(|triggers| Measured {
        name: triggers.as_str().to_owned(),
        samples: Vec::new(),
    });
    for round in 0..=rounds {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for at in order {
            shop.reset(BOTH[at])?;
            let args = ["--client=4", "--protocol=prepared", &each];
            let (_, cost) = shop.cost(|| shop.pgbench(BOTH[at], &script, &args))?;
            // The first round warms.
            if round > 0 {
                let sample = Sample::over(transactions, cost.wall_ns, cost.cpu_ns);
                measured[at].samples.push(sample);
            }
        }
    }
    table::comparison("transaction", &measured, 0);
    let [plain, recorded] = &measured;
    table::target_at_least(
        "throughput of a processor with triggers, of that without",
        plain.ratio_to(recorded, |sample| sample.cpu_ns),
        0.6,
    );
    Ok(())
}

/// One statement over many rows: the cost of a row may not grow with their number.
pub(crate) fn bulk(shop: &Shop, args: &Args) -> anyhow::Result<()> {
    table::heading("One statement that changes many prices");
    let whole = shop.products;
    let sizes = [whole / 100, whole / 10, whole];
    let mut rows = Vec::new();
    let mut recorded = Vec::new();
    for size in sizes {
        let sql =
            format!("UPDATE hotshelf.price SET list_minor = list_minor + 1 WHERE id <= {size}");
        let mut per_row = [f64::INFINITY; 2];
        for _ in 0..args.size(3, 1) {
            for (at, triggers) in BOTH.into_iter().enumerate() {
                shop.reset(triggers)?;
                let (_, cost) = shop.cost(|| shop.sql(triggers, &sql))?;
                per_row[at] = per_row[at].min(cost.cpu_ns / size as f64);
            }
        }
        rows.push(vec![
            format!("{size} rows"),
            table::nanos(per_row[0]),
            table::nanos(per_row[1]),
        ]);
        recorded.push(per_row[1]);
    }
    let columns = [
        "least of the rounds",
        "cpu/row without",
        "cpu/row with triggers",
    ];
    table::rows(&columns, &rows);
    let [_, tenth, last] = recorded[..] else {
        return Ok(());
    };
    table::target("microseconds a row of all", last / 1e3, 25.0);
    table::target(
        "a row of all, of one of a tenth (linear is 1)",
        last / tenth,
        1.25,
    );
    Ok(())
}

/// Clients that write rows of their own of the same few products, in two tables and in any order, so that only the keys are contended.
pub(crate) fn contended(shop: &Shop, args: &Args) -> anyhow::Result<()> {
    table::heading(&format!(
        "{CLIENTS} clients on {CONTENDED_KEYS} keys, two child tables in each transaction"
    ));
    let rows = CLIENTS * CONTENDED_KEYS;
    let transactions = args.size(2000, 20);
    let script = format!(
        "\\set one random(0, {last})\n\\set other random(0, {last})\nBEGIN;\n\
         UPDATE hotshelf.price SET list_minor = list_minor + 1 WHERE id = -1 - (:one * {CLIENTS} + :client_id);\n\
         UPDATE public.offer SET amount = amount + 1 WHERE id = 1 + :other * {CLIENTS} + :client_id;\nCOMMIT;\n",
        last = CONTENDED_KEYS - 1
    );
    let mut shown = Vec::new();
    let mut deadlocks = 0.0;
    for triggers in BOTH {
        let product = format!("((i - 1) / {CLIENTS} + 1)::text");
        let series = format!("FROM generate_series(1, {rows}) AS i");
        shop.sql(
            triggers,
            &format!("INSERT INTO hotshelf.price (id, product_id, currency, list_minor) SELECT -i, {product}, 'USD', 1 {series}"),
        )?;
        let offers =
            format!("INSERT INTO public.offer (product_id, amount) SELECT {product}, 1 {series}");
        shop.sql(triggers, &offers)?;
        shop.reset(triggers)?;
        let each = format!("--transactions={transactions}");
        let clients = format!("--client={CLIENTS}");
        let args = [clients.as_str(), "--jobs=2", "--protocol=prepared", &each];
        let (printed, cost) = shop.cost(|| shop.pgbench(triggers, &script, &args))?;
        let counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        let counted = shop.sql(triggers, counted)?;
        deadlocks = counted.parse().context("reading the count of deadlocks")?;
        let done = transactions * CLIENTS;
        shown.push(vec![
            triggers.as_str().to_owned(),
            figure(&printed, "tps = ")?.round().to_string(),
            table::nanos(cost.cpu_ns / done as f64),
            deadlocks.to_string(),
        ]);
    }
    let columns = ["", "transactions/s", "cpu/transaction", "deadlocks"];
    table::rows(&columns, &shown);
    table::target("deadlocks", deadlocks, 0.0);
    Ok(())
}

/// Writers that do not go as fast as they can.
pub(crate) fn paced(shop: &Shop, args: &Args) -> anyhow::Result<()> {
    let (rounds, seconds) = (args.size(3, 1), args.size(20, 1));
    table::heading(&format!(
        "{PACE} prices changed in a second, 8 clients, {seconds} s, {rounds} rounds"
    ));
    let script = price_script(shop);
    let (rate, time) = (format!("--rate={PACE}"), format!("--time={seconds}"));
    let mut rows = Vec::new();
    let mut speeds = [0.0; 2];
    for round in 0..rounds {
        for (at, triggers) in BOTH.into_iter().enumerate() {
            shop.reset(triggers)?;
            let args = ["--client=8", "--protocol=prepared", &rate, &time];
            let (printed, cost) = shop.cost(|| shop.pgbench(triggers, &script, &args))?;
            let speed = figure(&printed, "tps = ")?;
            speeds[at] += speed;
            rows.push(vec![
                format!("round {}, {}", round + 1, triggers.as_str()),
                format!("{speed:.1}"),
                format!("{:.2} ms", figure(&printed, "latency average = ")?),
                format!("{:.1} %", cost.cpu_ns / cost.wall_ns * 100.0),
            ]);
        }
    }
    let columns = ["", "transactions/s", "mean latency", "of a processor"];
    table::rows(&columns, &rows);
    let [plain, recorded] = speeds;
    table::target_at_least(
        "throughput with triggers, of that without",
        recorded / plain,
        0.95,
    );
    Ok(())
}

/// A figure that `pgbench` prints after these words.
fn figure(printed: &str, words: &str) -> anyhow::Result<f64> {
    let line = printed.lines().find_map(|line| line.strip_prefix(words));
    let number = line.and_then(|line| line.split(' ').next());
    let number = number.with_context(|| format!("pgbench does not say `{words}`: {printed}"))?;
    Ok(number.parse()?)
}
