//! From tokens as they are written to tokens as they are compared: each name once, each role known, each hash read or taken.

use std::collections::BTreeSet;
use std::path::Path;

use hotshelf_model::{AccessToken, Role};
use sha2::{Digest, Sha256};

use crate::config::AuthConfig;
use crate::raw::{RawAuth, RawToken};
use crate::resolve::Resolver;
use crate::supplied::read_bounded;

const TOKENS: &str = "auth.tokens";
/// The longest name of a token, and the longest token, in bytes.
const BYTES_MAX: usize = 1024;
/// The shortest token that is taken from a file: shorter ones can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

impl Resolver {
    /// Resolves every token; one that is refused is left out.
    pub(crate) fn auth(&mut self, raw: &RawAuth) -> AuthConfig {
        let mut names = BTreeSet::new();
        let mut tokens = Vec::new();
        for one in raw.tokens() {
            if !names.insert(one.name.clone()) {
                self.refuse_token(&one, "is declared twice; give one of the two another name");
            }
            match self.token(&one) {
                Ok(token) => tokens.push(token),
                Err(reason) => self.refuse_token(&one, &reason),
            }
        }
        AuthConfig { tokens }
    }

    fn refuse_token(&mut self, token: &RawToken, reason: &str) {
        let name: String = token.name.chars().take(64).collect();
        self.refuse(TOKENS, format!("`{name}`: {reason}"));
    }

    fn token(&self, raw: &RawToken) -> Result<AccessToken, String> {
        if raw.name.is_empty() || raw.name.len() > BYTES_MAX {
            return Err("the name must have 1 to 1024 bytes".to_owned());
        }
        let role: Role = raw
            .role
            .parse()
            .map_err(|error| format!("the role {error}"))?;
        let sha256 = match (&raw.sha256, &raw.file) {
            (Some(hash), None) => hash_of_text(hash)?,
            (None, Some(file)) => hash_of_file(&self.beside_configuration(file, TOKENS))?,
            _ => return Err("give it either `sha256` or `file`".to_owned()),
        };
        Ok(AccessToken {
            name: raw.name.clone(),
            role,
            sha256,
        })
    }
}

fn hash_of_text(text: &str) -> Result<[u8; 32], String> {
    let wrong = || {
        "`sha256` must be 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` prints them"
            .to_owned()
    };
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}

fn hash_of_file(path: &Path) -> Result<[u8; 32], String> {
    let text = read_bounded(path, 2 * BYTES_MAX as u64);
    let text = text.map_err(|reason| format!("the file {} {reason}", path.display()))?;
    let token = text.trim_ascii();
    let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible || !(TOKEN_BYTES_MIN..=BYTES_MAX).contains(&token.len()) {
        return Err(format!(
            "the file {} must hold {TOKEN_BYTES_MIN} to {BYTES_MAX} visible ASCII characters, such as `openssl rand -hex 32` prints",
            path.display()
        ));
    }
    Ok(Sha256::digest(token).into())
}

#[cfg(test)]
mod tests;
