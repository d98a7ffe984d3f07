//! `hotshelf hot tail`: what is hot in a running cluster, as it changes.

use std::collections::BTreeSet;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use super::DEADLINE;
use crate::admin::{self, Admin};
use crate::args::HotTailArgs;
use crate::output::{Table, print, span};

const PATH: &str = "/admin/v1/hot";
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Moves to the first line; what is left of an earlier table is erased behind the new one.
const HOME: &str = "\x1b[H";
const ERASE_LINE: &str = "\x1b[K\n";
const ERASE_REST: &str = "\x1b[J";

pub(super) fn tail(args: &HotTailArgs) -> anyhow::Result<()> {
    let admin = Admin::new(&args.admin, DEADLINE)?;
    admin::run(async {
        let first = admin.get(PATH).await?;
        match (args.once, args.json) {
            (true, true) => print(format!("{first}\n")),
            (true, false) => print(text(&first, args.top)),
            (false, _) => follow(args, &admin, first).await,
        }
    })
}

/// Looks once a second, until somebody ends it.
async fn follow(args: &HotTailArgs, admin: &Admin, first: Value) -> anyhow::Result<()> {
    let is_table = !args.json && stdout().is_terminal();
    if is_table {
        print(format!("{HOME}{ERASE_REST}"))?;
    }
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.tick().await;
    let (mut looked, mut before) = (Ok(first), BTreeSet::new());
    loop {
        match looked {
            Ok(view) if args.json => print(format!("{view}\n"))?,
            Ok(view) if is_table => print(screen(&text(&view, args.top)))?,
            Ok(view) => {
                let (lines, now) = changes(&before, &view);
                before = now;
                print(lines)?;
            }
            // A node that restarts is worth waiting for.
            Err(error) if is_table => print(screen(&format!("{error:#}\n")))?,
            Err(error) => eprintln!("hotshelf: {error:#}"),
        }
        looks.tick().await;
        looked = admin.get(PATH).await;
    }
}

fn screen(text: &str) -> String {
    format!("{HOME}{}{ERASE_REST}", text.replace('\n', ERASE_LINE))
}

/// A line for each key that is hot now and was not before, or the other way round, and what is hot now.
fn changes(before: &BTreeSet<String>, view: &Value) -> (String, BTreeSet<String>) {
    let mut lines = String::new();
    let mut now = BTreeSet::new();
    for hot in keys(view) {
        let name = name(hot);
        if !before.contains(&name) {
            let [_, rate, share, onset, decided, held, why] = cells(hot);
            lines += &format!(
                "hot   {name}  {rate}, {share} of all, onset {onset} ago, decided {decided} ago, held by {held}, {why}\n"
            );
        }
        now.insert(name);
    }
    for name in before.difference(&now) {
        lines += &format!("cold  {name}\n");
    }
    (lines, now)
}

/// What people read.
fn text(view: &Value, top: usize) -> String {
    let leader = match (view["leader"].as_u64(), view["silence_ms"].as_u64()) {
        (Some(node), Some(silence)) => {
            let this = if view["leads"] == true {
                " (this one)"
            } else {
                ""
            };
            format!(
                "node {node}{this} leads, {}, {} ms behind, heard {} ago",
                word(&view["health"]),
                view["lag_ms"],
                span(Some(silence))
            )
        }
        _ => "no node leads that this one has heard".to_owned(),
    };
    let count = keys(view).count();
    let mut text = format!("{leader}\n{count} hot keys over {} nodes\n", view["nodes"]);
    let mut table = Table::new(["key", "rate", "share", "onset", "decided", "held by", "why"]);
    for hot in keys(view).take(top) {
        table.add(cells(hot));
    }
    text += &table.paragraph();
    if count > top {
        text += &format!("and {} more; `--top` shows them\n", count - top);
    }
    text
}

fn keys(view: &Value) -> impl Iterator<Item = &Value> {
    view["keys"].as_array().into_iter().flatten()
}

fn cells(hot: &Value) -> [String; 7] {
    let number = |name: &str| hot[name].as_f64().unwrap_or_default();
    let ago = |name: &str| span(hot[name].as_u64());
    [
        name(hot),
        format!("{:.0}/s", number("rate")),
        format!("{:.1} %", number("share") * 100.0),
        ago("onset_ms"),
        ago("decided_ms"),
        format!("{} of {}", hot["held_by"], hot["nodes"]),
        why(hot),
    ]
}

fn name(hot: &Value) -> String {
    let variant = match word(&hot["variant"]) {
        "" => String::new(),
        variant => format!(" ({variant})"),
    };
    format!("{}/{}{variant}", word(&hot["namespace"]), word(&hot["id"]))
}

/// Why the cluster holds it, or else this node.
fn why(hot: &Value) -> String {
    match (&hot["why"], hot["sigmas"].as_f64()) {
        (Value::String(_), Some(sigmas)) => {
            format!("{sigmas:.0} sigma over {}", word(&hot["window"]))
        }
        (Value::String(why), None) => why.clone(),
        _ => {
            let reasons = hot["reasons"].as_array().into_iter().flatten();
            reasons.map(word).collect::<Vec<_>>().join(", ")
        }
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(id: &str, variant: &str) -> Value {
        json!({
            "namespace": "products", "id": id, "variant": variant, "rate": 2140.4, "share": 0.123, "onset_ms": 1250,
            "decided_ms": 130_000, "why": "surge", "window": "0.5s", "sigmas": 9.5, "reasons": ["detected"],
            "held_by": 3, "nodes": 4,
        })
    }

    fn view(keys: &[Value]) -> Value {
        json!({
            "leader": 7, "leads": true, "health": "live", "lag_ms": 12, "silence_ms": 110, "nodes": 4, "keys": keys,
        })
    }

    #[test]
    fn a_table_says_who_holds_what_and_why() {
        let mut pinned = key("B", "");
        (pinned["why"], pinned["sigmas"], pinned["reasons"]) =
            (Value::Null, Value::Null, json!(["provisional", "pinned"]));
        let view = view(&[key("A", "locale=de"), pinned, key("C", "")]);
        let expected = "node 7 (this one) leads, live, 12 ms behind, heard 110 ms ago\n\
            3 hot keys over 4 nodes\n\
            \n\
            key                     rate    share   onset  decided  held by  why\n\
            products/A (locale=de)  2140/s  12.3 %  1.2 s  2 min    3 of 4   10 sigma over 0.5s\n\
            products/B              2140/s  12.3 %  1.2 s  2 min    3 of 4   provisional, pinned\n\
            and 1 more; `--top` shows them\n";
        assert_eq!(text(&view, 2), expected);
        let nobody = json!({ "leader": null, "silence_ms": null, "nodes": 0, "keys": [] });
        assert_eq!(
            text(&nobody, 9),
            "no node leads that this one has heard\n0 hot keys over 0 nodes\n"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        let text = text(&view(&[key("A\u{1b}[2J\n", "")]), 9);
        assert!(
            !text.contains('\u{1b}') && text.contains("products/A\u{fffd}[2J\u{fffd}"),
            "{text}"
        );
    }

    #[test]
    fn a_key_has_a_line_when_it_becomes_hot_and_when_it_is_no_longer() {
        let (lines, before) = changes(&BTreeSet::new(), &view(&[key("A", ""), key("B", "")]));
        let expected = "hot   products/A  2140/s, 12.3 % of all, onset 1.2 s ago, decided 2 min ago, held by 3 of 4, 10 sigma over 0.5s\n";
        assert!(lines.starts_with(expected), "{lines}");
        assert_eq!(lines.lines().count(), 2);
        let (lines, before) = changes(&before, &view(&[key("B", "")]));
        assert_eq!(lines, "cold  products/A\n");
        assert_eq!(changes(&before, &view(&[key("B", "")])).0, "");
    }
}
