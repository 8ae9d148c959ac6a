//! What a request for which there is a token at hand costs.

use anyhow::Result;

use crate::instructions::Counted;
use crate::output::Output;
use crate::plot::{Bar, Bars};

/// What does not matter, or hardly: beside the same layer without it.
const PLAIN: &str = "never";
const OTHERWISE: [(&str, &str); 3] = [
    ("never_short_token", "a token of one byte"),
    (
        "never_eight_origins",
        "eight origins named, of which the last is meant",
    ),
    (
        "never_with_other_extensions",
        "three extensions on the request that are not ours",
    ),
];

/// By their names in the benches, and what README and the plot call them. Not all are in the plot. With the
/// first the others are compared.
const ROWS: [(&str, &str, Option<&str>); 7] = [
    (
        "add_authorization",
        "tower-http's `AddAuthorizationLayer`: a token that never changes",
        Some("AddAuthorizationLayer, a fixed token"),
    ),
    (
        "hand_written",
        "a layer as written by hand: a mutex, `format!`, a boxed future, no retry",
        Some("by hand: mutex, format!, box"),
    ),
    (
        "never",
        "`BearerAuth`, `replay::Never`: no retry",
        Some("BearerAuth, Never"),
    ),
    (
        "in_memory",
        "`BearerAuth`, `replay::InMemory`, the default: a copy for the retry",
        Some("BearerAuth, InMemory"),
    ),
    (
        "in_memory_at_run_time",
        "the same, the three headers' values made at run time",
        None,
    ),
    (
        "never_keyed",
        "`BearerAuth`, `Never`, a `TokenRequest` on each request",
        Some("BearerAuth, Never, keyed"),
    ),
    ("in_memory_keyed", "the same, `InMemory`", None),
];

/// Over the bare service.
struct Cost {
    /// In README, and in the plot.
    names: (&'static str, Option<&'static str>),
    instructions: i64,
    nanos: f64,
    allocations: String,
    /// By how many bytes it is larger.
    future: String,
}

pub(crate) struct Hit {
    costs: Vec<Cost>,
    /// The instructions of `PLAIN`, and of what is in `OTHERWISE`.
    otherwise: (i64, Vec<i64>),
    /// Nanoseconds that a read of the clock takes.
    clock: Option<f64>,
}

impl Hit {
    pub(crate) fn new(
        instructions: &Counted,
        overhead: &Output,
        allocations: &Output,
    ) -> Result<Self> {
        let nanos = overhead.table("Time over the bare service")?;
        let allocations = allocations.table("Allocations and futures")?;
        let costs = ROWS.iter().map(|&(name, readme, plot)| {
            Ok(Cost {
                names: (readme, plot),
                instructions: instructions.of(name)?,
                nanos: nanos.figure(name, "over bare (ns/request)")?,
                allocations: allocations.cell(name, "over bare (/request)")?.to_owned(),
                future: allocations.cell(name, "future over bare (B)")?.to_owned(),
            })
        });
        let otherwise = OTHERWISE.iter().map(|(name, _)| instructions.of(name));
        // That clock is Linux's.
        let clocks = overhead.table("Reading a clock")?;
        let clock = clocks.figure("CLOCK_BOOTTIME", "time (ns/read)").ok();
        Ok(Self {
            costs: costs.collect::<Result<_>>()?,
            otherwise: (instructions.of(PLAIN)?, otherwise.collect::<Result<_>>()?),
            clock,
        })
    }

    pub(crate) fn text(&self, plot: &str) -> String {
        let mut text = format!(
            "![What each layer adds to a request, in instructions and in nanoseconds: the figures of the table below]({plot})\n\n\
             | what is added | instructions | ratio | time (ns) | ratio | allocations | future (B) |\n\
             |---|--:|--:|--:|--:|--:|--:|\n"
        );
        // The first row.
        let fixed = &self.costs[0];
        for cost in &self.costs {
            let Cost {
                names,
                instructions,
                nanos,
                allocations,
                future,
            } = cost;
            let instructions_ratio = *instructions as f64 / fixed.instructions as f64;
            let nanos_ratio = nanos / fixed.nanos;
            let (name, _) = names;
            text += &format!(
                "| {name} | {instructions} | {instructions_ratio:.2} | {nanos:.0} | {nanos_ratio:.2} \
                 | {allocations} | {} |\n",
                future.replace('-', "\u{2212}"),
            );
        }
        let (plain, otherwise) = &self.otherwise;
        let otherwise = OTHERWISE.iter().zip(otherwise);
        let otherwise = otherwise.map(|((_, how), count)| format!("with {how}, {count}"));
        let otherwise: Vec<_> = otherwise.collect();
        text += &format!(
            "\n`BearerAuth`, `Never`, adds {plain} instructions; {}.\n",
            otherwise.join("; ")
        );
        if let Some(clock) = self.clock {
            text += &format!(
                "A read of the clock, without which nobody knows that a token has ended, takes {clock:.0} ns. Under \
                 valgrind it is a system call, whose instructions are not counted.\n"
            );
        }
        text
    }

    pub(crate) fn bars(&self) -> [Bars; 2] {
        let bars = |title, figure: fn(&Cost) -> f64| Bars {
            title,
            bars: self
                .costs
                .iter()
                .filter_map(|cost| bar(cost, figure(cost)))
                .collect(),
        };
        [
            bars("instructions over the bare service", |cost| {
                cost.instructions as f64
            }),
            bars("nanoseconds over the bare service", |cost| cost.nanos),
        ]
    }
}

fn bar(cost: &Cost, figure: f64) -> Option<Bar> {
    let (_, name) = cost.names;
    name.map(|name| Bar {
        name,
        figure,
        is_ours: name.starts_with("BearerAuth"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_contender_has_its_own_figures_and_ratios() {
        let run = "2026-01-02 | rustc | target | machine\n";
        let figures = (1..).map(|number| number * 100);
        let names = || ROWS.iter().map(|(name, ..)| *name).zip(figures.clone());
        let counted = names().chain(OTHERWISE.iter().map(|(name, _)| *name).zip(figures.clone()));
        let counted = counted.map(|(name, figure)| (name.to_owned(), figure + 5));
        let counted = Counted(counted.collect());
        let nanos = names().map(|(name, figure)| format!("| {name} | {}.0 |\n", figure / 10));
        let overhead = format!(
            "{run}## Time over the bare service\n| contender | over bare (ns/request) |\n|---|--:|\n{}\
             ## Reading a clock\n| clock | time (ns/read) |\n|---|--:|\n| CLOCK_BOOTTIME | 27.6 |\n",
            nanos.collect::<String>()
        );
        let rows = names().map(|(name, figure)| format!("| {name} | {figure} | -{figure} |\n"));
        let allocations = format!(
            "{run}## Allocations and futures\n\
             | contender | over bare (/request) | future over bare (B) |\n|---|--:|--:|\n{}",
            rows.collect::<String>()
        );
        let overhead = Output::parse(&overhead).unwrap();
        let allocations = Output::parse(&allocations).unwrap();

        let hit = Hit::new(&counted, &overhead, &allocations).unwrap();
        let text = hit.text("hit.svg");
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[4].ends_with(" | 105 | 1.00 | 10 | 1.00 | 100 | −100 |"),
            "{text}"
        );
        assert!(
            lines[6].ends_with(" | 305 | 2.90 | 30 | 3.00 | 300 | −300 |"),
            "{text}"
        );
        assert!(text.contains(" takes 28 ns."), "{text}");
        let of_never = "`Never`, adds 305 instructions; with a token of one byte, 105; with eight";
        assert!(text.contains(of_never), "{text}");
        assert_eq!(hit.bars().map(|bars| bars.bars.len()), [5, 5]);
        assert_eq!(hit.bars()[1].bars[4].figure, 60.0, "the keyed one");
    }
}
