//! An index as a file: what usearch writes, then ids, then a trailer with sizes, settings and a checksum.
//!
//! A program that knows usearch alone reads the front and passes over the rest; the keys it finds are rows. The checksum tells a
//! damaged file, not a forged one: open what you or yours have written.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use usearch::Index;

use crate::hnsw::{Shape, empty, failed, metric};
use crate::{Error, Hnsw, HnswSettings, Measure, Storage};

const MAGIC: &[u8; 8] = b"TASTEMKR";
const VERSION: u64 = 1;
/// Numbers of the trailer; see [`trailer`].
const NUMBERS: usize = 13;
/// Bytes of the trailer: magic, numbers, checksum of all before it.
const TRAILER: usize = 8 + NUMBERS * 8 + 32;

impl Hnsw {
    /// Opens a file of what [`to_bytes`](Self::to_bytes) gave, and verifies all of it.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let not_an_index = |why: String| Error::NotAnIndex { path: path.to_owned(), why };
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(not_an_index("it is no file".into()));
        }
        Self::from_bytes(&std::fs::read(path).map_err(io)?).map_err(not_an_index)
    }

    /// Returns the index as the bytes of a file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let graph = self.graph.serialized_length();
        let mut bytes = vec![0; graph];
        self.graph.save_to_buffer(&mut bytes).map_err(failed)?;
        for id in &self.ids {
            bytes.extend((id.len() as u64).to_le_bytes());
            bytes.extend(id.as_bytes());
        }
        let ids = bytes.len() - graph;
        bytes.extend(MAGIC);
        for number in trailer(&self.shape, [graph, ids, self.ids.len()].map(|n| n as u64)) {
            bytes.extend(number.to_le_bytes());
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend(checksum);
        Ok(bytes)
    }

    /// Puts an index together, or says what is wrong with the bytes.
    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let size = bytes.len().checked_sub(TRAILER).ok_or("it is too short")?;
        let (body, end) = bytes.split_at(size);
        if !end.starts_with(MAGIC) {
            return Err("its end is missing or foreign".into());
        }
        let (told, checksum) = bytes.split_at(bytes.len() - 32);
        if Sha256::digest(told)[..] != *checksum {
            return Err("its checksum does not fit: it was changed or damaged".into());
        }
        let words = end[8..TRAILER - 32].as_chunks::<8>().0;
        let mut numbers = [0; NUMBERS];
        numbers.iter_mut().zip(words).for_each(|(n, word)| *n = u64::from_le_bytes(*word));
        if numbers[0] != VERSION {
            return Err(format!("its version is {}, this program reads {VERSION}", numbers[0]));
        }
        let parts =
            numbers[1..4].iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
        let parts = parts.map_err(|_| "its sizes do not fit")?;
        let (graph, ids, rows) = (parts[0], parts[1], parts[2]);
        if graph.checked_add(ids) != Some(size) || rows > ids / 8 || rows == 0 {
            return Err("its sizes do not fit".into());
        }
        let shape = shape(&numbers).ok_or("its settings do not fit")?;
        let (graph, ids) = body.split_at(graph);
        let ids = read_ids(ids, rows).ok_or("its ids do not fit")?;
        open(shape, graph, ids)
    }
}

/// Checks what the graph says of itself, and opens it.
fn open(shape: Shape, bytes: &[u8], ids: Vec<String>) -> Result<Hnsw, String> {
    let head = Index::metadata_from_buffer(bytes).map_err(|e| e.to_string())?;
    let fits = head.dimensions == shape.dim as u64
        && head.count_present == ids.len() as u64
        && head.quantization == shape.settings.storage.kind()
        && head.metric == metric(&shape)
        && !head.multi;
    if !fits {
        return Err("its graph does not fit".into());
    }
    let graph = empty(&shape).map_err(|e| e.to_string())?;
    graph.load_from_buffer(bytes).map_err(|e| e.to_string())?;
    if graph.size() != ids.len() || graph.dimensions() != shape.dim {
        return Err("its graph does not fit".into());
    }
    graph.change_expansion_add(shape.settings.ef_construction);
    graph.change_expansion_search(shape.settings.ef_search);
    Hnsw::assemble(shape, ids, graph).map_err(|e| e.to_string())
}

/// Lists version, sizes, settings and shape.
fn trailer(shape: &Shape, [graph, ids, rows]: [u64; 3]) -> [u64; NUMBERS] {
    let Shape { measure, settings, dim, by_cosine, scale, length } = *shape;
    let HnswSettings { connectivity, ef_construction, ef_search, storage } = settings;
    let measure = match measure {
        Measure::Dot => 0,
        Measure::Cosine => 1,
    };
    let storage = match storage {
        Storage::F32 => 0,
        Storage::Bf16 => 1,
        Storage::I8 => 2,
    };
    let [connectivity, ef_construction, ef_search, dim] =
        [connectivity, ef_construction, ef_search, dim].map(|n| n as u64);
    [
        VERSION,
        graph,
        ids,
        rows,
        measure,
        storage,
        connectivity,
        ef_construction,
        ef_search,
        dim,
        u64::from(by_cosine),
        u64::from(scale.to_bits()),
        u64::from(length.to_bits()),
    ]
}

/// Reads what [`trailer`] wrote.
fn shape(numbers: &[u64; NUMBERS]) -> Option<Shape> {
    let count = |at: usize| usize::try_from(numbers[at]).ok();
    let measure = match numbers[4] {
        0 => Measure::Dot,
        1 => Measure::Cosine,
        _ => return None,
    };
    let storage = match numbers[5] {
        0 => Storage::F32,
        1 => Storage::Bf16,
        2 => Storage::I8,
        _ => return None,
    };
    let settings = HnswSettings {
        connectivity: count(6)?,
        ef_construction: count(7)?,
        ef_search: count(8)?,
        storage,
    };
    let by_cosine = match numbers[10] {
        0 => false,
        1 => true,
        _ => return None,
    };
    let float = |at: usize| u32::try_from(numbers[at]).ok().map(f32::from_bits);
    let (scale, length) = (float(11)?, float(12)?);
    let dim = count(9).filter(|dim| (1..=1 << 20).contains(dim))?;
    let fits = settings.faults().is_empty() && scale.is_normal() && length.is_finite();
    fits.then_some(Shape { measure, settings, dim, by_cosine, scale, length })
}

fn read_ids(mut bytes: &[u8], rows: usize) -> Option<Vec<String>> {
    let mut ids = Vec::with_capacity(rows);
    for _ in 0..rows {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (id, rest) =
            rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        ids.push(String::from_utf8(id.to_vec()).ok()?);
        bytes = rest;
    }
    bytes.is_empty().then_some(ids)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tastemaker_core::Vectors;

    use super::*;
    use crate::{Nearest as _, Rows};

    fn small() -> Hnsw {
        let flat = (0..60u16).map(|i| f32::from(i * 7 % 11) - 4.0).collect();
        let ids = (0..20).map(|i| format!("item {i} ü")).collect();
        let rows = Rows::new(ids, Vectors::from_flat(3, flat).unwrap()).unwrap();
        let settings = HnswSettings { storage: Storage::Bf16, ef_search: 40, ..Default::default() };
        Hnsw::build(&rows, Measure::Dot, settings).unwrap()
    }

    #[test]
    fn an_index_comes_back_as_it_went_in() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("items.usearch");
        let index = small();
        std::fs::write(&path, index.to_bytes().unwrap()).unwrap();
        let back = Hnsw::load(&path).unwrap();
        assert_eq!((back.shape, back.ids()), (index.shape, index.ids()));
        let queries = Vectors::from_flat(3, vec![1.0, -2.0, 0.5, 0.0, 0.0, 0.0]).unwrap();
        assert_eq!(back.search(&queries, 7).unwrap(), index.search(&queries, 7).unwrap());
        assert_eq!(back.to_bytes().unwrap(), index.to_bytes().unwrap());
    }

    #[test]
    fn what_is_no_file_or_foreign_is_told_with_its_name() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("foreign");
        std::fs::write(&path, vec![7; 4096]).unwrap();
        let told = |path: &Path| Hnsw::load(path).err().map(|e| e.to_string()).unwrap();
        assert!(told(&path).contains("foreign is no index"), "{}", told(&path));
        assert!(told(home.path()).contains("it is no file"));
        assert!(told(&home.path().join("none")).contains("none"));
    }

    #[test]
    fn every_cut_and_every_longer_file_is_refused() {
        let bytes = small().to_bytes().unwrap();
        for end in 0..bytes.len() {
            assert!(Hnsw::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(Hnsw::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        assert!(Hnsw::from_bytes(&[&[0], &bytes[..]].concat()).is_err());
    }

    /// Replaces the numbers of the trailer and makes the checksum fit again.
    fn with_numbers(bytes: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let start = bytes.len() - TRAILER + 8;
        let end = bytes.len() - 32;
        change(&mut bytes[start..end]);
        let checksum = Sha256::digest(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum);
        bytes
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused_even_under_a_fitting_checksum() {
        let bytes = small().to_bytes().unwrap();
        assert!(Hnsw::from_bytes(&with_numbers(&bytes, |_| {})).is_ok());
        for at in [0, 1, 2, 3, 4, 5, 9, 10, 11] {
            for value in [99u64, u64::MAX, 1 << 40] {
                let bad = with_numbers(&bytes, |numbers| {
                    numbers[at * 8..][..8].copy_from_slice(&value.to_le_bytes());
                });
                assert!(Hnsw::from_bytes(&bad).is_err(), "number {at} is {value}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_changed_byte_is_noticed(at in 0usize..10_000, change in 1u8..) {
            let mut bytes = small().to_bytes().unwrap();
            let at = at % bytes.len();
            bytes[at] ^= change;
            prop_assert!(Hnsw::from_bytes(&bytes).is_err());
        }

        #[test]
        fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Hnsw::from_bytes(&bytes).is_err());
        }
    }
}
