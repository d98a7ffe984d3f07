//! Sources of ids as they are sent: files and logs are read here, the rest is the node's to find.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use flate2::bufread::MultiGzDecoder;
use hotshelf_access_log::{Events, KeyPattern, Report};
use hotshelf_model::{Id, NamespaceName};
use serde_json::{Value, json};

use crate::args::WarmSourceArgs;

const GZIP: [u8; 2] = [0x1f, 0x8b];
/// No id and no line of a sane table is longer.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What is to be warm, and what is not.
pub(super) fn sources(
    args: &WarmSourceArgs,
    namespace: &NamespaceName,
) -> anyhow::Result<(Vec<Value>, Vec<Value>)> {
    let column = args.column.as_deref();
    let mut include = given(&args.files, &args.categories, &args.conditions, column)?;
    if !args.logs.is_empty() {
        include.push(json!({"ids": top(args, namespace)?}));
    }
    if args.hot {
        include.push(json!({"hot": true}));
    }
    if args.everything {
        include.push(json!({"everything": true}));
    }
    let exclude = given(
        &args.exclude_files,
        &args.exclude_categories,
        &args.exclude_conditions,
        column,
    )?;
    Ok((include, exclude))
}

fn given(
    files: &[std::path::PathBuf],
    categories: &[String],
    conditions: &[String],
    column: Option<&str>,
) -> anyhow::Result<Vec<Value>> {
    let mut sources = Vec::new();
    for path in files {
        sources.push(json!({"ids": ids_of(path, column)?}));
    }
    for category in categories {
        let names: Vec<&str> = category.split('/').map(str::trim).collect();
        sources.push(json!({"category": names}));
    }
    for condition in conditions {
        sources.push(json!({"where": condition}));
    }
    Ok(sources)
}

/// The keys of logs that are read most, as `hot report` counts them.
fn top(args: &WarmSourceArgs, namespace: &NamespaceName) -> anyhow::Result<Vec<String>> {
    let pattern = KeyPattern::new(&args.log_key, namespace);
    let pattern = pattern.map_err(|problem| anyhow!("--log-{problem}"))?;
    let mut report = Report::default();
    for path in &args.logs {
        let events = Events::open(path, args.log_format, pattern.clone())?;
        for event in events {
            report.add(&event);
        }
    }
    let top = report.top(args.top).into_iter();
    let own = top.filter(|(key, _)| key.namespace() == namespace.as_str());
    let mut ids: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (key, _) in own {
        // A key that was read in several variants is one id.
        if seen.insert(key.id().to_owned()) {
            ids.push(key.id().to_owned());
        }
    }
    if ids.is_empty() {
        bail!("the logs show no read of namespace `{namespace}`");
    }
    Ok(ids)
}

/// The ids of a file; a line that holds none is an error with its number.
fn ids_of(path: &Path, column: Option<&str>) -> anyhow::Result<Vec<String>> {
    let read = || -> anyhow::Result<Vec<String>> {
        let mut file = BufReader::new(std::fs::File::open(path)?);
        let is_gzip = file.fill_buf()?.starts_with(&GZIP);
        let file: Box<dyn BufRead> = match is_gzip {
            true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        match column {
            Some(column) => of_column(file, column),
            None => of_lines(file),
        }
    };
    read().with_context(|| format!("reading ids from {}", path.display()))
}

fn of_lines(mut file: Box<dyn BufRead>) -> anyhow::Result<Vec<String>> {
    let (mut ids, mut number) = (Vec::new(), 0_u64);
    loop {
        let mut line = Vec::new();
        number += 1;
        let read = (&mut file)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        if read.with_context(|| format!("line {number}"))? == 0 {
            break;
        }
        let text = std::str::from_utf8(&line);
        let text =
            text.map_err(|_| anyhow!("line {number} is not UTF-8: this is no file of ids"))?;
        let text = text
            .trim_start_matches('\u{feff}')
            .trim_end_matches(['\r', '\n']);
        if !text.is_empty() {
            ids.push(checked(text, number)?);
        }
    }
    some(ids)
}

fn of_column(file: Box<dyn BufRead>, column: &str) -> anyhow::Result<Vec<String>> {
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header = table.headers().context("line 1")?;
    let names: Vec<String> = header
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').trim().to_owned())
        .collect();
    let place = names.iter().position(|name| name == column);
    let place = place.with_context(|| {
        format!(
            "there is no column `{column}`; there are {}",
            names.join(", ")
        )
    })?;
    let mut ids = Vec::new();
    for row in table.records() {
        let row = row?;
        let number = row.position().map_or(0, csv::Position::line);
        let id = row
            .get(place)
            .with_context(|| format!("line {number} has no column `{column}`"))?;
        ids.push(checked(id, number)?);
    }
    some(ids)
}

fn checked(text: &str, number: u64) -> anyhow::Result<String> {
    let id = Id::new(text);
    let id = id.map_err(|problem| anyhow!("line {number} holds no id: it {}", problem.reason))?;
    Ok(id.as_str().to_owned())
}

fn some(ids: Vec<String>) -> anyhow::Result<Vec<String>> {
    if ids.is_empty() {
        bail!("there is no id in it");
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read(bytes: &[u8], column: Option<&str>) -> Result<Vec<String>, String> {
        let folder = std::env::temp_dir().join(format!(
            "hotshelf-ids-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::write(&folder, bytes).unwrap();
        let ids = ids_of(&folder, column).map_err(|error| format!("{error:#}"));
        std::fs::remove_file(&folder).unwrap();
        ids
    }

    #[test]
    fn files_of_ids_are_read_plain_and_packed() {
        let expected = Ok(vec!["A-1".to_owned(), "b c".to_owned()]);
        assert_eq!(read("\u{feff}A-1\r\n\nb c".as_bytes(), None), expected);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"A-1\nb c\n").unwrap();
        assert_eq!(read(&packed.finish().unwrap(), None), expected);
        let table = b"name,sku\n\"a, lamp\",A-1\nmug,b c\n";
        assert_eq!(read(table, Some("sku")), expected);
    }

    #[test]
    fn what_is_no_id_is_said_with_its_line() {
        for (bytes, column, said) in [
            (&b"a\n\x00\x01\n"[..], None, "line 2 holds no id"),
            (b"a\n\xff\xfe", None, "line 2 is not UTF-8"),
            (b"", None, "there is no id in it"),
            (b"sku\na\n\"\"\n", Some("sku"), "line 3 holds no id"),
            (b"sku,name\na,b\n", Some("id"), "there are sku, name"),
        ] {
            let refused = read(bytes, column).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
