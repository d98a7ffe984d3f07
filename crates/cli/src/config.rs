//! `hotshelf config`, and how every command loads its configuration.

use std::process::ExitCode;

use anyhow::anyhow;
use hotshelf_config::{Config, Provenance, Sources, environment};

use crate::args::{ConfigCommand, Document, SourceArgs};
use crate::output::print;
use crate::reference;

pub(crate) fn load(sources: &SourceArgs) -> anyhow::Result<Config> {
    Ok(load_with_provenance(sources)?.0)
}

fn load_with_provenance(sources: &SourceArgs) -> anyhow::Result<(Config, Provenance)> {
    let sources = Sources {
        file: sources.config.clone(),
        env: environment(),
        flags: sources.set.clone(),
    };
    Config::load(&sources).map_err(|problems| anyhow!("{problems}"))
}

pub(crate) fn run(command: &ConfigCommand, sources: &SourceArgs) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Reference => reference::run(Document::ConfigMd),
        ConfigCommand::Example => reference::run(Document::ConfigToml),
        ConfigCommand::Show => {
            let (_, provenance) = load_with_provenance(sources)?;
            print(provenance)
        }
        ConfigCommand::Check => {
            let config = load(sources)?;
            hotshelf_node::check_queries(&config)?;
            let notes = config.notes().iter();
            let notes: String = notes.map(|note| format!("note: {note}\n")).collect();
            print(notes + "the configuration is good\n")
        }
    }?;
    Ok(ExitCode::SUCCESS)
}
