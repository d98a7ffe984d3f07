//! The migrations, embedded: forward only, one folder for each database.

use hotshelf_model::{Error, ErrorKind};
use sqlx::SqlStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

const POSTGRES: [(i64, &str, &str); 9] = [
    (
        1,
        "create change log",
        include_str!("../../../migrations/postgres/0001_create_change_log.sql"),
    ),
    (
        2,
        "create products",
        include_str!("../../../migrations/postgres/0002_create_products.sql"),
    ),
    (
        3,
        "retain and lead",
        include_str!("../../../migrations/postgres/0003_retain_and_lead.sql"),
    ),
    (
        4,
        "seal from memory",
        include_str!("../../../migrations/postgres/0004_seal_from_memory.sql"),
    ),
    (
        5,
        "write products",
        include_str!("../../../migrations/postgres/0005_write_products.sql"),
    ),
    (
        6,
        "post changes",
        include_str!("../../../migrations/postgres/0006_post_changes.sql"),
    ),
    (
        7,
        "keep settings",
        include_str!("../../../migrations/postgres/0007_keep_settings.sql"),
    ),
    (
        8,
        "know nodes",
        include_str!("../../../migrations/postgres/0008_know_nodes.sql"),
    ),
    (
        9,
        "keep warm jobs",
        include_str!("../../../migrations/postgres/0009_keep_warm_jobs.sql"),
    ),
];

const SQLITE: [(i64, &str, &str); 6] = [
    (
        1,
        "create change log",
        include_str!("../../../migrations/sqlite/0001_create_change_log.sql"),
    ),
    (
        2,
        "create products",
        include_str!("../../../migrations/sqlite/0002_create_products.sql"),
    ),
    (
        3,
        "retain log",
        include_str!("../../../migrations/sqlite/0003_retain_log.sql"),
    ),
    (
        6,
        "post changes",
        include_str!("../../../migrations/sqlite/0006_post_changes.sql"),
    ),
    (
        7,
        "keep settings",
        include_str!("../../../migrations/sqlite/0007_keep_settings.sql"),
    ),
    (
        9,
        "keep warm jobs",
        include_str!("../../../migrations/sqlite/0009_keep_warm_jobs.sql"),
    ),
];

/// The migrations of PostgreSQL, whose bookkeeping lies in hotshelf's schema too. The schema is created only when it is not
/// there, because the statement needs a privilege on the database even when it then does nothing.
pub(crate) fn postgres(schema_exists: bool) -> Migrator {
    let mut migrator = migrator(&POSTGRES);
    migrator.dangerous_set_table_name("hotshelf.schema_migration");
    if !schema_exists {
        migrator.create_schema("hotshelf");
    }
    migrator
}

/// The migrations of SQLite.
pub(crate) fn sqlite() -> Migrator {
    let mut migrator = migrator(&SQLITE);
    migrator.dangerous_set_table_name("cache_schema_migration");
    migrator
}

fn migrator(files: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |&(number, name, sql): &(i64, &'static str, &'static str)| {
        let sql = SqlStr::from_static(sql);
        Migration::new(number, name.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}

/// The number of a migration that was run, and its checksum.
pub(crate) type Done = (i64, Vec<u8>);

/// The name and the SQL of each migration that is not among those that were run.
pub(crate) fn pending(migrator: &Migrator, done: &[Done]) -> Vec<(String, String)> {
    let is_done = |one: &Migration| done.iter().any(|(number, _)| *number == one.version);
    let missing = migrator.iter().filter(|one| !is_done(one));
    let shown = |one: &Migration| {
        let name = format!("{:04} {}", one.version, one.description);
        (name, one.sql.as_str().to_owned())
    };
    missing.map(shown).collect()
}

/// Whether exactly these migrations were run, each as it is here.
pub(crate) fn is_current(migrator: &Migrator, done: &[Done]) -> bool {
    let wanted = migrator.iter().map(|one| (one.version, &*one.checksum));
    wanted.eq(done.iter().map(|(number, sum)| (*number, &**sum)))
}

/// Our error for a migration that failed.
pub(crate) fn failed(error: MigrateError) -> Error {
    let context = match &error {
        MigrateError::VersionMissing(_) => {
            "migrating the database, which a newer hotshelf has migrated already"
        }
        _ => "migrating the database",
    };
    Error::new(ErrorKind::OriginFailed, context).with_source(error)
}
