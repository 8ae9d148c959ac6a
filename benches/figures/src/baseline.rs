//! The counts of instructions that are kept in the repository, and what has become of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result};

use crate::instructions::Counted;
use crate::output::Run;

/// By so much, in percent, may what a contender adds grow or shrink. Of its total it would be several times as
/// much of the layer's own.
const PERCENT: i64 = 5;

/// Other people's, which change as they like.
const NOT_OURS: [&str; 2] = ["add_authorization", "hand_written"];

pub(crate) struct Baseline {
    compiler: String,
    machine: String,
    over_bare: BTreeMap<String, i64>,
}

impl Baseline {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let comment = |name: &str| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("# {name}: ")));
            let value = value.with_context(|| format!("no line `# {name}: …`"))?;
            anyhow::Ok(value.to_owned())
        };
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let figures = lines.map(|line| {
            let parts = line.split_once(' ');
            let (name, over) = parts.with_context(|| format!("no name and number: `{line}`"))?;
            let over = over.trim().parse();
            Ok((
                name.to_owned(),
                over.with_context(|| format!("no number: `{line}`"))?,
            ))
        });
        Ok(Self {
            compiler: comment("compiler")?,
            machine: comment("machine")?,
            over_bare: figures.collect::<Result<_>>()?,
        })
    }

    pub(crate) fn text(run: &Run, now: &Counted) -> String {
        let Run {
            compiler,
            target,
            machine,
            ..
        } = run;
        let mut text = format!(
            "# How many instructions a contender of instructions.rs adds to its bare service.\n\
             # Written by `benches/run --renew`; `benches/run --check` fails if one of ours has grown or shrunk by\n\
             # more than {PERCENT} %. Those of others, {}, are here for README.\n\
             #\n\
             # compiler: {compiler}\n\
             # target: {target}\n\
             # machine: {machine}\n\n",
            NOT_OURS.join(" and "),
        );
        for (name, over) in &now.0 {
            text += &format!("{name} {over}\n");
        }
        text
    }

    pub(crate) fn counted(self) -> Counted {
        Counted(self.over_bare)
    }

    pub(crate) fn compare(&self, now: &Counted) -> Compared {
        let mut compared = Compared::default();
        let names = self
            .over_bare
            .keys()
            .chain(now.0.keys())
            .collect::<BTreeSet<_>>();
        for name in names {
            let (then, now) = (self.over_bare.get(name), now.0.get(name));
            let is_ours = !NOT_OURS.contains(&name.as_str());
            let verdict = match (then, now) {
                (Some(_), Some(_)) if !is_ours => Verdict::NotOurs,
                (Some(then), Some(now)) => Verdict::of(*then, *now),
                (None, _) => Verdict::New,
                (_, None) => Verdict::Gone,
            };
            compared.0.push(Line {
                name: name.clone(),
                then: then.copied(),
                now: now.copied(),
                verdict,
            });
        }
        compared
    }

    /// By what compiler and where, and by what now, if that is another one.
    pub(crate) fn made_otherwise(&self, run: &Run) -> Option<String> {
        let same = self.compiler == run.compiler && self.machine == run.machine;
        (!same).then(|| {
            let Run {
                compiler, machine, ..
            } = run;
            let then = self.made();
            format!("The baseline was made {then}; this is {compiler} on {machine}.")
        })
    }

    pub(crate) fn made(&self) -> String {
        let Self {
            compiler, machine, ..
        } = self;
        format!("by {compiler} on {machine}")
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Same,
    Grown,
    Shrunk,
    /// Not in the baseline.
    New,
    /// Only in the baseline.
    Gone,
    NotOurs,
}

impl Verdict {
    fn of(then: i64, now: i64) -> Self {
        let change = (now - then) * 100;
        match then.abs() * PERCENT {
            most if change > most => Self::Grown,
            most if change < -most => Self::Shrunk,
            _ => Self::Same,
        }
    }
}

/// Contender by contender.
#[derive(Default)]
pub(crate) struct Compared(Vec<Line>);

struct Line {
    name: String,
    then: Option<i64>,
    now: Option<i64>,
    verdict: Verdict,
}

impl Compared {
    /// Whether all is as the baseline says. What has shrunk is not: it could grow again and nobody would see it.
    pub(crate) fn holds(&self) -> bool {
        let passes = [Verdict::Same, Verdict::NotOurs];
        self.0.iter().all(|line| passes.contains(&line.verdict))
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |it: Option<i64>| it.map_or_else(|| "-".to_owned(), |it| it.to_string());
        writeln!(
            f,
            "{:30} {:>8} {:>8}",
            "instructions over bare", "baseline", "now"
        )?;
        for Line {
            name,
            then,
            now,
            verdict,
        } in &self.0
        {
            write!(f, "{name:30} {:>8} {:>8}", number(*then), number(*now))?;
            if let (Some(then @ 1..), Some(now)) = (*then, *now) {
                write!(f, " {:>+7.1} %", (now - then) as f64 * 100.0 / then as f64)?;
            }
            writeln!(
                f,
                "{}",
                match verdict {
                    Verdict::Same => "",
                    Verdict::Grown => "  GROWN: find out why, or renew: benches/run --renew",
                    Verdict::Shrunk => "  SHRUNK: keep it so: benches/run --renew, and commit",
                    Verdict::New => "  NOT IN THE BASELINE: benches/run --renew",
                    Verdict::Gone => "  NOT COUNTED: if it is gone: benches/run --renew",
                    Verdict::NotOurs => "  (not checked: not ours)",
                }
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            date: "2026-01-02".into(),
            compiler: "rustc 1.95.0".into(),
            target: "x86_64-unknown-linux-gnu".into(),
            machine: "a machine".into(),
        }
    }

    fn counted(figures: &[(&str, i64)]) -> Counted {
        Counted(
            figures
                .iter()
                .map(|(name, over)| ((*name).to_owned(), *over))
                .collect(),
        )
    }

    fn compared(then: &[(&str, i64)], now: &[(&str, i64)]) -> Compared {
        let baseline = Baseline::parse(&Baseline::text(&run(), &counted(then)));
        baseline.unwrap().compare(&counted(now))
    }

    /// What becomes of a contender that added 400 instructions.
    fn verdict(name: &str, now: i64) -> (bool, String) {
        let compared = compared(&[(name, 400)], &[(name, now)]);
        (
            compared.holds(),
            compared.to_string().lines().nth(1).unwrap().to_owned(),
        )
    }

    #[test]
    fn growth_of_five_percent_passes_and_more_fails() {
        assert!(verdict("never", 420).0);
        let (holds, line) = verdict("never", 421);
        assert!(!holds);
        for part in [
            "never",
            "400",
            "421",
            "+5.2 %",
            "GROWN",
            "benches/run --renew",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }

    #[test]
    fn shrinking_by_more_fails_too() {
        assert!(verdict("never", 380).0);
        let (holds, line) = verdict("never", 379);
        assert!(!holds);
        for part in ["-5.2 %", "SHRUNK", "benches/run --renew, and commit"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }

    #[test]
    fn what_is_not_ours_may_move() {
        for name in NOT_OURS {
            assert!(verdict(name, 4000).0, "{name}");
        }
    }

    #[test]
    fn a_contender_that_is_new_or_gone_fails() {
        for name in ["never", NOT_OURS[0]] {
            for (compared, told) in [
                (compared(&[], &[(name, 400)]), "NOT IN THE BASELINE"),
                (compared(&[(name, 400)], &[]), "NOT COUNTED"),
            ] {
                assert!(!compared.holds(), "{name}: {told}");
                assert!(compared.to_string().contains(told), "{name}: {told}");
            }
        }
    }

    #[test]
    fn another_compiler_or_machine_is_named() {
        let text = Baseline::text(&run(), &counted(&[]));
        let baseline = Baseline::parse(&text).unwrap();
        assert_eq!(baseline.made_otherwise(&run()), None);
        let other = Run {
            compiler: "rustc 1.96.0".into(),
            ..run()
        };
        let told = baseline.made_otherwise(&other).unwrap();
        assert!(told.contains("1.95.0") && told.contains("1.96.0"), "{told}");
    }

    #[test]
    fn a_baseline_that_cannot_be_read_is_refused() {
        let head = Baseline::text(&run(), &counted(&[]));
        for line in ["never", "never four", "never 400 401"] {
            assert!(
                Baseline::parse(&format!("{head}{line}\n")).is_err(),
                "{line}"
            );
        }
        assert!(Baseline::parse("never 400\n").is_err(), "by what compiler?");
    }
}
