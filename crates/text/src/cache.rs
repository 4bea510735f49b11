//! Vectors kept on disk, by the hash of their text, in one folder per encoder.
//!
//! A folder holds segments: files of equal records `key · vector · checksum`, each written whole under another name
//! and then renamed, never changed afterwards. So several processes may share a folder: at worst a vector is kept
//! twice. A record that does not check is passed over, and its text is encoded again.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;
use sha2::{Digest as _, Sha256};
use tastemaker_core::{Progress, Tokens, Vectors};

use crate::{Encoded, Encoder, Error};

const MAGIC: &[u8; 8] = b"tmvec\0\0\x01";
const HEADER: u64 = 16;
const EXTENSION: &str = "vectors";
/// Segments are merged when there are more: the small ones, so that each vector is written over a few times only.
const MAX_SEGMENTS: usize = 16;
/// Vectors of an encoder that hands them over in parts are written when there are so many.
const PART: usize = 1024;

type Key = [u8; 32];

/// An encoder that remembers what it has encoded, also after the program has ended.
#[derive(Debug)]
pub struct Cached<E> {
    inner: E,
    folder: PathBuf,
    state: Mutex<Option<Index>>,
}

impl<E: Encoder> Cached<E> {
    /// Keeps the vectors of `inner` under `dir`, which is made when needed; encoders may share it.
    pub fn new(inner: E, dir: &Path) -> Self {
        let mut digest = Digest::new();
        digest.text(&inner.id());
        let folder = dir.join(&digest.hex()[..32]);
        Self { inner, folder, state: Mutex::new(None) }
    }
}

impl<E: Encoder> Encoder for Cached<E> {
    fn id(&self) -> String {
        self.inner.id()
    }

    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn tokens(&self, texts: &[&str]) -> Result<Tokens, Error> {
        self.inner.tokens(texts)
    }

    fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error> {
        let dim = self.dim();
        let keys: Vec<Key> = texts.iter().map(|text| Sha256::digest(text).into()).collect();
        let mut vectors = Vectors::zeros(texts.len(), dim);
        let mut from_cache = 0;
        // Each text not found, once, with all the rows it belongs to.
        let mut missing: Vec<Missing<'_>> = Vec::new();
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let index = state.get_or_insert_with(|| Index::open(&self.folder, dim));
            let mut places: FxHashMap<Key, usize> = FxHashMap::default();
            for (row, (key, text)) in keys.iter().zip(texts).enumerate() {
                if index.read(key, vectors.row_mut(row)) {
                    from_cache += 1;
                    continue;
                }
                let place = *places.entry(*key).or_insert(missing.len());
                if place == missing.len() {
                    missing.push((*key, text, Vec::new()));
                }
                missing[place].2.push(row);
            }
        }
        if missing.is_empty() {
            progress.report("encoding texts", texts.len(), texts.len());
            return Ok(Encoded { vectors, truncated: 0, from_cache });
        }
        // Not under the lock: encoding is long, and others may read meanwhile.
        let new: Vec<&str> = missing.iter().map(|(_, text, _)| *text).collect();
        let mut unkept: Vec<usize> = Vec::new();
        let result = self.inner.encode_parts(&new, progress, &mut |texts, part| {
            for (at, &text) in texts.iter().enumerate() {
                for &row in &missing[text].2 {
                    vectors.row_mut(row).copy_from_slice(part.row(at));
                }
            }
            unkept.extend(texts);
            if unkept.len() >= PART {
                self.keep(unkept.drain(..).map(|text| &missing[text]), &vectors);
            }
        });
        // What was encoded before a failure is not encoded again.
        self.keep(unkept.into_iter().map(|text| &missing[text]), &vectors);
        Ok(Encoded { truncated: result?, vectors, from_cache })
    }
}

/// A text with the rows it belongs to.
type Missing<'a> = (Key, &'a str, Vec<usize>);

impl<E: Encoder> Cached<E> {
    /// Writes the vectors of texts, each of which has a row.
    fn keep<'a>(&self, texts: impl Iterator<Item = &'a Missing<'a>>, vectors: &Vectors) {
        let records: Vec<(Key, Vec<f32>)> =
            texts.map(|(key, _, rows)| (*key, vectors.row(rows[0]).to_vec())).collect();
        if records.is_empty() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let index = state.get_or_insert_with(|| Index::open(&self.folder, self.dim()));
        // Vectors that cannot be kept are still right: the next run encodes again.
        index.append(&self.folder, records).ok();
    }
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// Where the records of a folder are.
#[derive(Debug)]
struct Index {
    dim: usize,
    // Open files stay readable when another process merges them away. `None` once merged.
    segments: Vec<Option<Segment>>,
    places: FxHashMap<Key, (usize, u64)>,
    record: Vec<u8>,
    // Set when a segment was found spoilt: the next writing replaces all of them.
    damaged: bool,
}

impl Index {
    /// Lists a folder; what cannot be read counts as not there.
    fn open(folder: &Path, dim: usize) -> Self {
        let record = vec![0; 32 + 4 * dim + 8];
        let mut index = Self {
            dim,
            segments: Vec::new(),
            places: FxHashMap::default(),
            record,
            damaged: false,
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == EXTENSION));
        paths.sort();
        for path in paths {
            // Another process may have merged it away since the folder was listed.
            if let Ok(file) = File::open(&path) {
                index.add_segment(path, file);
            }
        }
        index
    }

    fn add_segment(&mut self, path: PathBuf, file: File) {
        let segment = self.segments.len();
        let whole = self.list(segment, &file).is_ok_and(|whole| whole);
        self.damaged |= !whole;
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        self.segments.push(Some(Segment { path, file, bytes }));
    }

    /// Notes where the records of a segment are; tells whether it ends where a record ends.
    fn list(&mut self, segment: usize, mut file: &File) -> io::Result<bool> {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::new(file);
        let mut header = [0; HEADER as usize];
        file.read_exact(&mut header)?;
        if header[..8] != *MAGIC || header[8..] != (self.dim as u64).to_le_bytes() {
            return Ok(false);
        }
        let mut at = HEADER;
        while file.read_exact(&mut self.record).is_ok() {
            let key = self.record[..32].try_into().expect("a record begins with its key");
            self.places.insert(key, (segment, at));
            at += self.record.len() as u64;
        }
        Ok(at == length)
    }

    /// Reads the vector of a key; tells whether it was there and whole.
    fn read(&mut self, key: &Key, vector: &mut [f32]) -> bool {
        let Some(&(segment, at)) = self.places.get(key) else { return false };
        let Some(Segment { file, .. }) = &self.segments[segment] else { return false };
        let mut file = file;
        let found = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut self.record));
        let (content, checksum) = self.record.split_at(32 + 4 * self.dim);
        if found.is_err() || content[..32] != *key || Sha256::digest(content)[..8] != *checksum {
            self.places.remove(key);
            self.damaged = true;
            return false;
        }
        for (x, bytes) in vector.iter_mut().zip(content[32..].as_chunks::<4>().0) {
            *x = f32::from_le_bytes(*bytes);
        }
        true
    }

    /// Writes a new segment; merges others into it when there are many or one is damaged.
    fn append(&mut self, folder: &Path, mut records: Vec<(Key, Vec<f32>)>) -> Result<(), Error> {
        let merged = self.to_merge(records.len());
        let mut old: Vec<Key> = Vec::new();
        old.extend(
            self.places.iter().filter(|(_, at)| merged.contains(&at.0)).map(|(key, _)| *key),
        );
        old.sort_unstable();
        for key in old {
            let mut vector = vec![0.0; self.dim];
            if self.read(&key, &mut vector) {
                records.push((key, vector));
            }
        }
        let (path, file) =
            write_segment(folder, self.dim, &records).map_err(Error::write(folder))?;
        if !merged.is_empty() {
            self.damaged = false;
        }
        self.places.retain(|_, at| !merged.contains(&at.0));
        for segment in merged {
            let Some(old) = self.segments[segment].take() else { continue };
            if old.path != path {
                // Another process may have merged it first.
                let _gone = fs::remove_file(old.path);
            }
        }
        self.add_segment(path, file);
        Ok(())
    }

    /// Chooses segments to write anew beside `new` records: all when one is damaged; of too many, the smallest, up to the first
    /// that is larger than twice those before it.
    fn to_merge(&self, new: usize) -> Vec<usize> {
        let live = self.segments.iter().enumerate();
        let mut live: Vec<(u64, usize)> =
            live.filter_map(|(at, segment)| Some((segment.as_ref()?.bytes, at))).collect();
        if !self.damaged {
            if live.len() < MAX_SEGMENTS {
                return Vec::new();
            }
            live.sort_unstable();
            let mut sum = (new * self.record.len()) as u64;
            let mut fits = |(bytes, _): &(u64, usize)| {
                let is_small = *bytes <= 2 * sum;
                sum += bytes;
                is_small
            };
            let count = live.iter().map_while(|segment| fits(segment).then_some(())).count();
            // At least two go, so that their number falls.
            live.truncate(count.max(2));
        }
        live.into_iter().map(|(_, at)| at).collect()
    }
}

/// Writes records under a name made of their content.
fn write_segment(
    folder: &Path,
    dim: usize,
    records: &[(Key, Vec<f32>)],
) -> io::Result<(PathBuf, File)> {
    fs::create_dir_all(folder)?;
    let mut file = BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
    file.write_all(MAGIC)?;
    file.write_all(&(dim as u64).to_le_bytes())?;
    let mut name = Digest::new();
    for (key, vector) in records {
        let mut content = key.to_vec();
        vector.iter().for_each(|x| content.extend(x.to_le_bytes()));
        let checksum = Sha256::digest(&content);
        content.extend(&checksum[..8]);
        name.bytes(&content);
        file.write_all(&content)?;
    }
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    let path = folder.join(format!("{}.{EXTENSION}", &name.hex()[..32]));
    let file = file.persist(&path)?;
    Ok((path, file))
}

/// Hashes parts so that no two lists of parts run into one another.
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Adds `length` bytes that are read, as if they were given at once.
    pub(crate) fn stream(&mut self, length: u64, from: impl Read) -> io::Result<()> {
        self.0.update(length.to_le_bytes());
        let mut from = from.take(length);
        let mut block = vec![0; 1 << 20];
        loop {
            match from.read(&mut block)? {
                0 => return Ok(()),
                n => self.0.update(&block[..n]),
            }
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn floats(&mut self, floats: &[f32]) {
        self.0.update((floats.len() as u64).to_le_bytes());
        floats.iter().for_each(|x| self.0.update(x.to_le_bytes()));
    }

    pub(crate) fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
