//! The database as [`ClusterSettings`].

use std::collections::HashMap;

use hotshelf_model::{
    BoxFuture, ClusterSetting, ClusterSettings, DbTime, Error, SettingChange, SettingOutcome,
};

use crate::failure::failed;
use crate::snapshot::{signed, unsigned};
use crate::{Database, SqlOrigin};

/// A row as it was read: version, text, milliseconds, who, why. The text is left out of one whose version is known.
pub(crate) type SettingRow = (i64, Option<String>, i64, String, String);

/// The same with the setting's place among those that were asked for, from 1 on.
pub(crate) type PlacedRow = (i64, i64, Option<String>, i64, String, String);

impl SqlOrigin {
    async fn read_setting(
        &self,
        name: &str,
        known: Option<u64>,
    ) -> Result<Option<ClusterSetting>, Error> {
        let asked = known.map(signed);
        let row = match &self.database {
            Database::Postgres(database) => database.read_setting(name, asked).await,
            Database::Sqlite(database) => database.read_setting(name, asked).await,
        };
        let row = row.map_err(|error| failed(&format!("reading the setting `{name}`"), error))?;
        let setting = row.map_or_else(ClusterSetting::default, setting);
        Ok(Some(setting).filter(|setting| known != Some(setting.version)))
    }

    async fn read_changed_settings(
        &self,
        known: &[(&str, u64)],
    ) -> Result<Vec<Option<ClusterSetting>>, Error> {
        let rows = match &self.database {
            Database::Postgres(database) => database.read_changed_settings(known).await,
            Database::Sqlite(database) => database.read_changed_settings(known).await,
        };
        let rows = rows.map_err(|error| failed("reading settings", error))?;
        let mut found: HashMap<u64, ClusterSetting> = rows
            .into_iter()
            .map(|(at, version, text, at_ms, who, why)| {
                (unsigned(at), setting((version, text, at_ms, who, why)))
            })
            .collect();
        let mut changed = |(place, &(_, known)): (u64, &(&str, u64))| {
            let setting = found.remove(&place).unwrap_or_default();
            Some(setting).filter(|setting| setting.version != known)
        };
        Ok((1..).zip(known).map(&mut changed).collect())
    }

    async fn setting_history(
        &self,
        name: &str,
        changes_max: usize,
    ) -> Result<Vec<ClusterSetting>, Error> {
        let changes_max = i64::try_from(changes_max).unwrap_or(i64::MAX);
        let rows = match &self.database {
            Database::Postgres(database) => database.setting_history(name, changes_max).await,
            Database::Sqlite(database) => database.setting_history(name, changes_max).await,
        };
        let rows = rows.map_err(|error| failed(&format!("reading who changed `{name}`"), error))?;
        Ok(rows.into_iter().map(setting).collect())
    }

    async fn change_setting(&self, change: &SettingChange<'_>) -> Result<SettingOutcome, Error> {
        let if_version = change.if_version.map(signed);
        let changed = match &self.database {
            Database::Postgres(database) => database.change_setting(change, if_version).await,
            Database::Sqlite(database) => database.change_setting(change, if_version).await,
        };
        changed.map_err(|failure| failure.error(&format!("changing the setting `{}`", change.name)))
    }
}

fn setting((version, text, at, who, why): SettingRow) -> ClusterSetting {
    ClusterSetting {
        version: unsigned(version),
        text,
        at: DbTime(unsigned(at)),
        who,
        why,
    }
}

impl ClusterSettings for SqlOrigin {
    fn read<'a>(
        &'a self,
        name: &'a str,
        known: Option<u64>,
    ) -> BoxFuture<'a, Result<Option<ClusterSetting>, Error>> {
        Box::pin(self.read_setting(name, known))
    }

    fn read_changed<'a>(
        &'a self,
        known: &'a [(&'a str, u64)],
    ) -> BoxFuture<'a, Result<Vec<Option<ClusterSetting>>, Error>> {
        Box::pin(self.read_changed_settings(known))
    }

    fn history<'a>(
        &'a self,
        name: &'a str,
        changes_max: usize,
    ) -> BoxFuture<'a, Result<Vec<ClusterSetting>, Error>> {
        Box::pin(self.setting_history(name, changes_max))
    }

    fn change<'a>(
        &'a self,
        change: &'a SettingChange<'a>,
    ) -> BoxFuture<'a, Result<SettingOutcome, Error>> {
        Box::pin(self.change_setting(change))
    }
}
