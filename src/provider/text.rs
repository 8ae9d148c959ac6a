//! From a text that others wrote to a token: what a file, a variable or a command holds.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::{BoxError, discard};
use crate::token::{AccessToken, InvalidToken};

/// What is read at most, in bytes. Servers take far less in a header.
pub(super) const LIMIT: usize = 64 * 1024;

/// What makes a token of a text, if the text is not the token itself.
pub(super) type Parser = Arc<dyn Fn(&str) -> Result<AccessToken, BoxError> + Send + Sync>;

/// Why a text is no token. Says what is wrong, and never what it is.
pub(super) enum NoToken {
    TooLarge,
    NotText,
    Empty,
    Invalid(InvalidToken),
    /// The parser refused it, in words that are not ours.
    NotParsed(BoxError),
    ParserPanicked,
}

/// Makes a token of `text`, without the white space at either end.
pub(super) fn parse(text: &[u8], parser: Option<&Parser>) -> Result<AccessToken, NoToken> {
    if text.len() > LIMIT {
        return Err(NoToken::TooLarge);
    }
    // Its error says where, but the end may just not have been written yet.
    let text = std::str::from_utf8(text)
        .map_err(|_| NoToken::NotText)?
        .trim();
    if text.is_empty() {
        return Err(NoToken::Empty);
    }
    match parser {
        // One that panics at what is half written is no reason to give up the last token.
        Some(parser) => match catch_unwind(AssertUnwindSafe(|| parser(text))) {
            Ok(parsed) => parsed.map_err(NoToken::NotParsed),
            Err(payload) => {
                discard(payload);
                Err(NoToken::ParserPanicked)
            }
        },
        None => AccessToken::new(text).map_err(NoToken::Invalid),
    }
}

impl NoToken {
    /// Not the parser's error, which may quote the token: whoever logs an error logs its sources.
    pub(super) fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::NotParsed(_)
            | Self::ParserPanicked
            | Self::TooLarge
            | Self::NotText
            | Self::Empty => None,
        }
    }

    pub(super) fn parser_error(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match self {
            Self::NotParsed(error) => Some(&**error),
            _ => None,
        }
    }
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "has more than 64 KiB; is there anything but a token in it?",
            Self::NotText => "is not UTF-8 text",
            Self::Empty => "is empty",
            Self::Invalid(_) => "is not a token that can be sent in a header",
            Self::NotParsed(_) => "is not what its parser expects",
            Self::ParserPanicked => "made its parser panic",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_at_either_end_is_no_part_of_the_token() {
        for text in ["abc", "abc\n", "abc\r\n", " \t\n abc \n\n"] {
            let token = parse(text.as_bytes(), None).map_err(drop).expect("a token");
            assert_eq!(token.expose_secret(), "abc");
        }
    }

    #[test]
    fn what_is_no_token_is_described_and_not_quoted() {
        let huge = [b'a'; LIMIT + 1];
        let cases: [(&[u8], &str); 5] = [
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b"hunter2\xff", "is not UTF-8 text"),
            (
                b"hunter2\nhunter3",
                "is not a token that can be sent in a header",
            ),
            (
                &huge,
                "has more than 64 KiB; is there anything but a token in it?",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(text, None).expect_err("no token");
            assert_eq!(error.to_string(), expected);
        }
        assert!(parse(&huge[..LIMIT], None).is_ok());
    }

    #[test]
    fn a_parser_is_given_the_trimmed_text_and_nothing_that_is_empty() {
        let parser: Parser = Arc::new(|text| match text.strip_prefix("token=") {
            Some(token) => Ok(AccessToken::new(token)?),
            None => Err(format!("not {text}").into()),
        });

        let token = parse(b" token=abc\n", Some(&parser))
            .map_err(drop)
            .expect("parsed");
        assert_eq!(token.expose_secret(), "abc");
        let error = parse(b"hunter2", Some(&parser)).expect_err("refused");
        assert_eq!(error.to_string(), "is not what its parser expects");
        assert!(error.source().is_none());
        assert_eq!(error.parser_error().unwrap().to_string(), "not hunter2");
        assert!(matches!(parse(b"\n", Some(&parser)), Err(NoToken::Empty)));
    }

    #[test]
    fn a_parser_that_panics_has_made_no_token_and_its_words_are_dropped() {
        let parser: Parser = Arc::new(|text| panic!("not {text}"));

        let error = parse(b"hunter2", Some(&parser)).expect_err("no token");
        assert_eq!(error.to_string(), "made its parser panic");
        assert!(error.source().is_none() && error.parser_error().is_none());
    }

    impl fmt::Debug for NoToken {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Display::fmt(self, f)
        }
    }
}
