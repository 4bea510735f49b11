//! Encoders behind an address.

use tastemaker_text::{
    ApiKey, Encoder as _, Precision, RemoteEncoder, RemoteSettings, ServiceSettings,
};

use crate::config::TextSettings;
use crate::texts::EncoderChoice;
use crate::{Error, Places};

/// Opens the service that `text.encoder` names, by one call; also returns what opens it again without.
pub(crate) fn open(
    text: &TextSettings,
    places: &Places,
) -> Result<(EncoderChoice, RemoteEncoder), Error> {
    let unfit = |field, problem: &str| Err(setting(field, problem));
    if text.precision != Precision::F32 {
        return unfit("text.precision", "is that of an encoder on this machine: leave it at `f32`");
    }
    if text.max_tokens > 0 {
        return unfit(
            "text.max_tokens",
            "counts tokens on this machine: set `text.remote.max_chars`",
        );
    }
    let url = &text.encoder;
    let key = ready(url, &text.remote.service, places)?;
    let encoder = RemoteEncoder::open(url, &text.remote, key)?;
    let settings = Box::new(encoder.resolved().clone());
    let choice = EncoderChoice::Remote { url: url.clone(), settings, dim: encoder.dim() };
    Ok((choice, encoder))
}

/// Opens a service that was found earlier; nothing is called.
pub(crate) fn reopen(
    url: &str,
    settings: &RemoteSettings,
    dim: usize,
    places: &Places,
) -> Result<RemoteEncoder, Error> {
    let key = ready(url, &settings.service, places)?;
    Ok(RemoteEncoder::reopen(url, settings, dim, key)?)
}

/// Finds the key of a service, and looks whether it may be called.
pub(super) fn ready(
    url: &str,
    service: &ServiceSettings,
    places: &Places,
) -> Result<Option<ApiKey>, Error> {
    let is_here = is_here(url);
    if places.fetch.offline && !is_here {
        return Err(setting("text.encoder", "is a service elsewhere, which `--offline` forbids"));
    }
    let key = places.secrets.key(&service.key_env);
    let is_open = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
    if key.is_some() && is_open && !is_here {
        tracing::warn!("the key in {} goes to {url} unencrypted: use https", service.key_env);
    }
    Ok(key)
}

/// Tells whether an address is this machine.
fn is_here(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_loopback || host.eq_ignore_ascii_case("localhost")
}

fn setting(field: &'static str, problem: &str) -> Error {
    tastemaker_text::Error::Setting { field, problem: problem.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        for url in [
            "http://localhost:80/v1",
            "http://127.0.0.1",
            "https://[::1]:8080/v1",
            "http://LOCALHOST",
        ] {
            assert!(is_here(url), "{url}");
        }
        for url in ["http://localhost.example.com", "http://10.0.0.1/localhost", "https://a.b"] {
            assert!(!is_here(url), "{url}");
        }
    }
}
