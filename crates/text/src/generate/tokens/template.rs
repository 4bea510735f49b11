//! The template of a talk that a file brings, in Jinja as Hugging Face writes it: bounded in length, steps and output.

use std::error::Error as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use minijinja::value::Value;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, context};

use super::Tokenizer;
use crate::generate::gguf::Gguf;
use crate::{Error, Role, Turn};

const NAME: &str = "tokenizer.chat_template";
/// Bytes of a template, at most.
const SOURCE: usize = 1 << 16;
/// Steps of a template, at most.
const STEPS: u64 = 1 << 20;
/// Bytes that a template writes, at most.
const OUTPUT: usize = 1 << 24;

/// How a talk is written down for a model.
pub(crate) struct Template {
    path: PathBuf,
    environment: Environment<'static>,
    begin: String,
    end: String,
}

impl Template {
    /// Reads the template of a file.
    pub(crate) fn open(file: &Gguf, tokenizer: &Tokenizer) -> Result<Self, Error> {
        let Some(source) = file.text(NAME)? else {
            let why =
                "is missing: this model was not made for talks, choose an instruction-tuned one";
            return Err(file.fault(NAME, why));
        };
        if source.len() > SOURCE {
            let why = format!("has {} bytes, more than the limit of {SOURCE}", source.len());
            return Err(file.fault(NAME, why));
        }
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_recursion_limit(50);
        environment.set_fuel(Some(STEPS));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |why: String| -> Result<Value, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, why))
            },
        );
        // A reply must not depend on the day: templates that ask for it are told the one they fall back to.
        environment.add_function("strftime_now", |_: String| "26 Jul 2024");
        let added = environment.add_template_owned(NAME, source.to_owned());
        added.map_err(|error| file.fault(NAME, describe(&error)))?;
        let (begin, end) = tokenizer.outer_marks();
        let (begin, end) = (begin.to_owned(), end.to_owned());
        Ok(Self { path: file.path().to_owned(), environment, begin, end })
    }

    /// Writes a talk down, up to where the assistant begins its next turn.
    pub(crate) fn write(&self, turns: &[Turn], tokenizer: &Tokenizer) -> Result<String, Error> {
        let messages: Vec<Value> = turns
            .iter()
            .map(|turn| {
                let role = match turn.role {
                    Role::System => "system",
                    Role::User => "user",
                    Role::Assistant => "assistant",
                };
                context! { role, content => tokenizer.plain(&turn.content) }
            })
            .collect();
        let values = context! {
            messages,
            add_generation_prompt => true,
            enable_thinking => false,
            bos_token => self.begin,
            eos_token => self.end,
        };
        let fault = |why: String| Error::Gguf {
            path: Path::to_owned(&self.path),
            at: format!("`{NAME}`"),
            why,
        };
        let template = self.environment.get_template(NAME).map_err(|e| fault(describe(&e)))?;
        let mut written = Bounded(Vec::new());
        template
            .render_captured_to(values, &mut written)
            .map_err(|error| fault(format!("does not take this talk: {}", describe(&error))))?;
        String::from_utf8(written.0).map_err(|_| fault("writes no UTF-8".to_owned()))
    }
}

/// Tells what is wrong with a template, and where.
fn describe(error: &minijinja::Error) -> String {
    let mut what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    if let Some(cause) = error.source() {
        what = format!("{what}: {cause}");
    }
    error.line().map_or_else(|| what.clone(), |line| format!("line {line}: {what}"))
}

/// Memory with an end.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT {
            return Err(io::Error::other("it writes too much"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
