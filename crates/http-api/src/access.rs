//! Who may do what on this node: bearer tokens and their roles.

use hotshelf_model::{AccessToken, Role};
use http::header::{AUTHORIZATION, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::problem::Problem;

/// Who somebody is that needs no token.
const ANYBODY: &str = "anybody on this machine";

/// The longest token that is hashed, in bytes.
const TOKEN_BYTES_MAX: usize = 1024;

/// Which tokens open this node, and what is open without one.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The tokens; most recent configuration, at most a few dozen.
    pub tokens: Vec<AccessToken>,
    /// Whether anybody who reaches the public listener may write: an embedded node on loopback without tokens.
    pub writes_open: bool,
    /// Whether whoever reaches the admin listener is an operator: it is on loopback and there are no tokens.
    pub admin_open: bool,
    /// Whether whoever reaches the admin listener may read metrics: it is on loopback.
    pub metrics_open: bool,
}

impl Access {
    /// Lets a request through that may write.
    pub(crate) fn to_write(&self, headers: &HeaderMap) -> Result<(), Problem> {
        self.check(headers, Role::Writer, self.writes_open)
            .map(drop)
    }

    /// Lets a request to the admin listener through that may do what `role` may, and says whose it is.
    pub(crate) fn to_administer(&self, headers: &HeaderMap, role: Role) -> Result<&str, Problem> {
        self.check(headers, role, self.admin_open)
    }

    /// Lets a request through that may read metrics.
    pub(crate) fn to_observe(&self, headers: &HeaderMap) -> Result<(), Problem> {
        self.check(headers, Role::Viewer, self.metrics_open)
            .map(drop)
    }

    fn check(&self, headers: &HeaderMap, needed: Role, open: bool) -> Result<&str, Problem> {
        if open {
            return refuse_pages(headers).map(|()| ANYBODY);
        }
        if !self.tokens.iter().any(|token| token.role >= needed) {
            return Err(no_token(needed));
        }
        let Some(token) = bearer(headers) else {
            return Err(unauthorized(
                "send a token: `Authorization: Bearer TOKEN`",
                needed,
            ));
        };
        match self.bearer_of(token) {
            None => Err(unauthorized("the token is not one of this node's", needed)),
            Some(known) if known.role >= needed => Ok(&known.name),
            Some(AccessToken { role, .. }) => {
                let detail =
                    format!("the token has the role `{role}`; this needs the role `{needed}`");
                Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
            }
        }
    }

    /// Who bears this token; of several, who may do most. Every token is compared, each in constant time, so that how long it takes
    /// says nothing of what is kept.
    fn bearer_of(&self, token: &[u8]) -> Option<&AccessToken> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        self.tokens.iter().fold(None, |found, known| {
            let same: bool = known.sha256.ct_eq(&hash).into();
            let more = found.is_none_or(|found: &AccessToken| found.role < known.role);
            if same && more { Some(known) } else { found }
        })
    }
}

/// Where no token is needed, a page that somebody has open in a browser on this machine could send requests too; browsers say so.
fn refuse_pages(headers: &HeaderMap) -> Result<(), Problem> {
    if !headers.contains_key(ORIGIN) {
        return Ok(());
    }
    let detail = "the request comes from a page in a browser (it has the header `Origin`), and this node is open without a token; \
                  configure `auth.tokens` and send one";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    let good = scheme.eq_ignore_ascii_case(b"bearer ") && token.len() <= TOKEN_BYTES_MAX;
    good.then(|| token.trim_ascii())
}

fn unauthorized(reason: &str, needed: Role) -> Problem {
    let detail = format!("{reason}; this needs the role `{needed}`");
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).with_header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"hotshelf\""),
    )
}

fn no_token(needed: Role) -> Problem {
    let detail = format!(
        "this needs a token with the role `{needed}`, and the node has none; give it one in `auth.tokens`, such as \
         {{ name = \"shop\", role = \"{needed}\", sha256 = \"...\" }}"
    );
    Problem::new(StatusCode::FORBIDDEN, "no_token", detail)
}

#[cfg(test)]
mod tests;
