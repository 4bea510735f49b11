//! Dot products and weighted sums of rows: what the linear models spend their time on.
//! Compiled for AVX-512, AVX2 and the plain machine, chosen at run time; sums run in fixed lanes, so that a result
//! depends on the machine alone.

use multiversion::multiversion;
use multiversion::target::selected_target;
use multiversion::target_features::TargetFeatures;

/// Floats summed side by side.
const LANES: usize = 16;
/// Rows read together, so that their loads and sums overlap.
const ROWS: usize = 8;

type Lane = [f32; LANES];

/// Tells whether a fused multiplication and addition is one instruction.
const fn has_fma(target: TargetFeatures) -> bool {
    #[cfg(target_arch = "x86_64")]
    return target.contains(multiversion::target_features::x86_64::FMA);
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64") && target.contains(TargetFeatures::empty());
}

#[inline(always)]
fn fused(fma: bool, a: f32, b: f32, c: f32) -> f32 {
    // `mul_add` without the instruction is a call into libm.
    if fma { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn add_product(fma: bool, sum: &mut Lane, a: &Lane, b: &Lane) {
    for ((s, a), b) in sum.iter_mut().zip(a).zip(b) {
        *s = fused(fma, *a, *b, *s);
    }
}

#[inline(always)]
fn total(mut lane: Lane) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for x in 0..width {
            lane[x] += lane[x + width];
        }
        width /= 2;
    }
    lane[0]
}

/// Returns the dot product.
///
/// # Panics
/// When the lengths differ.
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let fma = has_fma(selected_target!());
    assert_eq!(a.len(), b.len(), "the operands of a dot product have equal length");
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sum = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        add_product(fma, &mut sum, a, b);
    }
    a_rest.iter().zip(b_rest).fold(total(sum), |s, (a, b)| fused(fma, *a, *b, s))
}

/// Rows of a matrix that are multiplied with a vector together.
pub(super) const ABREAST: usize = 4;

/// Computes `out = matrix · x` with `matrix: [out.len(), x.len()]`, row after row.
///
/// # Panics
/// When the matrix has not the shape of the vectors.
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
pub(super) fn matrix_vector(matrix: &[f32], x: &[f32], out: &mut [f32]) {
    let fma = has_fma(selected_target!());
    let dim = x.len();
    assert_eq!(matrix.len(), dim * out.len(), "the matrix has the shape of its vectors");
    if dim == 0 {
        return out.fill(0.0);
    }
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let rest = |sum: Lane, row: &[f32]| {
        let row = row[x_chunks.len() * LANES..].iter().zip(x_rest);
        row.fold(total(sum), |s, (a, b)| fused(fma, *a, *b, s))
    };
    let (groups, last) = out.as_chunks_mut::<ABREAST>();
    let (full, remaining) = matrix.split_at(groups.len() * ABREAST * dim);
    for (out, rows) in groups.iter_mut().zip(full.chunks_exact(ABREAST * dim)) {
        let row = |r: usize| &rows[r * dim..][..dim];
        let chunks: [_; ABREAST] =
            std::array::from_fn(|r| &row(r).as_chunks::<LANES>().0[..x_chunks.len()]);
        let mut sums = [[0.0; LANES]; ABREAST];
        for (c, x) in x_chunks.iter().enumerate() {
            for (sum, row) in sums.iter_mut().zip(&chunks) {
                add_product(fma, sum, &row[c], x);
            }
        }
        for (r, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
            *out = rest(sum, row(r));
        }
    }
    for (out, row) in last.iter_mut().zip(remaining.chunks_exact(dim)) {
        let mut sum = [0.0; LANES];
        for (row, x) in row.as_chunks::<LANES>().0.iter().zip(x_chunks) {
            add_product(fma, &mut sum, row, x);
        }
        *out = rest(sum, row);
    }
}

/// Computes `y += alpha * x`.
///
/// # Panics
/// When the lengths differ.
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
pub fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    let fma = has_fma(selected_target!());
    assert_eq!(x.len(), y.len(), "a vector is added to one of its length");
    for (y, x) in y.iter_mut().zip(x) {
        *y = fused(fma, alpha, *x, *y);
    }
}

/// Rows of a row-major matrix `[_, dim]`, chosen by number and weighed: a sparse vector times the matrix.
#[derive(Clone, Copy, Debug)]
pub struct WeightedRows<'a> {
    /// The matrix, row after row.
    pub matrix: &'a [f32],
    /// Width of a row.
    pub dim: usize,
    /// Numbers of the chosen rows.
    pub ids: &'a [u32],
    /// A weight for each chosen row.
    pub weights: &'a [f32],
}

impl<'a> WeightedRows<'a> {
    /// Computes `out += sum of weight * row`.
    ///
    /// # Panics
    /// When `out` is not `dim` wide, ids and weights differ in number, or a row lies outside the matrix.
    pub fn add_to(&self, out: &mut [f32]) {
        self.check(out.len());
        add_rows(self, out);
    }

    /// Computes `out += sum of weight * (row · x) * row`: the product of a sum of outer products with `x`.
    ///
    /// # Panics
    /// As [`add_to`](Self::add_to), and when `x` is not `dim` wide.
    pub fn add_product_to(&self, x: &[f32], out: &mut [f32]) {
        self.check(out.len());
        assert_eq!(x.len(), self.dim, "a product has the width of the rows");
        add_outer_products(self, None, x, out);
    }

    /// Computes `out += sum of (wanted - weight * (row · x)) * row`: what is left to explain after `x`.
    ///
    /// # Panics
    /// As [`add_product_to`](Self::add_product_to), and when the wanted and the rows differ in number.
    pub fn add_residual_to(&self, wanted: &[f32], x: &[f32], out: &mut [f32]) {
        self.check(out.len());
        assert_eq!(x.len(), self.dim, "a product has the width of the rows");
        assert_eq!(wanted.len(), self.ids.len(), "every row has a wanted value");
        add_outer_products(self, Some(wanted), x, out);
    }

    fn check(&self, out: usize) {
        assert_eq!(out, self.dim, "a sum of rows has their width");
        assert_eq!(self.ids.len(), self.weights.len(), "every row has a weight");
    }

    #[inline(always)]
    fn row(&self, id: u32) -> &'a [f32] {
        &self.matrix[id as usize * self.dim..][..self.dim]
    }

    /// Cuts the list into groups of `ROWS`; the rest comes one by one.
    #[inline(always)]
    fn groups(&self) -> (impl Iterator<Item = Group<'a>>, impl Iterator<Item = (&'a [f32], f32)>) {
        let this = *self;
        let (ids, ids_rest) = this.ids.as_chunks::<ROWS>();
        let (weights, weights_rest) = this.weights.as_chunks::<ROWS>();
        let groups = ids.iter().zip(weights).map(move |(ids, weights)| Group {
            rows: ids.map(|id| this.row(id)),
            weights: *weights,
        });
        let rest = ids_rest.iter().zip(weights_rest).map(move |(id, w)| (this.row(*id), *w));
        (groups, rest)
    }
}

struct Group<'a> {
    rows: [&'a [f32]; ROWS],
    weights: [f32; ROWS],
}

#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
fn add_rows(rows: &WeightedRows<'_>, out: &mut [f32]) {
    let fma = has_fma(selected_target!());
    let (groups, rest) = rows.groups();
    for group in groups {
        add_group(fma, &group, out);
    }
    for (row, weight) in rest {
        for (out, x) in out.iter_mut().zip(row) {
            *out = fused(fma, weight, *x, *out);
        }
    }
}

#[inline(always)]
fn add_group(fma: bool, group: &Group<'_>, out: &mut [f32]) {
    let (out, out_rest) = out.as_chunks_mut::<LANES>();
    let n = out.len();
    let rows = group.rows.map(|row| &row.as_chunks::<LANES>().0[..n]);
    for (c, out) in out.iter_mut().enumerate() {
        let mut sum = *out;
        for (row, weight) in rows.iter().zip(group.weights) {
            for (s, x) in sum.iter_mut().zip(&row[c]) {
                *s = fused(fma, weight, *x, *s);
            }
        }
        *out = sum;
    }
    let rests = group.rows.map(|row| &row[n * LANES..]);
    for (x, out) in out_rest.iter_mut().enumerate() {
        for (row, weight) in rests.iter().zip(group.weights) {
            *out = fused(fma, weight, row[x], *out);
        }
    }
}

/// Adds `weight * (row · x)` of every row, or what is wanted less that.
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
fn add_outer_products(rows: &WeightedRows<'_>, wanted: Option<&[f32]>, x: &[f32], out: &mut [f32]) {
    let fma = has_fma(selected_target!());
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let (groups, rest) = rows.groups();
    let mut at = 0;
    for mut group in groups {
        let chunks = group.rows.map(|row| &row.as_chunks::<LANES>().0[..x_chunks.len()]);
        let mut sums = [[0.0; LANES]; ROWS];
        for (c, x) in x_chunks.iter().enumerate() {
            for (sum, row) in sums.iter_mut().zip(&chunks) {
                add_product(fma, sum, &row[c], x);
            }
        }
        for ((weight, sum), row) in group.weights.iter_mut().zip(sums).zip(group.rows) {
            let rest = row[x_chunks.len() * LANES..].iter().zip(x_rest);
            *weight *= rest.fold(total(sum), |s, (a, b)| fused(fma, *a, *b, s));
        }
        if let Some(wanted) = wanted {
            for (weight, wanted) in group.weights.iter_mut().zip(&wanted[at..]) {
                *weight = wanted - *weight;
            }
        }
        at += ROWS;
        add_group(fma, &group, out);
    }
    for (row, weight) in rest {
        let (row_chunks, row_rest) = row.as_chunks::<LANES>();
        let mut sum = [0.0; LANES];
        for (row, x) in row_chunks.iter().zip(x_chunks) {
            add_product(fma, &mut sum, row, x);
        }
        let rest = row_rest.iter().zip(x_rest);
        let product = weight * rest.fold(total(sum), |s, (a, b)| fused(fma, *a, *b, s));
        let weight = wanted.map_or(product, |wanted| wanted[at] - product);
        at += 1;
        for (out, x) in out.iter_mut().zip(row) {
            *out = fused(fma, weight, *x, *out);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() <= 1e-4 * (1.0 + a.abs().max(b.abs()))
    }

    #[test]
    fn a_dot_product_and_a_sum_by_hand() {
        // 1·4 + 2·5 + 3·6 = 32
        assert!(close(dot(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), 32.0));
        let mut y = [1.0, 1.0];
        axpy(2.0, &[3.0, 4.0], &mut y);
        assert!(close(y[0], 7.0) && close(y[1], 9.0));
    }

    #[test]
    fn weighted_rows_by_hand() {
        let rows = WeightedRows {
            matrix: &[1.0, 0.0, 9.0, 9.0, 1.0, 2.0],
            dim: 2,
            ids: &[0, 2],
            weights: &[3.0, 0.5],
        };
        let mut sum = [0.0; 2];
        rows.add_to(&mut sum);
        // 3·(1, 0) + ½·(1, 2)
        assert!(close(sum[0], 3.5) && close(sum[1], 1.0));
        let mut product = [0.0; 2];
        rows.add_product_to(&[1.0, 1.0], &mut product);
        // 3·1·(1, 0) + ½·3·(1, 2)
        assert!(close(product[0], 4.5) && close(product[1], 3.0));
        let mut residual = [0.0; 2];
        rows.add_residual_to(&[5.0, 1.0], &[1.0, 1.0], &mut residual);
        // (5 - 3·1)·(1, 0) + (1 - ½·3)·(1, 2)
        assert!(close(residual[0], 1.5) && close(residual[1], -1.0));
    }

    proptest! {
        #[test]
        fn any_width_and_number_of_rows_equals_the_plain_sum(dim in 1usize..70, n in 0usize..40, seed in 0u32..1000) {
            let at = |x: usize| ((x as f32 + 1.0) * (seed as f32 + 0.7)).sin();
            let matrix: Vec<f32> = (0..9 * dim).map(at).collect();
            let ids: Vec<u32> = (0..n).map(|x| (x * 5 % 9) as u32).collect();
            let weights: Vec<f32> = (0..n).map(|i| at(i) + 0.5).collect();
            let x: Vec<f32> = (0..dim).map(|c| at(c * 3)).collect();
            let rows = WeightedRows { matrix: &matrix, dim, ids: &ids, weights: &weights };
            let (mut sum, mut product) = (vec![1.0; dim], vec![1.0; dim]);
            let mut residual = vec![1.0; dim];
            rows.add_residual_to(&weights, &x, &mut residual);
            rows.add_to(&mut sum);
            rows.add_product_to(&x, &mut product);
            let (mut plain_sum, mut plain_product) = (vec![1.0; dim], vec![1.0; dim]);
            for (id, weight) in ids.iter().zip(&weights) {
                let row = &matrix[*id as usize * dim..][..dim];
                let along: f32 = row.iter().zip(&x).map(|(a, b)| a * b).sum();
                prop_assert!(close(dot(row, &x), along));
                for c in 0..dim {
                    plain_sum[c] += weight * row[c];
                    plain_product[c] += weight * along * row[c];
                }
            }
            prop_assert!(sum.iter().zip(&plain_sum).all(|(a, b)| close(*a, *b)));
            prop_assert!(product.iter().zip(&plain_product).all(|(a, b)| close(*a, *b)));
            let plain_residual = plain_sum.iter().zip(&plain_product).map(|(sum, product)| 1.0 + sum - product);
            prop_assert!(residual.iter().zip(plain_residual).all(|(a, b)| (a - b).abs() < 1e-3));
        }
    }
}
