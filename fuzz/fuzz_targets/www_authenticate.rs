//! Whatever is in `WWW-Authenticate`, what is read of it is bounded and makes sense, and challenges that
//! are written as RFC 9110 has it are read as they are. Each line of the input is a field.

#![no_main]

use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tower_bearer::rejection::Challenge;

fuzz_target!(|input: &[u8]| {
    let challenges = parse(input.split(|byte| *byte == b'\n'));
    is_bounded(&challenges);
    debug_says_nothing(&challenges);
    let written: Vec<_> = challenges.iter().map(write_plainly).collect();
    assert_eq!(parse([written.join(", ").as_bytes()]), challenges);

    if let Ok(list) = Unstructured::new(input).arbitrary::<List>() {
        let challenges = parse([list.field.as_bytes()]);
        let read: Vec<Parts> = challenges.iter().map(parts).collect();
        assert_eq!(read, list.challenges, "{:?}", list.field);
    }
});

/// Scheme, token68, parameters.
type Parts = (String, Option<String>, Vec<(String, String)>);

fn parts(challenge: &Challenge) -> Parts {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    (
        challenge.scheme().to_owned(),
        challenge.token68().map(str::to_owned),
        challenge.parameters().map(owned).collect(),
    )
}

fn parse<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<Challenge> {
    let values = fields.into_iter().map(HeaderValue::from_bytes);
    let fields = values.flatten().map(|value| (WWW_AUTHENTICATE, value));
    Challenge::parse_all(&fields.collect::<HeaderMap>())
}

fn is_bounded(challenges: &[Challenge]) {
    assert!(challenges.len() <= 16);
    let mut length = 0;
    for (scheme, token68, parameters) in challenges.iter().map(parts) {
        assert!(parameters.len() <= 32);
        let names = parameters.iter().map(|(name, _)| name);
        for word in [&scheme].into_iter().chain(names) {
            assert!(!word.is_empty() && word.bytes().all(is_tchar), "{word:?}");
        }
        length += scheme.len() + token68.map_or(0, |text| text.len());
        length += parameters
            .iter()
            .map(|(a, b)| a.len() + b.len())
            .sum::<usize>();
    }
    assert!(length <= 16 * 1024);
}

/// Any word may be an echoed token, other than these.
fn debug_says_nothing(challenges: &[Challenge]) {
    const KNOWN: [&str; 21] = [
        "[unknown]",
        // Schemes.
        "Basic",
        "Bearer",
        "Digest",
        "DPoP",
        "GNAP",
        "Negotiate",
        "NTLM",
        "OAuth",
        // Parameters.
        "algs",
        "authorization_uri",
        "charset",
        "claims",
        "client_id",
        "error",
        "error_description",
        "error_uri",
        "realm",
        "resource_metadata",
        "scope",
        "service",
    ];
    for challenge in challenges {
        let text = format!("{challenge:?}");
        let words = text.split('"').skip(1).step_by(2);
        assert!(words.clone().all(|word| KNOWN.contains(&word)), "{text}");
        let around: String = text.split('"').step_by(2).collect();
        let around = around.replace(", ", "");
        assert_eq!(around, "Challenge { scheme: parameters: [].. }");
    }
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// All values in quotes, escaped where they must be.
fn write_plainly(challenge: &Challenge) -> String {
    let (scheme, token68, parameters) = parts(challenge);
    let token68 = token68.map(|text| format!(" {text}"));
    let mut between = if token68.is_some() { ", " } else { " " };
    let mut written = scheme + &token68.unwrap_or_default();
    for (name, value) in parameters {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        written += &format!("{between}{name}=\"{value}\"");
        between = ", ";
    }
    written
}

/// Challenges, and one of the many ways to write them.
struct List {
    challenges: Vec<Parts>,
    field: String,
}

impl<'a> Arbitrary<'a> for List {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let mut list = Self {
            challenges: Vec::new(),
            field: String::new(),
        };
        while list.challenges.len() < 16 && input.ratio(7, 8)? {
            list.challenge(input)?;
        }
        list.gap(input)?;
        Ok(list)
    }
}

impl List {
    fn challenge(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        self.gap(input)?;
        let scheme = word(input, is_tchar)?;
        self.field += &scheme;
        let (mut token68, mut parameters) = (None, Vec::new());
        if input.ratio(1, 4)? {
            let padding = "=".repeat(input.int_in_range(0..=3)?);
            let text = word(input, |byte| {
                byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)
            })? + &padding;
            self.field += &format!(" {text}");
            token68 = Some(text);
        } else {
            while parameters.len() < 32 && input.ratio(3, 4)? {
                if parameters.is_empty() {
                    self.field += " ";
                } else {
                    self.gap(input)?;
                }
                parameters.push(self.parameter(input)?);
            }
        }
        self.challenges.push((scheme, token68, parameters));
        Ok(())
    }

    fn parameter(&mut self, input: &mut Unstructured<'_>) -> Result<(String, String)> {
        let name = word(input, is_tchar)?;
        let equals = *input.choose(&["=", "=", " =", "= ", "\t= "])?;
        self.field += &format!("{name}{equals}");
        if input.arbitrary()? {
            let value = word(input, is_tchar)?;
            self.field += &value;
            return Ok((name, value));
        }
        let value: String = input.arbitrary()?;
        let value: String = value
            .chars()
            .filter(|c| *c == '\t' || !c.is_ascii_control())
            .take(100)
            .collect();
        self.field.push('"');
        for c in value.chars() {
            // More may be escaped than must be.
            if matches!(c, '"' | '\\') || input.ratio(1, 8)? {
                self.field.push('\\');
            }
            self.field.push(c);
        }
        self.field.push('"');
        Ok((name, value))
    }

    /// What may be between two elements, at least a comma if there is anything before. Garbage among it.
    fn gap(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        if !self.field.is_empty() {
            self.field.push(',');
        }
        self.field += input.choose(&[
            " ",
            " ",
            " ",
            "",
            ",",
            " , ,\t",
            " @,",
            " (a b=\"c, Basic d=e\"), ",
            "\"Basic realm=x, y\",",
            " a\"b,",
            "{\"error\":1},",
        ])?;
        Ok(())
    }
}

fn word(input: &mut Unstructured<'_>, is_of_it: impl Fn(u8) -> bool) -> Result<String> {
    let length = input.int_in_range(1..=8)?;
    let bytes = input.bytes(length)?.iter();
    let fitting = bytes.map(|byte| {
        if is_of_it(*byte) {
            char::from(*byte)
        } else {
            'x'
        }
    });
    Ok(fitting.collect())
}
