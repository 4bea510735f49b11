//! What every command needs: where things lie, how results are printed, the environment read once.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tastemaker_engine::Places;
use tastemaker_engine::config::{Loaded, Sources, load};
use tastemaker_engine::fetch;
use tastemaker_engine::remote::Secrets;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::{ConfigArgs, Format, Global};
use crate::progress::Bars;

/// Made once in `main`.
pub(crate) struct Context {
    /// How results are printed.
    pub(crate) format: Format,
    /// Where downloads and vectors lie.
    pub(crate) places: Places,
    /// Progress bars.
    pub(crate) progress: Arc<Bars>,
    environment: Vec<(String, String)>,
}

impl Context {
    /// Reads the environment, opens the log.
    pub(crate) fn new(global: &Global) -> anyhow::Result<Self> {
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        let variable = |name: &str| {
            environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        let home = || {
            variable("HOME")
                .or_else(|| variable("USERPROFILE"))
                .filter(|h| !h.is_empty())
                .map(PathBuf::from)
        };
        let xdg = variable("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let cache = global
            .cache
            .clone()
            .or_else(|| Some(xdg.or_else(|| Some(home()?.join(".cache")))?.join("tastemaker")));
        let cache =
            cache.context("no home folder to keep downloads in: say where with --cache DIR")?;
        let mut fetch = fetch::Places { offline: global.offline, ..fetch::Places::new(cache) };
        if let Some(hub) = variable("HF_ENDPOINT").filter(|hub| !hub.is_empty()) {
            hub.clone_into(&mut fetch.hub);
        }
        let progress = Arc::new(Bars::new(!global.no_progress));
        log(global.verbose, progress.clone());
        let secrets = Secrets::new(environment.clone());
        let places = Places { secrets, ..Places::new(fetch) };
        Ok(Self { format: global.format, places, progress, environment })
    }

    /// Reads the settings in all layers and sets the number of threads.
    pub(crate) fn settings(&self, args: &ConfigArgs, flags: &[String]) -> anyhow::Result<Loaded> {
        let mut all = args.set.clone();
        if let Some(seed) = args.seed {
            all.extend(["run", "split", "eval"].map(|section| format!("{section}.seed={seed}")));
        }
        all.extend(args.threads.map(|threads| format!("run.threads={threads}")));
        all.extend_from_slice(flags);
        let sources = Sources {
            file: args.config.clone(),
            environment: self.environment.clone(),
            flags: all,
        };
        let loaded = load(&sources)?;
        tastemaker_engine::use_threads(loaded.config.run.threads);
        Ok(loaded)
    }
}

/// Logs to stderr: warnings, and more with -v.
fn log(verbose: u8, progress: Arc<Bars>) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).without_time().with_target(verbose > 1);
    let subscriber = match std::io::stderr().is_terminal() {
        true => subscriber,
        false => subscriber.with_ansi(false),
    };
    subscriber.with_writer(Stderr(progress)).init();
}

/// Writes a line at a time to stderr, with progress bars out of the way.
struct Stderr(Arc<Bars>);

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

struct Line<'a>(&'a Bars);

impl std::io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.pause(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
