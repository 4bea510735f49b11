//! Calls to a service over HTTP: time limits, retries, ceilings, answers of limited size. Redirects are not followed, so
//! that neither texts nor keys go where nobody sent them.

use std::io::{self, Read as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use tastemaker_core::{Clock as _, SystemClock, seed};
use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use super::budget::{Budget, Tokens};
use super::fault::short;
use super::{ApiKey, RemoteFault, ServiceSettings};

/// Longest wait before a retry, in seconds.
const MAX_BACKOFF: f64 = 60.0;
/// Longest wait that a service may ask for, in seconds.
const MAX_ASKED: f64 = 120.0;
/// Bytes of an error's words that are read.
const ERROR_LIMIT: u64 = 64 << 10;
/// How often a wait looks whether it is to end, in seconds.
const STEP: f64 = 0.05;

/// Calls one service.
pub(super) struct Client {
    agent: Agent,
    base: String,
    key: Option<ApiKey>,
    retries: usize,
    backoff_s: f64,
    timeout_s: f64,
    budget: Budget,
    /// Seed of the chance in waits, and how often it was asked.
    chance: (u64, AtomicU64),
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// As a whole.
    Whole,
    /// Between signs of life.
    Silence,
}

/// A call that failed, and what is known about it.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) fault: RemoteFault,
    again: Again,
    /// The service may have done its work, and ask to be paid for it.
    may_be_billed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Again {
    No,
    Yes,
    /// After so many seconds, as the service asks.
    After(f64),
}

impl Failed {
    /// A call that would fail again.
    pub(super) fn for_good(fault: RemoteFault) -> Self {
        Self { fault, again: Again::No, may_be_billed: true }
    }

    /// An answer that broke off.
    pub(super) fn cut(why: String) -> Self {
        Self { fault: RemoteFault::Cut { why }, again: Again::Yes, may_be_billed: true }
    }

    /// Makes it final: something of the answer was used already.
    pub(super) fn finally(self) -> Self {
        Self { again: Again::No, ..self }
    }
}

impl Client {
    /// Makes a client of an address like `http://localhost:8080/v1`.
    pub(super) fn new(
        url: &str,
        service: &ServiceSettings,
        reply_price: f64,
        key: Option<ApiKey>,
        patience: Patience,
    ) -> Result<Self, RemoteFault> {
        let base = checked(url)?;
        if key.is_none() && !service.key_env.is_empty() {
            return Err(RemoteFault::NoKey { variable: service.key_env.clone() });
        }
        let seconds = |s: f64| Some(Duration::from_secs_f64(s.clamp(0.001, 3600.0)));
        let builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("tastemaker/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(seconds(service.connect_s))
            .timeout_connect(seconds(service.connect_s));
        let limit = seconds(service.timeout_s);
        let builder = match patience {
            Patience::Whole => builder.timeout_per_call(limit),
            Patience::Silence => builder
                .timeout_send_body(limit)
                .timeout_recv_response(limit)
                .timeout_per_read(limit),
        };
        // What is meant for this machine goes through no proxy, whatever the environment says.
        let builder = if is_local(&base) { builder.proxy(None) } else { builder };
        // Two programs that were refused together shall not come back together.
        let clock = SystemClock::default();
        let process = seed::mix([u64::from(std::process::id()), clock.unix_seconds() as u64]);
        Ok(Self {
            agent: builder.build().into(),
            base,
            key,
            retries: service.retries,
            backoff_s: service.backoff_s,
            timeout_s: service.timeout_s,
            budget: Budget::new(service, reply_price),
            chance: (process, AtomicU64::new(0)),
        })
    }

    /// Returns the address of a path.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// Calls until it works, fails for good, or was tried often enough; `expected` tokens are set aside for each try, and
    /// what `call` says it took is counted.
    pub(super) fn retry<T>(
        &self,
        expected: Tokens,
        is_cancelled: &dyn Fn() -> bool,
        call: &mut dyn FnMut() -> Result<(T, Option<Tokens>), Failed>,
    ) -> Result<T, RemoteFault> {
        let mut tries = 0;
        loop {
            let reserved = self.budget.reserve(expected)?;
            pause(self.budget.wait(), is_cancelled)?;
            let failed = match call() {
                Ok((value, tokens)) => {
                    reserved.settle(tokens);
                    return Ok(value);
                }
                Err(failed) => failed,
            };
            if failed.may_be_billed {
                reserved.settle(None);
            } else {
                drop(reserved);
            }
            if failed.again == Again::No || tries == self.retries {
                return Err(failed.fault);
            }
            pause(self.delay(tries, failed.again), is_cancelled)?;
            tries += 1;
        }
    }

    /// Doubles from try to try, between half of it and the whole by chance, and is no shorter than the service asks.
    fn delay(&self, tries: usize, again: Again) -> f64 {
        let doubled = self.backoff_s * 2f64.powi(tries.min(30) as i32);
        let asked_before = self.chance.1.fetch_add(1, Ordering::Relaxed);
        let mut stream = seed::stream(seed::mix([self.chance.0, asked_before]), "retries");
        let own = doubled.min(MAX_BACKOFF) * stream.random_range(0.5..=1.0);
        match again {
            Again::After(asked) => own.max(asked.min(MAX_ASKED)),
            Again::No | Again::Yes => own,
        }
    }

    /// Posts JSON; returns the answer when the service agrees.
    pub(super) fn post(&self, path: &str, body: &[u8]) -> Result<Response<Body>, Failed> {
        let mut request = self
            .agent
            .post(self.address(path))
            .header("content-type", "application/json")
            .header("accept-encoding", "identity");
        if let Some(key) = &self.key {
            request = request.header("authorization", key.header());
        }
        let response = request.send(body).map_err(|error| self.broken(&error))?;
        let status = response.status().as_u16();
        match status {
            200..=299 => Ok(response),
            300..=399 => {
                let to = response.headers().get("location").and_then(|to| to.to_str().ok());
                let to = self.clean(to.unwrap_or("nowhere"));
                Err(Failed::for_good(RemoteFault::Redirect { status, to }))
            }
            _ => Err(self.refused(status, response)),
        }
    }

    /// Reads a whole answer of at most `limit` bytes.
    pub(super) fn read(&self, response: Response<Body>, limit: u64) -> Result<Vec<u8>, Failed> {
        let expected = response.body().content_length();
        let too_large = || Failed::for_good(RemoteFault::TooLarge { limit });
        if expected.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        body.take(limit + 1).read_to_end(&mut bytes).map_err(|error| self.torn(&error))?;
        match bytes.len() as u64 {
            length if length > limit => Err(too_large()),
            length if expected.is_some_and(|expected| length < expected) => {
                Err(Failed::cut(format!("{length} bytes came")))
            }
            _ => Ok(bytes),
        }
    }

    /// Tells what a broken body means.
    pub(super) fn torn(&self, error: &io::Error) -> Failed {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
            Some(error @ ureq::Error::Timeout(_)) => self.broken(error),
            _ if error.kind() == io::ErrorKind::TimedOut => self.late(),
            _ => Failed::cut(self.clean(&error.to_string())),
        }
    }

    fn late(&self) -> Failed {
        let fault = RemoteFault::Timeout { seconds: self.timeout_s };
        Failed { fault, again: Again::Yes, may_be_billed: true }
    }

    fn broken(&self, error: &ureq::Error) -> Failed {
        let why = self.clean(&error.to_string());
        match error {
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed => {
                let fault = RemoteFault::Connection { why };
                Failed { fault, again: Again::Yes, may_be_billed: false }
            }
            ureq::Error::Timeout(_) => self.late(),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => self.late(),
            ureq::Error::Io(error) => {
                let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                let fault = RemoteFault::Connection { why };
                Failed { fault, again: Again::Yes, may_be_billed: !refused }
            }
            _ => {
                let fault = RemoteFault::Connection { why };
                Failed { fault, again: Again::No, may_be_billed: false }
            }
        }
    }

    /// Reads why a service refused.
    fn refused(&self, status: u16, response: Response<Body>) -> Failed {
        let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|value| value.trim().parse::<f64>().ok());
        let asked = asked.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let again = match (status, asked) {
            (408 | 429 | 500.., Some(seconds)) => Again::After(seconds),
            (408 | 429 | 500.., None) => Again::Yes,
            _ => Again::No,
        };
        let mut bytes = Vec::new();
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        // What came before a break says enough.
        body.take(ERROR_LIMIT).read_to_end(&mut bytes).ok();
        let said = self.said(&bytes);
        Failed { fault: RemoteFault::Status { status, said }, again, may_be_billed: false }
    }

    /// Finds the words of an error in what a service answered.
    pub(super) fn said(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let words = json.as_ref().and_then(|json| {
            let error = json.get("error").unwrap_or(json);
            let message = error.get("message").or_else(|| json.get("message"));
            message.unwrap_or(error).as_str().map(str::to_owned)
        });
        self.clean(&words.unwrap_or_else(|| text.into_owned()))
    }

    /// Makes words of a service fit for a message: short, and without the key.
    pub(super) fn clean(&self, said: &str) -> String {
        short(&self.key.as_ref().map_or_else(|| said.to_owned(), |key| key.strike(said)))
    }
}

/// Tells whether a name is an address.
pub fn is_url(name: &str) -> bool {
    let starts = |scheme: &str| {
        name.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    starts("http://") || starts("https://")
}

/// Tells whether an address is on this machine.
pub fn is_local(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
    host.is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

/// Takes an address without its last slash.
fn checked(url: &str) -> Result<String, RemoteFault> {
    let fault = |why| RemoteFault::Address { why };
    if !is_url(url) {
        return Err(fault("it begins with neither http:// nor https://"));
    }
    let base = url.trim_end_matches('/');
    let uri: Uri = base.parse().map_err(|_| fault("it cannot be read"))?;
    let authority = uri.authority().filter(|_| uri.scheme().is_some());
    let authority = authority.ok_or_else(|| fault("it names no host"))?;
    if authority.as_str().contains('@') {
        return Err(fault("it holds a password: put that into a variable that `key_env` names"));
    }
    if uri.query().is_some() || url.contains('#') {
        return Err(fault("it must end with its path, without `?` and `#`"));
    }
    Ok(base.to_owned())
}

/// Waits, unless it is to end.
fn pause(seconds: f64, is_cancelled: &dyn Fn() -> bool) -> Result<(), RemoteFault> {
    let mut left = seconds;
    loop {
        if is_cancelled() {
            return Err(RemoteFault::Cancelled);
        }
        if left <= 0.0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs_f64(left.min(STEP)));
        left -= STEP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        let here = ["http://localhost:80/v1", "http://127.0.0.1", "https://[::1]:8080/v1"];
        assert!(here.into_iter().chain(["http://LOCALHOST"]).all(is_local));
        let elsewhere =
            ["http://localhost.example.com", "http://10.0.0.1/localhost", "https://a.b"];
        assert!(!elsewhere.into_iter().chain(["http://localhost@a.b/", "x"]).any(is_local));
    }
}
