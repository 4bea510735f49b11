//! Encoders behind an address.

use tastemaker_text::{
    ApiKey, Encoder as _, Precision, RemoteEncoder, RemoteSettings, ServiceSettings, Summary,
    is_local,
};

use crate::config::TextSettings;
use crate::reading::Reading;
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
    if text.windows > 1 || text.overlap > 0 {
        return unfit("text.windows", "are read on this machine alone: leave it at 1");
    }
    if text.summary != Summary::Off {
        return unfit("text.summary", "is made on this machine alone: leave it `off`");
    }
    let url = &text.encoder;
    let key = ready(url, &text.remote.service, places)?;
    let encoder = RemoteEncoder::open(url, &text.remote, key)?;
    let settings = Box::new(encoder.resolved().clone());
    let (dim, reading) = (encoder.dim(), Reading::of_service(text));
    let choice = EncoderChoice::Remote { url: url.clone(), settings, dim, reading };
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
    let is_here = is_local(url);
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

fn setting(field: &'static str, problem: &str) -> Error {
    tastemaker_text::Error::Setting { field, problem: problem.into() }.into()
}
