//! The database as [`ClusterSettings`].

use hotshelf_model::{
    BoxFuture, ClusterSetting, ClusterSettings, DbTime, Error, SettingChange, SettingOutcome,
};

use crate::failure::failed;
use crate::snapshot::{signed, unsigned};
use crate::{Database, SqlOrigin};

/// A row as it was read: version, text, milliseconds, who, why. The text is left out of one whose version is known.
pub(crate) type SettingRow = (i64, Option<String>, i64, String, String);

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
        let setting = row.map_or_else(ClusterSetting::default, |(version, text, at, who, why)| {
            ClusterSetting {
                version: unsigned(version),
                text,
                at: DbTime(unsigned(at)),
                who,
                why,
            }
        });
        Ok(Some(setting).filter(|setting| known != Some(setting.version)))
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

impl ClusterSettings for SqlOrigin {
    fn read<'a>(
        &'a self,
        name: &'a str,
        known: Option<u64>,
    ) -> BoxFuture<'a, Result<Option<ClusterSetting>, Error>> {
        Box::pin(self.read_setting(name, known))
    }

    fn change<'a>(
        &'a self,
        change: &'a SettingChange<'a>,
    ) -> BoxFuture<'a, Result<SettingOutcome, Error>> {
        Box::pin(self.change_setting(change))
    }
}
