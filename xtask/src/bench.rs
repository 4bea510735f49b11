//! Benches, side by side with a saved baseline.

use std::path::Path;

use anyhow::{Result, bail};
use cargo_metadata::TargetKind;

use crate::{step::Step, targets::targets};

pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let (flags, names): (Vec<&str>, Vec<&str>) = words.iter().partition(|w| w.starts_with('-'));
    let save = match flags[..] {
        [] => false,
        ["--save"] => true,
        _ => bail!("unknown flags {}: only --save is known", flags.join(" ")),
    };
    let name = match names[..] {
        [] => "",
        [name] => name,
        _ => bail!("give one name, or a part of it"),
    };
    let benches = targets(root, &TargetKind::Bench)?;
    let chosen: Vec<_> = benches.iter().filter(|(_, bench)| bench.contains(name)).collect();
    if chosen.is_empty() {
        let known: Vec<&str> = benches.iter().map(|(_, bench)| bench.as_str()).collect();
        bail!("no bench is called `{name}`; there are: {}", known.join(", "));
    }
    let mode = if save { "--save-baseline" } else { "--baseline-lenient" };
    for (package, bench) in chosen {
        let args = ["bench", "--package", package, "--bench", bench, "--", mode, "saved"];
        Step { name: bench, args: &args, env: &[] }.run(root)?;
    }
    Ok(())
}
