//! What a bench printed: where and when on the first line, and then tables.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

/// What `benches/run` has kept of a bench.
pub(crate) struct Output {
    pub(crate) run: Run,
    pub(crate) text: String,
}

/// When, by what and where a bench was run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) date: String,
    pub(crate) compiler: String,
    pub(crate) target: String,
    pub(crate) machine: String,
}

/// A table that follows `## Title`.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Output {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (first, rest) = text.split_once('\n').context("nothing in it")?;
        Ok(Self {
            run: Run::parse(first)?,
            text: rest.to_owned(),
        })
    }

    /// The first table whose title begins like this.
    pub(crate) fn table(&self, title: &str) -> Result<Table> {
        let mut lines = self.text.lines();
        let mut titles = lines.by_ref().filter_map(|line| line.strip_prefix("## "));
        let title = titles
            .find(|found| found.starts_with(title))
            .with_context(|| format!("no table `{title}`"))?;
        let section = lines.take_while(|line| !line.starts_with("## "));
        let mut rows = section.filter(|line| line.starts_with('|')).map(cells);
        let columns = rows.next().with_context(|| format!("no table `{title}`"))?;
        // Below it is the line that says how columns are aligned.
        let rows: Vec<_> = rows.skip(1).collect();
        for row in &rows {
            ensure!(
                row.len() == columns.len(),
                "`{title}`: a row of other columns: {row:?}"
            );
        }
        Ok(Table {
            title: title.to_owned(),
            columns,
            rows,
        })
    }

    /// What a bench says of a run that shows nothing.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = &str> {
        self.text
            .lines()
            .filter(|line| line.starts_with("This run "))
    }
}

impl Run {
    /// `date | compiler | target | machine`
    fn parse(line: &str) -> Result<Self> {
        let parts: Vec<_> = line.split(" | ").map(str::to_owned).collect();
        let [date, compiler, target, machine] = <[String; 4]>::try_from(parts)
            .ok()
            .with_context(|| format!("says not where it was run: `{line}`"))?;
        Ok(Self {
            date,
            compiler,
            target,
            machine,
        })
    }

    /// All of them, the same ones once.
    pub(crate) fn text(runs: &[Self]) -> String {
        let runs: BTreeSet<_> = runs.iter().collect();
        let runs = runs.iter().map(|run| {
            let Self {
                date,
                compiler,
                machine,
                ..
            } = run;
            format!("Measured on {date} with {compiler}, on {machine}.\n")
        });
        runs.collect()
    }
}

impl Table {
    /// The names of the rows.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| row[0].as_str())
    }

    /// As it was printed.
    pub(crate) fn cell(&self, row: &str, column: &str) -> Result<&str> {
        let place = self.columns.iter().position(|it| it == column);
        let place = place.with_context(|| format!("no column `{column}`"))?;
        let row = self
            .rows
            .iter()
            .find(|it| it[0] == row)
            .with_context(|| format!("no row `{row}`"))?;
        Ok(&row[place])
    }

    pub(crate) fn figure(&self, row: &str, column: &str) -> Result<f64> {
        let cell = self.cell(row, column)?;
        cell.parse()
            .with_context(|| format!("`{row}`, `{column}`: no number: `{cell}`"))
    }
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "2026-01-02 | rustc 1.95.0 | x86_64 | a machine\n\
        progress\n\
        ## First, of 2\n\nwords\n\n| contender | time (ns) | ratio |\n|---|--:|--:|\n| bare | 1.5 | |\n\n\
        ## Second\n\n| contender | time (ns) |\n|---|--:|\n| bare | 7 |\n\n\
        This run is no good.\n";

    #[test]
    fn a_table_is_found_by_how_its_title_begins() {
        let output = Output::parse(TEXT).unwrap();
        let (first, second) = (
            output.table("First").unwrap(),
            output.table("Second").unwrap(),
        );
        assert_eq!(first.figure("bare", "time (ns)").unwrap(), 1.5);
        assert_eq!(first.cell("bare", "ratio").unwrap(), "");
        assert_eq!(second.figure("bare", "time (ns)").unwrap(), 7.0);
        assert_eq!(second.names().collect::<Vec<_>>(), ["bare"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let output = Output::parse(TEXT).unwrap();
        let first = output.table("First").unwrap();
        let error = |of: Result<f64>| of.unwrap_err().to_string();
        assert_eq!(
            output.table("Third").unwrap_err().to_string(),
            "no table `Third`"
        );
        assert_eq!(error(first.figure("other", "ratio")), "no row `other`");
        assert_eq!(error(first.figure("bare", "us")), "no column `us`");
        assert_eq!(
            error(first.figure("bare", "ratio")),
            "`bare`, `ratio`: no number: ``"
        );
        assert!(Output::parse("## First\n").is_err(), "and where it was run");
    }

    #[test]
    fn remarks_and_runs_are_kept() {
        let output = Output::parse(TEXT).unwrap();
        assert_eq!(
            output.remarks().collect::<Vec<_>>(),
            ["This run is no good."]
        );
        let other = Run {
            date: "2026-01-03".into(),
            ..output.run.clone()
        };
        assert_eq!(
            Run::text(&[other, output.run.clone(), output.run]),
            "Measured on 2026-01-02 with rustc 1.95.0, on a machine.\n\
             Measured on 2026-01-03 with rustc 1.95.0, on a machine.\n"
        );
    }
}
