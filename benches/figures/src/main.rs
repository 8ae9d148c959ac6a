//! What the benches printed, compared with a baseline, and made into README's tables and plot.
//!
//! `benches/run` runs the benches and then this; it also says how. By itself:
//!
//! ```text
//! cargo run -p tower-bearer-figures            # README's figures and the plot
//! cargo run -p tower-bearer-figures -- check   # instructions against benches/instructions.baseline
//! cargo run -p tower-bearer-figures -- renew   # writes benches/instructions.baseline
//! ```

// It is how a program speaks.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use self::baseline::Baseline;
use self::hit::Hit;
use self::instructions::Counted;
use self::output::{Output, Run};

mod baseline;
mod hit;
mod instructions;
mod others;
mod output;
mod plot;
mod readme;

const BASELINE: &str = "benches/instructions.baseline";
const PLOT: &str = "benches/figures/hit.svg";
const README: &str = "README.md";

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("!!! {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    match args {
        [] => draw(),
        ["check"] => check(),
        ["renew"] => renew(),
        _ => bail!("nothing, `check` or `renew`, and not `{}`", args.join(" ")),
    }
}

fn check() -> Result<()> {
    let (run, now) =
        counted()?.context("no instructions have been counted: benches/run --check")?;
    let baseline = baseline()?;
    let compared = baseline.compare(&now);
    println!("{compared}");
    if let Some(difference) = baseline.made_otherwise(&run) {
        println!("{difference}");
    }
    ensure!(
        compared.holds(),
        "a request does not cost what {BASELINE} says. If that is how it has to be: benches/run --renew, and commit"
    );
    Ok(())
}

fn renew() -> Result<()> {
    let (run, now) =
        counted()?.context("no instructions have been counted: benches/run --renew")?;
    write(BASELINE, &Baseline::text(&run, &now))
}

/// What is not there is left in README as it is.
fn draw() -> Result<()> {
    let mut readme = read(README)?;
    let mut runs = Vec::new();

    match (output("overhead")?, output("allocations")?) {
        (Some(overhead), Some(allocations)) => {
            let (counted, remark) = counted_or_kept(&mut runs)?;
            let hit = Hit::new(&counted, &overhead, &allocations)?;
            write(PLOT, &plot::svg(&hit.bars()))?;
            readme = readme::replaced(&readme, "hit", &(hit.text(PLOT) + &remark))?;
            runs.extend([overhead.run, allocations.run]);
        }
        _ => eprintln!("!!! LEFT AS IT IS: a hit, since overhead or allocations have not been run"),
    }
    for (name, text) in others::ALL {
        let Some(output) = output(name)? else {
            eprintln!("!!! LEFT AS IT IS: {name}, which has not been run");
            continue;
        };
        for remark in output.remarks() {
            eprintln!("!!! {name}: {remark}");
        }
        let text = text(&output).with_context(|| format!("what {name} printed"))?;
        readme = readme::replaced(&readme, name, &text)?;
        runs.push(output.run);
    }
    if !runs.is_empty() {
        readme = readme::replaced(&readme, "machine", &Run::text(&runs))?;
    }
    write(README, &readme)
}

/// Instructions that were counted here, or else those of the baseline and a remark for README.
fn counted_or_kept(runs: &mut Vec<Run>) -> Result<(Counted, String)> {
    if let Some((run, counted)) = counted()? {
        runs.push(run);
        return Ok((counted, String::new()));
    }
    let baseline = baseline()?;
    let remark = format!(
        "Instructions were not counted in this run: they are those of [{BASELINE}]({BASELINE}), {}.\n",
        baseline.made()
    );
    eprintln!("!!! {remark}");
    Ok((baseline.counted(), remark))
}

fn counted() -> Result<Option<(Run, Counted)>> {
    let Some(output) = output("instructions")? else {
        return Ok(None);
    };
    let counted = Counted::parse(&output.text).context("what gungraun printed")?;
    Ok(Some((output.run, counted)))
}

fn baseline() -> Result<Baseline> {
    Baseline::parse(&read(BASELINE)?).context(BASELINE)
}

/// What a bench printed when it was last run by `benches/run`, if it was.
fn output(name: &str) -> Result<Option<Output>> {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let path = target.join("figures").join(format!("{name}.md"));
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let output = Output::parse(&text).with_context(|| path.display().to_string())?;
    Ok(Some(output))
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}

fn write(path: &str, text: &str) -> Result<()> {
    std::fs::write(root().join(path), text).with_context(|| path.to_owned())?;
    println!("{path} written");
    Ok(())
}

/// Of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
