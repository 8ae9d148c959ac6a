//! What a secret looks like when it was encoded on its way into a text.

use std::fmt;
use std::fmt::Write;

use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

/// How a secret was encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Raw,
    FormUrlencoded,
    PercentEncoded,
    Base64,
    Hex,
    Bytes,
    Escaped,
}

impl Encoding {
    /// At which byte of `text` a form begins that is encoded so.
    pub(super) fn find(self, form: &str, text: &str) -> Option<usize> {
        match self {
            Self::Bytes => find_list(form, text),
            _ => text.find(form),
        }
    }
}

/// Finds a list however it is spaced: `{:#?}` puts each number on an indented line of its own, which may have
/// been escaped since, and JSON leaves out the spaces.
fn find_list(list: &str, text: &str) -> Option<usize> {
    let (first, others) = list.split_once(", ")?;
    let goes_on_at = |end: usize| {
        let mut rest = &text[end..];
        others.split(", ").all(|number| {
            let next = rest.strip_prefix(',').map(without_spacing);
            let after = next.and_then(|next| next.strip_prefix(number));
            after.map(|after| rest = after).is_some()
        })
    };
    let mut starts = text.match_indices(first).map(|(start, _)| start);
    starts.find(|start| goes_on_at(start + first.len()))
}

fn without_spacing(text: &str) -> &str {
    let text = text.trim_start();
    let text = text.strip_prefix("\\n").unwrap_or(text);
    text.trim_start()
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "as it is",
            Self::FormUrlencoded => "form-urlencoded",
            Self::PercentEncoded => "percent-encoded",
            Self::Base64 => "in base64",
            Self::Hex => "in hexadecimal",
            Self::Bytes => "as a list of bytes",
            Self::Escaped => "escaped as in JSON or by `Debug`",
        })
    }
}

/// So many bytes a secret has that is looked for in base64 and as numbers: fewer are found in any text.
const LONG_ENOUGH: usize = 6;

/// RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

type Text = Zeroizing<String>;

/// The secret in all forms, the plainest first, each once.
pub(super) fn forms_of(secret: &str) -> Vec<(Encoding, Text)> {
    let mut forms = Forms(Vec::new());
    forms.add(Encoding::Raw, secret.to_owned());
    let urlencoded = form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
    forms.add_in_both_cases(Encoding::FormUrlencoded, &urlencoded);
    let percent = utf8_percent_encode(secret, RESERVED).to_string();
    forms.add_in_both_cases(Encoding::PercentEncoded, &percent);
    // So does OAuth with the halves of `Basic` credentials, and it has base64 made of them.
    let plain: Vec<_> = forms.0.iter().map(|(_, text)| text.clone()).collect();
    if secret.len() >= LONG_ENOUGH {
        plain.iter().for_each(|text| forms.add_base64(text));
        forms.add_numbers(secret.as_bytes());
    }

    // A text that is escaped twice is `Debug` output in a log in JSON, or the other way round.
    for text in &plain {
        let mut once = escapes(text);
        let twice: Vec<_> = once.iter().flat_map(|text| escapes(text)).collect();
        once.extend(twice);
        for text in once {
            forms.add(Encoding::Escaped, text.to_string());
        }
    }
    forms.0
}

struct Forms(Vec<(Encoding, Text)>);

impl Forms {
    fn add(&mut self, encoding: Encoding, text: String) {
        let text = Zeroizing::new(text);
        if !self.0.iter().any(|(_, known)| *known == text) {
            self.0.push((encoding, text));
        }
    }

    /// RFC 3986 §2.1 leaves the case of hexadecimal digits open.
    fn add_in_both_cases(&mut self, encoding: Encoding, encoded: &str) {
        let mut lower = String::with_capacity(encoded.len());
        let mut digits = 0;
        for character in encoded.chars() {
            let is_digit = digits > 0;
            digits = match character {
                '%' => 2,
                _ => digits - usize::from(is_digit),
            };
            lower.push(if is_digit {
                character.to_ascii_lowercase()
            } else {
                character
            });
        }
        self.add(encoding, encoded.to_owned());
        self.add(encoding, lower);
    }

    /// What is the secret's alone of base64, at whatever of three places it begins.
    fn add_base64(&mut self, secret: &str) {
        for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
            let config = GeneralPurposeConfig::new().with_encode_padding(false);
            let engine = GeneralPurpose::new(alphabet, config);
            for before in 0..3 {
                let mut bytes = Zeroizing::new(vec![0; before]);
                bytes.extend_from_slice(secret.as_bytes());
                let encoded = Zeroizing::new(engine.encode(&*bytes));
                // Without the characters of which some bits are of what goes before or after it.
                let first = (before * 8).div_ceil(6);
                let end = bytes.len() * 8 / 6;
                self.add(Encoding::Base64, encoded[first..end].to_owned());
            }
        }
    }

    fn add_numbers(&mut self, secret: &[u8]) {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add(Encoding::Hex, hex.to_ascii_uppercase());
        self.add(Encoding::Hex, hex);
        let list = format!("{secret:?}");
        self.add(Encoding::Bytes, list.trim_matches(['[', ']']).to_owned());
    }
}

/// As JSON and Rust escape a text.
fn escapes(text: &str) -> Vec<Text> {
    let json = serde_json::Value::from(text).to_string();
    let json = Zeroizing::new(json);
    let json = within_quotes(&json);
    let mut all = vec![
        json.to_owned(),
        json.replace('/', "\\/"),
        escape_non_ascii(json),
        text.escape_debug().to_string(),
        text.escape_default().to_string(),
        text.as_bytes().escape_ascii().to_string(),
    ];
    // `Debug` escapes less than the functions above: of quotation marks, those only that surround the text, and a
    // `HeaderValue` no backslashes.
    let mut shown = vec![
        format!("{text:?}"),
        format!("{:?}", Bytes::copy_from_slice(text.as_bytes())),
    ];
    if let Ok(value) = HeaderValue::from_str(text) {
        shown.push(format!("{value:?}"));
    }
    for shown in shown.into_iter().map(Zeroizing::new) {
        all.push(within_quotes(&shown).to_owned());
    }
    let mut distinct = Vec::<Text>::new();
    for text in all.into_iter().map(Zeroizing::new) {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    distinct
}

/// What is between the first quotation mark, which may follow a `b`, and the last.
fn within_quotes(quoted: &str) -> &str {
    let inner = quoted.strip_prefix('b').unwrap_or(quoted);
    let inner = inner.strip_prefix('"').unwrap_or(inner);
    inner.strip_suffix('"').unwrap_or(inner)
}

/// As JSON in ASCII has it (RFC 8259 §7).
fn escape_non_ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for unit in json.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => escaped.push(char::from(byte)),
            _ => write!(escaped, "\\u{unit:04x}").expect("a string takes everything"),
        }
    }
    escaped
}
