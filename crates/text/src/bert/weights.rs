//! Named tensors of a folder's safetensors files, as `f32`: one `model.safetensors`, or the shards that
//! `model.safetensors.index.json` lists. Headers are read when a folder is opened, numbers when they are asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use super::architecture::Architecture;
use super::config::{JSON_LIMIT, parse, read_limited};
use crate::Error;
use crate::cache::Digest;

/// Largest size of all weights files together.
pub(crate) const WEIGHTS_LIMIT: u64 = 16 << 30;
/// Most files that weights may be spread over.
const MAX_SHARDS: usize = 256;
/// Bytes at the start of a file that say how long its header is.
const LENGTH_BYTES: u64 = 8;
/// Bytes that are read and turned into numbers at once; a multiple of all sizes of numbers.
const BLOCK: usize = 1 << 20;
/// The table by which the names' prefix is found.
const WORDS: &str = "embeddings.word_embeddings.weight";

/// A folder's weights, open for reading.
pub(crate) struct Weights {
    shards: Vec<Shard>,
    /// In the order of the files.
    order: Vec<String>,
    places: BTreeMap<String, (usize, TensorInfo)>,
    architecture: Architecture,
    prefix: String,
    header: Option<std::collections::HashMap<String, String>>,
}

struct Shard {
    path: PathBuf,
    file: File,
    size: u64,
    /// Where the header ends.
    data: u64,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Reads the headers of a folder's files. Names are those of `architecture`, all behind one prefix, such as `bert.`.
    pub(crate) fn open(folder: &Path, architecture: Architecture) -> Result<Self, Error> {
        let one = folder.join("model.safetensors");
        let paths = if one.exists() { None } else { shards(folder)? }.unwrap_or_else(|| vec![one]);
        Self::open_all(paths, architecture)
    }

    /// Reads the header of one file.
    pub(crate) fn open_file(path: &Path, architecture: Architecture) -> Result<Self, Error> {
        Self::open_all(vec![path.to_owned()], architecture)
    }

    fn open_all(paths: Vec<PathBuf>, architecture: Architecture) -> Result<Self, Error> {
        let mut weights = Self {
            shards: Vec::new(),
            order: Vec::new(),
            places: BTreeMap::new(),
            architecture,
            prefix: String::new(),
            header: None,
        };
        let mut total = 0;
        for path in paths {
            let (shard, metadata) = Shard::open(path)?;
            total += shard.size;
            if total > WEIGHTS_LIMIT {
                return Err(Error::TooLarge {
                    path: shard.path,
                    size: total,
                    limit: WEIGHTS_LIMIT,
                });
            }
            for name in metadata.offset_keys() {
                let Some(info) = metadata.info(&name) else { continue };
                weights.places.insert(name.clone(), (weights.shards.len(), info.clone()));
                weights.order.push(name);
            }
            weights.header = weights.header.or_else(|| metadata.metadata().clone());
            weights.shards.push(shard);
        }
        let prefixes = weights.places.keys().filter_map(|name| name.strip_suffix(WORDS));
        let prefix = prefixes.min_by_key(|prefix| prefix.len());
        weights.prefix = prefix.unwrap_or_default().to_owned();
        Ok(weights)
    }

    /// Adds all bytes of the files.
    pub(crate) fn digest(&self, digest: &mut Digest) -> Result<(), Error> {
        for Shard { path, file, size, .. } in &self.shards {
            let mut file = file;
            file.seek(SeekFrom::Start(0)).map_err(Error::read(path))?;
            digest.stream(*size, file).map_err(Error::read(path))?;
        }
        Ok(())
    }

    /// Counts the bytes of the files.
    pub(crate) fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.size).sum()
    }

    /// Lists names as in the files, kinds of numbers and shapes, in the order of the files.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, Dtype, &[usize])> {
        self.order.iter().map(|name| {
            let (_, info) = &self.places[name];
            (name.as_str(), info.dtype, &info.shape[..])
        })
    }

    /// Returns what the files say beside tensors.
    pub(crate) fn metadata(&self) -> Option<std::collections::HashMap<String, String>> {
        self.header.clone()
    }

    /// Returns the name in the files of what BERT calls `name`.
    pub(crate) fn name(&self, name: &str) -> String {
        let own = format!("{}{}", self.prefix, self.architecture.tensor(name));
        // As files from before 2020 have it.
        let old = match own.rsplit_once("LayerNorm.") {
            Some((before, "weight")) => format!("{before}LayerNorm.gamma"),
            Some((before, "bias")) => format!("{before}LayerNorm.beta"),
            _ => return own,
        };
        let is_old = !self.places.contains_key(&own) && self.places.contains_key(&old);
        if is_old { old } else { own }
    }

    /// Returns the layer that a tensor belongs to, and what stands before and after its number in the name in the files.
    pub(crate) fn layer_of<'a>(&self, name: &'a str) -> Option<(&'a str, usize, &'a str)> {
        let whole = self.architecture.tensor("encoder.layer.0.output.dense.weight");
        let (folder, _) = whole.split_once('0')?;
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix(folder)?;
        let (number, after) = rest.split_at(rest.find('.')?);
        Some((&name[..name.len() - rest.len()], number.parse().ok()?, after))
    }

    /// Returns the shape of a tensor.
    pub(crate) fn shape(&self, name: &str) -> Result<Vec<usize>, Error> {
        self.find(&self.name(name)).map(|(_, info)| info.shape.clone())
    }

    /// Returns a tensor of exactly this shape.
    pub(crate) fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        self.take_named(&self.name(name), shape)
    }

    /// Returns the shape of a tensor, by its name in the files.
    pub(crate) fn shape_of(&self, name: &str) -> Option<&[usize]> {
        self.places.get(name).map(|(_, info)| &info.shape[..])
    }

    /// Tells whether a tensor of this shape is there, by its name in the files.
    pub(crate) fn has(&self, name: &str, shape: &[usize]) -> bool {
        self.places.get(name).is_some_and(|(_, info)| info.shape == shape)
    }

    /// Returns a tensor of exactly this shape, by its name in the files.
    pub(crate) fn take_named(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let (shard, info) = self.find(name)?;
        let (path, name) = (|| shard.path.clone(), name.to_owned());
        if info.shape != shape {
            let (found, wanted) = (info.shape.clone(), shape.to_vec());
            return Err(Error::Shape { path: path(), name, found, wanted });
        }
        let halves = |bytes: &[u8], number: fn(u16) -> f32, to: &mut Vec<f32>| {
            to.extend(bytes.as_chunks::<2>().0.iter().map(|b| number(u16::from_le_bytes(*b))));
        };
        let mut numbers = Vec::with_capacity(shape.iter().product());
        match info.dtype {
            Dtype::F32 => shard.blocks(info, |bytes| {
                numbers.extend(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
            }),
            Dtype::F16 => shard.blocks(info, |bytes| halves(bytes, half_to_f32, &mut numbers)),
            Dtype::BF16 => {
                let number = |bits| f32::from_bits(u32::from(bits) << 16);
                shard.blocks(info, |bytes| halves(bytes, number, &mut numbers))
            }
            other => {
                return Err(Error::Numbers { path: path(), name, found: format!("{other:?}") });
            }
        }?;
        if numbers.iter().all(|x| x.is_finite()) {
            Ok(numbers)
        } else {
            Err(Error::Weights {
                path: path(),
                why: format!("tensor `{name}` holds NaN or infinity"),
            })
        }
    }

    /// Returns the bytes of a tensor, by its name in the files.
    pub(crate) fn raw(&self, name: &str) -> Result<Vec<u8>, Error> {
        let (shard, info) = self.find(name)?;
        let mut all = Vec::with_capacity(info.data_offsets.1 - info.data_offsets.0);
        shard.blocks(info, |bytes| all.extend_from_slice(bytes))?;
        Ok(all)
    }

    fn find(&self, name: &str) -> Result<(&Shard, &TensorInfo), Error> {
        let Some((shard, info)) = self.places.get(name) else {
            return Err(Error::MissingTensor {
                path: self.shards[0].path.clone(),
                name: name.to_owned(),
            });
        };
        Ok((&self.shards[*shard], info))
    }
}

impl Shard {
    /// Reads and checks the header of a file.
    fn open(path: PathBuf) -> Result<(Self, Metadata), Error> {
        let damaged = |why: String| Error::Weights { path: path.clone(), why };
        let mut file = File::open(&path).map_err(Error::read(&path))?;
        let size = file.metadata().map_err(Error::read(&path))?.len();
        let mut bytes = Vec::new();
        file.by_ref().take(LENGTH_BYTES).read_to_end(&mut bytes).map_err(Error::read(&path))?;
        let Ok(length) = <[u8; 8]>::try_from(&bytes[..]) else {
            return Err(damaged(format!("it has {size} bytes alone")));
        };
        let length = u64::from_le_bytes(length);
        if length > JSON_LIMIT.min(size.saturating_sub(LENGTH_BYTES)) {
            return Err(damaged(format!("of its {size} bytes {length} would be the header")));
        }
        bytes.clear();
        file.by_ref().take(length).read_to_end(&mut bytes).map_err(Error::read(&path))?;
        let header: Metadata =
            serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        let data = LENGTH_BYTES + length;
        let wanted = data.saturating_add(header.data_len() as u64);
        if wanted != size {
            return Err(damaged(format!("it has {size} bytes, its header asks for {wanted}")));
        }
        Ok((Self { path, file, size, data }, header))
    }

    /// Hands on the bytes of a tensor, block by block.
    fn blocks(&self, info: &TensorInfo, mut each: impl FnMut(&[u8])) -> Result<(), Error> {
        let (start, end) = info.data_offsets;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.data + start as u64)).map_err(Error::read(&self.path))?;
        let mut left = end - start;
        let mut block = vec![0; left.min(BLOCK)];
        while left > 0 {
            let part = &mut block[..left.min(BLOCK)];
            file.read_exact(part).map_err(Error::read(&self.path))?;
            each(part);
            left -= part.len();
        }
        Ok(())
    }
}

/// Lists the files of weights in shards, in the order of their names; `None` where no index is there.
fn shards(folder: &Path) -> Result<Option<Vec<PathBuf>>, Error> {
    let path = folder.join("model.safetensors.index.json");
    if !path.exists() {
        return Ok(None);
    }
    let index: ShardIndex = parse(&path, &read_limited(&path, JSON_LIMIT)?)?;
    let mut names: Vec<&String> = index.weight_map.values().collect();
    names.sort_unstable();
    names.dedup();
    let fault = |why| Err(Error::Config { path: path.clone(), why });
    if names.is_empty() || names.len() > MAX_SHARDS {
        return fault(format!("lists {} files, 1 to {MAX_SHARDS} are read", names.len()));
    }
    if let Some(name) = names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref()))
    {
        return fault(format!("lists `{name}`, which is no name of a file in its folder"));
    }
    Ok(Some(names.into_iter().map(|name| folder.join(name)).collect()))
}

/// Reads an IEEE half-precision number.
pub(crate) fn half_to_f32(bits: u16) -> f32 {
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
