//! A fitted model as plain data: a JSON value and named tensors. Files are `engine`'s business.

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

/// The numbers of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 32-bit unsigned integers.
    U32(Vec<u32>),
    /// 64-bit signed integers.
    I64(Vec<i64>),
}

impl TensorData {
    /// Counts the numbers.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::U32(x) => x.len(),
            Self::I64(x) => x.len(),
        }
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A named array of a saved model, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Sizes of the dimensions; their product is the length of `data`.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: TensorData,
}

/// A fitted model taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// Settings and small facts.
    pub meta: Value,
    /// Arrays by name.
    pub tensors: BTreeMap<String, Tensor>,
}

/// Says what is wrong with a saved model.
#[derive(Debug, Error)]
pub enum PersistError {
    /// An array is missing or has another type.
    #[error(
        "saved model has no {kind} tensor `{name}`: it is damaged or of another version; train it again"
    )]
    Tensor {
        /// Its name.
        name: String,
        /// The type looked for.
        kind: &'static str,
    },
    /// Arrays contradict one another.
    #[error(
        "saved model is inconsistent at `{name}`: it is damaged or of another version; train it again"
    )]
    Shape {
        /// Where it was noticed.
        name: String,
    },
    /// The JSON part does not fit.
    #[error("saved model has a bad description: {0}; train it again")]
    Meta(#[from] serde_json::Error),
}

/// Takes a fitted model apart and puts it together again: `load(save(m))` gives the same lists as `m`.
pub trait Persist: Sized {
    /// Takes the model apart.
    fn save(&self) -> Saved;

    /// Puts it together; refuses parts that do not fit, and never panics on them.
    fn load(saved: Saved) -> Result<Self, PersistError>;
}

macro_rules! typed {
    ($put:ident, $take:ident, $kind:ident, $number:ty, $label:literal) => {
        #[doc = concat!("Adds a tensor of `", $label, "`.")]
        pub fn $put(&mut self, name: &str, shape: &[usize], data: Vec<$number>) {
            debug_assert_eq!(shape.iter().product::<usize>(), data.len(), "{name}");
            self.tensors.insert(
                name.into(),
                Tensor { shape: shape.to_vec(), data: TensorData::$kind(data) },
            );
        }

        #[doc = concat!("Takes a tensor of `", $label, "` out, with its shape.")]
        pub fn $take(&mut self, name: &str) -> Result<(Vec<usize>, Vec<$number>), PersistError> {
            match self.tensors.remove(name) {
                Some(Tensor { shape, data: TensorData::$kind(data) }) => Ok((shape, data)),
                _ => Err(PersistError::Tensor { name: name.into(), kind: $label }),
            }
        }
    };
}

impl Saved {
    typed!(put_f32, take_f32, F32, f32, "f32");
    typed!(put_u32, take_u32, U32, u32, "u32");
    typed!(put_i64, take_i64, I64, i64, "i64");

    /// Takes an `f32` matrix out: its width and its numbers.
    pub fn take_matrix(&mut self, name: &str) -> Result<(usize, Vec<f32>), PersistError> {
        let (shape, data) = self.take_f32(name)?;
        match shape[..] {
            [rows, dim] if rows.checked_mul(dim) == Some(data.len()) => Ok((dim, data)),
            _ => Err(PersistError::Shape { name: name.into() }),
        }
    }
}
