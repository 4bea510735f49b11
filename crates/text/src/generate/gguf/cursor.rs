//! Reads the numbers and texts of a header, and never more than the file has.

use std::io::{BufReader, Read};
use std::path::Path;

use super::value::{Kind, Value};
use crate::Error;

/// Bytes of a text, at most.
const TEXT: u64 = 1 << 22;
/// Entries of a list that is kept, at most.
const LIST: u64 = 1 << 22;
/// Bytes of a header, at most.
const HEADER: u64 = 1 << 28;

pub(super) struct Cursor<'a, R> {
    path: &'a Path,
    inner: BufReader<R>,
    at: u64,
    /// Where the header must have ended.
    end: u64,
}

impl<'a, R: Read> Cursor<'a, R> {
    pub(super) fn new(path: &'a Path, inner: R, size: u64) -> Self {
        Self { path, inner: BufReader::new(inner), at: 0, end: size.min(HEADER) }
    }

    /// Returns how many bytes were read.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Returns how many may still be read.
    pub(super) const fn left(&self) -> u64 {
        self.end - self.at
    }

    /// Makes the error of what stands here.
    pub(super) fn fault(&self, why: impl Into<String>) -> Error {
        Error::Gguf { path: self.path.to_owned(), at: format!("byte {}", self.at), why: why.into() }
    }

    fn claim(&mut self, bytes: u64) -> Result<(), Error> {
        if bytes > self.left() {
            let why = if self.end == HEADER {
                format!("the header goes on beyond the limit of {HEADER} bytes")
            } else {
                format!("{bytes} bytes should follow, the file has {}", self.left())
            };
            return Err(self.fault(why));
        }
        self.at += bytes;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(Error::read(self.path))?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// Reads a text.
    pub(super) fn text(&mut self) -> Result<String, Error> {
        let length = self.u64()?;
        if length > TEXT {
            return Err(
                self.fault(format!("a text of {length} bytes, more than the limit of {TEXT}"))
            );
        }
        self.claim(length)?;
        let mut bytes = Vec::new();
        let read = (&mut self.inner).take(length).read_to_end(&mut bytes);
        let read = read.map_err(Error::read(self.path))?;
        if read as u64 != length {
            return Err(self.fault("the file became shorter while it was read"));
        }
        String::from_utf8(bytes).map_err(|_| self.fault("a text is no UTF-8"))
    }

    pub(super) fn kind(&mut self) -> Result<Kind, Error> {
        let number = self.u32()?;
        Kind::of(number).ok_or_else(|| self.fault(format!("a value of the unknown type {number}")))
    }

    /// Reads a value.
    pub(super) fn value(&mut self, kind: Kind) -> Result<Value, Error> {
        if kind != Kind::List {
            return self.scalar(kind);
        }
        let kind = self.kind()?;
        let count = self.u64()?;
        let least = kind.least_bytes().saturating_mul(count);
        if least > self.left() {
            return Err(self.fault(format!("a list of {count} values, more than the file holds")));
        }
        if kind == Kind::List {
            return Err(self.fault("a list of lists, which no model needs"));
        }
        if count > LIST {
            return Err(
                self.fault(format!("a list of {count} values, more than the limit of {LIST}"))
            );
        }
        match kind {
            Kind::Text => {
                (0..count).map(|_| self.text()).collect::<Result<_, _>>().map(Value::Texts)
            }
            Kind::Integer { .. } => {
                let mut all = Vec::new();
                for _ in 0..count {
                    let Value::Integer(number) = self.scalar(kind)? else { continue };
                    let number =
                        i64::try_from(number).map_err(|_| self.fault("a number above 2^63"))?;
                    all.push(number);
                }
                Ok(Value::Integers(all))
            }
            _ => {
                (0..count).try_for_each(|_| self.scalar(kind).map(drop))?;
                Ok(Value::Passed(count))
            }
        }
    }

    fn scalar(&mut self, kind: Kind) -> Result<Value, Error> {
        Ok(match kind {
            Kind::Integer { bytes, signed } => {
                let number = match bytes {
                    1 => u64::from(self.bytes::<1>()?[0]),
                    2 => u64::from(u16::from_le_bytes(self.bytes()?)),
                    4 => u64::from(self.u32()?),
                    _ => self.u64()?,
                };
                let unused = 64 - 8 * u32::from(bytes);
                Value::Integer(if signed {
                    // The sign bit of the narrow number is spread.
                    i128::from((number << unused).cast_signed() >> unused)
                } else {
                    i128::from(number)
                })
            }
            Kind::Float { bytes: 4 } => Value::Float(f64::from(f32::from_le_bytes(self.bytes()?))),
            Kind::Float { .. } => Value::Float(f64::from_le_bytes(self.bytes()?)),
            Kind::Bool => Value::Bool(self.bytes::<1>()?[0] != 0),
            Kind::Text | Kind::List => Value::Text(self.text()?),
        })
    }
}
