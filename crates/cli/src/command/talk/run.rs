//! Reads turns, tells answers.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use anyhow::Context as _;
use tastemaker_engine::artifact;
use tastemaker_engine::talk::{Conversation, ConversationSettings};

use super::ChatRec;
use crate::args::Format;
use crate::context::Context;
use crate::output;

/// Bytes of a turn, at most.
const LIMIT: u64 = 64 << 10;

pub(crate) fn run(args: &ChatRec, context: &Context) -> anyhow::Result<()> {
    let loaded = context.settings(&args.settings, &args.writing.model.flags())?;
    let (engine, _) = artifact::open(&args.model, &context.places)?;
    let settings = ConversationSettings {
        user: args.user.clone(),
        n: args.n as usize,
        language: args.writing.lang.map(Into::into),
        writer: args.writing.open(&loaded, context)?,
    };
    let mut talk = Conversation::new(&engine, settings)?;
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
        let said = line.trim();
        if said.is_empty() {
            continue;
        }
        let reply = talk.turn(said)?;
        match context.format {
            Format::Json => output::line(serde_json::to_string(&reply)?)?,
            Format::Table => {
                output::text(format!("{}\n", reply.reply))?;
                reply.notes.iter().for_each(|note| output::note(format!("({note})")));
            }
        }
    }
}
