//! One command run for a person: announced, timed, and told how to repeat when it fails.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context, Result, bail};

/// A cargo command with its environment.
pub(crate) struct Step<'a> {
    pub(crate) name: &'a str,
    /// Arguments of cargo.
    pub(crate) args: &'a [&'a str],
    pub(crate) env: &'a [(&'a str, &'a str)],
}

impl Step<'_> {
    /// Runs it in `root` with its output shown; fails with the command to repeat.
    pub(crate) fn run(&self, root: &Path) -> Result<()> {
        timed(self.name, || {
            let status = cargo(root)
                .args(self.args)
                .envs(self.env.iter().copied())
                .status()
                .context("cargo cannot be started")?;
            if !status.success() {
                bail!("{} failed; to repeat it: {}", self.name, self.line());
            }
            Ok(())
        })
    }

    /// Returns the command as one would type it.
    fn line(&self) -> String {
        let env = self.env.iter().map(|(key, value)| match value.contains(' ') {
            true => format!("{key}='{value}'"),
            false => format!("{key}={value}"),
        });
        let words = ["cargo"].into_iter().chain(self.args.iter().copied()).map(String::from);
        env.chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// Announces and times a piece of work.
#[expect(
    clippy::disallowed_methods,
    reason = "times are shown to a person, nothing depends on them"
)]
pub(crate) fn timed(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("==> {name}");
    let start = Instant::now();
    let outcome = work();
    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
    println!("    {name}: {word}, {:.1} s", start.elapsed().as_secs_f64());
    outcome
}

/// Returns the cargo that runs us, in `root`.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    command.current_dir(root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_says_how_to_repeat_it() {
        let step = Step { name: "nothing", args: &["no-such-command"], env: &[("A", "b c")] };
        let error = step.run(Path::new(".")).unwrap_err().to_string();
        assert!(error.ends_with("to repeat it: A='b c' cargo no-such-command"), "{error}");
    }
}
