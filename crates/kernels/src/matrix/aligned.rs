//! Memory that begins with a cache line: rows of 64 bytes then never lie across two, which tiles take twice as long to load.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
const LINE: usize = 64;

/// A buffer of numbers from a cache line on.
#[derive(Debug, Default)]
pub(crate) struct Aligned<T> {
    buffer: Vec<T>,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// Makes it this long; what it holds is anything.
    pub(crate) fn resize(&mut self, len: usize) {
        self.buffer.resize(len + LINE / size_of::<T>(), T::default());
        self.len = len;
    }

    /// Makes it this long and fills it.
    pub(crate) fn fill_with(&mut self, len: usize, value: T) {
        self.resize(len);
        self.fill(value);
    }

    /// Returns where the first line begins.
    fn start(&self) -> usize {
        // The offset may be called unknown, and then nothing is gained or lost.
        self.buffer.as_ptr().align_offset(LINE).min(self.buffer.len() - self.len)
    }
}

impl<T: Copy + Default> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        if self.len > 0 {
            clone.resize(self.len);
            clone.copy_from_slice(self);
        }
        clone
    }
}

impl<T: Copy + Default> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let start = self.start();
        &self.buffer[start..start + self.len]
    }
}

impl<T: Copy + Default> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let start = self.start();
        &mut self.buffer[start..start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_a_line_and_a_copy_holds_the_same() {
        let mut buffer = Aligned::<u16>::default();
        assert!(buffer.is_empty() && buffer.clone().is_empty());
        for len in [1, 33, 70_000] {
            buffer.fill_with(len, 7);
            buffer[len - 1] = 9;
            for copy in [&buffer, &buffer.clone()] {
                assert!(
                    copy.len() == len
                        && copy[len - 1] == 9
                        && copy[..len - 1].iter().all(|&x| x == 7)
                );
                assert!(copy.as_ptr().addr().is_multiple_of(LINE));
            }
        }
    }
}
