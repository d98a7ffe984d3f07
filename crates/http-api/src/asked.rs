//! What of a request decides about the read and the form of the answer.

use hotshelf_engine::{Class, ReadOptions};
use hotshelf_model::{Asker, Encoding, FieldProblem, VersionToken};
use http::header::{ACCEPT_ENCODING, HeaderName, IF_NONE_MATCH};
use http::{HeaderMap, Method};
use smallvec::SmallVec;

use crate::headers::{HOTSHELF_CALLER, HOTSHELF_CLASS, HOTSHELF_MIN_VERSION, Wishes, names_tag};
use crate::problem::Problem;
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::settings::HttpSettings;

/// The headers of a request, as far as they are of concern to a read.
#[derive(Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) is_head: bool,
    wishes: Wishes,
    tags: SmallVec<[&'a [u8]; 1]>,
    min_version: Option<&'a [u8]>,
    class: Option<&'a [u8]>,
    /// Empty when it is not sane.
    request_id: Option<&'a str>,
    /// The same.
    caller: Option<&'a str>,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(method: &Method, headers: &'a HeaderMap) -> Self {
        let mut asked = Asked::nothing(method == Method::HEAD);
        for (name, value) in headers {
            asked.note(name.as_str(), value.as_bytes());
        }
        asked
    }

    /// Of a request whose headers were not looked at yet.
    pub(crate) fn nothing(is_head: bool) -> Self {
        Asked {
            is_head,
            ..Asked::default()
        }
    }

    /// Notes a header if it is one that decides; of those that are no lists the first counts.
    pub(crate) fn note(&mut self, name: &str, value: &'a [u8]) {
        let is = |other: &HeaderName| name.eq_ignore_ascii_case(other.as_str());
        if is(&ACCEPT_ENCODING) {
            self.wishes.note_list(value);
        } else if is(&IF_NONE_MATCH) {
            self.tags.push(value);
        } else if is(&HOTSHELF_MIN_VERSION) {
            self.min_version.get_or_insert(value);
        } else if is(&X_REQUEST_ID) {
            self.request_id.get_or_insert(sane(value));
        } else if is(&HOTSHELF_CLASS) {
            self.class.get_or_insert(value);
        } else if is(&HOTSHELF_CALLER) {
            self.caller.get_or_insert(sane(value));
        }
    }

    /// The encoding that the client would like best.
    pub(crate) fn encoding(&self) -> Encoding {
        self.wishes.best()
    }

    /// How the client wants to be read for.
    pub(crate) fn options(&self, settings: &HttpSettings) -> Result<ReadOptions<'a>, Problem> {
        let (min_version, class) = (self.min_version(), self.class());
        match (min_version, class) {
            (Ok(min_version), Ok(class)) => Ok(ReadOptions {
                deadline: settings.request_timeout,
                min_version,
                class,
                asker: self.asker(),
            }),
            (min_version, class) => {
                let problems = [min_version.err(), class.err()];
                Err(Problem::invalid(problems.into_iter().flatten().collect()))
            }
        }
    }

    /// The version that the client wants at least.
    fn min_version(&self) -> Result<Option<VersionToken>, FieldProblem> {
        let Some(value) = self.min_version else {
            return Ok(None);
        };
        let token = std::str::from_utf8(value).unwrap_or_default();
        let token = token.parse::<VersionToken>();
        token
            .map(Some)
            .map_err(|error| FieldProblem::new("Hotshelf-Min-Version", error.to_string()))
    }

    fn class(&self) -> Result<Class, FieldProblem> {
        match self.class {
            None | Some(b"interactive") => Ok(Class::Interactive),
            Some(b"background") => Ok(Class::Background),
            Some(_) => {
                let reason = "is neither `interactive` nor `background`";
                Err(FieldProblem::new("Hotshelf-Class", reason))
            }
        }
    }

    /// Who asks, as far as it was said in a sane way.
    fn asker(&self) -> Asker<'a> {
        Asker {
            request_id: self.request_id.unwrap_or_default(),
            caller: self.caller.unwrap_or_default(),
        }
    }

    /// The id that the client sent, when it is sane.
    pub(crate) fn request_id(&self) -> Option<&'a str> {
        self.request_id.filter(|id| !id.is_empty())
    }

    /// Whether the client names copies that it holds.
    pub(crate) fn is_conditional(&self) -> bool {
        !self.tags.is_empty()
    }

    /// Whether one of them has this tag.
    pub(crate) fn holds(&self, tag: &[u8]) -> bool {
        self.tags.iter().any(|list| names_tag(list, tag))
    }
}

/// A text that may be repeated in answers and in the log; empty when it may not.
fn sane(value: &[u8]) -> &str {
    let text = Some(value).filter(|value| RequestId::is_sane(value));
    text.and_then(|text| std::str::from_utf8(text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
