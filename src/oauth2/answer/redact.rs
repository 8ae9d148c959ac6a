use zeroize::Zeroizing;

/// What is kept of a text.
const LIMIT: usize = 512;

/// What is looked at, at most, to find so much that can be kept.
const LOOKED_AT: usize = 16 * 1024;

const MARK: &str = "[redacted]";

/// How often a secret may have been encoded one over the other, as by a gateway that quotes JSON in JSON.
const DEPTH: usize = 2;

/// Makes text of a server fit to be shown: without the secrets that it was sent.
///
/// A secret is found as it is and as servers echo it: encoded for forms and URLs, escaped for JSON or
/// HTML, each character in whichever way, one over the other too.
pub(crate) struct Redactor {
    secrets: Vec<Zeroizing<String>>,
}

impl Redactor {
    pub(crate) fn new(secrets: Vec<Zeroizing<String>>) -> Self {
        Self { secrets }
    }

    /// Cuts out the secrets, escapes what does not print, and keeps 512 bytes, in this order.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut clean = String::new();
        // Where the secret ends that was found last. Secrets may overlap.
        let mut secret_end = 0;
        for (at, c) in text.char_indices() {
            if at > LOOKED_AT {
                break;
            }
            let was_in_secret = at < secret_end;
            secret_end = secret_end.max(at + self.secret_at(&text[at..]));

            let piece = match c {
                _ if was_in_secret => continue,
                _ if at < secret_end => MARK.to_owned(),
                // These print, and `escape_debug` is for literals.
                '"' | '\'' | '\\' => c.to_string(),
                // Control characters, and those that turn the text around.
                _ => c.escape_debug().to_string(),
            };
            if clean.len() + piece.len() > LIMIT {
                break;
            }
            clean.push_str(&piece);
        }
        clean
    }

    /// The length of the longest secret at the start of `text`, or zero.
    fn secret_at(&self, text: &str) -> usize {
        // White space around it may have been trimmed, by the server or by us.
        let ends = self
            .secrets
            .iter()
            .flat_map(|secret| [secret, secret.trim()])
            .flat_map(|secret| ends(text, secret, DEPTH));
        ends.max().unwrap_or(0)
    }
}

/// Where `needle` can end if it is spelled at the start of `text`.
///
/// There can be several such places: `%25` spells one character, or three.
fn ends(text: &str, needle: &str, depth: usize) -> Vec<usize> {
    let mut ends = vec![0];
    for c in needle.chars() {
        let mut next = Vec::new();
        for end in ends {
            let lengths = spellings(&text[end..], c, depth).into_iter();
            next.extend(lengths.map(|length| end + length));
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return next;
        }
        ends = next;
    }
    ends
}

/// The lengths of what can spell `c` at the start of `text`.
fn spellings(text: &str, c: char, depth: usize) -> Vec<usize> {
    let mut lengths = Vec::new();
    let Some(first) = text.chars().next() else {
        return lengths;
    };
    let is_itself = match first {
        '+' if c == ' ' => true,
        // What is left of another charset.
        char::REPLACEMENT_CHARACTER => !c.is_ascii(),
        // The digits of an escape come in both cases. In a secret it does no harm.
        first => first.eq_ignore_ascii_case(&c),
    };
    if is_itself {
        lengths.push(first.len_utf8());
    }
    // However often something is escaped, it begins with one of these.
    if depth > 0 && matches!(first, '%' | '\\' | '&') {
        let escapes = escapes(c).into_iter();
        lengths.extend(escapes.flat_map(|escape| ends(text, &escape, depth - 1)));
    }
    lengths
}

fn escapes(c: char) -> [String; 7] {
    let code = u32::from(c);
    let (mut utf8, mut utf16) = ([0; 4], [0; 2]);
    let utf8 = c.encode_utf8(&mut utf8).bytes();
    let utf16 = c.encode_utf16(&mut utf16).iter();
    [
        // Of forms and URLs.
        utf8.map(|byte| format!("%{byte:02x}")).collect(),
        // Of JSON.
        utf16.map(|unit| format!("\\u{unit:04x}")).collect(),
        match c {
            '\u{8}' => "\\b".into(),
            '\u{c}' => "\\f".into(),
            '\n' => "\\n".into(),
            '\r' => "\\r".into(),
            '\t' => "\\t".into(),
            c => format!("\\{c}"),
        },
        // Of HTML.
        format!("&#{code};"),
        format!("&#{code:03};"),
        format!("&#x{code:x};"),
        match c {
            '&' => "&amp;".into(),
            '<' => "&lt;".into(),
            '>' => "&gt;".into(),
            '"' => "&quot;".into(),
            '\'' => "&apos;".into(),
            // Has no name: the number once more.
            _ => format!("&#{code};"),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(secrets: &[&str], text: &str) -> String {
        let secrets: Vec<_> = secrets
            .iter()
            .map(|it| Zeroizing::new((*it).to_owned()))
            .collect();
        Redactor::new(secrets).clean(text)
    }

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        let secret = r#"p:+%/ \"<&'é😀*~="#;
        for echoed in [
            secret,
            // Of a form, as browsers have it and as URLs have it, in both cases.
            "p%3A%2B%25%2F+%5C%22%3C%26%27%C3%A9%F0%9F%98%80*%7E%3D",
            "p%3a%2b%25%2f+%5c%22%3c%26%27%c3%a9%f0%9f%98%80*%7e%3d",
            "p%3A%2B%25%2F%20%5C%22%3C%26%27%C3%A9%F0%9F%98%80%2A~%3D",
            // Of a form, quoted in a form.
            "p%253A%252B%2525%252F%2520%255C%2522%253C%2526%2527%25C3%25A9%25F0%259F%2598%2580%252A~%253D",
            // Of JSON, as it must be and as it may be.
            r#"p:+%/ \\\"<&'é😀*~="#,
            r#"p:+%\/ \\\"\u003c\u0026\u0027\u00e9\ud83d\ude00*~\u003d"#,
            r#"\u0070:\u002B%/ \u005C\u0022\u003C&'\u00E9\uD83D\uDE00*~="#,
            // Of HTML.
            r#"p:+%/ \&quot;&lt;&amp;&#039;é😀*~="#,
            "p&#x3a;+%/ \\&quot;&lt;&amp;&#x27;&#233;&#128512;*~=",
            // Of JSON in JSON, and of a form in JSON in HTML.
            r#"p:+%/ \\\\\\\"<&'é😀*~="#,
            r#"p:+%/ \\\\\\\"\\u003c&'\\u00e9\\uD83D\\uDE00*~="#,
            "p%3A\\u002B%25&#92;/+%5C%22%3C%26%27%C3%A9%F0%9F%98%80*~%3D",
            // With another charset.
            "p:+%/ \\\"<&'\u{fffd}\u{fffd}*~=",
        ] {
            assert_eq!(
                clean(&[secret], &format!("a {echoed}b")),
                "a [redacted]b",
                "{echoed}"
            );
        }
    }

    #[test]
    fn a_secret_with_control_characters_is_found_in_json() {
        let secret = "a\u{8}\u{c}\n\r\t\0b";
        for echoed in [
            serde_json::to_string(secret).unwrap(),
            serde_json::to_string(&serde_json::to_string(secret).unwrap()).unwrap(),
        ] {
            let clean = clean(&[secret], &echoed);
            assert_eq!(clean.trim_matches(['"', '\\']), "[redacted]", "{echoed}");
        }
    }

    #[test]
    fn a_secret_is_found_without_the_white_space_around_it() {
        for text in [
            "hunter2",
            " hunter2",
            "hunter2 ",
            " hunter2 ",
            "+hunter2%20",
        ] {
            assert_eq!(clean(&[" hunter2 "], text).trim(), "[redacted]", "{text:?}");
        }
        assert_eq!(clean(&[" "], "a b"), "a[redacted]b");
    }

    #[test]
    fn a_text_of_nothing_but_secrets_is_not_read_to_its_end() {
        let text = format!("{}after", "hunter2".repeat(LOOKED_AT));
        assert!(!clean(&["hunter2"], &text).contains("after"));
    }

    #[test]
    fn what_is_no_secret_is_kept() {
        let text = "a+b 100% \\ & &amp; %zz \\u12 &#; secre";
        assert_eq!(clean(&["secret"], text), text);
    }

    #[test]
    fn secrets_that_overlap_are_cut_out_whole() {
        assert_eq!(clean(&["abcd", "cdef"], "-abcdef-"), "-[redacted]-");
        assert_eq!(
            clean(&["bc", "abcd"], "-abcd-bc-"),
            "-[redacted]-[redacted]-"
        );
        assert_eq!(clean(&["xy", "abcd"], "abxycd"), "ab[redacted]cd");
        assert_eq!(clean(&["aa"], "aaaaa"), "[redacted]");
    }

    #[test]
    fn characters_that_do_not_print_are_escaped() {
        let text = "a\r\n\0\u{1b}[2J\u{202e}b\u{2066}\u{200b}\"é'";
        let clean = clean(&["hunter2"], text);

        assert_eq!(clean, r#"a\r\n\0\u{1b}[2J\u{202e}b\u{2066}\u{200b}"é'"#);
    }

    #[test]
    fn a_secret_across_the_limit_is_cut_out_before_the_text_is_shortened() {
        for before in (LIMIT - 10)..=LIMIT {
            let text = format!("{}hunter2{}", "x".repeat(before), "é".repeat(LIMIT));
            let clean = clean(&["hunter2"], &text);

            assert!(
                clean.len() <= LIMIT && clean.len() >= LIMIT - 10,
                "{}",
                clean.len()
            );
            assert!(!clean.contains('h'), "{clean}");
        }
        assert_eq!(clean(&["hunter2"], &"é".repeat(LIMIT)).len(), LIMIT);
    }
}
