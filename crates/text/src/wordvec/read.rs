//! Files of word vectors: GloVe's text, Word2Vec's text and binary, and a list of words beside a matrix of `NumPy`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use super::npy;
use crate::Error;
use crate::bert::read_limited;
use crate::cache::Digest;

/// Largest file that is read.
const FILE_LIMIT: u64 = 16 << 30;
/// Most words.
const MAX_WORDS: usize = 10_000_000;
/// Most numbers of a vector.
const MAX_DIM: usize = 4096;
/// Most numbers together: 8 GB of memory.
const MAX_NUMBERS: usize = 2 << 30;
/// Longest word, in bytes.
const MAX_WORD: usize = 1024;
/// Longest line, in bytes: the longest word, and 32 for each number.
const MAX_LINE: usize = MAX_WORD + 32 * MAX_DIM;

/// Words and their vectors, `[words, dim]`, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct WordVectors {
    pub(super) words: Vec<String>,
    pub(super) dim: usize,
    pub(super) flat: Vec<f32>,
    pub(super) digest: String,
}

/// A file that is being read.
struct Source<'a> {
    path: &'a Path,
    file: BufReader<File>,
    size: u64,
}

impl WordVectors {
    /// Tells by its end whether a name is that of a file of word vectors.
    pub fn is_named(path: &Path) -> bool {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        ["txt", "vec", "bin"].contains(&end.to_ascii_lowercase().as_str())
    }

    /// Reads a file: binary where its name ends in `.bin`, else text, with or without a first line of `words dim`.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than the limits (16 GB, 10 million words, 4096 numbers), or a line or word is damaged;
    /// that one is named.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut source = Source::open(path)?;
        let is_binary = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("bin"));
        let (words, dim, flat) = if is_binary { source.binary()? } else { source.text()? };
        Self::checked(path, (words, dim, flat), source.digest()?)
    }

    /// Takes words, and their vectors from a `.npy` file of `float32`.
    pub fn of_npy(words: Vec<String>, path: &Path) -> Result<Self, Error> {
        let bytes = read_limited(path, FILE_LIMIT)?;
        let mut digest = Digest::new();
        digest.bytes(&bytes);
        words.iter().for_each(|word| digest.text(word));
        let (dim, flat) = npy::matrix(path, &bytes)?;
        let rows = flat.len() / dim.max(1);
        if rows != words.len() || dim == 0 {
            let why = format!(
                "has {rows} vectors for {} words: they do not belong together",
                words.len()
            );
            return Err(Error::Config { path: path.to_owned(), why });
        }
        Self::checked(path, (words, dim, flat), digest.hex())
    }

    fn checked(
        path: &Path,
        (words, dim, flat): (Vec<String>, usize, Vec<f32>),
        digest: String,
    ) -> Result<Self, Error> {
        let fault = |why| Err(Error::Config { path: path.to_owned(), why });
        if words.is_empty() {
            return fault("holds no word vectors".to_owned());
        }
        if let Some(at) = flat.iter().position(|x| !x.is_finite()) {
            let word = &words[at / dim];
            return fault(format!("the vector of `{word}` (word {}) is not finite", at / dim + 1));
        }
        Ok(Self { words, dim, flat, digest })
    }

    /// Counts the words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns the width of a vector.
    pub const fn dim(&self) -> usize {
        self.dim
    }
}

type Read3 = (Vec<String>, usize, Vec<f32>);

impl<'a> Source<'a> {
    fn open(path: &'a Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::read(path))?;
        let size = file.metadata().map_err(Error::read(path))?.len();
        if size > FILE_LIMIT {
            return Err(Error::TooLarge { path: path.to_owned(), size, limit: FILE_LIMIT });
        }
        Ok(Self { path, file: BufReader::with_capacity(1 << 20, file), size })
    }

    fn fault<T>(&self, why: String) -> Result<T, Error> {
        Err(Error::Config { path: self.path.to_owned(), why })
    }

    fn digest(mut self) -> Result<String, Error> {
        self.file.seek(SeekFrom::Start(0)).map_err(Error::read(self.path))?;
        let mut digest = Digest::new();
        digest.stream(self.size, &mut self.file).map_err(Error::read(self.path))?;
        Ok(digest.hex())
    }

    /// Reads up to `end`, which is not returned; `None` at the end of the file.
    fn until(&mut self, end: u8, (most, place): (usize, &str)) -> Result<Option<Vec<u8>>, Error> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.file).take(most as u64 + 1);
        limited.read_until(end, &mut bytes).map_err(Error::read(self.path))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.last() == Some(&end) {
            bytes.pop();
        } else if bytes.len() > most {
            return self.fault(format!("{place} is longer than {most} bytes"));
        }
        Ok(Some(bytes))
    }

    fn checked_sizes(&self, words: usize, dim: usize) -> Result<(), Error> {
        if words > MAX_WORDS || !(1..=MAX_DIM).contains(&dim) || words * dim > MAX_NUMBERS {
            return self.fault(format!(
                "would hold {words} words of {dim} numbers: at most {MAX_WORDS} words of {MAX_DIM} numbers are read, {MAX_NUMBERS} together"
            ));
        }
        Ok(())
    }

    fn text(&mut self) -> Result<Read3, Error> {
        let (mut words, mut flat, mut dim, mut line) = (Vec::new(), Vec::new(), 0, 0);
        let mut announced = None;
        loop {
            line += 1;
            let place = format!("line {line}");
            let Some(bytes) = self.until(b'\n', (MAX_LINE, &place))? else { break };
            let Ok(row) = std::str::from_utf8(&bytes) else {
                return self.fault(format!("{place} is not UTF-8"));
            };
            let row = row.trim_end();
            if line == 1
                && let Some((count, width)) = counts(row)
            {
                self.checked_sizes(count, width)?;
                (announced, dim) = (Some(count), width);
                continue;
            }
            if row.is_empty() {
                continue;
            }
            if dim == 0 {
                dim = row.split(' ').count() - 1;
                self.checked_sizes(1, dim)?;
            }
            // From the right: a word may hold spaces.
            let mut parts = row.rsplitn(dim + 1, ' ');
            let start = flat.len();
            flat.extend(parts.by_ref().take(dim).map_while(|part| part.parse::<f32>().ok()));
            let word = parts.next().filter(|word| !word.is_empty() && flat.len() == start + dim);
            let Some(word) = word else {
                return self.fault(format!("{place} is no word with {dim} numbers behind it"));
            };
            flat[start..].reverse();
            words.push(word.to_owned());
            self.checked_sizes(words.len(), dim)?;
        }
        if let Some(count) = announced.filter(|count| *count != words.len()) {
            return self.fault(format!("holds {} words, its first line says {count}", words.len()));
        }
        Ok((words, dim, flat))
    }

    fn binary(&mut self) -> Result<Read3, Error> {
        let head = self.until(b'\n', (64, "the first line"))?.unwrap_or_default();
        let counts = std::str::from_utf8(&head).ok().and_then(counts);
        let Some((count, dim)) = counts else {
            return self
                .fault("line 1 does not say how many words and numbers there are".to_owned());
        };
        self.checked_sizes(count, dim)?;
        if (count as u64).saturating_mul(4 * dim as u64) > self.size {
            let size = self.size;
            return self
                .fault(format!("has {size} bytes, too few for {count} words of {dim} numbers"));
        }
        let (mut words, mut flat) = (Vec::new(), Vec::with_capacity(count * dim));
        let mut numbers = vec![0; 4 * dim];
        for at in 1..=count {
            let place = format!("word {at}");
            let word = self.until(b' ', (MAX_WORD, &place))?.unwrap_or_default();
            // Some writers end a vector with a line feed.
            let word = word.strip_prefix(b"\n").unwrap_or(&word);
            // Some files cut words in the middle of a letter.
            words.push(String::from_utf8_lossy(word).into_owned());
            if self.file.read_exact(&mut numbers).is_err() {
                return self
                    .fault(format!("{place} of {count}: the file ends before its vector does"));
            }
            flat.extend(numbers.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)));
        }
        Ok((words, dim, flat))
    }
}

/// Reads `words dim`.
fn counts(line: &str) -> Option<(usize, usize)> {
    let (count, dim) = line.trim().split_once(' ')?;
    Some((count.parse().ok()?, dim.parse().ok()?))
}
