//! What can go wrong with a service, and what to do about it. No message holds a key or a whole text.

use std::fmt;

use thiserror::Error;

/// What a service did wrong, or why it was not called.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum RemoteFault {
    /// Nobody answers, or the connection broke.
    #[error("cannot be reached ({why}): check the address, and that the service runs")]
    Connection { why: String },
    /// It took too long.
    #[error("gave no answer within {seconds} s: raise `timeout_s`, or ask for less at once")]
    Timeout { seconds: f64 },
    /// It refused, or failed.
    #[error("answered {status}{}{}", words(said), advice(*status))]
    Status { status: u16, said: String },
    /// It names another address, to which nothing is sent.
    #[error("answered {status} and points to {to}: name that address yourself if you trust it")]
    Redirect { status: u16, to: String },
    /// An answer is longer than it can be.
    #[error("gave an answer of more than {limit} bytes: it is not what was asked for")]
    TooLarge { limit: u64 },
    /// An answer broke off.
    #[error("stopped in the middle of its answer ({why})")]
    Cut { why: String },
    /// An answer is no JSON, or not that of the protocol.
    #[error("gave an answer that is not understood ({why}): check the address, and `kind`")]
    NotUnderstood { why: String },
    /// Vectors are too many or too few.
    #[error("gave {came} vectors for {sent} texts")]
    Count { sent: usize, came: usize },
    /// Vectors do not say whose they are.
    #[error("gave a vector whose index is {problem}")]
    Index { problem: String },
    /// Vectors are of different widths.
    #[error("gave a vector of {found} numbers where {wanted} were expected: is it another model?")]
    Dimensions { found: usize, wanted: usize },
    /// A vector holds what is no number.
    #[error("gave a vector with numbers that are infinite or none")]
    NotFinite,
    /// A ceiling of the settings is reached.
    #[error(
        "was not called: {spent} of `{setting}` = {limit} are used, and the next call may need {next}; raise it to go on"
    )]
    Ceiling { setting: &'static str, limit: f64, spent: f64, next: f64 },
    /// A key is wanted and not there.
    #[error("needs a key: set the environment variable {variable}, which `key_env` names")]
    NoKey { variable: String },
    /// A model is wanted and not named.
    #[error("needs the name of a model: set `model`")]
    NoModel,
    /// The address cannot be called.
    #[error("is no address of a service: {why}")]
    Address { why: &'static str },
    /// Who listens wants no more.
    #[error("was left, as asked")]
    Cancelled,
    /// The model does not answer, for reasons of the service.
    #[error("gave no reply ({reason})")]
    NoReply { reason: String },
    /// A model does not keep to the form asked for.
    #[error("did not keep to the form of the reply in {tries} tries; the last: {said:?}")]
    Form { tries: usize, said: String },
    /// Redaction would change what a model has to repeat.
    #[error(
        "was not called: {what} holds a number or an address that `redact` strikes out; set `redact` = false, or use other words"
    )]
    Redacted { what: &'static str },
}

/// How far a task had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub done: usize,
    pub total: usize,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, total } = self;
        write!(f, "; {done} of {total} texts were encoded")?;
        if *done > 0 { write!(f, ", and `text.cache` keeps them") } else { Ok(()) }
    }
}

fn words(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" ({said})") }
}

fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => ": check the key, which `key_env` names",
        404 | 405 => ": check the address, `kind` and `model`",
        413 => ": send less at once with `batch`",
        429 => ": it takes no more calls for now; lower `concurrency` or `requests_per_minute`",
        500.. => ": the service fails; try again later",
        _ => "",
    }
}

/// Longest piece of what a service said that is repeated.
const SAID: usize = 200;

/// Makes one short line of what a service said.
pub(super) fn short(said: &str) -> String {
    let line: Vec<&str> = said.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line = line.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SAID) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
