//! Vectors and their ids as bytes: Parquet, `NumPy` or safetensors, by the end of the file's name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use tastemaker_core::Vectors;
use tastemaker_data::encode_vectors;

use crate::Error;
use crate::artifact::{write_both, write_whole};

/// How vectors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorFormat {
    /// Columns `item_id` or `user_id`, and `vector`, a list of floats.
    Parquet,
    /// A matrix for `NumPy`; the ids go into a JSON list beside it.
    Npy,
    /// A tensor `vectors`; the ids are a JSON list in the metadata, under `ids`.
    Safetensors,
}

impl VectorFormat {
    /// Tells the format by the end of the name.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        match end.to_ascii_lowercase().as_str() {
            "parquet" => Ok(Self::Parquet),
            "npy" => Ok(Self::Npy),
            "safetensors" => Ok(Self::Safetensors),
            _ => Err(Error::VectorFormat { path: path.to_owned() }),
        }
    }

    /// Lists the files that are written for `path`.
    pub fn files(self, path: &Path) -> Vec<PathBuf> {
        match self {
            Self::Npy => vec![path.to_owned(), path.with_extension("ids.json")],
            Self::Parquet | Self::Safetensors => vec![path.to_owned()],
        }
    }
}

/// Writes vectors with the ids of `id_name`, each file all or nothing; returns the files.
pub(super) fn write(
    path: &Path,
    id_name: &str,
    ids: &[String],
    vectors: &Vectors,
) -> Result<Vec<PathBuf>, Error> {
    let format = VectorFormat::of(path)?;
    let failed = |why: String| Error::Vectors { path: path.to_owned(), why };
    let list = || serde_json::to_string(ids).map_err(|e| failed(e.to_string()));
    let files = format.files(path);
    match format {
        VectorFormat::Parquet => {
            let bytes = encode_vectors(id_name, ids, vectors).map_err(|e| failed(e.to_string()))?;
            write_whole(path, bytes)?;
        }
        VectorFormat::Npy => {
            write_both([(path, &npy(vectors)[..]), (&files[1], list()?.as_bytes())])?;
        }
        VectorFormat::Safetensors => {
            let shape = vec![vectors.rows(), vectors.dim()];
            let bytes = to_bytes(vectors);
            let view = TensorView::new(Dtype::F32, shape, &bytes);
            let view = view.map_err(|e| failed(e.to_string()))?;
            let header = HashMap::from([("ids".to_owned(), list()?)]);
            let bytes = safetensors::serialize([("vectors", view)], Some(header));
            write_whole(path, bytes.map_err(|e| failed(e.to_string()))?)?;
        }
    }
    Ok(files)
}

/// Encodes a matrix as `NumPy` does, format 1.0: magic, length of the header, header, numbers.
fn npy(vectors: &Vectors) -> Vec<u8> {
    let (rows, dim) = (vectors.rows(), vectors.dim());
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    // The numbers begin at a multiple of 64 bytes; a line feed ends the header.
    let end = (10 + header.len() + 1).next_multiple_of(64);
    header.push_str(&" ".repeat(end - 10 - header.len() - 1));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let length = u16::try_from(header.len()).expect("two sizes need less than 65,536 bytes");
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(to_bytes(vectors));
    bytes
}

fn to_bytes(vectors: &Vectors) -> Vec<u8> {
    vectors.flat().iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    fn matrix() -> (Vec<String>, Vectors) {
        let vectors = Vectors::from_flat(2, vec![1.0, -2.5, 0.0, 1e-9]).unwrap();
        (vec!["a\nb".into(), "ü".into()], vectors)
    }

    #[test]
    fn a_numpy_file_has_its_header_numbers_and_ids() {
        let (_, vectors) = matrix();
        let bytes = npy(&vectors);
        assert_eq!(bytes[..10], *b"\x93NUMPY\x01\x00\x76\x00");
        let header = std::str::from_utf8(&bytes[10..128]).unwrap();
        let dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
        assert_eq!((header.trim_end(), header.ends_with('\n')), (dict, true));
        assert_eq!(bytes[128..], to_bytes(&vectors));
        let home = tempfile::tempdir().unwrap();
        let (ids, vectors) = matrix();
        let path = home.path().join("items.npy");
        let files = write(&path, "item_id", &ids, &vectors).unwrap();
        assert_eq!(files[1], home.path().join("items.ids.json"));
        let list: Vec<String> = serde_json::from_slice(&std::fs::read(&files[1]).unwrap()).unwrap();
        assert_eq!(list, ids);
    }

    #[test]
    fn a_safetensors_file_holds_ids_and_vectors() {
        let home = tempfile::tempdir().unwrap();
        let (ids, vectors) = matrix();
        let path = home.path().join("items.SafeTensors");
        write(&path, "item_id", &ids, &vectors).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let list = &header.metadata().as_ref().unwrap()["ids"];
        assert_eq!(serde_json::from_str::<Vec<String>>(list).unwrap(), ids);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("vectors").unwrap().data(), to_bytes(&vectors));
    }

    #[test]
    fn a_name_that_tells_no_format_is_refused() {
        for name in ["items", "items.csv", "parquet"] {
            assert!(matches!(VectorFormat::of(Path::new(name)), Err(Error::VectorFormat { .. })));
        }
    }
}
