//! Named tensors of a safetensors file, as `f32`.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::Error;

/// Largest weights file that is read.
pub(crate) const WEIGHTS_LIMIT: u64 = 16 << 30;

/// An open weights file.
pub(crate) struct Weights<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    prefix: &'static str,
}

impl<'a> Weights<'a> {
    /// Reads the directory of `bytes`; `path` is named in errors. Names may begin with `bert.`.
    pub(crate) fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self, Error> {
        let damaged = |fault: safetensors::SafeTensorError| Error::Weights {
            path: path.to_owned(),
            why: fault.to_string(),
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let prefixed = tensors.names().iter().any(|name| name.starts_with("bert.embeddings."));
        Ok(Self { path, tensors, prefix: if prefixed { "bert." } else { "" } })
    }

    /// Returns the shape of a tensor.
    pub(crate) fn shape(&self, name: &str) -> Result<Vec<usize>, Error> {
        let name = format!("{}{name}", self.prefix);
        match self.tensors.tensor(&name) {
            Ok(view) => Ok(view.shape().to_vec()),
            Err(_) => Err(Error::MissingTensor { path: self.path.to_owned(), name }),
        }
    }

    /// Returns a tensor of exactly this shape.
    pub(crate) fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let path = || self.path.to_owned();
        let name = format!("{}{name}", self.prefix);
        let Ok(view) = self.tensors.tensor(&name) else {
            return Err(Error::MissingTensor { path: path(), name });
        };
        if view.shape() != shape {
            let (found, wanted) = (view.shape().to_vec(), shape.to_vec());
            return Err(Error::Shape { path: path(), name, found, wanted });
        }
        let halves = || view.data().as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
        let numbers: Vec<f32> = match view.dtype() {
            Dtype::F32 => {
                view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
            }
            Dtype::F16 => halves().map(half_to_f32).collect(),
            Dtype::BF16 => halves().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
            other => {
                return Err(Error::Numbers { path: path(), name, found: format!("{other:?}") });
            }
        };
        if numbers.iter().all(|x| x.is_finite()) {
            Ok(numbers)
        } else {
            Err(Error::Weights {
                path: path(),
                why: format!("tensor `{name}` holds NaN or infinity"),
            })
        }
    }
}

/// Reads an IEEE half-precision number.
fn half_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // Subnormal: fraction * 2^-24, exact in f32.
        0 => (fraction as f32 / 16_777_216.0).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_by_hand() {
        for (bits, want) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_5e-8),
            (0x0400, 6.103_515_6e-5),
            (0x7c00, f32::INFINITY),
        ] {
            assert!(half_to_f32(bits).to_bits() == f32::to_bits(want), "{bits:#x}");
        }
        assert!(half_to_f32(0x8000).is_sign_negative() && half_to_f32(0x7e00).is_nan());
    }
}
