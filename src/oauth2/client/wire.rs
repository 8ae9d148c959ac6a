use http::{HeaderValue, Method};
use zeroize::Zeroizing;

/// How a token request is written, where servers differ from RFC 6749.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) method: Method,
    pub(crate) encoding: Encoding,
    pub(crate) scope_parameter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `application/x-www-form-urlencoded`, as RFC 6749 has it.
    Form,
    /// A JSON object of texts.
    Json,
}

/// Names and values, in the order in which they are sent. Equal names stand together.
pub(crate) type Parameters = [(String, Zeroizing<String>)];

impl Default for Wire {
    fn default() -> Self {
        Self {
            method: Method::POST,
            encoding: Encoding::Form,
            scope_parameter: "scope".to_owned(),
        }
    }
}

impl Encoding {
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        })
    }

    pub(crate) fn encode(self, parameters: &Parameters) -> Zeroizing<String> {
        // Made at the greatest size it can have, so that no growing leaves a copy behind: `%XX` for a
        // byte in a form, `\u` and four digits in JSON, and what stands around a parameter.
        let sizes = parameters.iter();
        let size = sizes.map(|(name, value)| 6 * (name.len() + value.len()) + 8);
        let mut text = Zeroizing::new(String::with_capacity(2 + size.sum::<usize>()));
        match self {
            Self::Form => {
                form_urlencoded::Serializer::new(&mut *text)
                    .extend_pairs(parameters.iter().map(|(name, value)| (name, &**value)));
            }
            Self::Json => encode_json(parameters, &mut text),
        }
        text
    }
}

/// A parameter that is there several times, such as `resource`, is an array.
fn encode_json(parameters: &Parameters, text: &mut String) {
    text.push('{');
    for (number, group) in parameters.chunk_by(|a, b| a.0 == b.0).enumerate() {
        if number > 0 {
            text.push(',');
        }
        push_json(text, &group[0].0);
        text.push(':');
        if let [(_, value)] = group {
            push_json(text, value);
        } else {
            for (number, (_, value)) in group.iter().enumerate() {
                text.push(if number == 0 { '[' } else { ',' });
                push_json(text, value);
            }
            text.push(']');
        }
    }
    text.push('}');
}

fn push_json(text: &mut String, value: &str) {
    let mut json = Zeroizing::new(Vec::with_capacity(6 * value.len() + 2));
    serde_json::to_writer(&mut *json, value).expect("a text is JSON, and memory can be written to");
    text.push_str(std::str::from_utf8(&json).expect("JSON is UTF-8"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(encoding: Encoding, parameters: &[(&str, &str)]) -> String {
        let parameters: Vec<_> = parameters
            .iter()
            .map(|&(name, value)| (name.to_owned(), Zeroizing::new(value.to_owned())))
            .collect();
        encoding.encode(&parameters).to_string()
    }

    #[test]
    fn a_form_is_encoded_as_forms_are() {
        let form = encode(Encoding::Form, &[("a", "x y&é"), ("b", "")]);
        assert_eq!(form, "a=x+y%26%C3%A9&b=");
    }

    #[test]
    fn json_is_an_object_of_texts() {
        let json = encode(Encoding::Json, &[("a", "x \"y\"\\é\u{1}"), ("b", "")]);
        assert_eq!(json, r#"{"a":"x \"y\"\\é\u0001","b":""}"#);
        assert_eq!(encode(Encoding::Json, &[]), "{}");
    }

    #[test]
    fn what_is_there_several_times_is_an_array_in_json() {
        let json = encode(
            Encoding::Json,
            &[("a", "1"), ("r", "2"), ("r", "3"), ("b", "4")],
        );
        assert_eq!(json, r#"{"a":"1","r":["2","3"],"b":"4"}"#);
    }
}
