//! What of README is written by this program.

use anyhow::{Context, Result, ensure};

const END: &str = "<!-- end of figures -->\n";

/// The text with what is between `<!-- figures: NAME -->` and the next end replaced.
pub(crate) fn replaced(text: &str, name: &str, by: &str) -> Result<String> {
    let begin = format!("<!-- figures: {name} -->\n");
    let missing = || format!("README has no `{}`", begin.trim_end());
    let (before, rest) = text.split_once(&begin).with_context(missing)?;
    let (old, after) = rest
        .split_once(END)
        .with_context(|| format!("`{name}` has no end"))?;
    ensure!(
        !old.contains("<!-- figures"),
        "`{name}` has no end before the next begins"
    );
    // Blank lines, or Markdown takes what follows the comment for HTML.
    Ok(format!(
        "{before}{begin}\n{}\n\n{END}{after}",
        by.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let text = "a\n<!-- figures: one -->\nold\n<!-- end of figures -->\nb\n\
                    <!-- figures: two -->\nold\n<!-- end of figures -->\nc\n";
        let new = replaced(text, "two", "new\n").unwrap();
        let expected = "a\n<!-- figures: one -->\nold\n<!-- end of figures -->\nb\n\
                        <!-- figures: two -->\n\nnew\n\n<!-- end of figures -->\nc\n";
        assert_eq!(new, expected);
        assert_eq!(replaced(&new, "two", "new").unwrap(), expected, "again");
    }

    #[test]
    fn marks_that_are_missing_are_told() {
        let error = |text: &str| replaced(text, "one", "new").unwrap_err().to_string();
        assert_eq!(error("text\n"), "README has no `<!-- figures: one -->`");
        assert_eq!(error("<!-- figures: one -->\n"), "`one` has no end");
        assert_eq!(
            error("<!-- figures: one -->\n<!-- figures: two -->\n<!-- end of figures -->\n"),
            "`one` has no end before the next begins"
        );
    }
}
