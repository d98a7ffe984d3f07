//! What is asked of Redis for one key, as a command or as a script with one key, so that a cluster takes it too.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Script, Value};

use hotshelf_model::{LeaseToken, UnavailableReason};

/// One key and what to do with it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) key: String,
    pub(crate) action: Action,
}

#[derive(Debug)]
pub(crate) enum Action {
    Get,
    Unlink,
    /// Writes an envelope unless the stored one has a greater stamp. Answers 1 when written, 0 when fenced.
    Put {
        envelope: Bytes,
        ttl: Duration,
    },
    /// Removes the value only if it begins with these bytes.
    RemoveSame {
        beginning: Bytes,
    },
    Acquire {
        token: LeaseToken,
        ttl: Duration,
    },
    Renew {
        token: LeaseToken,
        ttl: Duration,
    },
}

/// What Redis said for one key, an error reply included, or why nothing was said.
pub(crate) type Reply = Result<Value, UnavailableReason>;

/// A Lua script, known to Redis by its hash once it has run there.
#[derive(Debug)]
struct StoredScript {
    text: &'static str,
    sha1: String,
}

impl StoredScript {
    fn new(text: &'static str) -> Self {
        let sha1 = Script::new(text).get_hash().to_owned();
        StoredScript { text, sha1 }
    }
}

/// Compares stamps field by field as numbers: Lua compares strings by the locale, and a double holds 32 bits exactly.
///
/// An equal stamp is written, because it may carry a newer proof. `pcall`, because the key may hold another type; `SET`
/// replaces that too. Bytes of another format, or too short to hold a stamp, fence nothing.
static PUT: LazyLock<StoredScript> = LazyLock::new(|| {
    StoredScript::new(
        r"local stored = redis.pcall('GETRANGE', KEYS[1], 0, 27)
if type(stored) == 'string' and #stored == 28 and string.sub(stored, 1, 4) == string.sub(ARGV[1], 1, 4) then
  local old = {struct.unpack('>I4I4I4I4I4', stored, 9)}
  local new = {struct.unpack('>I4I4I4I4I4', ARGV[1], 9)}
  for i = 1, 5 do
    if new[i] > old[i] then break end
    if new[i] < old[i] then return 0 end
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1",
    )
});

static REMOVE_SAME: LazyLock<StoredScript> = LazyLock::new(|| {
    StoredScript::new(
        r"local stored = redis.pcall('GETRANGE', KEYS[1], 0, #ARGV[1] - 1)
if stored == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end
return 0",
    )
});

static RENEW: LazyLock<StoredScript> = LazyLock::new(|| {
    StoredScript::new(
        r"if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0",
    )
});

/// A token as it stands in Redis: always 16 characters, so that none is the beginning of another.
pub(crate) fn token_text(token: LeaseToken) -> String {
    format!("{:016x}", token.0)
}

impl Call {
    pub(crate) fn new(key: String, action: Action) -> Self {
        Call { key, action }
    }

    /// The command. A script goes by its hash, or with its text when Redis does not know it.
    pub(crate) fn command(&self, whole_script: bool) -> Cmd {
        match &self.action {
            Action::Get => self.plain("GET"),
            Action::Unlink => self.plain("UNLINK"),
            Action::Put { envelope, ttl } => {
                let mut command = self.script(&PUT, whole_script);
                command.arg(&envelope[..]).arg(millis(*ttl));
                command
            }
            Action::RemoveSame { beginning } => {
                let mut command = self.script(&REMOVE_SAME, whole_script);
                command.arg(&beginning[..]);
                command
            }
            Action::Acquire { token, ttl } => {
                let mut command = self.plain("SET");
                command
                    .arg(token_text(*token))
                    .arg("NX")
                    .arg("PX")
                    .arg(millis(*ttl));
                command
            }
            Action::Renew { token, ttl } => {
                let mut command = self.script(&RENEW, whole_script);
                command.arg(token_text(*token)).arg(millis(*ttl));
                command
            }
        }
    }

    pub(crate) fn is_get(&self) -> bool {
        matches!(self.action, Action::Get)
    }

    fn plain(&self, name: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(&self.key);
        command
    }

    fn script(&self, script: &StoredScript, whole: bool) -> Cmd {
        let mut command = if whole {
            let mut command = redis::cmd("EVAL");
            command.arg(script.text);
            command
        } else {
            let mut command = redis::cmd("EVALSHA");
            command.arg(&script.sha1);
            command
        };
        command.arg(1).arg(&self.key);
        command
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}
