//! What the other benches showed, a table each.

use anyhow::{Context, Result};

use crate::output::{Output, Table};

type Text = fn(&Output) -> Result<String>;

/// By name, and what README says of each.
pub(crate) const ALL: [(&str, Text); 5] = [
    ("scaling", scaling),
    ("storms", storms),
    ("latency", latency),
    ("keys", keys),
    ("end_to_end", end_to_end),
];

fn scaling(output: &Output) -> Result<String> {
    const WAYS: [&str; 3] = [
        "a clone for each thread",
        "cloned for each request",
        "one client, cloned for each request",
    ];
    let tables = WAYS.map(|way| output.table(&format!("Two threads, {way}")));
    let tables: Vec<_> = tables.into_iter().collect::<Result<_>>()?;
    let mut text = format!(
        "| two threads do, of one's work | {} |\n|---|--:|--:|--:|\n",
        WAYS.join(" | ")
    );
    for name in tables[0].names() {
        text += &format!("| {name} |");
        for table in &tables {
            match table.cell(name, "ratio")? {
                "" => text += " not measured |",
                ratio => text += &format!(" {ratio} |"),
            }
        }
        text += "\n";
    }
    text += &remarks(output);
    Ok(text)
}

/// A run that shows nothing says so, in README too.
fn remarks(output: &Output) -> String {
    output
        .remarks()
        .map(|remark| format!("\n{remark}\n"))
        .collect()
}

fn storms(output: &Output) -> Result<String> {
    const STORMS: [(&str, &str); 6] = [
        ("Storm, cold:", "no token yet"),
        ("Storm, rejected:", "a token that the API rejects"),
        ("Storm, dead:", "no token, and the issuer fails"),
        (
            "Storm, dead, keys:",
            "a token for each task, and the issuer fails",
        ),
        (
            "Storm, keys:",
            "a token for each task, 16 fetches at once at most",
        ),
        (
            "Storm, queue: 10000 tokens",
            "the same, and the issuer takes no time",
        ),
    ];
    const LOCKS: [&str; 3] = ["lock", "lock, read first", "lock a key"];
    const OVER: &str = "over the issuer's own (ms)";
    let mut text = String::from(
        "| at the same instant | fetches | over the issuer's own time (ms) | the better lock: fetches | over (ms) |\n\
         |---|--:|--:|--:|--:|\n",
    );
    for (title, what) in STORMS {
        let table = output.table(title)?;
        let cell = |row, column| table.cell(row, column);
        let tasks = cell("BearerAuth", "tasks")?;
        let (fetches, over) = (cell("BearerAuth", "fetches")?, cell("BearerAuth", OVER)?);
        text += &format!("| {tasks} tasks, {what} | {fetches} | {over} |");

        let locks = table.names().filter(|name| LOCKS.contains(name));
        let locks = locks.map(|name| Ok((name, table.figure(name, OVER)?)));
        let locks: Vec<_> = locks.collect::<Result<_>>()?;
        let Some((lock, _)) = locks.iter().min_by(|one, other| one.1.total_cmp(&other.1)) else {
            text += " | |\n";
            continue;
        };
        let (fetches, over) = (cell(lock, "fetches")?, cell(lock, OVER)?);
        match cell(lock, "tasks")? {
            same if same == tasks => text += &format!(" {fetches} | {over} |\n"),
            fewer => text += &format!(" {fetches}, of only {fewer} tasks | {over} |\n"),
        }
    }
    Ok(text)
}

fn latency(output: &Output) -> Result<String> {
    const COLUMNS: [&str; 6] = [
        "fetches",
        "waited",
        "p50 (us)",
        "p99 (us)",
        "p99.9 (us)",
        "max (us)",
    ];
    let table = output.table("Latency")?;
    let first = table.names().next().context("a row")?;
    let title = table.title.trim_start_matches("Latency: ");
    let mut text = format!(
        "{title}, {} requests of each:\n\n| | {} |\n|---|--:|--:|--:|--:|--:|--:|\n",
        table.cell(first, "requests")?,
        COLUMNS.join(" | "),
    );
    for name in table.names() {
        let cells = COLUMNS.map(|column| table.cell(name, column));
        let cells: Vec<_> = cells.into_iter().collect::<Result<_>>()?;
        text += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    text += &remarks(output);
    Ok(text)
}

fn keys(output: &Output) -> Result<String> {
    let (lookups, memory) = (
        output.table("Time per lookup")?,
        output.table("Memory per key")?,
    );
    let mut text = String::from(
        "| keys | the layer adds (ns) | memory for each, beside the key and the token (B) |\n|--:|--:|--:|\n",
    );
    for keys in lookups.names() {
        let nanos = lookups.figure(keys, "the layer adds (ns)")?;
        let bytes = memory.cell(keys, "beside them (B)")?;
        text += &format!("| {keys} | {nanos:.0} | {bytes} |\n");
    }
    Ok(text)
}

fn end_to_end(output: &Output) -> Result<String> {
    const FIXED: &str = "static header";
    const PLAYERS: [&str; 3] = [
        "static header again",
        "BearerAuth, Never",
        "BearerAuth, InMemory",
    ];
    let wall = output.table("End to end, requests a second")?;
    let cpu = output.table("End to end, processor time")?;
    let mut text = String::from(
        "| | header set by hand (requests/s) | that again, as a ratio | `Never` | `InMemory` | processor time, `InMemory` |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    let scenarios = wall
        .names()
        .filter_map(|name| name.strip_suffix(&format!(": {FIXED}")));
    for scenario in scenarios {
        let row = |contender: &str| format!("{scenario}: {contender}");
        text += &format!("| {scenario} | {} |", wall.cell(&row(FIXED), "requests/s")?);
        for player in PLAYERS {
            text += &format!(" {} |", ratio(&wall, &row(player))?);
        }
        text += &format!(" {} |\n", ratio(&cpu, &row("BearerAuth, InMemory"))?);
    }
    text += &remarks(output);
    Ok(text)
}

/// With its interval, and what of it is more than noise.
fn ratio(table: &Table, row: &str) -> Result<String> {
    if table
        .cell(row, "ratio to static header")?
        .parse()
        .is_ok_and(f64::is_nan)
    {
        return Ok("not measured".to_owned());
    }
    let figure = |column| table.figure(row, column);
    let (from, to) = (figure("from (95 %)")?, figure("to (95 %)")?);
    let mut text = format!(
        "{:.3} ({from:.3} to {to:.3})",
        figure("ratio to static header")?
    );
    let beyond = figure("beyond the noise (%)")?;
    if beyond != 0.0 {
        let beyond = format!("{beyond:.1}").replace('-', "\u{2212}");
        text += &format!(", {beyond} % beyond the noise");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> Output {
        Output::parse(&format!("2026-01-02 | rustc | target | machine\n{text}")).unwrap()
    }

    #[test]
    fn a_run_of_threads_that_is_no_good_says_so() {
        let table = "| contender | ratio |\n|---|--:|\n| bare service | 1.98 |\n| ours | |\n";
        let ways = [
            "a clone for each thread",
            "cloned for each request",
            "one client, cloned for each request",
        ];
        let tables = ways.map(|way| format!("## Two threads, {way}\n\n{table}\n"));
        let text = scaling(&output(&format!(
            "{}This run is no good: why.\n",
            tables.concat()
        )))
        .unwrap();
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| bare service | 1.98 | 1.98 | 1.98 |",
                "| ours | not measured | not measured | not measured |",
                "",
                "This run is no good: why."
            ]
        );
    }

    /// What README says of storms, without its head. The layer took 3.50 ms each time.
    fn storms_with_locks(locks: [&[(&str, usize, usize, &str)]; 6]) -> Vec<String> {
        let titles = ["cold", "rejected", "dead", "dead, keys", "keys", "queue"];
        let mut tables = String::from("## Storm, queue: 1000 tokens\n\n| contender |\n|---|\n");
        for (title, locks) in titles.iter().zip(locks) {
            tables += &format!(
                "## Storm, {title}: 10000 tokens\n\n\
                 | contender | tasks | fetches | over the issuer's own (ms) |\n|---|--:|--:|--:|\n\
                 | BearerAuth | 100 | 1 | 3.50 |\n"
            );
            for (name, tasks, fetches, over) in locks {
                tables += &format!("| {name} | {tasks} | {fetches} | {over} |\n");
            }
        }
        let text = storms(&output(&tables)).unwrap();
        text.lines().skip(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_better_lock_is_shown_and_one_that_got_fewer_tasks_says_so() {
        let lines = storms_with_locks([
            &[
                ("lock", 100, 1, "9.50"),
                ("lock, read first", 100, 1, "10.50"),
            ],
            &[
                ("lock", 100, 1, "10.50"),
                ("lock, read first", 100, 1, "9.50"),
            ],
            &[("lock", 20, 20, "9.50")],
            &[],
            &[
                ("BearerAuth, otherwise", 100, 100, "0.10"),
                ("lock a key", 100, 100, "0.50"),
                ("lock a key, no limit", 100, 100, "0.10"),
            ],
            &[("lock a key", 100, 100, "0.25")],
        ]);
        let ends = [
            "no token yet | 1 | 3.50 | 1 | 9.50 |",
            "rejects | 1 | 3.50 | 1 | 9.50 |",
            "no token, and the issuer fails | 1 | 3.50 | 20, of only 20 tasks | 9.50 |",
            "a token for each task, and the issuer fails | 1 | 3.50 | | |",
            "at most | 1 | 3.50 | 100 | 0.50 |",
            "no time | 1 | 3.50 | 100 | 0.25 |",
        ];
        assert_eq!(lines.len(), ends.len());
        for (line, end) in lines.iter().zip(ends) {
            assert!(line.ends_with(end), "{line}");
        }
    }

    #[test]
    fn a_run_in_which_it_is_not_asserted_that_nobody_waited_says_so() {
        let text = latency(&output(
            "This run shows less: why.\n\n## Latency: 60 s\n\n\
             | contender | requests | fetches | waited | p50 (us) | p99 (us) | p99.9 (us) | max (us) | more |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|\n\
             | ours | 300 | 83 | 0 | 1.0 | 2.0 | 3.0 | 4.0 | 5.0 |\n",
        ))
        .unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "60 s, 300 requests of each:",
                "",
                "| | fetches | waited | p50 (us) | p99 (us) | p99.9 (us) | max (us) |",
                "|---|--:|--:|--:|--:|--:|--:|",
                "| ours | 83 | 0 | 1.0 | 2.0 | 3.0 | 4.0 |",
                "",
                "This run shows less: why."
            ]
        );
    }

    #[test]
    fn what_is_beyond_the_noise_is_told() {
        let head = "| contender | ratio to static header | from (95 %) | to (95 %) | beyond the noise (%) |\n|---|--:|--:|--:|--:|\n";
        let rows = "| in | 0.9987 | 0.9901 | 1.0012 | 0.00 |\n| below | 0.9504 | 0.9401 | 0.9612 | -2.11 |\n\
                    | above | 1.0504 | 1.0401 | 1.0612 | 2.11 |\n\
                    | no clock | NaN | NaN | NaN | NaN |\n";
        let table = output(&format!("## T\n{head}{rows}")).table("T").unwrap();
        assert_eq!(ratio(&table, "in").unwrap(), "0.999 (0.990 to 1.001)");
        assert_eq!(
            ratio(&table, "below").unwrap(),
            "0.950 (0.940 to 0.961), −2.1 % beyond the noise"
        );
        assert_eq!(
            ratio(&table, "above").unwrap(),
            "1.050 (1.040 to 1.061), 2.1 % beyond the noise"
        );
        assert_eq!(ratio(&table, "no clock").unwrap(), "not measured");
    }
}
