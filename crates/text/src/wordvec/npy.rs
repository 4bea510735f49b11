//! A matrix of `f32` as `NumPy` writes it.

use std::path::Path;

use crate::Error;

/// Bytes before the header's length.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads `[rows, dim]` numbers from the bytes of a file; `path` is named in errors.
pub(super) fn matrix(path: &Path, bytes: &[u8]) -> Result<(usize, Vec<f32>), Error> {
    let fault = |why: &str| Error::Config { path: path.to_owned(), why: why.to_owned() };
    let odd =
        || fault("is no NumPy file that is read here: save a matrix of float32 with numpy.save");
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(odd)?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(odd()),
    };
    let (header, numbers) = rest.split_at_checked(length).ok_or_else(odd)?;
    let header = std::str::from_utf8(header).map_err(|_| odd())?;
    let header: String = header.chars().filter(|c| !c.is_whitespace()).collect();
    let is_plain = header.contains("'descr':'<f4'") && header.contains("'fortran_order':False");
    let shape = header.split_once("'shape':(").and_then(|(_, rest)| rest.split_once(')'));
    let shape: Option<Vec<usize>> =
        shape.and_then(|(shape, _)| shape.split(',').map(|n| n.parse().ok()).collect());
    let Some(&[rows, dim]) = shape.as_deref().filter(|_| is_plain) else { return Err(odd()) };
    let size = rows.checked_mul(dim).and_then(|n| n.checked_mul(4));
    if size != Some(numbers.len()) {
        return Err(fault("holds another number of bytes than its header says: fetch it again"));
    }
    let numbers = numbers.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x));
    Ok((dim, numbers.collect()))
}
