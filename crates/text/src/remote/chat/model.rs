//! A model that writes, behind an address: streams are read piece by piece, replies are held to their form, and what a service
//! does not understand is asked for in another way.

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};

use ureq::Body;
use ureq::http::Response;

use super::answer::{Answer, Usage};
use super::body::{Dialect, again, body, instructed};
use super::sse::Events;
use super::stop::Stopper;
use super::validate::answer;
use crate::generate::form::Form;
use crate::remote::budget::{Tokens, guess};
use crate::remote::client::{Client, Failed, Patience};
use crate::remote::{ApiKey, PersonalData, Redact, RemoteChatSettings, RemoteFault, Unredacted};
use crate::{ChatModel, ChatRequest, Ended, Error, Reply, ReplyForm, Role, Turn};

/// Where replies are asked for.
const PATH: &str = "chat/completions";
/// Bytes of a reply, at most.
const TEXT_LIMIT: usize = 4 << 20;
/// Bytes of a whole stream, at most.
const STREAM_LIMIT: u64 = 256 << 20;

/// A service that writes.
pub struct RemoteChat {
    client: Client,
    settings: RemoteChatSettings,
    redact: Box<dyn Redact>,
    dialect: Mutex<Dialect>,
}

impl fmt::Debug for RemoteChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteChat").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// A reply as it came.
struct Raw {
    text: String,
    ended: Ended,
    usage: Usage,
}

/// Who listens, and whether anything was heard.
struct Listener<'a> {
    /// `None` where a reply is looked at as a whole first.
    listen: Option<&'a mut dyn FnMut(&str) -> bool>,
    has_heard: bool,
}

impl Listener<'_> {
    /// Hands a piece on; tells whether to go on.
    fn hear(&mut self, piece: &str) -> bool {
        match &mut self.listen {
            Some(listen) if !piece.is_empty() => {
                self.has_heard = true;
                listen(piece)
            }
            _ => true,
        }
    }
}

/// What a reply is held to while it comes.
struct Bounds<'a> {
    form: &'a Form,
    stops: &'a [String],
}

impl RemoteChat {
    /// Takes a service at an address like `http://localhost:8080/v1`; nothing is called before the first reply.
    ///
    /// # Errors
    /// When the settings or the address cannot be, or a key or the name of the model is missing.
    pub fn open(
        url: &str,
        settings: &RemoteChatSettings,
        key: Option<ApiKey>,
    ) -> Result<Self, Error> {
        if let Some(fault) = settings.faults().into_iter().next() {
            return Err(Error::setting(fault.field, fault.problem));
        }
        let error = |fault| Error::Remote { endpoint: url.to_owned(), fault, done: None };
        let service = &settings.service;
        if service.model.is_empty() {
            return Err(error(RemoteFault::NoModel));
        }
        let patience = if settings.stream { Patience::Silence } else { Patience::Whole };
        let price = settings.price_per_million_reply_tokens;
        let client = Client::new(url, service, price, key, patience).map_err(error)?;
        let redact: Box<dyn Redact> =
            if service.redact { Box::new(PersonalData) } else { Box::new(Unredacted) };
        let dialect = Mutex::new(Dialect::new());
        Ok(Self { client, settings: settings.clone(), redact, dialect })
    }

    /// Strikes out what `redact` says, in place of what the settings say.
    #[must_use]
    pub fn with_redaction(self, redact: Box<dyn Redact>) -> Self {
        Self { redact, ..self }
    }

    /// A model must be able to repeat what it is to choose from.
    fn check_redaction(&self, form: &ReplyForm) -> Result<(), RemoteFault> {
        let changes = |text: &str| self.redact.redact(text) != text;
        match form {
            ReplyForm::Choice(choices) if choices.iter().any(|choice| changes(choice)) => {
                Err(RemoteFault::Redacted { what: "one of the choices" })
            }
            ReplyForm::Json(schema) if changes(&schema.to_string()) => {
                Err(RemoteFault::Redacted { what: "the schema" })
            }
            _ => Ok(()),
        }
    }

    /// Asks until the reply is of the form; for anything, once.
    fn converse(
        &self,
        request: &ChatRequest,
        form: &Form,
        listener: &mut Listener<'_>,
    ) -> Result<Reply, RemoteFault> {
        if request.form == ReplyForm::Free {
            let raw = self.ask(&request.turns, (request, form), listener)?;
            return Ok(reply(raw.text, raw.ended, raw.usage));
        }
        let mut turns = request.turns.clone();
        let (mut prompt, mut cached, mut written) = (0, 0, 0);
        for tries in 1.. {
            let mut nobody = Listener { listen: None, has_heard: false };
            let raw = self.ask(&turns, (request, form), &mut nobody)?;
            prompt += raw.usage.prompt_tokens;
            cached += raw.usage.cached_tokens();
            written += raw.usage.completion_tokens;
            if let Some(text) = answer(&request.form, form, &raw.text) {
                let ended = if listener.hear(&text) { Ended::Stop } else { Ended::Interrupted };
                let mut reply = reply(text, ended, raw.usage);
                (reply.prompt_tokens, reply.cached_tokens, reply.reply_tokens) =
                    (size(prompt), size(cached), size(written));
                return Ok(reply);
            }
            if tries > self.settings.reasks {
                return Err(RemoteFault::Form { tries, said: self.client.clean(&raw.text) });
            }
            // An empty turn is refused by some services.
            let said = if raw.text.trim().is_empty() { "…".to_owned() } else { raw.text };
            turns.push(Turn::new(Role::Assistant, said));
            turns.push(Turn::new(Role::User, again(&request.form)));
        }
        unreachable!("tries are bounded")
    }

    /// Asks once, in a way that the service understands.
    fn ask(
        &self,
        turns: &[Turn],
        (request, form): (&ChatRequest, &Form),
        listener: &mut Listener<'_>,
    ) -> Result<Raw, RemoteFault> {
        let has_schema = matches!(request.form, ReplyForm::Json(_));
        loop {
            let dialect = *self.dialect.lock().unwrap_or_else(PoisonError::into_inner);
            let mut turns = instructed(turns, &request.form, dialect);
            for turn in &mut turns {
                if let Cow::Owned(text) = self.redact.redact(&turn.content) {
                    turn.content = text;
                }
            }
            let model = &self.settings.service.model;
            let body = body(model, &turns, request, dialect, self.settings.stream).to_string();
            let sent = guess(&body);
            let expected = Tokens { sent, written: request.settings.max_tokens as u64 };
            let bounds = Bounds { form, stops: &request.settings.stop };
            let result = self.client.retry(expected, &|| false, &mut || {
                let mut raw = self.once(body.as_bytes(), &bounds, listener).map_err(|failed| {
                    // Nobody can take back what was said.
                    if listener.has_heard { failed.finally() } else { failed }
                })?;
                if raw.usage == Usage::default() {
                    let prompt = turns.iter().map(|turn| guess(&turn.content)).sum();
                    raw.usage = Usage::guessed(prompt, guess(&raw.text));
                }
                let Usage { prompt_tokens: sent, completion_tokens: written, .. } = raw.usage;
                Ok((raw, Some(Tokens { sent, written })))
            });
            match result {
                Err(RemoteFault::Status { status: status @ (400 | 422 | 501), said }) => {
                    let Some(next) = dialect.after(&said, has_schema) else {
                        return Err(RemoteFault::Status { status, said });
                    };
                    *self.dialect.lock().unwrap_or_else(PoisonError::into_inner) = next;
                }
                result => return result,
            }
        }
    }

    /// Makes one call and reads its answer, whichever way it comes.
    fn once(
        &self,
        body: &[u8],
        bounds: &Bounds<'_>,
        listener: &mut Listener<'_>,
    ) -> Result<Raw, Failed> {
        let response = self.client.post(PATH, body)?;
        if response.body().mime_type() == Some("text/event-stream") {
            return self.stream(response, bounds, listener);
        }
        let bytes = self.client.read(response, 2 * TEXT_LIMIT as u64)?;
        let mut answer = self.read(&bytes)?;
        if !answer.has_choice() {
            let why = "no `choices`".into();
            return Err(Failed::for_good(RemoteFault::NotUnderstood { why }));
        }
        let mut telling = Telling::new(bounds, listener);
        let is_over = telling.tell(&answer.take_text())?;
        let ended = answer.ended().map_err(Failed::for_good)?.unwrap_or(Ended::Stop);
        if !is_over {
            telling.ended = Some(ended);
        }
        telling.usage = answer.usage;
        Ok(telling.finish())
    }

    fn stream(
        &self,
        response: Response<Body>,
        bounds: &Bounds<'_>,
        listener: &mut Listener<'_>,
    ) -> Result<Raw, Failed> {
        let mut body = response.into_body().into_with_config().limit(STREAM_LIMIT).reader();
        let (mut events, mut buffer) = (Some(Events::default()), [0; 8192]);
        let mut telling = Telling::new(bounds, listener);
        let mut new = Vec::new();
        while let Some(reader) = &mut events {
            let length = body.read(&mut buffer).map_err(|error| self.client.torn(&error))?;
            reader.push(&buffer[..length], &mut new).map_err(|_| too_large())?;
            if length == 0 {
                new.extend(events.take().and_then(Events::finish));
            }
            for event in new.drain(..) {
                if event == b"[DONE]" {
                    telling.ended.get_or_insert(Ended::Stop);
                    return Ok(telling.finish());
                }
                let mut answer = self.read(&event)?;
                telling.usage = answer.usage.or(telling.usage);
                if telling.tell(&answer.take_text())? {
                    return Ok(telling.finish());
                }
                if let Some(ended) = answer.ended().map_err(Failed::for_good)? {
                    telling.ended = Some(ended);
                }
            }
        }
        match telling.ended {
            Some(_) => Ok(telling.finish()),
            None => Err(Failed::cut("the stream ended before the reply did".into())),
        }
    }

    /// Reads an answer, or the error that came in its place.
    fn read(&self, bytes: &[u8]) -> Result<Answer, Failed> {
        let answer = Answer::read(bytes).map_err(Failed::for_good)?;
        match answer.error() {
            Some(said) => Err(Failed::cut(self.client.clean(&said))),
            None => Ok(answer),
        }
    }
}

/// A reply on its way to who listens.
struct Telling<'a, 'b> {
    stopper: Stopper<'a>,
    form: Form,
    listener: &'a mut Listener<'b>,
    text: String,
    ended: Option<Ended>,
    usage: Option<Usage>,
}

impl<'a, 'b> Telling<'a, 'b> {
    fn new(bounds: &Bounds<'a>, listener: &'a mut Listener<'b>) -> Self {
        let (stopper, form) = (Stopper::new(bounds.stops), bounds.form.clone());
        Self { stopper, form, listener, text: String::new(), ended: None, usage: None }
    }

    /// Hands a piece on; tells whether the reply is over: by a stop text, by its form, or because nobody listens.
    fn tell(&mut self, piece: &str) -> Result<bool, Failed> {
        let (piece, is_stopped) = self.stopper.push(piece);
        self.text.push_str(&piece);
        if self.text.len() > TEXT_LIMIT {
            return Err(too_large());
        }
        self.form.advance(piece.as_bytes());
        if !self.listener.hear(&piece) {
            self.ended = Some(Ended::Interrupted);
        } else if is_stopped || self.form.must_end() {
            self.ended = Some(Ended::Stop);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn finish(mut self) -> Raw {
        let mut ended = self.ended.unwrap_or(Ended::Stop);
        if ended != Ended::Interrupted {
            let held = self.stopper.finish();
            self.text.push_str(&held);
            if !self.listener.hear(&held) {
                ended = Ended::Interrupted;
            }
        }
        Raw { text: self.text, ended, usage: self.usage.unwrap_or_default() }
    }
}

fn too_large() -> Failed {
    Failed::for_good(RemoteFault::TooLarge { limit: TEXT_LIMIT as u64 })
}

fn size(tokens: u64) -> usize {
    usize::try_from(tokens).unwrap_or(usize::MAX)
}

fn reply(text: String, ended: Ended, usage: Usage) -> Reply {
    Reply {
        text,
        ended,
        prompt_tokens: size(usage.prompt_tokens),
        cached_tokens: size(usage.cached_tokens()),
        reply_tokens: size(usage.completion_tokens),
    }
}

impl ChatModel for RemoteChat {
    fn id(&self) -> String {
        let (endpoint, redaction) = (self.client.address(PATH), self.redact.id());
        format!("remote/{endpoint}/{}/{redaction}", self.settings.service.model)
    }

    fn reply(
        &self,
        request: &ChatRequest,
        listen: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Reply, Error> {
        let form = Form::new(&request.form)?;
        let mut listener = Listener { listen: Some(listen), has_heard: false };
        self.check_redaction(&request.form)
            .and_then(|()| self.converse(request, &form, &mut listener))
            .map_err(|fault| Error::Remote {
                endpoint: self.client.address(PATH),
                fault,
                done: None,
            })
    }
}
