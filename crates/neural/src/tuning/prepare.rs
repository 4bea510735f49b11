//! What an encoder is given before tuning begins.

use tastemaker_text::{BertTokens, Error, TunableBert};

use super::settings::{TuneSettings, What};
use crate::params::normal;

/// Puts what is to be trained into the encoder, where it is not there: adapters that do nothing yet, or a prefix that starts as
/// the beginning of `texts`.
pub fn prepare(
    (bert, weights): (&mut TunableBert, &mut Vec<f32>),
    texts: &[BertTokens],
    settings: &TuneSettings,
    seed: u64,
) -> Result<(), Error> {
    match settings.what {
        What::Adapter => {
            let mut number = 0;
            bert.add_adapters(weights, settings.adapter_width, |values, inputs| {
                // As deviating as the narrow matrix of LoRA.
                let deviation = (1.0 / (3.0 * inputs as f32)).sqrt();
                normal(values, deviation, seed, &format!("tune/adapter{number}"));
                number += 1;
            })
        }
        What::Prefix => bert.add_prefix(weights, settings.prefix_tokens, texts),
        _ => Ok(()),
    }
}
