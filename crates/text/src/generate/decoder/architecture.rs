//! The family and the sizes of a model, as its file describes them.

use crate::Error;
use crate::generate::gguf::Gguf;

/// Families that are computed, for people.
const SUPPORTED: &str = "llama, qwen2 and qwen3";
/// The largest sizes of anything that is known, with room.
const WIDTH: usize = 1 << 16;
const LAYERS: usize = 512;
const HEADS: usize = 1 << 10;
const CONTEXT: usize = 1 << 24;

/// A family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Neighbours are turned together; no bias.
    Llama,
    /// Halves are turned together; queries, keys and values have a bias.
    Qwen2,
    /// As Qwen2 without the bias, queries and keys normalised.
    Qwen3,
}

/// Family and sizes.
#[derive(Clone, Debug)]
pub(crate) struct Architecture {
    pub(crate) family: Family,
    /// As the file has it.
    pub(crate) name: String,
    pub(crate) layers: usize,
    pub(crate) width: usize,
    pub(crate) inner: usize,
    pub(crate) heads: usize,
    /// Heads of keys and values.
    pub(crate) groups: usize,
    /// Numbers of a head.
    pub(crate) dim: usize,
    /// Numbers of a head that are turned.
    pub(crate) turned: usize,
    pub(crate) base: f64,
    /// Divides the angles of all places.
    pub(crate) stretch: f64,
    pub(crate) epsilon: f32,
    /// Tokens the model was made for.
    pub(crate) context: usize,
    pub(crate) vocabulary: usize,
}

impl Architecture {
    /// Reads what a file says; its tokenizer has `vocabulary` tokens.
    pub(crate) fn open(file: &Gguf, vocabulary: usize) -> Result<Self, Error> {
        let unsupported = |field, found: &str, supported| Error::Unsupported {
            path: file.path().to_owned(),
            field,
            found: format!("{found:?}"),
            supported,
        };
        let name = file.text("general.architecture")?.unwrap_or_default();
        let family = match name {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            other => return Err(unsupported("general.architecture", other, SUPPORTED)),
        };
        let key = |key: &str| format!("{name}.{key}");
        let needed = |at: &str, most: usize| {
            let at = key(at);
            file.size(&at, 1..=most)?.ok_or_else(|| file.fault(&at, "is missing: fetch another"))
        };
        if name == "llama" && file.size(&key("expert_count"), 0..=1 << 16)?.unwrap_or(0) > 0 {
            return Err(unsupported("llama.expert_count", "a mixture of experts", "none"));
        }
        let width = needed("embedding_length", WIDTH)?;
        let heads = needed("attention.head_count", HEADS)?;
        let groups = file.size(&key("attention.head_count_kv"), 1..=HEADS)?.unwrap_or(heads);
        if !heads.is_multiple_of(groups) {
            let why = format!("must divide the {heads} heads, is {groups}");
            return Err(file.fault(&key("attention.head_count_kv"), why));
        }
        let at = key("attention.key_length");
        let dim = match file.size(&at, 2..=WIDTH)? {
            Some(dim) => dim,
            None if width.is_multiple_of(heads) && width / heads >= 2 => width / heads,
            None => {
                let why = format!("is missing, and {heads} heads do not divide the width {width}");
                return Err(file.fault(&at, why));
            }
        };
        let at = key("attention.value_length");
        if file.size(&at, 1..=WIDTH)?.is_some_and(|of_values| of_values != dim) {
            return Err(file.fault(&at, format!("must be that of keys, {dim}")));
        }
        let at = key("rope.dimension_count");
        let turned = file.size(&at, 2..=dim)?.unwrap_or(dim);
        if !turned.is_multiple_of(2) || heads * dim > WIDTH {
            return Err(file.fault(&at, "numbers are turned by twos, in heads of bounded width"));
        }
        let stretch = match file.text(&key("rope.scaling.type"))? {
            None | Some("none") => 1.0,
            Some("linear") => file.positive(&key("rope.scaling.factor"))?.unwrap_or(1.0),
            Some(other) => return Err(unsupported("rope.scaling.type", other, "linear")),
        };
        let epsilon = file.positive(&key("attention.layer_norm_rms_epsilon"))?.unwrap_or(1e-5);
        Ok(Self {
            family,
            name: name.to_owned(),
            layers: needed("block_count", LAYERS)?,
            width,
            inner: needed("feed_forward_length", 1 << 20)?,
            heads,
            groups,
            dim,
            turned,
            base: file.positive(&key("rope.freq_base"))?.unwrap_or(10_000.0),
            stretch,
            epsilon: epsilon as f32,
            context: needed("context_length", CONTEXT)?,
            vocabulary,
        })
    }

    /// Returns the numbers of a place's keys, or of its values.
    pub(crate) const fn kept(&self) -> usize {
        self.groups * self.dim
    }
}
