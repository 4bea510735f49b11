//! Named arrays as bytes of a safetensors file, and back.

use std::collections::HashMap;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tastemaker_core::{Saved, Tensor, TensorData};

/// Writes the tensors of a saved part, with `header` beside them.
pub(super) fn to_safetensors(
    saved: &Saved,
    header: Option<HashMap<String, String>>,
) -> Result<Vec<u8>, SafeTensorError> {
    let views: Vec<(&str, Vec<u8>, &Tensor)> = saved
        .tensors
        .iter()
        .map(|(key, tensor)| (key.as_str(), to_bytes(&tensor.data), tensor))
        .collect();
    let views: Result<Vec<(&str, TensorView<'_>)>, _> = views
        .iter()
        .map(|(key, bytes, tensor)| {
            TensorView::new(dtype(&tensor.data), tensor.shape.clone(), bytes).map(|v| (*key, v))
        })
        .collect();
    safetensors::serialize(views?, header)
}

/// Reads tensors back; says what is wrong with them.
pub(super) fn from_safetensors(bytes: &[u8]) -> Result<Saved, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let mut saved = Saved::default();
    for (key, view) in file.iter() {
        let data = from_bytes(view.dtype(), view.data()).ok_or_else(|| key.to_owned())?;
        saved.tensors.insert(key.to_owned(), Tensor { shape: view.shape().to_vec(), data });
    }
    Ok(saved)
}

const fn dtype(data: &TensorData) -> Dtype {
    match data {
        TensorData::F32(_) => Dtype::F32,
        TensorData::U32(_) => Dtype::U32,
        TensorData::I64(_) => Dtype::I64,
    }
}

fn to_bytes(data: &TensorData) -> Vec<u8> {
    match data {
        TensorData::F32(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::U32(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::I64(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn from_bytes(dtype: Dtype, bytes: &[u8]) -> Option<TensorData> {
    let (words, longs) = (bytes.as_chunks::<4>().0, bytes.as_chunks::<8>().0);
    match dtype {
        Dtype::F32 => Some(TensorData::F32(words.iter().map(|&b| f32::from_le_bytes(b)).collect())),
        Dtype::U32 => Some(TensorData::U32(words.iter().map(|&b| u32::from_le_bytes(b)).collect())),
        Dtype::I64 => Some(TensorData::I64(longs.iter().map(|&b| i64::from_le_bytes(b)).collect())),
        _ => None,
    }
}
