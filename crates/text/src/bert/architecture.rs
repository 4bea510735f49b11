//! The families of encoders that share one computation, and how they differ: names of tensors, types of tokens, first position.

use std::borrow::Cow;

/// A family of post-norm encoders with learnt absolute positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// BERT (Devlin et al. 2019), `MiniLM`, BGE, E5.
    Bert,
    /// `RoBERTa` (Liu et al. 2019) and XLM-R (Conneau et al. 2020): positions are counted from the number of the padding token + 1.
    Roberta,
    /// `DistilBERT` (Sanh et al. 2019): no types of tokens, names of its own.
    Distil,
}

/// The values of `model_type` that can be computed.
pub(crate) const MODEL_TYPES: &str =
    "`bert`, `roberta`, `xlm-roberta`, `camembert`, `distilbert` and the static `model2vec`";

/// Parts of a layer as BERT and as `DistilBERT` call them.
const DISTIL_PARTS: [(&str, &str); 8] = [
    ("attention.self.query", "attention.q_lin"),
    ("attention.self.key", "attention.k_lin"),
    ("attention.self.value", "attention.v_lin"),
    ("attention.output.dense", "attention.out_lin"),
    ("attention.output.LayerNorm", "sa_layer_norm"),
    ("intermediate.dense", "ffn.lin1"),
    ("output.dense", "ffn.lin2"),
    ("output.LayerNorm", "output_layer_norm"),
];

impl Architecture {
    /// Returns the family of a `model_type`.
    pub(crate) fn named(model_type: &str) -> Option<Self> {
        match model_type {
            "bert" => Some(Self::Bert),
            "roberta" | "xlm-roberta" | "camembert" => Some(Self::Roberta),
            "distilbert" => Some(Self::Distil),
            _ => None,
        }
    }

    /// Returns what the family calls a tensor, given BERT's name of it.
    pub(crate) fn tensor(self, name: &str) -> Cow<'_, str> {
        let own = || {
            let (layer, rest) = name.strip_prefix("encoder.layer.")?.split_once('.')?;
            let (part, kind) = rest.rsplit_once('.')?;
            let (_, part) = DISTIL_PARTS.iter().find(|(bert, _)| *bert == part)?;
            Some(format!("transformer.layer.{layer}.{part}.{kind}"))
        };
        let own = if self == Self::Distil { own() } else { None };
        own.map_or(Cow::Borrowed(name), Cow::Owned)
    }
}

/// Returns the position of every token. Where a number is kept for padding, positions begin behind it, and the padding token, should a
/// text spell it out, stands at its own number.
pub(crate) fn positions(ids: &[u32], padding: Option<u32>) -> impl Iterator<Item = u32> {
    let mut next = first_position(padding);
    ids.iter().map(move |&id| {
        if Some(id) == padding {
            return id;
        }
        next += 1;
        next - 1
    })
}

/// Returns the position of a text's first token.
pub(crate) const fn first_position(padding: Option<u32>) -> u32 {
    match padding {
        Some(padding) => padding.saturating_add(1),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distilbert_has_names_of_its_own_and_others_have_those_of_bert() {
        let name = "encoder.layer.11.attention.output.LayerNorm.bias";
        assert_eq!(Architecture::Distil.tensor(name), "transformer.layer.11.sa_layer_norm.bias");
        assert_eq!(Architecture::Roberta.tensor(name), name);
        let table = "embeddings.word_embeddings.weight";
        assert_eq!(Architecture::Distil.tensor(table), table);
    }

    #[test]
    fn positions_pass_over_padding_as_transformers_counts_them() {
        let all = |padding| positions(&[0, 7, 1, 2], padding).collect::<Vec<_>>();
        assert_eq!(all(None), [0, 1, 2, 3]);
        assert_eq!(all(Some(1)), [2, 3, 1, 4]);
    }
}
