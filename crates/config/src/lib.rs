//! Configuration: a file, the environment and flags become one [`Config`], or a list of everything that is wrong with them.
//!
//! Reading order: [`raw`] (every key, declared once), [`mod@config`] (what the program gets), then how one becomes the other:
//! `supplied` reads and checks each source, `provenance` lays them over one another, `resolve` and `namespace` fill in and convert, `relations` checks what spans keys.
//! Deliberately absent: profiles, includes, reloading.

pub mod config;
pub mod key;
pub mod problem;
pub mod provenance;
pub mod raw;
pub mod reference;
pub mod secret;

mod auth;
mod check;
mod hot;
mod namespace;
mod relations;
mod resolve;
mod supplied;

pub use config::{
    AccessLogConfig, AccessLogFormat, AccessLogMode, AdminConfig, Admission, BreakerConfig,
    BusKind, CoherenceConfig, Config, DatabaseConfig, HotConfig, HttpConfig, HttpSource, L1Config,
    L2Config, L3Config, LogConfig, LogFormat, NamespaceConfig, NamespaceSource, NatsConfig,
    NodeConfig, OriginConfig, WarmConfig,
};
pub use key::{Key, Section, ValueKind};
pub use problem::{ConfigProblems, Problem};
pub use provenance::{Provenance, Setting, Source};
pub use raw::RawConfig;
pub use reference::{example_toml, reference_markdown};
pub use secret::{Secret, SecretUrl};
pub use supplied::{Sources, environment};
