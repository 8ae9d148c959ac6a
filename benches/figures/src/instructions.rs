//! Instructions as gungraun counted them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How many instructions a contender adds to its bare service.
#[derive(Debug, PartialEq)]
pub(crate) struct Counted(pub(crate) BTreeMap<String, i64>);

impl Counted {
    /// From a line of JSON for each contender, as by gungraun's `--output-format=json`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut totals = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with('{')) {
            let summary: Value = serde_json::from_str(line)?;
            let name = summary["id"]
                .as_str()
                .context("a benchmark without a name")?;
            let total =
                total(&summary).with_context(|| format!("{name}: no count of instructions"))?;
            totals.insert(name.to_owned(), total);
        }
        Self::over_bare(&totals)
    }

    /// The bare service of a contender is the one whose name ends alike.
    fn over_bare(totals: &BTreeMap<String, i64>) -> Result<Self> {
        let bare = |name: &str| {
            let bare = totals.iter().filter_map(|(bare, total)| {
                let end = bare.strip_prefix("bare")?;
                name.ends_with(end).then_some((end.len(), total))
            });
            let (_, total) = bare
                .max()
                .with_context(|| format!("{name}: no bare service"))?;
            anyhow::Ok(total)
        };
        let contenders = totals.iter().filter(|(name, _)| !name.starts_with("bare"));
        let over = contenders.map(|(name, total)| Ok((name.clone(), total - bare(name)?)));
        let over: BTreeMap<_, _> = over.collect::<Result<_>>()?;
        ensure!(!over.is_empty(), "no contenders");
        Ok(Self(over))
    }

    pub(crate) fn of(&self, name: &str) -> Result<i64> {
        let found = self.0.get(name).copied();
        found.with_context(|| format!("no instructions of `{name}`"))
    }
}

/// Of all threads and processes together: callgrind counts each for itself.
fn total(summary: &Value) -> Option<i64> {
    let profiles = summary["profiles"].as_array()?;
    let callgrind = profiles
        .iter()
        .find(|profile| profile["tool"] == "Callgrind")?;
    let metrics = &callgrind["summaries"]["total"]["summary"]["Callgrind"]["Ir"]["metrics"];
    // Beside an earlier run's, or by itself.
    let now = metrics
        .get("Both")
        .map(|both| &both[0])
        .or_else(|| metrics.get("Left"))?;
    now["Int"].as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, metrics: &str) -> String {
        format!(
            r#"{{"id":"{name}","profiles":[{{"tool":"Callgrind","summaries":{{"parts":[],"total":{{"summary":{{"Callgrind":{{"Ir":{{"metrics":{metrics}}}}}}}}}}}}}]}}"#
        )
    }

    fn left(name: &str, count: i64) -> String {
        line(name, &format!(r#"{{"Left":{{"Int":{count}}}}}"#))
    }

    #[test]
    fn a_contender_is_compared_with_the_bare_service_whose_name_ends_alike() {
        let lines = [
            left("bare", 100),
            left("bare_keyed", 300),
            left("never", 150),
            left("never_keyed", 390),
            left("never_short_token", 151),
        ];
        let over = Counted::parse(&format!("progress\n{}\n", lines.join("\n"))).unwrap();
        let expected = [
            ("never", 50),
            ("never_keyed", 90),
            ("never_short_token", 51),
        ];
        let expected = expected.map(|(name, over)| (name.to_owned(), over));
        assert_eq!(over, Counted(expected.into()));
    }

    #[test]
    fn what_an_earlier_run_counted_is_not_taken() {
        let both = line("never", r#"{"Both":[{"Int":150},{"Int":999}]}"#);
        let over = Counted::parse(&format!("{}\n{both}", left("bare", 100))).unwrap();
        assert_eq!(over.of("never").unwrap(), 50);
    }

    #[test]
    fn nothing_is_taken_for_a_count_that_is_none() {
        let error = |text: &str| Counted::parse(text).unwrap_err().to_string();
        let only_earlier = line("never", r#"{"Right":{"Int":150}}"#);
        assert_eq!(error(&only_earlier), "never: no count of instructions");
        assert_eq!(error(&left("never", 150)), "never: no bare service");
        assert_eq!(error(""), "no contenders");
    }
}
