//! The language of answers, and the language model that may word them.

use clap::{Args, ValueEnum};
use serde_json::Value;
use tastemaker_engine::Engine;
use tastemaker_engine::chat::{Writer, open};
use tastemaker_engine::config::Loaded;
use tastemaker_engine::dialog::Language;

use super::Usage;
use crate::args::ConfigArgs;
use crate::context::Context;

/// A language model.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModelArg {
    /// A language model that may word reasons, and order lists where the pipeline says so (`pipeline.llm`): a name of `weights list`, a GGUF
    /// file, or the address of a service
    #[arg(long, value_name = "NAME_OR_FILE_OR_URL")]
    pub(crate) chat_model: Option<String>,
}

/// Words and their language.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Words")]
pub(crate) struct Writing {
    /// The language of reasons and answers [default: as trained, `reasons.language`]
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    pub(crate) lang: Option<Lang>,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// Seconds it may take for one request; what is not done by then is done without it
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub(crate) seconds: f64,
}

/// A language with templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::En => Self::English,
            Lang::Zh => Self::Chinese,
        }
    }
}

impl Writing {
    /// Lends an engine the language and the model that were asked for.
    pub(crate) fn lend(&self, engine: Engine, context: &Context) -> anyhow::Result<Engine> {
        let engine = match self.lang {
            Some(lang) => {
                let wording = engine.wording().clone().in_language(lang.into());
                engine.with_wording(wording)
            }
            None => engine,
        };
        if self.model.chat_model.is_none() {
            return Ok(engine);
        }
        let loaded = context.settings(&ConfigArgs::default(), &self.model.flags())?;
        Ok(match self.open(&loaded, context)? {
            Some((writer, seconds)) => engine.with_writer(writer, seconds),
            None => engine,
        })
    }

    /// Opens the model, with the seconds it may take.
    pub(crate) fn open(
        &self,
        loaded: &Loaded,
        context: &Context,
    ) -> anyhow::Result<Option<(Writer, f64)>> {
        if !(self.seconds.is_finite() && self.seconds > 0.0) {
            anyhow::bail!(Usage(format!("--seconds must be above 0, is {}", self.seconds)));
        }
        Ok(self.model.open(loaded, context)?.map(|writer| (writer, self.seconds)))
    }
}

impl ModelArg {
    /// Opens the model, if one is named.
    pub(crate) fn open(
        &self,
        loaded: &Loaded,
        context: &Context,
    ) -> anyhow::Result<Option<Writer>> {
        if self.chat_model.is_none() {
            return Ok(None);
        }
        let config = &loaded.config;
        let progress = context.progress.as_ref();
        let opened = open(&config.chat, &config.remote_chat, &context.places, progress)?;
        Ok(Some(opened.writer()))
    }

    /// Says the model as a setting.
    pub(crate) fn flags(&self) -> Vec<String> {
        let name = self.chat_model.iter();
        name.map(|name| format!("chat.model={}", Value::from(name.as_str()))).collect()
    }
}
