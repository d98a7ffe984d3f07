//! Each kind of error becomes one problem.

use super::*;

fn parsed(answer: &http::Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(answer.body()).unwrap()
}

#[test]
fn every_kind_of_failure_has_its_status_and_code() {
    for (kind, status, code) in [
        (ErrorKind::Invalid, 400, "invalid"),
        (ErrorKind::UnknownNamespace, 404, "unknown_namespace"),
        (ErrorKind::TooLarge, 502, "too_large"),
        (ErrorKind::OriginFailed, 503, "origin_failed"),
        (ErrorKind::OriginOff, 503, "origin_off"),
        (ErrorKind::OriginTimeout, 504, "origin_timeout"),
        (ErrorKind::Shed, 503, "shed"),
        (ErrorKind::VersionUnknown, 412, "version_unknown"),
        (ErrorKind::VersionTimeout, 504, "version_timeout"),
        (ErrorKind::Damaged, 500, "damaged"),
        (ErrorKind::Unavailable, 503, "unavailable"),
        (ErrorKind::Internal, 500, "internal"),
    ] {
        let problem = Problem::of_read(&Error::new(kind, "reading `a`"));
        let answer = problem.answer(&RequestId::generate());
        let body = parsed(&answer);
        assert_eq!(
            (answer.status().as_u16(), &body["code"]),
            (status, &code.into()),
            "{kind:?}"
        );
        assert_eq!(body["type"], format!("urn:hotshelf:problem:{code}"));
        assert_eq!(body["status"], status);
        assert_eq!(
            answer.headers().contains_key(RETRY_AFTER),
            status == 503,
            "{kind:?}"
        );
        assert_eq!(
            answer.headers()[CACHE_STATUS],
            format!("hotshelf; fwd=miss; detail={code}")
        );
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            answer.headers()[X_REQUEST_ID].to_str().unwrap(),
            body["request_id"].as_str().unwrap()
        );
    }
}

#[test]
fn the_inside_of_a_fault_is_not_shown_to_clients() {
    let error = Error::new(ErrorKind::Internal, "joining the flight of `/var/lib/x`");
    let body = parsed(&Problem::of_read(&error).answer(&RequestId::generate()));
    assert!(!body["detail"].as_str().unwrap().contains("/var/lib"));
}

#[test]
fn bad_fields_are_listed_and_clipped() {
    let errors = vec![
        FieldProblem::new("id", "is empty"),
        FieldProblem::new("ä".repeat(400), "x".repeat(400)),
    ];
    let body = parsed(&Problem::invalid(errors).answer(&RequestId::generate()));
    assert_eq!(
        body["errors"][0],
        serde_json::json!({"field": "id", "reason": "is empty"})
    );
    assert_eq!(
        body["errors"][1]["field"].as_str().unwrap().chars().count(),
        TEXT_CHARS_MAX
    );
    assert_eq!(
        body["errors"][1]["reason"].as_str().unwrap().len(),
        TEXT_CHARS_MAX
    );
    assert!(
        parsed(&Problem::unknown_route().answer(&RequestId::generate()))
            .get("errors")
            .is_none()
    );
}
