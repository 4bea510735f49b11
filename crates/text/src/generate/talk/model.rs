//! A model of a GGUF file that answers. Calls wait for one another: they share what was read of the last talk.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde::Serialize;
use tastemaker_kernels::WeightFormat;

use super::sampler::Sampler;
use super::settings::{GgufSettings, check};
use super::telling::{Heard, Telling};
use crate::cache::Digest;
use crate::generate::decoder::{Architecture, Decoder, Memory};
use crate::generate::form::Form;
use crate::generate::gguf::Gguf;
use crate::generate::tokens::{Template, Tokenizer};
use crate::{ChatModel, ChatRequest, Ended, Error, Precision, Reply, ReplyForm, Turn};

/// Tokens of a vocabulary that are judged together.
const JUDGED: usize = 4096;

/// A model of this machine. One call runs at a time, on the threads of rayon's pool. Do not call it from several tasks of that pool: a task that
/// waits for its turn keeps the thread that the running call needs, and neither goes on. The engine's `Writer` may be called from anywhere.
pub struct GgufChat {
    pub(super) tokenizer: Tokenizer,
    pub(super) decoder: Decoder,
    pub(super) state: Mutex<State>,
    pub(super) context: usize,
    template: Template,
    id: String,
}

/// What was read last.
pub(super) struct State {
    pub(super) memory: Memory,
    /// The tokens in the memory.
    pub(super) tokens: Vec<u32>,
}

/// What a model is, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GgufFacts {
    /// Its family, as the file has it.
    pub architecture: String,
    /// Layers.
    pub layers: usize,
    /// Numbers of a token.
    pub width: usize,
    /// Tokens it knows.
    pub vocabulary: usize,
    /// Tokens of a talk, at most.
    pub context: usize,
}

impl fmt::Debug for GgufChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GgufChat").field("id", &self.id).finish_non_exhaustive()
    }
}

impl GgufChat {
    /// Reads a GGUF file of the Qwen2, Qwen3 or Llama family.
    ///
    /// # Errors
    /// When the file is damaged, holds what is not computed here or is no model for talks, or settings cannot be.
    pub fn open(path: &Path, settings: &GgufSettings) -> Result<Self, Error> {
        if let Some(fault) = settings.faults().into_iter().next() {
            return Err(Error::setting(fault.field, fault.problem));
        }
        let file = Gguf::open(path)?;
        let tokenizer = Tokenizer::open(&file)?;
        let template = Template::open(&file, &tokenizer)?;
        let architecture = Architecture::open(&file, tokenizer.len())?;
        let context = settings.context.min(architecture.context);
        let (format, precision) = match settings.precision {
            Precision::F32 => (WeightFormat::Single, "f32"),
            Precision::Bf16 => (WeightFormat::Half, "bf16"),
            Precision::Int8 => (WeightFormat::Byte, "int8-7"),
        };
        let (decoder, digest) =
            rayon::join(|| Decoder::open(&file, architecture, format), || digest(path));
        let decoder = decoder?;
        let state = State { memory: decoder.memory(), tokens: Vec::new() };
        let id = format!("gguf/{}/{precision}/{context}", digest?);
        Ok(Self { tokenizer, decoder, state: Mutex::new(state), context, template, id })
    }

    /// Tells what the model is.
    pub fn facts(&self) -> GgufFacts {
        let Architecture { name, layers, width, vocabulary, .. } = self.decoder.architecture();
        GgufFacts {
            architecture: name.clone(),
            layers: *layers,
            width: *width,
            vocabulary: *vocabulary,
            context: self.context,
        }
    }

    /// Returns the bytes that the last talk takes.
    pub fn talk_bytes(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).memory.bytes()
    }

    /// Turns a talk into tokens, up to where the assistant speaks next; there must be room for a reply.
    pub(super) fn prompt(&self, turns: &[Turn]) -> Result<Vec<u32>, Error> {
        let text = self.template.write(turns, &self.tokenizer)?;
        let tokens = self.tokenizer.encode_marked(&text)?;
        if tokens.is_empty() || tokens.len() >= self.context {
            return Err(Error::TooLong { tokens: tokens.len(), limit: self.context });
        }
        Ok(tokens)
    }

    /// Reads a prompt, as far as it was not read before; returns the logits after it and how many tokens were kept.
    pub(super) fn read(
        &self,
        prompt: &[u32],
        state: &mut State,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(Option<Vec<f32>>, usize), Error> {
        let same = prompt.iter().zip(&state.tokens).take_while(|(a, b)| a == b).count();
        // The last token is read again: its logits were not kept.
        let cached = same.min(prompt.len() - 1);
        state.memory.truncate(cached);
        state.tokens.truncate(cached);
        let logits = self.decoder.read(&prompt[cached..], &mut state.memory, go_on)?;
        let read = state.memory.len();
        state.tokens.extend_from_slice(&prompt[cached..read]);
        Ok((logits, cached))
    }

    /// Draws the token that comes next, masking those that may not.
    fn next(&self, logits: &mut [f32], form: &Form, sampler: &mut Sampler) -> Option<u32> {
        let may_end = form.may_end();
        let judge = |(block, logits): (usize, &mut [f32])| {
            for (token, logit) in (block * JUDGED..).zip(logits) {
                let token = token as u32;
                let is_allowed = match self.tokenizer.ends(token) {
                    true => may_end,
                    false => {
                        self.tokenizer.is_text(token) && form.allows(self.tokenizer.bytes(token))
                    }
                };
                if !is_allowed || logit.is_nan() {
                    *logit = f32::NEG_INFINITY;
                }
            }
        };
        logits.par_chunks_mut(JUDGED).enumerate().for_each(judge);
        sampler.draw(logits).map(|at| at as u32)
    }

    fn answer(
        &self,
        request: &ChatRequest,
        form: Form,
        listen: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Reply, Error> {
        let prompt = self.prompt(&request.turns)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A listener that wants nothing can say so before the first word, with an empty piece.
        let (logits, cached) = self.read(&prompt, &mut state, &mut || listen(""))?;
        let is_free = request.form == ReplyForm::Free;
        // What is held to a form ends where the form does.
        let stops: &[String] = if is_free { &request.settings.stop } else { &[] };
        let mut writing = Writing { form, written: 0, heard: Heard::Wants, ended: None };
        let mut telling = Telling::new(stops, listen);
        match logits {
            Some(logits) => {
                let limit = request.settings.max_tokens.min(self.context - prompt.len());
                let mut sampler = Sampler::new(&request.settings);
                writing.run(self, (logits, limit), (&mut state, &mut sampler), &mut telling)?;
            }
            None => writing.heard = Heard::Enough,
        }
        let Writing { form, written, heard, ended } = writing;
        let (text, is_heard) = telling.finish(heard);
        let ended = match ended {
            _ if !is_heard => Ended::Interrupted,
            Some(ended) => ended,
            None => Ended::Stop,
        };
        if ended != Ended::Interrupted && !is_free && !form.may_end() {
            return Err(Error::Unfinished { tokens: written });
        }
        Ok(Reply {
            text,
            ended,
            prompt_tokens: prompt.len(),
            cached_tokens: cached,
            reply_tokens: written,
        })
    }
}

/// A reply while it is written.
struct Writing {
    form: Form,
    written: usize,
    heard: Heard,
    ended: Option<Ended>,
}

impl Writing {
    fn run(
        &mut self,
        model: &GgufChat,
        (mut logits, limit): (Vec<f32>, usize),
        (state, sampler): (&mut State, &mut Sampler),
        telling: &mut Telling<'_, '_>,
    ) -> Result<(), Error> {
        loop {
            let next = model.next(&mut logits, &self.form, sampler);
            let Some(token) = next.filter(|token| !model.tokenizer.ends(*token)) else {
                self.ended = Some(Ended::Stop);
                return Ok(());
            };
            let bytes = model.tokenizer.bytes(token);
            self.form.advance(bytes);
            self.written += 1;
            self.heard = telling.push(bytes);
            if self.heard != Heard::Wants || self.form.must_end() {
                self.ended = Some(Ended::Stop);
                return Ok(());
            }
            if self.written == limit {
                self.ended = Some(Ended::Length);
                return Ok(());
            }
            let read = model.decoder.read(&[token], &mut state.memory, &mut || true)?;
            state.tokens.push(token);
            logits = read.expect("nobody ended the reading");
        }
    }
}

impl ChatModel for GgufChat {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn reply(
        &self,
        request: &ChatRequest,
        listen: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Reply, Error> {
        check(&request.settings)?;
        let form = Form::new(&request.form)?;
        self.answer(request, form, listen)
    }
}

/// Returns the checksum of a file.
fn digest(path: &Path) -> Result<String, Error> {
    let file = std::fs::File::open(path).map_err(Error::read(path))?;
    let size = file.metadata().map_err(Error::read(path))?.len();
    let mut digest = Digest::new();
    digest.stream(size, file).map_err(Error::read(path))?;
    Ok(digest.hex())
}
