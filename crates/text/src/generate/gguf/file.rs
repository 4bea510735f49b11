//! The header of a GGUF file, checked as a whole before any number is read: nothing in it may ask for more than the file has.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::blocks::{Numbers, SUPPORTED};
use super::cursor::Cursor;
use super::value::Value;
use crate::Error;
use crate::bert::WEIGHTS_LIMIT;

/// Entries of the metadata, at most.
const ENTRIES: u64 = 1 << 12;
/// Tensors, at most.
const TENSORS: u64 = 1 << 16;
/// Dimensions of a tensor, at most.
const DIMENSIONS: u32 = 4;
/// Where tensors begin is a multiple of at most this.
const ALIGNMENT: i128 = 1 << 16;
/// What is said of a file that does not hold together.
const AGAIN: &str = "fetch it again";

/// A GGUF file, open for reading.
#[derive(Debug)]
pub(crate) struct Gguf {
    path: PathBuf,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Place>,
    /// Where the first tensor begins.
    data: u64,
}

/// Where a tensor lies and what it is.
#[derive(Debug)]
struct Place {
    /// The innermost first, as in the file.
    shape: Vec<u64>,
    numbers: Numbers,
    offset: u64,
    bytes: u64,
}

/// The bytes of a matrix, row by row.
#[derive(Debug)]
pub(crate) struct RawTensor {
    path: PathBuf,
    name: String,
    numbers: Numbers,
    bytes: Vec<u8>,
    row: usize,
}

impl Gguf {
    /// Reads and checks the header of a file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::read(path))?;
        let size = file.metadata().map_err(Error::read(path))?.len();
        if size > WEIGHTS_LIMIT {
            return Err(Error::TooLarge { path: path.to_owned(), size, limit: WEIGHTS_LIMIT });
        }
        let mut cursor = Cursor::new(path, &file, size);
        if cursor.u32()? != u32::from_le_bytes(*b"GGUF") {
            return Err(cursor.fault("it does not begin with `GGUF`: name a GGUF file"));
        }
        let version = cursor.u32()?;
        if !(2..=3).contains(&version) {
            return Err(cursor.fault(format!(
                "version {version}, only 2 and 3 in little-endian order are read: convert it"
            )));
        }
        let (n_tensors, n_entries) = (cursor.u64()?, cursor.u64()?);
        if n_tensors > TENSORS || n_entries > ENTRIES {
            return Err(cursor.fault(format!(
                "{n_tensors} tensors and {n_entries} entries, more than the limits of {TENSORS} and {ENTRIES}"
            )));
        }
        let mut metadata = BTreeMap::new();
        for _ in 0..n_entries {
            let name = cursor.text()?;
            let kind = cursor.kind()?;
            let value = cursor.value(kind)?;
            if metadata.contains_key(&name) {
                return Err(cursor.fault(format!("`{name}` is there twice: {AGAIN}")));
            }
            metadata.insert(name, value);
        }
        let mut tensors = BTreeMap::new();
        for _ in 0..n_tensors {
            let (name, place) = place(&mut cursor, path)?;
            if tensors.contains_key(&name) {
                return Err(cursor.fault(format!("the tensor `{name}` is there twice: {AGAIN}")));
            }
            tensors.insert(name, place);
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(Value::Integer(n)) if (1..=ALIGNMENT).contains(n) && n.count_ones() == 1 => {
                u64::try_from(*n).expect("it was bounded above")
            }
            Some(other) => {
                let why = format!("{other:?} is no power of two up to {ALIGNMENT}: {AGAIN}");
                return Err(Self::fault_at(path, "`general.alignment`", why));
            }
        };
        let data = cursor.at().next_multiple_of(alignment);
        for (name, place) in &tensors {
            let end = data.checked_add(place.offset).and_then(|at| at.checked_add(place.bytes));
            if end.is_none_or(|end| end > size) || !place.offset.is_multiple_of(alignment) {
                let why = format!(
                    "{} bytes at {} + {}, in a file of {size} bytes: {AGAIN}",
                    place.bytes, data, place.offset
                );
                return Err(Self::fault_at(path, &format!("tensor `{name}`"), why));
            }
        }
        Ok(Self { path: path.to_owned(), metadata, tensors, data })
    }

    fn fault_at(path: &Path, at: &str, why: String) -> Error {
        Error::Gguf { path: path.to_owned(), at: at.to_owned(), why }
    }

    /// Makes the error of something in this file.
    pub(crate) fn fault(&self, at: &str, why: impl Into<String>) -> Error {
        Self::fault_at(&self.path, &format!("`{at}`"), why.into())
    }

    /// Returns where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a value of the metadata.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.metadata.get(name)
    }

    /// Returns a text of the metadata; `None` where it is not there.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(name, "must be a text")),
        }
    }

    /// Returns a number of the metadata that lies in `range`; `None` where it is not there.
    pub(crate) fn size(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<usize>, Error> {
        let number = match self.value(name) {
            None => return Ok(None),
            Some(Value::Integer(number)) => *number,
            Some(_) => return Err(self.fault(name, "must be an integer")),
        };
        match usize::try_from(number) {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let (low, high) = range.into_inner();
                Err(self.fault(name, format!("must be {low} to {high}, is {number}")))
            }
        }
    }

    /// Returns a float of the metadata, finite and above 0; `None` where it is not there.
    pub(crate) fn positive(&self, name: &str) -> Result<Option<f64>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Float(x)) if x.is_finite() && *x > 0.0 => Ok(Some(*x)),
            Some(Value::Integer(x)) if *x > 0 => Ok(Some(*x as f64)),
            Some(_) => Err(self.fault(name, "must be a number above 0")),
        }
    }

    /// Tells whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Reads the bytes of a tensor of exactly this shape, the outermost dimension first.
    pub(crate) fn raw(&self, name: &str, shape: &[usize]) -> Result<RawTensor, Error> {
        let Some(place) = self.tensors.get(name) else {
            let why = "the tensor is not there: it is no complete model, fetch another";
            return Err(self.fault(name, why));
        };
        let found: Vec<usize> =
            place.shape.iter().rev().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect();
        // Ones at the outer end say nothing.
        let outer = found.iter().take_while(|&&n| n == 1).count().min(found.len() - 1);
        let skip = outer.min(found.len().saturating_sub(shape.len()));
        if found[skip..] != *shape {
            let why =
                format!("has shape {found:?}, the metadata asks for {shape:?}: fetch another");
            return Err(self.fault(name, why));
        }
        let mut file = File::open(&self.path).map_err(Error::read(&self.path))?;
        file.seek(SeekFrom::Start(self.data + place.offset)).map_err(Error::read(&self.path))?;
        let mut bytes = Vec::new();
        // The header was held against the size of the file.
        bytes.reserve_exact(usize::try_from(place.bytes).unwrap_or(0));
        file.take(place.bytes).read_to_end(&mut bytes).map_err(Error::read(&self.path))?;
        if bytes.len() as u64 != place.bytes {
            return Err(self.fault(name, "the file became shorter while it was read"));
        }
        let (path, numbers) = (self.path.clone(), place.numbers);
        let row = *shape.last().expect("tensors have a dimension");
        Ok(RawTensor { path, name: name.to_owned(), numbers, bytes, row })
    }

    /// Reads the numbers of a tensor of exactly this shape.
    pub(crate) fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let raw = self.raw(name, shape)?;
        let mut all = vec![0.0; shape.iter().product()];
        all.chunks_exact_mut(raw.row).enumerate().try_for_each(|(at, row)| raw.read(at, row))?;
        Ok(all)
    }
}

impl RawTensor {
    /// Reads a row.
    ///
    /// # Panics
    /// When there is no such row, or `to` is not as wide as one.
    pub(crate) fn read(&self, row: usize, to: &mut [f32]) -> Result<(), Error> {
        assert!(to.len() == self.row, "a row has its width");
        let (numbers, size) = self.numbers.block();
        let width = self.row / numbers * size;
        self.numbers.read(&self.bytes[row * width..][..width], to);
        if to.iter().all(|x| x.is_finite()) {
            return Ok(());
        }
        let at = format!("tensor `{}`", self.name);
        let why = format!("row {row} holds NaN or infinity: {AGAIN}");
        Err(Error::Gguf { path: self.path.clone(), at, why })
    }
}

/// Reads where a tensor lies.
fn place<R: std::io::Read>(
    cursor: &mut Cursor<'_, R>,
    path: &Path,
) -> Result<(String, Place), Error> {
    let name = cursor.text()?;
    let dimensions = cursor.u32()?;
    if !(1..=DIMENSIONS).contains(&dimensions) {
        let why =
            format!("tensor `{name}` has {dimensions} dimensions, 1 to {DIMENSIONS} are read");
        return Err(cursor.fault(why));
    }
    let shape = (0..dimensions).map(|_| cursor.u64()).collect::<Result<Vec<_>, _>>()?;
    let number = cursor.u32()?;
    let offset = cursor.u64()?;
    let fault = |why: String| Gguf::fault_at(path, &format!("tensor `{name}`"), why);
    let numbers = Numbers::of(number).ok_or_else(|| {
        fault(format!("its numbers are of type {number}, only {SUPPORTED} are read: fetch another"))
    })?;
    let (block, size) = numbers.block();
    let count = shape.iter().try_fold(1u64, |count, n| count.checked_mul(*n));
    let count = count.filter(|count| *count > 0 && shape[0].is_multiple_of(block as u64));
    let bytes = count.and_then(|count| (count / block as u64).checked_mul(size as u64));
    let Some(bytes) = bytes else {
        return Err(fault(format!("cannot have the shape {shape:?} as {numbers:?}: {AGAIN}")));
    };
    Ok((name, Place { shape, numbers, offset, bytes }))
}
