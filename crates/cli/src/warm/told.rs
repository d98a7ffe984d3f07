//! Warm-ups for people.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde_json::Value;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<&str> {
    items(value).filter_map(Value::as_str).collect()
}

/// A plan.
pub(super) fn plan(plan: &Value) -> String {
    let about = match plan["counted"].as_bool() {
        Some(true) => "",
        _ => "about ",
    };
    let mut text = format!(
        "{} ids: {about}{} found, {about}{} without a product\n",
        HumanCount(number(&plan["ids"])),
        HumanCount(number(&plan["found"])),
        HumanCount(number(&plan["missing"])),
    );
    let missing = texts(&plan["missing_ids"]);
    if !missing.is_empty() {
        text += &format!("without a product: {}\n", missing.join(", "));
    }
    for tier in items(&plan["tiers"]) {
        let room = match tier["bytes_max"].as_u64() {
            Some(most) => format!("of {}", HumanBytes(most)),
            None => "and has no bound that it could tell".to_owned(),
        };
        let short = match number(&tier["bytes_short"]) {
            0 => String::new(),
            short => format!(": {short} bytes short"),
        };
        text += &format!(
            "{} takes about {} {room}{short}\n",
            tier["tier"].as_str().unwrap_or_default(),
            HumanBytes(number(&tier["bytes"])),
        );
    }
    text += &format!(
        "reads at most {} documents from the database in {} statements, in about {}; estimated from {} documents\n",
        HumanCount(number(&plan["database_documents"])),
        HumanCount(number(&plan["database_statements"])),
        HumanDuration(Duration::from_millis(number(&plan["time_ms"]))),
        HumanCount(number(&plan["sampled"])),
    );
    text += match plan["fits"].as_bool() {
        Some(true) => "it fits\n",
        _ => "it does not fit\n",
    };
    for advice in texts(&plan["advice"]) {
        text += &format!("{advice}\n");
    }
    text
}

/// A job with its parts.
pub(super) fn job(job: &Value) -> String {
    let mut text = format!(
        "job {}: {}, {} ids of {} ({}) into {}, by {}\n",
        number(&job["job"]),
        job["state"].as_str().unwrap_or_default(),
        HumanCount(number(&job["ids"])),
        job["namespace"].as_str().unwrap_or_default(),
        job["source"].as_str().unwrap_or_default(),
        texts(&job["tiers"]).join(", "),
        job["who"].as_str().unwrap_or_default(),
    );
    for part in items(&job["parts"]) {
        text += &format!(
            "  {}: {} done, {} filled, {} held, {} absent, {} failed, {} read from the database{}\n",
            part["node"].as_str().unwrap_or("shared"),
            HumanCount(number(&part["done"])),
            HumanCount(number(&part["filled"])),
            HumanCount(number(&part["held"])),
            HumanCount(number(&part["absent"])),
            HumanCount(number(&part["failed"])),
            HumanCount(number(&part["fetched"])),
            part["trouble"]
                .as_str()
                .map_or_else(String::new, |trouble| format!("; {trouble}")),
        );
    }
    text
}

/// How many ids of all parts together are done, of how many.
pub(super) fn progress(job: &Value) -> (u64, u64) {
    let ids = number(&job["ids"]);
    let parts = items(&job["parts"]).count();
    let done = items(&job["parts"]).map(|part| number(&part["done"])).sum();
    (done, ids * u64::try_from(parts.max(1)).unwrap_or(1))
}

/// What a job is doing, in a word or two.
pub(super) fn mood(job: &Value) -> String {
    let trouble = items(&job["parts"]).filter_map(|part| part["trouble"].as_str());
    if let Some(trouble) = trouble.last() {
        return format!("waits ({trouble})");
    }
    if job["state"] == "paused" {
        return "paused".to_owned();
    }
    let mut parts = items(&job["parts"]);
    match parts.any(|part| part["yielding"] == true) {
        true => "yielding".to_owned(),
        false => "warming".to_owned(),
    }
}
