//! Vectors and their ids as bytes: Parquet, `NumPy` or safetensors, by the end of the file's name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use tastemaker_core::Vectors;
use tastemaker_data::encode_vectors;

use super::storage::{Array, VectorStorage};
use crate::Error;
use crate::artifact::{write_all, write_whole};

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
    pub fn files(self, path: &Path, storage: VectorStorage) -> Vec<PathBuf> {
        let mut files = vec![path.to_owned()];
        if self == Self::Npy {
            files.push(path.with_extension("ids.json"));
            if storage == VectorStorage::Int8 {
                files.push(path.with_extension("scales.npy"));
            }
        }
        files
    }
}

/// Writes vectors with the ids of `id_name`, each file all or nothing; returns the files.
pub(super) fn write(
    path: &Path,
    id_name: &str,
    ids: &[String],
    (vectors, storage): (&Vectors, VectorStorage),
) -> Result<Vec<PathBuf>, Error> {
    storage.check(path)?;
    let failed = |why: String| Error::Vectors { path: path.to_owned(), why };
    let list = || serde_json::to_string(ids).map_err(|e| failed(e.to_string()));
    match VectorFormat::of(path)? {
        VectorFormat::Parquet => {
            let bytes = encode_vectors(id_name, ids, vectors).map_err(|e| failed(e.to_string()))?;
            write_whole(path, bytes)?;
            Ok(vec![path.to_owned()])
        }
        VectorFormat::Npy => {
            let stored = storage.store(vectors);
            let ids = path.with_extension("ids.json");
            let mut files = vec![(path.to_owned(), npy(&stored.numbers)), (ids, list()?.into())];
            if let Some(scales) = &stored.scales {
                files.push((path.with_extension("scales.npy"), npy(scales)));
            }
            let borrowed: Vec<(&Path, &[u8])> =
                files.iter().map(|(path, bytes)| (path.as_path(), &bytes[..])).collect();
            write_all(&borrowed)?;
            Ok(files.into_iter().map(|(path, _)| path).collect())
        }
        VectorFormat::Safetensors => {
            let stored = storage.store(vectors);
            let named = [("vectors", Some(&stored.numbers)), ("scales", stored.scales.as_ref())];
            let mut views = Vec::new();
            for (name, array) in named.into_iter().filter_map(|(name, array)| Some((name, array?)))
            {
                let view = TensorView::new(array.dtype, array.shape.clone(), &array.bytes);
                views.push((name, view.map_err(|e| failed(e.to_string()))?));
            }
            let header = HashMap::from([("ids".to_owned(), list()?)]);
            let bytes = safetensors::serialize(views, Some(header));
            write_whole(path, bytes.map_err(|e| failed(e.to_string()))?)?;
            Ok(vec![path.to_owned()])
        }
    }
}

/// Encodes an array as `NumPy` does, format 1.0: magic, length of the header, header, numbers.
fn npy(array: &Array) -> Vec<u8> {
    let descr = match array.dtype {
        Dtype::F16 => "<f2",
        Dtype::I8 => "|i1",
        Dtype::U8 => "|u1",
        _ => "<f4",
    };
    let shape = match array.shape[..] {
        [rows, dim] => format!("({rows}, {dim})"),
        _ => format!("({},)", array.shape[0]),
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // The numbers begin at a multiple of 64 bytes; a line feed ends the header.
    let end = (10 + header.len() + 1).next_multiple_of(64);
    header.push_str(&" ".repeat(end - 10 - header.len() - 1));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let length = u16::try_from(header.len()).expect("two sizes need less than 65,536 bytes");
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(&array.bytes);
    bytes
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
        let stored = VectorStorage::F32.store(&vectors).numbers;
        let bytes = npy(&stored);
        assert_eq!(bytes[..10], *b"\x93NUMPY\x01\x00\x76\x00");
        let header = std::str::from_utf8(&bytes[10..128]).unwrap();
        let dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
        assert_eq!((header.trim_end(), header.ends_with('\n')), (dict, true));
        assert_eq!(bytes[128..], stored.bytes);
        let home = tempfile::tempdir().unwrap();
        let (ids, vectors) = matrix();
        let path = home.path().join("items.npy");
        let files = write(&path, "item_id", &ids, (&vectors, VectorStorage::F32)).unwrap();
        assert_eq!(files[1], home.path().join("items.ids.json"));
        let list: Vec<String> = serde_json::from_slice(&std::fs::read(&files[1]).unwrap()).unwrap();
        assert_eq!(list, ids);
    }

    #[test]
    fn a_safetensors_file_holds_ids_and_vectors() {
        let home = tempfile::tempdir().unwrap();
        let (ids, vectors) = matrix();
        let path = home.path().join("items.SafeTensors");
        write(&path, "item_id", &ids, (&vectors, VectorStorage::F32)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let list = &header.metadata().as_ref().unwrap()["ids"];
        assert_eq!(serde_json::from_str::<Vec<String>>(list).unwrap(), ids);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let numbers = VectorStorage::F32.store(&vectors).numbers;
        assert_eq!(file.tensor("vectors").unwrap().data(), numbers.bytes);
    }

    #[test]
    fn smaller_numbers_are_written_with_their_scales() {
        let home = tempfile::tempdir().unwrap();
        let (ids, vectors) = matrix();
        let path = home.path().join("items.npy");
        for (storage, head, size) in [
            (VectorStorage::F16, "'<f2', 'fortran_order': False, 'shape': (2, 2)", 8),
            (VectorStorage::Int8, "'|i1', 'fortran_order': False, 'shape': (2, 2)", 4),
            (VectorStorage::Binary, "'|u1', 'fortran_order': False, 'shape': (2, 1)", 2),
        ] {
            let files = write(&path, "item_id", &ids, (&vectors, storage)).unwrap();
            assert_eq!(files, VectorFormat::Npy.files(&path, storage));
            let bytes = std::fs::read(&path).unwrap();
            assert!(String::from_utf8_lossy(&bytes[..128]).contains(head), "{storage:?}");
            assert_eq!(bytes.len(), 128 + size);
        }
        let path = home.path().join("items.safetensors");
        write(&path, "item_id", &ids, (&vectors, VectorStorage::Int8)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        // The largest number of a row is 127 of its scale: 2.5 / 127 and 1e-9 / 127.
        assert_eq!(file.tensor("vectors").unwrap().data(), [51u8, 129, 0, 127]);
        assert_eq!(file.tensor("scales").unwrap().shape(), [2]);
        let table = home.path().join("items.parquet");
        let refused = write(&table, "item_id", &ids, (&vectors, VectorStorage::Binary));
        assert!(matches!(refused, Err(Error::VectorStorage { .. })) && !table.exists());
    }

    #[test]
    fn a_name_that_tells_no_format_is_refused() {
        for name in ["items", "items.csv", "parquet"] {
            assert!(matches!(VectorFormat::of(Path::new(name)), Err(Error::VectorFormat { .. })));
        }
    }
}
