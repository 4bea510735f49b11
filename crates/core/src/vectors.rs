//! Dense vectors in rows: one per item or per text.

/// A row-major matrix `[rows, dim]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vectors {
    dim: usize,
    data: Vec<f32>,
}

impl Vectors {
    /// Makes `rows` zero vectors.
    pub fn zeros(rows: usize, dim: usize) -> Self {
        Self { dim, data: vec![0.0; rows * dim] }
    }

    /// Takes a row-major buffer, or returns `None` when its length is not a multiple of `dim`.
    pub fn from_flat(dim: usize, data: Vec<f32>) -> Option<Self> {
        (dim > 0 && data.len().is_multiple_of(dim)).then_some(Self { dim, data })
    }

    /// Counts the vectors.
    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.dim).unwrap_or(0)
    }

    /// Returns the width of a vector.
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// Returns vector `row`.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.dim..(row + 1) * self.dim]
    }

    /// Returns vector `row` for writing.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.dim..(row + 1) * self.dim]
    }

    /// Returns all values, row after row.
    pub fn flat(&self) -> &[f32] {
        &self.data
    }

    /// Returns all values for writing, row after row.
    pub fn flat_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Appends the rows of `other`.
    ///
    /// # Panics
    /// When the widths differ.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(self.dim, other.dim, "appended vectors have the same width");
        self.data.extend_from_slice(&other.data);
    }

    /// Scales every row to length 1; zero rows stay zero.
    pub fn normalise(&mut self) {
        for row in self.data.chunks_exact_mut(self.dim.max(1)) {
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            if length > 0.0 {
                row.iter_mut().for_each(|x| *x /= length);
            }
        }
    }
}
