//! Reads turns, tells replies as they come.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use serde_json::Value;
use tastemaker_engine::chat::{
    ChatRequest, Ended, Opened, ReplyForm, ReplySettings, Role, Talked, Turn, open, talk,
};
use tastemaker_engine::core::SystemClock;

use super::Chat;
use crate::args::Format;
use crate::command::Usage;
use crate::context::Context;
use crate::output;

/// Bytes of a turn or of a schema, at most.
const LIMIT: u64 = 1 << 20;

pub(crate) fn run(args: &Chat, context: &Context) -> anyhow::Result<()> {
    let flags: Vec<String> = args
        .model
        .iter()
        .map(|name| format!("chat.model={}", Value::from(name.as_str())))
        .collect();
    let loaded = context.settings(&args.settings, &flags)?;
    let form = form(args)?;
    let config = &loaded.config;
    let progress = context.progress.as_ref();
    let opened = open(&config.chat, &config.remote_chat, &context.places, progress)?;
    let settings = ReplySettings {
        max_tokens: args.max_tokens,
        temperature: args.temperature,
        top_p: args.top_p,
        seed: config.run.seed,
        stop: args.stop.clone(),
    };
    let system = args.system.iter().map(|text| Turn::new(Role::System, text)).collect();
    let request = ChatRequest { turns: system, form, settings };
    Talk { opened, request, context, interrupt: Interrupt::listen()? }.run(args.prompt.as_deref())
}

/// What a reply may look like.
fn form(args: &Chat) -> anyhow::Result<ReplyForm> {
    if let Some(path) = &args.schema {
        let schema = serde_json::from_slice(&read(path)?);
        let schema = schema.map_err(|error| {
            Usage(format!("{} is no JSON ({error}): write a JSON Schema", path.display()))
        });
        return Ok(ReplyForm::Json(schema?));
    }
    Ok(if args.choice.is_empty() {
        ReplyForm::Free
    } else {
        ReplyForm::Choice(args.choice.clone())
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > LIMIT {
        anyhow::bail!("{} is larger than {LIMIT} bytes: is it the right file?", path.display());
    }
    Ok(bytes)
}

/// Ctrl-C: ends the reply that is being written, or the program where there is none.
struct Interrupt {
    is_writing: Arc<AtomicBool>,
}

impl Interrupt {
    fn listen() -> anyhow::Result<Self> {
        let is_writing = Arc::new(AtomicBool::new(false));
        let writing = is_writing.clone();
        ctrlc::set_handler(move || {
            if !writing.swap(false, Ordering::Relaxed) {
                // Nothing is under way; 130 is the code of this signal.
                std::process::exit(130);
            }
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(Self { is_writing })
    }
}

struct Talk<'a> {
    opened: Opened,
    request: ChatRequest,
    context: &'a Context,
    interrupt: Interrupt,
}

impl Talk<'_> {
    fn run(mut self, prompt: Option<&str>) -> anyhow::Result<()> {
        if let Some(prompt) = prompt {
            return self.turn(prompt);
        }
        let is_person = std::io::stdin().is_terminal();
        let mut input = std::io::stdin().lock();
        loop {
            if is_person {
                output::note("> ");
            }
            let mut line = Vec::new();
            let length = (&mut input).take(LIMIT + 1).read_until(b'\n', &mut line)?;
            if length == 0 {
                return Ok(());
            }
            if line.len() as u64 > LIMIT {
                anyhow::bail!("a line is longer than {LIMIT} bytes: break it up");
            }
            let line = String::from_utf8(line).context("standard input is no UTF-8")?;
            if !line.trim().is_empty() {
                self.turn(line.trim_end_matches(['\n', '\r']))?;
            }
        }
    }

    /// Says something and tells the reply, which becomes part of the talk.
    fn turn(&mut self, said: &str) -> anyhow::Result<()> {
        self.request.turns.push(Turn::new(Role::User, said));
        let format = self.context.format;
        let is_writing = &self.interrupt.is_writing;
        is_writing.store(true, Ordering::Relaxed);
        let mut broken = None;
        let mut listen = |piece: &str| {
            if format == Format::Table
                && let Err(error) = output::piece(piece)
            {
                broken = Some(error);
                return false;
            }
            is_writing.load(Ordering::Relaxed)
        };
        let clock = SystemClock::default();
        let talked = talk(self.opened.model(), &self.request, &clock, &mut listen);
        is_writing.store(false, Ordering::Relaxed);
        if let Some(error) = broken {
            return Err(error.into());
        }
        let talked = talked?;
        match format {
            Format::Json => output::line(serde_json::to_string_pretty(&talked)?)?,
            Format::Table => {
                output::line("")?;
                output::note(summary(&talked));
            }
        }
        self.request.turns.push(Turn::new(Role::Assistant, talked.reply.text));
        Ok(())
    }
}

fn summary(talked: &Talked) -> String {
    let Talked { reply, read_per_second, written_per_second, memory_bytes, .. } = talked;
    let rate = |rate: &Option<f64>| rate.map_or_else(|| "–".into(), |rate| format!("{rate:.0}"));
    let ended = match reply.ended {
        Ended::Stop => "",
        Ended::Length => "; cut at --max-tokens or at the end of the context",
        Ended::Interrupted => "; interrupted",
    };
    format!(
        "({} tokens read, {} of them before, {} a second; {} written, {} a second; {} MB{ended})",
        reply.prompt_tokens,
        reply.cached_tokens,
        rate(read_per_second),
        reply.reply_tokens,
        rate(written_per_second),
        memory_bytes / 1_000_000,
    )
}
