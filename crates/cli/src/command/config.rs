//! `tastemaker config default|check|schema`.

use serde::Serialize;
use tastemaker_engine::config::{self, default_document, schema};

use crate::args::{Config, ConfigAction, Format};
use crate::context::Context;
use crate::output;

#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    settings: &'a config::Config,
}

pub(crate) fn run(args: &Config, context: &Context) -> anyhow::Result<()> {
    match &args.action {
        ConfigAction::Default => match context.format {
            Format::Table => output::line(default_document().trim_end()),
            Format::Json => output::line(serde_json::to_string_pretty(
                &tastemaker_engine::config::Config::default(),
            )?),
        },
        ConfigAction::Check { settings } => {
            let loaded = context.settings(settings, &[])?;
            output::result(
                context.format,
                // Not `json!`, which would widen 0.7 to 0.699999988079071.
                &Checked { ok: true, settings: &loaded.config },
                || "settings are fine".into(),
            )
        }
        ConfigAction::Schema => output::line(serde_json::to_string_pretty(&schema())?),
    }
}
