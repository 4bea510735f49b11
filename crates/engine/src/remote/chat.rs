//! Models that write, behind an address.

use tastemaker_text::{RemoteChat, RemoteChatSettings};

use super::encoder::ready;
use crate::{Error, Places};

/// Opens the model at an address like `http://localhost:8080/v1`; nothing is called before the first reply.
///
/// # Errors
/// When the settings or the address cannot be, the key is missing, or the address is elsewhere and `places` are offline.
pub fn chat(
    url: &str,
    settings: &RemoteChatSettings,
    places: &Places,
) -> Result<RemoteChat, Error> {
    let key = ready(url, &settings.service, places)?;
    Ok(RemoteChat::open(url, settings, key)?)
}
