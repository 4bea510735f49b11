//! Names and shapes of the tensors of a head, as each family's `…ForMaskedLM` and `…ForSequenceClassification` have them.

use crate::Error;
use crate::bert::architecture::Architecture;
use crate::bert::tune::TunableBert;
use crate::bert::weights::Weights;

/// What stands on the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BertHead {
    /// `logits = norm(gelu(W x + b)) · words + c` for every masked token (Devlin et al. 2019).
    MaskedWords,
    /// `logits = V f(W x + b) + c` of the first token's vector, for so many labels; `f` is tanh, for `DistilBERT` it cuts off below 0.
    Labels(usize),
}

/// A tensor of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadTensor {
    /// Its name in the weights file.
    pub name: String,
    /// Sizes of its dimensions.
    pub shape: Vec<usize>,
}

impl BertHead {
    /// Returns the class in Python that opens a checkpoint of this `model_type` with the head.
    pub(super) fn class(self, model_type: &str) -> String {
        let family = match model_type {
            "roberta" => "Roberta",
            "xlm-roberta" => "XLMRoberta",
            "camembert" => "Camembert",
            "distilbert" => "DistilBert",
            _ => "Bert",
        };
        let kind = match self {
            Self::MaskedWords => "MaskedLM",
            Self::Labels(_) => "SequenceClassification",
        };
        format!("{family}For{kind}")
    }
}

impl HeadTensor {
    /// Counts its numbers.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Tells whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Architecture {
    /// Returns what stands before the encoder's tensors in a checkpoint with a head.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "bert.",
            Self::Roberta => "roberta.",
            Self::Distil => "distilbert.",
        }
    }

    /// Returns the names of a head's parts: for masked words the transform, its norm and the biases of words, for labels the dense layer
    /// and the last one.
    const fn parts(self, head: BertHead) -> &'static [&'static str] {
        match (self, head) {
            (Self::Bert, BertHead::MaskedWords) => &[
                "cls.predictions.transform.dense",
                "cls.predictions.transform.LayerNorm",
                "cls.predictions",
            ],
            (Self::Roberta, BertHead::MaskedWords) => {
                &["lm_head.dense", "lm_head.layer_norm", "lm_head"]
            }
            (Self::Distil, BertHead::MaskedWords) => {
                &["vocab_transform", "vocab_layer_norm", "vocab_projector"]
            }
            (Self::Bert, BertHead::Labels(_)) => &["bert.pooler.dense", "classifier"],
            (Self::Roberta, BertHead::Labels(_)) => &["classifier.dense", "classifier.out_proj"],
            (Self::Distil, BertHead::Labels(_)) => &["pre_classifier", "classifier"],
        }
    }

    /// Lists the tensors of a head, in the order of its numbers.
    pub(super) fn head(
        self,
        head: BertHead,
        (hidden, vocabulary): (usize, usize),
    ) -> Vec<HeadTensor> {
        let parts = self.parts(head);
        let tensor = |part: usize, kind: &str, shape: &[usize]| HeadTensor {
            name: format!("{}.{kind}", parts[part]),
            shape: shape.to_vec(),
        };
        let dense = [tensor(0, "weight", &[hidden, hidden]), tensor(0, "bias", &[hidden])];
        let rest = match head {
            BertHead::MaskedWords => vec![
                tensor(1, "weight", &[hidden]),
                tensor(1, "bias", &[hidden]),
                tensor(2, "bias", &[vocabulary]),
            ],
            BertHead::Labels(n) => {
                vec![tensor(1, "weight", &[n, hidden]), tensor(1, "bias", &[n])]
            }
        };
        dense.into_iter().chain(rest).collect()
    }
}

impl TunableBert {
    /// Lists the tensors of a head on this encoder, in the order of its numbers.
    pub fn head_tensors(&self, head: BertHead) -> Vec<HeadTensor> {
        self.architecture.head(head, (self.dim(), self.vocabulary()))
    }

    /// Returns the numbers of each tensor of a head, where the folder has it in this shape.
    pub fn head_start(&self, head: BertHead) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let file = Weights::open(&self.dir, self.architecture)?;
        self.head_tensors(head).iter().map(|tensor| file.maybe(tensor)).collect()
    }

    /// Tells whether the dense layer of labels cuts off below 0, rather than taking the hyperbolic tangent.
    pub fn cuts_off(&self) -> bool {
        self.architecture == Architecture::Distil
    }
}

impl Weights {
    /// Returns a tensor under its name in the file, or without the encoder's prefix; `None` where it is not, or has another shape.
    fn maybe(&self, tensor: &HeadTensor) -> Result<Option<Vec<f32>>, Error> {
        let bare = tensor.name.strip_prefix("bert.").unwrap_or(&tensor.name);
        // Files from before 2020 call a norm's numbers gamma and beta.
        let old = bare.replace("LayerNorm.weight", "LayerNorm.gamma");
        let old = old.replace("LayerNorm.bias", "LayerNorm.beta");
        for name in [tensor.name.as_str(), bare, old.as_str()] {
            if self.has(name, &tensor.shape) {
                return self.take_named(name, &tensor.shape).map(Some);
            }
        }
        Ok(None)
    }
}
