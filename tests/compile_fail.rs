//! What does not compile, and what the compiler says.

use std::fs;
use std::panic::catch_unwind;

use tower_bearer::BearerAuthLayer;
use tower_bearer::provider::BoxTokenProvider;

/// Takes the place of a constructor that names no origin, as long as there is none.
trait Unconstructible {
    #[allow(clippy::new_ret_no_self)]
    fn new() -> &'static str {
        "not a constructor"
    }
}

impl<P> Unconstructible for BearerAuthLayer<P> {}

#[test]
fn there_is_no_layer_without_a_choice_of_origins() {
    type Layer = BearerAuthLayer<BoxTokenProvider>;

    assert_eq!(Layer::new(), "not a constructor");
    static_assertions::assert_not_impl_any!(Layer: Default, From<BoxTokenProvider>);
}

/// The cases and what of the compiler's answer is ours, or an error code: the rest is worded differently
/// by every version, and lists whatever else there is.
const CASES: &[(&str, &[&str])] = &[
    ("no_origin", &["error[E0061]"]),
    (
        "not_a_provider",
        &[
            "error[E0277]: `Wrong` is neither a provider of access tokens nor a `TokenCache`",
            "error[E0277]: `Wrong` does not provide access tokens",
            "not a `TokenProvider`",
            "for a closure, use `tower_bearer::token_fn(|cx| async move { .. })`",
            "for a fixed token, use `tower_bearer::provider::StaticToken`",
        ],
    ),
    (
        "closure_as_provider",
        &[
            "error[E0277]: `{closure@",
            "is neither a provider of access tokens nor a `TokenCache`",
            "for a closure, use `tower_bearer::token_fn(|cx| async move { .. })`",
        ],
    ),
    (
        "text_as_token",
        &["error[E0271]", "AccessToken", "`Result<String, _>`"],
    ),
    // Of what is not `Send`, and where it comes from, the compiler tells by itself.
    (
        "future_not_send",
        &[
            "error: future cannot be sent between threads safely",
            "Rc<str>",
        ],
    ),
    (
        "not_clone",
        &[
            // In a stack, and by itself.
            "error[E0277]: `BoxService<",
            "error[E0277]: `BoxService<",
            "` is not `Clone`, and so no `BearerAuthLayer` can be put around it\n  --> tests/compile_fail/not_clone.rs:12:",
            "` is not `Clone`, and so no `BearerAuthLayer` can be put around it\n  --> tests/compile_fail/not_clone.rs:16:",
            "put a `tower::buffer::Buffer` around it",
            "if it is a `tower::util::BoxService`, make it a `tower::util::BoxCloneSyncService`",
        ],
    ),
    (
        "other_body",
        &["error[E0277]", "Service<http::Request<ReplayBody<"],
    ),
    (
        "not_a_policy",
        &[
            "error[E0277]: `bool` does not say how requests with bodies of type `String` are replayed",
            "not a `Replay<String>`",
            "use one of the policies in `tower_bearer::replay`",
        ],
    ),
    #[cfg(feature = "oauth2")]
    (
        "not_a_transport",
        &[
            "error[E0277]: `BoxCloneService<",
            "` cannot carry token requests",
            "not a `Service<http::Request<Full<Bytes>>>` that is `Clone + Send + 'static`",
            "with the feature `reqwest`, use `tower_bearer::reqwest::ReqwestTransport`",
        ],
    ),
];

#[test]
fn the_compiler_says_what_is_missing() {
    // It would write the texts elsewhere.
    assert!(std::env::var_os("TRYBUILD").is_none(), "TRYBUILD is set");
    let said = |case| format!("wip/{case}.stderr");
    let clean_up = || {
        for (case, _) in CASES {
            let _ = fs::remove_file(said(case));
        }
        // Unless there is something of somebody else's in it.
        let _ = fs::remove_dir("wip");
    };
    // After an earlier run that failed.
    clean_up();

    // Without texts to compare with, it writes those that it got and panics.
    let _panics = catch_unwind(|| {
        let cases = trybuild::TestCases::new();
        for (case, _) in CASES {
            cases.compile_fail(format!("tests/compile_fail/{case}.rs"));
        }
    });

    for (case, expected) in CASES {
        let said = fs::read_to_string(said(case)).expect("does not compile");
        for text in *expected {
            assert!(said.contains(text), "{case}: expected {text:?} in\n{said}");
        }
        let errors = said.matches("error[").count();
        let codes = expected.iter().filter(|text| text.starts_with("error["));
        assert_eq!(errors, codes.count(), "{case}: no other errors in\n{said}");
    }
    clean_up();
}
