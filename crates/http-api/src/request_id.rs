//! The id under which a client's request is found in the log.

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const BYTES_MAX: usize = 64;

/// A request's id: the client's own when it is 1 to 64 visible ASCII characters, else one made here.
///
/// Invariant: the header's value is visible ASCII.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id of a request with these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        Self::sent(headers).unwrap_or_else(Self::generate)
    }

    /// The id that the client sent, when it is sane.
    pub(crate) fn sent(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(X_REQUEST_ID)?;
        Self::is_sane(value.as_bytes()).then(|| RequestId(value.clone()))
    }

    /// Whether a client's id is kept.
    pub(crate) fn is_sane(id: &[u8]) -> bool {
        (1..=BYTES_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
    }

    /// An id that is known to be sane; `None` of one that is not even a header's value.
    pub(crate) fn of_sane(id: &str) -> Option<Self> {
        HeaderValue::from_str(id).ok().map(RequestId)
    }

    /// An id that no other request has.
    pub(crate) fn generate() -> Self {
        let text = format!("{:016x}", rand::random::<u64>());
        RequestId(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_kept_and_any_other_replaced() {
        let of = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            RequestId::of(&headers).as_str().to_owned()
        };
        assert_eq!(of(b"abc-123"), "abc-123");
        assert_eq!(of(&[b'x'; 64]), "x".repeat(64));
        for bad in [&b""[..], b"a b", b"\xff", b"a\tb", &[b'x'; 65]] {
            let id = of(bad);
            assert_eq!(id.len(), 16, "{id}");
            assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        }
        assert_ne!(
            RequestId::generate().as_str(),
            RequestId::generate().as_str()
        );
    }
}
