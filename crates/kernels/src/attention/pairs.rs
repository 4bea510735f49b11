//! A bias of attention by the kind of a pair of positions, such as how much time lies between them: relative attention bias by
//! time, as in `TiSASRec` (Li et al. 2020) and HSTU (Zhai et al. 2024).

/// Kinds there can be at most.
const KINDS: usize = 1 << 8;

/// Kinds of the pairs of one sequence, and what each kind adds to the scores of a head.
#[derive(Clone, Copy, Debug, Default)]
pub struct PairBias<'a> {
    /// Kind of every pair, `[len, len]`, the position that sees first; empty for no bias.
    pub kinds: &'a [u8],
    /// `[heads, kinds]`, at most 256 kinds; a kind beyond the last one has no bias.
    pub bias: &'a [f32],
}

impl PairBias<'_> {
    /// Returns how many kinds have a bias.
    pub(super) fn width(&self, heads: usize, len: usize) -> usize {
        if self.kinds.is_empty() {
            return 0;
        }
        let width = self.bias.len() / heads;
        assert!(self.kinds.len() == len * len, "every pair has a kind");
        assert!(width * heads == self.bias.len() && width <= KINDS, "every head has all biases");
        width
    }
}

/// Adds `scale` times the bias of each pair's kind to a block of scores, rows of `len` of which `seen` count.
pub(super) fn add_bias(
    block: &mut [f32],
    kinds: &[u8],
    (len, seen): (usize, usize),
    (scale, bias): (f32, &[f32]),
) {
    let mut table = [0.0; KINDS];
    table.iter_mut().zip(bias).for_each(|(t, b)| *t = scale * b);
    for (row, kinds) in block.chunks_exact_mut(len).zip(kinds.chunks_exact(len)) {
        for (x, kind) in row[..seen].iter_mut().zip(kinds) {
            *x += table[usize::from(*kind)];
        }
    }
}

/// Adds up gradients of scores by the kind of their pair, where row `i` sees `width(i)` columns.
pub(super) fn add_by_kind(
    d_block: &[f32],
    kinds: &[u8],
    (len, width): (usize, impl Fn(usize) -> usize),
    d_bias: &mut [f32],
) {
    // Successive pairs are often of one kind: two sums do not wait for one another.
    let mut sums = [[0.0; KINDS]; 2];
    for (i, (d, kinds)) in d_block.chunks_exact(len).zip(kinds.chunks_exact(len)).enumerate() {
        for (at, (d, kind)) in d[..width(i)].iter().zip(kinds).enumerate() {
            sums[at % 2][usize::from(*kind)] += d;
        }
    }
    let [even, odd] = &sums;
    for ((b, x), y) in d_bias.iter_mut().zip(even).zip(odd) {
        *b += x + y;
    }
}
