//! Who may do what: roles, and the tokens that stand for them.

use std::fmt;
use std::str::FromStr;

/// What the bearer of a token may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at metrics and states.
    Viewer,
    /// Write products and post changes.
    Writer,
    /// Everything.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Writer, Role::Operator];

    /// The word in configurations and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Writer => "writer",
            Role::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is none of the roles `viewer`, `writer` and `operator`")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        let mut roles = Role::ALL.into_iter();
        roles.find(|role| role.as_str() == word).ok_or(UnknownRole)
    }
}

/// A token as it is kept: its hash, so that whoever reads a configuration cannot use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// Who bears it, for the log.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// The SHA-256 hash of the token's bytes.
    pub sha256: [u8; 32],
}
