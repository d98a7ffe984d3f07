//! Settings of the cluster in memory.

use std::collections::BTreeMap;

use hotshelf_model::{
    BoxFuture, ClusterSetting, ClusterSettings, DbTime, Error, ErrorKind, SettingChange,
    SettingOutcome,
};
use parking_lot::Mutex;

/// A fake of the database as [`ClusterSettings`]. A change's time is its version in milliseconds.
#[derive(Debug, Default)]
pub struct FakeSettings(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    settings: BTreeMap<String, ClusterSetting>,
    history: Vec<(String, ClusterSetting)>,
    fails: Option<ErrorKind>,
    reads: usize,
}

impl FakeSettings {
    /// Everything fails from now on.
    pub fn fail(&self, kind: ErrorKind) {
        self.0.lock().fails = Some(kind);
    }

    /// Nothing fails any more.
    pub fn recover(&self) {
        self.0.lock().fails = None;
    }

    /// How often a setting was read.
    pub fn reads(&self) -> usize {
        self.0.lock().reads
    }

    /// What somebody else has decided.
    pub fn put(&self, name: &str, text: Option<&str>) {
        let change = SettingChange {
            name,
            text,
            if_version: None,
            who: "another",
            why: "the test wants it",
        };
        self.0.lock().change(&change);
    }

    fn checked(&self) -> Result<parking_lot::MutexGuard<'_, State>, Error> {
        let state = self.0.lock();
        match state.fails {
            None => Ok(state),
            Some(kind) => Err(Error::new(kind, "reading settings as the test wants it")),
        }
    }
}

impl State {
    fn change(&mut self, change: &SettingChange<'_>) -> SettingOutcome {
        let setting = self.settings.entry(change.name.to_owned()).or_default();
        let current = setting.version;
        if change.if_version.is_some_and(|wanted| wanted != current) {
            return SettingOutcome::VersionMismatch { current };
        }
        let version = current + 1;
        *setting = ClusterSetting {
            version,
            text: change.text.map(str::to_owned),
            at: DbTime(version),
            who: change.who.to_owned(),
            why: change.why.to_owned(),
        };
        self.history.push((change.name.to_owned(), setting.clone()));
        SettingOutcome::Written { version }
    }
}

impl ClusterSettings for FakeSettings {
    fn read<'a>(
        &'a self,
        name: &'a str,
        known: Option<u64>,
    ) -> BoxFuture<'a, Result<Option<ClusterSetting>, Error>> {
        Box::pin(async move {
            let mut state = self.checked()?;
            state.reads += 1;
            let setting = state.settings.get(name).cloned().unwrap_or_default();
            Ok(Some(setting).filter(|setting| known != Some(setting.version)))
        })
    }

    fn read_changed<'a>(
        &'a self,
        known: &'a [(&'a str, u64)],
    ) -> BoxFuture<'a, Result<Vec<Option<ClusterSetting>>, Error>> {
        Box::pin(async move {
            let mut state = self.checked()?;
            state.reads += 1;
            let changed = |&(name, known): &(&str, u64)| {
                let setting = state.settings.get(name).cloned().unwrap_or_default();
                Some(setting).filter(|setting| setting.version != known)
            };
            Ok(known.iter().map(changed).collect())
        })
    }

    fn history<'a>(
        &'a self,
        name: &'a str,
        changes_max: usize,
    ) -> BoxFuture<'a, Result<Vec<ClusterSetting>, Error>> {
        Box::pin(async move {
            let state = self.checked()?;
            let changes = state.history.iter().rev();
            let of_name = changes.filter(|(changed, _)| changed == name);
            let settings = of_name.map(|(_, setting)| setting.clone());
            Ok(settings.take(changes_max).collect())
        })
    }

    fn change<'a>(
        &'a self,
        change: &'a SettingChange<'a>,
    ) -> BoxFuture<'a, Result<SettingOutcome, Error>> {
        Box::pin(async move { Ok(self.checked()?.change(change)) })
    }
}
