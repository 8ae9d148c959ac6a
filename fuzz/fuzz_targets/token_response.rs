//! Whatever a token endpoint answers, no error shows a secret that it was sent or anything of a successful
//! answer, and a token can be sent.

#![no_main]

use std::error::Error;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, DATE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use tower_bearer::AccessToken;
use tower_bearer::fuzzing::{lifetime, token_response};
use tower_bearer::oauth2::TokenEndpointError;

/// Begins every secret, and is cut from all else.
const MARK: &str = "s3cr";

#[derive(Arbitrary, Debug)]
struct Answer<'a> {
    status: Status,
    headers: Vec<(Field, &'a [u8])>,
    secrets: [String; 2],
    body: Body<'a>,
}

#[derive(Arbitrary, Debug)]
enum Status {
    Success,
    Refusal,
    Any(u16),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Field {
    ContentEncoding,
    Date,
    RetryAfter,
}

#[derive(Arbitrary, Debug)]
enum Body<'a> {
    Any(&'a [u8]),
    Text(Vec<Piece>),
    Token {
        text: String,
        expires_in: i64,
        as_text: bool,
    },
    Error {
        members: Vec<(Member, Vec<Piece>)>,
        more_escapes: bool,
    },
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Member {
    Error,
    Description,
    Uri,
    AccessToken,
    Other,
}

#[derive(Arbitrary, Debug)]
enum Piece {
    Text(String),
    Secret { second: bool, spelling: Spelling },
}

/// How a server echoes what it was sent.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Spelling {
    Raw,
    /// As forms have it, some or all.
    Percent,
    PercentAll,
    Unicode,
    Html,
}

fuzz_target!(|answer: Answer<'_>| {
    let secrets = answer.secrets.each_ref().map(|secret| {
        let rest: String = without_mark(secret).chars().take(16).collect();
        format!("{MARK}{rest}")
    });
    let secrets = secrets.each_ref().map(|secret| &**secret);
    let body = answer.body.to_bytes(secrets);

    let status = match answer.status {
        Status::Success => 200,
        Status::Refusal => 400,
        Status::Any(status) => 100 + status % 900,
    };
    let mut response = Response::new(&*body);
    *response.status_mut() = status.try_into().unwrap();
    for (field, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            response
                .headers_mut()
                .append(HeaderName::from(field), value);
        }
    }

    match (token_response(response, &secrets), &answer.body) {
        (Ok(token), body) => {
            assert!((200..300).contains(&status));
            is_as_it_should_be(&token);
            if let Body::Token {
                text, expires_in, ..
            } = body
            {
                assert_eq!(token.expose_secret(), text);
                let seconds = u64::try_from(*expires_in).unwrap_or(0);
                let rounded = Duration::from_secs_f64(seconds as f64);
                assert_eq!(lifetime(&token), Some(rounded));
            }
        }
        (Err(error), Body::Token { text, .. }) if (200..300).contains(&status) => {
            assert!(AccessToken::new(text).is_err());
            says_nothing_of_it(&error, status);
        }
        (Err(error), _) if (200..300).contains(&status) => says_nothing_of_it(&error, status),
        (Err(error), Body::Any(_)) => drop(shown(&error)),
        (Err(error), _) => {
            let shown = shown(&error);
            for text in [shown.clone(), decoded(&shown)] {
                assert!(!text.to_ascii_lowercase().contains(MARK), "{text}");
            }
        }
    }
});

fn is_as_it_should_be(token: &AccessToken) {
    let text = token.expose_secret();
    let value = token.header_value();
    assert_eq!(value.to_str().unwrap(), format!("Bearer {text}"));
    assert!(value.is_sensitive());
    assert_eq!(AccessToken::new(text).as_ref(), Ok(token));
}

/// Only texts of ours, and what looks like a code.
fn says_nothing_of_it(error: &TokenEndpointError, status: u16) {
    let is_code = |code: &str| {
        code.len() <= 40 && code.bytes().all(|it| it.is_ascii_lowercase() || it == b'_')
    };
    assert!(error.error_code().is_none_or(is_code));
    assert_eq!((error.error_description(), error.error_uri()), (None, None));
    // The same as of an answer that holds no text but such a code.
    let code = error.error_code().unwrap_or("Not a code");
    let body = match error.kind() {
        tower_bearer::oauth2::TokenEndpointErrorKind::Rejected => {
            json!({ "error": code }).to_string()
        }
        _ => return assert!(!shown(error).to_ascii_lowercase().contains(MARK)),
    };
    let mut response = Response::new(body.as_bytes());
    *response.status_mut() = status.try_into().unwrap();
    assert_eq!(
        shown(&token_response(response, &[]).unwrap_err()),
        shown(error)
    );
}

/// Everything that an error shows.
fn shown(error: &TokenEndpointError) -> String {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(source) = next {
        shown += &format!(" {source} {source:?}");
        next = source.source();
    }
    for text in [
        error.error_code(),
        error.error_description(),
        error.error_uri(),
    ] {
        let text = text.unwrap_or_default();
        assert!(text.len() <= 512);
        assert!(!text.contains(char::is_control), "{text:?}");
        shown += text;
    }
    shown
}

impl From<Field> for HeaderName {
    fn from(field: Field) -> Self {
        match field {
            Field::ContentEncoding => CONTENT_ENCODING,
            Field::Date => DATE,
            Field::RetryAfter => RETRY_AFTER,
        }
    }
}

impl Body<'_> {
    fn to_bytes(&self, secrets: [&str; 2]) -> Vec<u8> {
        match self {
            Self::Any(bytes) => bytes.to_vec(),
            Self::Text(pieces) => text(pieces, secrets).into(),
            Self::Token {
                text,
                expires_in,
                as_text,
            } => {
                let expires_in = match as_text {
                    true => json!(expires_in.to_string()),
                    false => json!(expires_in),
                };
                let body = json!({ "access_token": text, "expires_in": expires_in });
                body.to_string().into()
            }
            Self::Error {
                members,
                more_escapes,
            } => {
                let members = members.iter().map(|(member, pieces)| {
                    let name = match member {
                        Member::Error => "error",
                        Member::Description => "error_description",
                        Member::Uri => "error_uri",
                        Member::AccessToken => "access_token",
                        Member::Other => "message",
                    };
                    (name.to_owned(), Value::from(text(pieces, secrets)))
                });
                let json = Value::from(members.collect::<Map<_, _>>()).to_string();
                let json = if *more_escapes {
                    json.replace('/', "\\/")
                } else {
                    json
                };
                json.into()
            }
        }
    }
}

fn text(pieces: &[Piece], secrets: [&str; 2]) -> String {
    let texts = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => without_mark(text),
        Piece::Secret { second, spelling } => spell(secrets[usize::from(*second)], *spelling),
    });
    texts.collect()
}

/// Without what could spell a part of the mark.
fn without_mark(text: &str) -> String {
    text.replace(['s', 'S', '%', '\\', '&'], "")
}

fn spell(secret: &str, spelling: Spelling) -> String {
    let percent = |c: char| {
        let mut utf8 = [0; 4];
        let utf8 = c.encode_utf8(&mut utf8).bytes();
        utf8.map(|byte| format!("%{byte:02X}")).collect::<String>()
    };
    let spelled = secret.chars().map(|c| match spelling {
        Spelling::Raw => c.to_string(),
        Spelling::Percent if c == ' ' => "+".to_owned(),
        Spelling::Percent if c.is_ascii_alphanumeric() => c.to_string(),
        Spelling::Percent | Spelling::PercentAll => percent(c),
        Spelling::Unicode => {
            let mut utf16 = [0; 2];
            let utf16 = c.encode_utf16(&mut utf16).iter();
            utf16.map(|unit| format!("\\u{unit:04x}")).collect()
        }
        Spelling::Html => format!("&#x{:x};", u32::from(c)),
    });
    spelled.collect()
}

/// The mark's characters out of whichever spelling.
fn decoded(text: &str) -> String {
    let mut text = text.to_ascii_lowercase();
    for c in MARK.chars() {
        let code = u32::from(c);
        for spelling in [
            format!("%{code:02x}"),
            format!("\\u{code:04x}"),
            format!("&#x{code:x};"),
        ] {
            text = text.replace(&spelling, &c.to_string());
        }
    }
    text
}
