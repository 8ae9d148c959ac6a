use std::collections::BTreeMap;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// The members of a JSON object, not yet read: one that we do not need may be anything.
pub(crate) struct Answer<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Answer<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let body = body.trim_ascii_start();
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
        // What serde says of an error quotes values.
        serde_json::from_slice(body).ok().map(Self)
    }

    /// The member, unless it says nothing.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        let value = self.0.get(name)?.get();
        (!matches!(value, "null" | "false" | "\"\"")).then_some(value)
    }

    /// The member, if it is a text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<Zeroizing<String>> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// The words of a member that is a text of them, or an array of texts.
    pub(crate) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let value = self.0.get(name)?.get();
        let texts = match serde_json::from_str::<String>(value) {
            Ok(text) => vec![text],
            Err(_) => serde_json::from_str::<Vec<String>>(value).ok()?,
        };
        let words = texts.iter().flat_map(|text| text.split_ascii_whitespace());
        Some(words.map(str::to_owned).collect())
    }

    /// Whether the member is there, also if it says nothing; `null` is as good as absent.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value.get() != "null")
    }
}
