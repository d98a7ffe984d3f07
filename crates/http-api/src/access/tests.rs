//! Tokens, roles, and what is open without them.

use super::*;

fn token(name: &str, role: Role) -> AccessToken {
    AccessToken {
        name: name.to_owned(),
        role,
        sha256: Sha256::digest(format!("{name} secret")).into(),
    }
}

fn with(value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !value.is_empty() {
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn a_role_may_do_what_those_before_it_may() {
    let roles = [
        ("see", Role::Viewer),
        ("put", Role::Writer),
        ("all", Role::Operator),
    ];
    let access = Access {
        tokens: roles.map(|(name, role)| token(name, role)).into(),
        ..Access::default()
    };
    for (name, role) in roles {
        for needed in Role::ALL {
            let answer = access.check(&with(&format!("Bearer {name} secret")), needed, false);
            let status = answer.err().map(|problem| problem.status());
            let expected = (role < needed).then_some(StatusCode::FORBIDDEN);
            assert_eq!(status, expected, "{name} {needed}");
        }
    }
}

#[test]
fn what_is_no_token_of_ours_is_not_let_in() {
    let access = Access {
        tokens: vec![token("put", Role::Writer)],
        ..Access::default()
    };
    assert!(access.to_write(&with("bearer put secret")).is_ok());
    let long = format!("Bearer {}", "x".repeat(2000));
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer put secre",
        "Basic put secret",
        "put secret",
        &long,
    ] {
        let problem = access.to_write(&with(value)).unwrap_err();
        assert_eq!(problem.status(), StatusCode::UNAUTHORIZED, "{value}");
    }
}

#[test]
fn without_tokens_only_what_is_open_is_open_and_not_to_pages() {
    let closed = Access::default();
    let problem = closed.to_write(&with("Bearer x")).unwrap_err();
    assert_eq!(problem.status(), StatusCode::FORBIDDEN);
    let open = Access {
        writes_open: true,
        ..Access::default()
    };
    assert!(open.to_write(&HeaderMap::new()).is_ok());
    assert!(open.to_administer(&HeaderMap::new(), Role::Writer).is_err());
    let mut page = HeaderMap::new();
    page.insert(
        ORIGIN,
        HeaderValue::from_static("https://elsewhere.example"),
    );
    assert!(open.to_write(&page).is_err());
}
