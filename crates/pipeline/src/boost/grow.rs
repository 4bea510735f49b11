//! One regression tree of gradients and curvatures: histograms, the best leaf splits first (as in `LightGBM`, Ke et al. 2017).
//!
//! A leaf's value is `-G / (H + l2)` and a split gains `G_l²/(H_l + l2) + G_r²/(H_r + l2) - G²/(H + l2)` (Chen and Guestrin 2016).
//! Histograms are summed feature by feature in the order of the rows: the same bits with any number of threads.

use rayon::prelude::*;

use super::bins::Binned;
use super::forest::{Fork, Tree};

/// The shape of a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Leaves at most.
    pub(super) leaves: usize,
    /// Rows a leaf has at least.
    pub(super) rows: usize,
    /// Added to the curvature of every leaf.
    pub(super) l2: f64,
}

/// Slope and curvature of the loss at a row.
pub(super) type Slope = [f32; 2];

/// Sums of one bin: slope, curvature, rows.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    slope: f64,
    curve: f64,
    rows: u32,
}

impl Cell {
    fn add(&mut self, other: Self) {
        self.slope += other.slope;
        self.curve += other.curve;
        self.rows += other.rows;
    }

    fn without(self, other: Self) -> Self {
        Self {
            slope: self.slope - other.slope,
            curve: self.curve - other.curve,
            rows: self.rows - other.rows,
        }
    }

    fn worth(self, l2: f64) -> f64 {
        self.slope * self.slope / (self.curve.max(0.0) + l2)
    }
}

/// Sums of all bins, `[features][bins]`.
type Cells = Vec<Vec<Cell>>;

/// The best question to ask of a leaf.
#[derive(Clone, Copy, Debug)]
struct Split {
    gain: f64,
    feature: usize,
    bin: usize,
}

struct Leaf {
    /// Where its rows lie in the order of rows.
    rows: std::ops::Range<usize>,
    cells: Cells,
    total: Cell,
    split: Option<Split>,
    /// The fork it hangs from, and on which side.
    parent: Option<(usize, usize)>,
}

/// What a tree is grown on.
struct Ground<'a> {
    data: &'a Binned,
    slopes: &'a [Slope],
    shape: Shape,
}

/// A grown tree and what each feature has gained.
pub(super) struct Grown {
    pub(super) tree: Tree,
    /// `[features]`.
    pub(super) gains: Vec<f64>,
}

/// Grows a tree on the rows that `order` lists, for `slopes: [rows]`; leaves are multiplied by `rate`.
pub(super) fn grow(
    data: &Binned,
    slopes: &[Slope],
    mut order: Vec<u32>,
    (shape, rate): (Shape, f32),
) -> Grown {
    let mut gains = vec![0.0; data.columns.len()];
    let mut forks: Vec<Fork> = Vec::new();
    let ground = Ground { data, slopes, shape };
    let cells = ground.count(&order);
    let mut leaves = vec![ground.leaf(0..order.len(), cells, None)];
    while leaves.len() < shape.leaves {
        let gain = |leaf: &Leaf| leaf.split.map_or(0.0, |split| split.gain);
        let best = (0..leaves.len())
            .max_by(|&a, &b| gain(&leaves[a]).total_cmp(&gain(&leaves[b])).then(b.cmp(&a)));
        let Some((at, split)) = best.and_then(|at| Some((at, leaves[at].split?))) else { break };
        gains[split.feature] += split.gain;
        let fork = forks.len();
        let threshold = data.edges[split.feature][split.bin];
        forks.push(Fork { feature: split.feature as u32, threshold, next: [0; 2] });
        let Leaf { rows, cells, parent, .. } = leaves.swap_remove(at);
        if let Some((above, side)) = parent {
            forks[above].next[side] = fork as i32;
        }
        let middle = rows.start + divide(data, split, &mut order[rows.clone()]);
        let (yes, no) = (rows.start..middle, middle..rows.end);
        // The smaller half is counted; the larger is what is left of the whole.
        let is_yes_small = yes.len() <= no.len();
        let (small, large) = if is_yes_small { (yes, no) } else { (no, yes) };
        let side = usize::from(!is_yes_small);
        let counted = ground.count(&order[small.clone()]);
        let rest = subtract(cells, &counted);
        let small = ground.leaf(small, counted, Some((fork, side)));
        let large = ground.leaf(large, rest, Some((fork, 1 - side)));
        leaves.extend([small, large]);
    }
    let mut values = Vec::with_capacity(leaves.len());
    for (number, leaf) in leaves.iter().enumerate() {
        if let Some((above, side)) = leaf.parent {
            forks[above].next[side] = !(number as i32);
        }
        let value = -leaf.total.slope / (leaf.total.curve.max(0.0) + shape.l2);
        values.push(rate * value as f32);
    }
    Grown { tree: Tree { forks, leaves: values }, gains }
}

impl Ground<'_> {
    /// Makes a leaf of the rows at `rows` in their order, with their sums.
    fn leaf(
        &self,
        rows: std::ops::Range<usize>,
        cells: Cells,
        parent: Option<(usize, usize)>,
    ) -> Leaf {
        let mut total = Cell::default();
        cells.first().into_iter().flatten().for_each(|cell| total.add(*cell));
        let split = best_split(&cells, total, self.shape);
        Leaf { rows, cells, total, split, parent }
    }

    /// Sums the slopes of `rows` bin by bin.
    fn count(&self, rows: &[u32]) -> Cells {
        let own: Vec<Slope> = rows.iter().map(|&row| self.slopes[row as usize]).collect();
        let column = |(column, edges): (&Vec<u8>, &Vec<f32>)| {
            let mut cells = vec![Cell::default(); edges.len()];
            for (&row, &[slope, curve]) in rows.iter().zip(&own) {
                let cell = &mut cells[usize::from(column[row as usize])];
                cell.slope += f64::from(slope);
                cell.curve += f64::from(curve);
                cell.rows += 1;
            }
            cells
        };
        self.data.columns.par_iter().zip(&self.data.edges).map(column).collect()
    }
}

fn subtract(mut whole: Cells, part: &Cells) -> Cells {
    for (whole, part) in whole.iter_mut().zip(part) {
        whole.iter_mut().zip(part).for_each(|(whole, part)| *whole = whole.without(*part));
    }
    whole
}

fn best_split(cells: &[Vec<Cell>], total: Cell, shape: Shape) -> Option<Split> {
    let mut best: Option<Split> = None;
    for (feature, cells) in cells.iter().enumerate() {
        let mut left = Cell::default();
        for (bin, cell) in cells.iter().enumerate().take(cells.len() - 1) {
            left.add(*cell);
            let right = total.without(left);
            if (left.rows.min(right.rows) as usize) < shape.rows {
                continue;
            }
            let gain = left.worth(shape.l2) + right.worth(shape.l2) - total.worth(shape.l2);
            if gain > best.map_or(1e-9, |best| best.gain) {
                best = Some(Split { gain, feature, bin });
            }
        }
    }
    best
}

/// Puts the rows of which the question is true before the others, both in their order; returns how many those are.
fn divide(data: &Binned, split: Split, rows: &mut [u32]) -> usize {
    let column = &data.columns[split.feature];
    let is_yes = |row: &u32| usize::from(column[*row as usize]) <= split.bin;
    let (yes, no): (Vec<u32>, Vec<u32>) = rows.iter().partition(|row| is_yes(row));
    rows[..yes.len()].copy_from_slice(&yes);
    rows[yes.len()..].copy_from_slice(&no);
    yes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { leaves: 4, rows: 1, l2: 0.0 };

    /// Least squares from 0: the slope is minus the wish, the curvature 1, so that leaves are means.
    fn fit(rows: &[f32], width: usize, wish: impl Fn(&[f32]) -> f32, shape: Shape) -> Grown {
        let slopes: Vec<Slope> = rows.chunks(width).map(|row| [-wish(row), 1.0]).collect();
        let order = (0..slopes.len() as u32).collect();
        grow(&Binned::new(rows, width), &slopes, order, (shape, 1.0))
    }

    #[test]
    fn a_function_of_two_features_is_found() {
        let rows: Vec<f32> = (0..64)
            .flat_map(|i| [(i % 8) as f32, (i / 8) as f32, ((i * 37) % 64) as f32])
            .collect();
        let wish = |row: &[f32]| match (row[0] > 2.0, row[1] > 5.0) {
            (false, _) => 1.0,
            (true, false) => 4.0,
            (true, true) => -2.0,
        };
        let Grown { tree, gains } = fit(&rows, 3, wish, SHAPE);
        for row in rows.chunks(3) {
            assert!((tree.value(row) - wish(row)).abs() < 1e-5, "{row:?}");
        }
        assert!(gains[0] > 0.0 && gains[1] > 0.0 && gains[2].abs() < 1e-9, "{gains:?}");
    }

    #[test]
    fn leaves_keep_enough_rows_and_nothing_to_learn_gives_one_leaf() {
        let rows: Vec<f32> = (0..20).map(|i| i as f32).collect();
        let edge = |row: &[f32]| f32::from(u8::from(row[0] > 18.0));
        let tree = fit(&rows, 1, edge, Shape { rows: 5, leaves: 2, ..SHAPE }).tree;
        assert!((tree.forks[0].threshold - 14.0).abs() < 1e-6, "{tree:?}");
        let flat = fit(&rows, 1, |_| 3.0, SHAPE).tree;
        assert_eq!((flat.forks.len(), flat.leaves.len()), (0, 1));
        assert!((flat.value(&[7.0]) - 3.0).abs() < 1e-6);
    }

    #[test]
    fn one_thread_and_two_grow_the_same_tree() {
        let rows: Vec<f32> = (0..4000).map(|i| ((i * 7919) % 997) as f32).collect();
        let wish = |row: &[f32]| (row[0] * 0.01).sin() + row[1] * 0.001;
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit(&rows, 4, wish, Shape { leaves: 16, ..SHAPE }).tree)
        };
        assert_eq!(on(1), on(2));
    }
}
