//! Vectors in fewer bytes, and what is kept of their nearest neighbours.

use std::path::Path;

use half::f16;
use rayon::prelude::*;
use safetensors::Dtype;
use serde::Serialize;
use tastemaker_core::{Progress, Vectors};

use super::files::VectorFormat;
use crate::Error;

/// Neighbours that are looked for.
const K: usize = 10;
/// Candidates of the stored vectors that are scored again, for each neighbour.
const CANDIDATES: usize = 4;
/// Most texts whose neighbours are looked for.
const QUERIES: usize = 1000;
/// Most pairs of texts that are compared.
const PAIRS: usize = 200_000_000;

/// What a number of a vector is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VectorStorage {
    /// 4 bytes.
    #[default]
    F32,
    /// 2 bytes, IEEE half precision.
    F16,
    /// 1 byte: `round(127 x / max |x|)`, with a scale for each vector, `max |x| / 127`.
    Int8,
    /// 1 bit: whether it is above 0, eight to a byte, the first one highest, as `numpy.packbits` has it.
    Binary,
}

/// What smaller numbers keep of the nearest texts of some.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// Texts whose neighbours were looked for, spread evenly.
    pub queries: usize,
    /// Neighbours looked for.
    pub k: usize,
    /// Share of the true ones that the stored vectors find.
    pub recall: f64,
    /// Candidates that are scored again with `f32`.
    pub candidates: usize,
    /// Share of the true ones among the best of them.
    pub recall_rescored: f64,
}

/// Numbers as bytes, little-endian.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

/// Vectors as they are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) numbers: Array,
    /// One for each vector, where numbers are shares of it.
    pub(super) scales: Option<Array>,
}

fn scale(row: &[f32]) -> f32 {
    row.iter().fold(0.0f32, |most, x| most.max(x.abs())) / 127.0
}

fn byte(x: f32, scale: f32) -> i8 {
    // Out of range at most by rounding, and `as` keeps to the range.
    if scale > 0.0 { (x / scale).round() as i8 } else { 0 }
}

fn bits(row: &[f32]) -> impl Iterator<Item = u8> {
    let bit = |(at, x): (usize, &f32)| u8::from(*x > 0.0) << (7 - at);
    row.chunks(8).map(move |eight| eight.iter().enumerate().map(bit).sum())
}

impl VectorStorage {
    /// Refuses a file whose format does not hold such numbers.
    pub(super) fn check(self, path: &Path) -> Result<(), Error> {
        if self != Self::F32 && VectorFormat::of(path)? == VectorFormat::Parquet {
            return Err(Error::VectorStorage { path: path.to_owned() });
        }
        VectorFormat::of(path).map(|_| ())
    }

    /// Turns vectors into bytes.
    pub(super) fn store(self, vectors: &Vectors) -> Stored {
        let (rows, dim) = (vectors.rows(), vectors.dim());
        let each = || (0..rows).map(|row| vectors.row(row));
        let numbers = |dtype, width, bytes| Array { dtype, shape: vec![rows, width], bytes };
        let flat = vectors.flat().iter();
        let (numbers, scales) = match self {
            Self::F32 => {
                (numbers(Dtype::F32, dim, flat.flat_map(|x| x.to_le_bytes()).collect()), None)
            }
            Self::F16 => {
                let bytes = flat.flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect();
                (numbers(Dtype::F16, dim, bytes), None)
            }
            Self::Int8 => {
                let scales: Vec<f32> = each().map(scale).collect();
                let row = |(row, scale): (&[f32], &f32)| -> Vec<u8> {
                    row.iter().map(|x| byte(*x, *scale).cast_unsigned()).collect()
                };
                let bytes = each().zip(&scales).flat_map(row).collect();
                let scales = scales.iter().flat_map(|x| x.to_le_bytes()).collect();
                let scales = Array { dtype: Dtype::F32, shape: vec![rows], bytes: scales };
                (numbers(Dtype::I8, dim, bytes), Some(scales))
            }
            Self::Binary => {
                (numbers(Dtype::U8, dim.div_ceil(8), each().flat_map(bits).collect()), None)
            }
        };
        Stored { numbers, scales }
    }

    /// Returns a vector as it is read again; bits become 1 and -1, whose product ranks as the Hamming distance does.
    fn read_again(self, row: &[f32]) -> Vec<f32> {
        let scale = scale(row);
        let one = |x: &f32| match self {
            Self::F32 => *x,
            Self::F16 => f16::from_f32(*x).to_f32(),
            Self::Int8 => f32::from(byte(*x, scale)) * scale,
            Self::Binary if *x > 0.0 => 1.0,
            Self::Binary => -1.0,
        };
        row.iter().map(one).collect()
    }
}

impl Kept {
    /// Looks for the neighbours of some texts among all, by the stored vectors and with scoring again; `None` for `f32`, and where there
    /// are no two texts with content.
    pub(super) fn measure(
        vectors: &Vectors,
        storage: VectorStorage,
        progress: &dyn Progress,
    ) -> Option<Self> {
        let full: Vec<usize> =
            (0..vectors.rows()).filter(|&r| vectors.row(r).iter().any(|x| x.abs() > 0.0)).collect();
        if storage == VectorStorage::F32 || full.len() < 2 {
            return None;
        }
        let stored: Vec<Vec<f32>> =
            full.par_iter().map(|&row| storage.read_again(vectors.row(row))).collect();
        let wanted = QUERIES.min(PAIRS / full.len()).max(1);
        let queries: Vec<usize> = (0..full.len()).step_by(full.len().div_ceil(wanted)).collect();
        let (k, most) = (K.min(full.len() - 1), (K * CANDIDATES).min(full.len() - 1));
        progress.report("looking for neighbours", 0, queries.len());
        let shares: Vec<(f64, f64)> = queries
            .par_iter()
            .map(|&query| {
                let true_score = |at: usize| dot(vectors.row(full[query]), vectors.row(full[at]));
                let others = || (0..full.len()).filter(|&at| at != query);
                let exact = best(others(), k, true_score);
                let found = best(others(), most, |at| dot(&stored[query], &stored[at]));
                let again = best(found.iter().copied(), k, true_score);
                let share = |list: &[usize]| {
                    list.iter().filter(|at| exact.contains(at)).count() as f64 / k as f64
                };
                (share(&found[..k]), share(&again))
            })
            .collect();
        progress.report("looking for neighbours", queries.len(), queries.len());
        let mean =
            |of: fn(&(f64, f64)) -> f64| shares.iter().map(of).sum::<f64>() / shares.len() as f64;
        Some(Self {
            queries: queries.len(),
            k,
            recall: mean(|shares| shares.0),
            candidates: most,
            recall_rescored: mean(|shares| shares.1),
        })
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns the `n` of greatest score, the first of equals first.
fn best(all: impl Iterator<Item = usize>, n: usize, score: impl Fn(usize) -> f32) -> Vec<usize> {
    let mut scored: Vec<(f32, usize)> = all.map(|at| (score(at), at)).collect();
    let order = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if n < scored.len() {
        scored.select_nth_unstable_by(n, order);
        scored.truncate(n);
    }
    scored.sort_unstable_by(order);
    scored.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use tastemaker_core::Silent;

    use super::*;

    #[test]
    fn numbers_by_hand() {
        let vectors =
            Vectors::from_flat(9, vec![1.0, -0.5, 0.25, 0.0, 2.0, -1.0, 0.5, 0.1, -3.0]).unwrap();
        let stored = |storage: VectorStorage| storage.store(&vectors);
        assert_eq!(stored(VectorStorage::F16).numbers.bytes[..4], [0x00, 0x3c, 0x00, 0xb8]);
        let Stored { numbers, scales } = stored(VectorStorage::Int8);
        // 127 / 3 = 42.33: 42.3, -21.2, 10.6, 0, 84.7, -42.3, 21.2, 4.2, -127.
        let want = [42i8, -21, 11, 0, 85, -42, 21, 4, -127].map(i8::cast_unsigned);
        assert_eq!(numbers.bytes, want);
        assert_eq!(scales.unwrap().bytes, (3.0f32 / 127.0).to_le_bytes());
        // 1 0 1 0 1 0 1 1 and 0.
        let Array { shape, bytes, .. } = stored(VectorStorage::Binary).numbers;
        assert_eq!((shape, bytes), (vec![1, 2], vec![0b1010_1011, 0]));
        let zero = Vectors::zeros(1, 3);
        assert_eq!(VectorStorage::Int8.store(&zero).numbers.bytes, [0; 3]);
    }

    #[test]
    fn bits_lose_neighbours_and_scoring_again_finds_them() {
        // On a circle: bits know the quarter alone.
        let angles = (0..200).map(|i| i as f32 * 0.031);
        let flat: Vec<f32> = angles.flat_map(|a| [a.cos(), a.sin()]).collect();
        let mut vectors = Vectors::from_flat(2, flat).unwrap();
        assert_eq!(Kept::measure(&vectors, VectorStorage::F32, &Silent), None);
        let of = |storage| Kept::measure(&vectors, storage, &Silent).unwrap();
        let (half, byte, bit) =
            (of(VectorStorage::F16), of(VectorStorage::Int8), of(VectorStorage::Binary));
        assert_eq!((bit.queries, bit.k, bit.candidates), (200, 10, 40));
        assert!(half.recall > 0.95 && byte.recall > 0.6, "{half:?} {byte:?}");
        assert!(byte.recall_rescored > 0.999 && bit.recall < 0.5, "{byte:?} {bit:?}");
        assert!(bit.recall_rescored > bit.recall + 0.2, "{bit:?}");
        // Texts without content are neither asked for nor found.
        vectors.append(&Vectors::zeros(100, 2));
        assert_eq!(Kept::measure(&vectors, VectorStorage::Binary, &Silent).unwrap(), bit);
    }
}
