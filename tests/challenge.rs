//! What is read of `WWW-Authenticate`.

use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use tower_bearer::rejection::Challenge;

fn parse(fields: &[&str]) -> Vec<Challenge> {
    let fields = fields
        .iter()
        .map(|field| HeaderValue::from_bytes(field.as_bytes()).unwrap());
    Challenge::parse_all(&fields.map(|field| (WWW_AUTHENTICATE, field)).collect())
}

/// Everything that was read, in a spelling that shows where each part ends.
fn read(field: &str) -> String {
    let challenges = parse(&[field]);
    let mut texts = challenges.iter().map(|challenge| {
        let mut text = challenge.scheme().to_owned();
        if let Some(token68) = challenge.token68() {
            text += &format!(" {{{token68}}}");
        }
        for (name, value) in challenge.parameters() {
            text += &format!(" {name}=[{value}]");
        }
        text
    });
    let first = texts.next().unwrap_or_default();
    texts.fold(first, |all, text| all + "; " + &text)
}

fn one(field: &str) -> Challenge {
    let mut challenges = parse(&[field]);
    assert_eq!(challenges.len(), 1, "{field}");
    challenges.remove(0)
}

#[test]
fn several_challenges_in_one_field_are_told_apart() {
    for (field, expected) in [
        // RFC 9110 §11.6.1.
        (
            r#"Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\"""#,
            r#"Basic realm=[simple]; Newauth realm=[apps] type=[1] title=[Login to "apps"]"#,
        ),
        (
            r#"Newauth realm="apps", type=1, title="Login, or = Basic x=\"y\"", Basic realm="simple""#,
            r#"Newauth realm=[apps] type=[1] title=[Login, or = Basic x="y"]; Basic realm=[simple]"#,
        ),
        (r#"Bearer,Basic realm="x""#, "Bearer; Basic realm=[x]"),
        (
            r#"Negotiate, NTLM,Basic realm="x", Bearer"#,
            "Negotiate; NTLM; Basic realm=[x]; Bearer",
        ),
        (
            r#"Negotiate oRQ==, Bearer error="invalid_token""#,
            "Negotiate {oRQ==}; Bearer error=[invalid_token]",
        ),
        // RFC 9449 §7.1.
        (
            r#"Bearer error="invalid_token", error_description="Invalid token", DPoP algs="ES256 PS256", error="use_dpop_nonce""#,
            "Bearer error=[invalid_token] error_description=[Invalid token]; \
             DPoP algs=[ES256 PS256] error=[use_dpop_nonce]",
        ),
    ] {
        assert_eq!(read(field), expected, "{field}");
    }
}

#[test]
fn several_fields_are_read_in_order_and_each_for_itself() {
    let challenges = parse(&[
        r#"Bearer realm="never closed"#,
        r#"error="whose?", Basic realm="x""#,
        "",
        "Negotiate",
    ]);

    let schemes: Vec<_> = challenges.iter().map(Challenge::scheme).collect();
    assert_eq!(schemes, ["Bearer", "Basic", "Negotiate"]);
    assert_eq!(challenges[0].realm(), Some("never closed"));
    assert_eq!(challenges[0].error(), None);
}

#[test]
fn one_word_after_the_scheme_is_a_token68_and_a_pair_is_a_parameter() {
    for (field, expected) in [
        ("Foo abc", "Foo {abc}"),
        ("Foo abc=", "Foo {abc=}"),
        ("Foo abc==", "Foo {abc==}"),
        ("Foo a.b-c_d~e+f/9=", "Foo {a.b-c_d~e+f/9=}"),
        ("Foo a=b", "Foo a=[b]"),
        ("Foo a==b", "Foo a=[=b]"),
        ("Foo a=\"\"", "Foo a=[]"),
        // The name of a parameter, and no scheme.
        ("Foo =", ""),
        ("Foo  ,", "Foo"),
        // A value that is missing at the end of the list.
        ("Foo a=b, c=", "Foo a=[b] c=[]"),
        ("Foo abc=, d=e", "Foo {abc=} d=[e]"),
    ] {
        assert_eq!(read(field), expected, "{field}");
    }
}

#[test]
fn empty_elements_and_white_space_are_skipped() {
    for field in [
        r#"Foo a=b,c="d""#,
        r#", ,Foo a=b,, ,c="d", "#,
        "Foo \t a \t=\t b\t,\tc = \"d\"\t",
        "Foo a=b, c=\t\"d\"",
        r#"Foo , a=b , c="d""#,
    ] {
        assert_eq!(read(field), "Foo a=[b] c=[d]", "{field}");
    }
    for field in ["Foo a= \"b, c\"", "Foo a\t=\t\"b, c\""] {
        assert_eq!(read(field), "Foo a=[b, c]", "{field}");
    }
    for field in ["", " ", ",", ", ,", "\t"] {
        assert_eq!(read(field), "", "{field:?}");
    }
}

#[test]
fn what_follows_garbage_is_still_found() {
    for (field, expected) in [
        // Parameters of nobody.
        (r#"realm="x", Basic realm="y""#, "Basic realm=[y]"),
        ("=, =x, a/b c, Bearer a=b", "Bearer a=[b]"),
        (r#""quoted, Basic", Bearer error="e""#, "Bearer error=[e]"),
        (r#"Bearer "a, b", error="e""#, "Bearer error=[e]"),
        (
            r#"Bearer ???, error="e", @, scope=s"#,
            "Bearer error=[e] scope=[s]",
        ),
        // No token, and no quotes.
        (
            "Bearer error=invalid token/x, scope=a:b",
            "Bearer error=[invalid token/x] scope=[a:b]",
        ),
        (
            r#"Bearer error=it"s, Basic realm="x""#,
            r#"Bearer error=[it"s]; Basic realm=[x]"#,
        ),
        // Quotes that should have been escaped.
        (
            r#"Bearer error_description="The "foo" is bad, sorry", error="e""#,
            "Bearer error_description=[The ] error=[e]",
        ),
        // Commas that are missing.
        (
            r#"Bearer realm="a" error="b"  scope=c, d=e"#,
            "Bearer realm=[a] error=[b] scope=[c] d=[e]",
        ),
        // Quotes that are never closed, and an escape of nothing.
        (r#"Foo a="b, Bar c="#, "Foo a=[b, Bar c=]"),
        (r#"Foo a="b\"#, r"Foo a=[b\]"),
        (r#"Foo a="b\""#, r#"Foo a=[b"]"#),
        (r#"Foo a=""#, "Foo a=[]"),
        (r#"Foo a="\\\a\"b""#, r#"Foo a=[\a"b]"#),
    ] {
        assert_eq!(read(field), expected, "{field}");
    }
}

#[test]
fn names_are_compared_in_any_case_and_the_first_of_several_counts() {
    let challenge = one(r#"BEARER Error="a", ERROR="b", Scope="s""#);

    assert!(challenge.is_bearer());
    assert_eq!(challenge.scheme(), "BEARER");
    assert_eq!(challenge.error(), Some("a"));
    assert_eq!(challenge.parameter("sCOPE"), Some("s"));
    assert_eq!(challenge.parameter("Error "), None);
    let names: Vec<_> = challenge.parameters().map(|(name, _)| name).collect();
    assert_eq!(names, ["Error", "ERROR", "Scope"]);
    assert!(!one("Bearerer").is_bearer());
}

#[test]
fn a_value_that_is_not_utf_8_does_not_spoil_the_rest() {
    let field = HeaderValue::from_bytes(b"Bearer realm=\"caf\xE9\", error=\"e\", a\xE9=b").unwrap();
    let challenges = Challenge::parse_all(&HeaderMap::from_iter([(WWW_AUTHENTICATE, field)]));

    assert_eq!(challenges[0].realm(), Some("caf\u{fffd}"));
    assert_eq!(challenges[0].error(), Some("e"));
    assert_eq!(challenges[0].parameters().count(), 2);
    assert_eq!(one("Bearer realm=\"café\"").realm(), Some("café"));
}

#[test]
fn what_a_server_can_make_us_keep_is_limited() {
    let challenges = parse(&["Foo a=b, ".repeat(100).as_str(), "Bar"]);
    assert_eq!(challenges.len(), 16);
    assert!(challenges.iter().all(|it| it.parameters().count() == 1));

    let challenge = one(&format!("Foo {}", "a=b, ".repeat(100)));
    assert_eq!(challenge.parameters().count(), 32);

    // What is too long is left out, and hides nothing that would fit.
    let long = "x".repeat(16 * 1024);
    let challenges = parse(&[
        &format!("Bearer realm=\"{long}\", error=\"e\", {long}=y"),
        &format!("{long} scope=s, Foo {long}, Basic realm=x"),
    ]);
    assert_eq!(challenges.len(), 2);
    assert_eq!(
        challenges[0].parameters().collect::<Vec<_>>(),
        [("error", "e")]
    );
    assert_eq!(
        challenges[1].parameters().collect::<Vec<_>>(),
        [("realm", "x")]
    );
}

#[test]
fn debug_shows_no_text_that_may_be_an_echoed_token() {
    for field in [
        r#"Bearer error="hunter2""#,
        "Bearer hunter2",
        "hunter2",
        "Bearer hunter2=a",
        "Bearer realm=hunter2",
    ] {
        let text = format!("{:?}", one(field));
        assert!(!text.contains("hunter2"), "{text}");
    }
    let text = format!("{:?}", one("bearer Error=x, b=c"));
    assert_eq!(
        text,
        r#"Challenge { scheme: "Bearer", parameters: ["error", "[unknown]"], .. }"#
    );
}

mod as_servers_send_it {
    use super::*;

    #[test]
    fn rfc_6750() {
        let challenge = one(
            r#"Bearer realm="example", error="invalid_token", error_description="The access token expired""#,
        );

        assert_eq!(challenge.realm(), Some("example"));
        assert_eq!(challenge.error(), Some("invalid_token"));
        assert_eq!(
            challenge.error_description(),
            Some("The access token expired")
        );
        assert_eq!(challenge.error_uri(), None);
    }

    #[test]
    fn rfc_9728() {
        let url = "https://resource.example.com/.well-known/oauth-protected-resource";
        let challenge = one(&format!("Bearer resource_metadata=\"{url}\""));

        assert_eq!(challenge.resource_metadata(), Some(url));
    }

    #[test]
    fn microsoft_continuous_access_evaluation() {
        let challenge = one(concat!(
            r#"Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", "#,
            r#"client_id="00000003-0000-0000-c000-000000000000", error="insufficient_claims", "#,
            r#"claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZX19fQ==""#,
        ));

        assert_eq!(challenge.realm(), Some(""));
        assert_eq!(challenge.error(), Some("insufficient_claims"));
        let claims = "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZX19fQ==";
        assert_eq!(challenge.claims(), Some(claims));
    }

    #[test]
    fn gateways_clouds_and_registries() {
        for (field, expected) in [
            // Azure Resource Manager and Key Vault.
            (
                r#"Bearer authorization_uri="https://login.windows.net/t", error="invalid_token", error_description="The authentication scheme of Bearer is not supported.""#,
                "Bearer authorization_uri=[https://login.windows.net/t] error=[invalid_token] \
                 error_description=[The authentication scheme of Bearer is not supported.]",
            ),
            (
                r#"Bearer authorization="https://login.windows.net/t", resource="https://vault.azure.net""#,
                "Bearer authorization=[https://login.windows.net/t] resource=[https://vault.azure.net]",
            ),
            // Google, with a URL in quotes and a scope of several.
            (
                r#"Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="https://a/b https://a/c""#,
                "Bearer realm=[https://accounts.google.com/] error=[insufficient_scope] scope=[https://a/b https://a/c]",
            ),
            // Docker's registry.
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                "Bearer realm=[https://auth.docker.io/token] service=[registry.docker.io] scope=[repository:a/b:pull,push]",
            ),
            // GitLab and Apigee, and an API Gateway of AWS.
            (r#"Basic realm="GitLab""#, "Basic realm=[GitLab]"),
            (
                r#"Bearer realm="null",error="invalid_token",error_description="keymanagement.service.invalid_access_token: Invalid Access Token""#,
                "Bearer realm=[null] error=[invalid_token] \
                 error_description=[keymanagement.service.invalid_access_token: Invalid Access Token]",
            ),
            ("Bearer", "Bearer"),
            (
                r#"Bearer scope="" error="invalid_token""#,
                "Bearer scope=[] error=[invalid_token]",
            ),
        ] {
            assert_eq!(read(field), expected, "{field}");
        }
    }
}
