//! What is to be taken from a model: heads, whose mean stays in their place, and layers.

/// What is to be taken away. Layers and heads are counted as the model has them.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Layer by layer, head by head, what stands in for a head that is taken: the mean of what it gave.
    means: Vec<Vec<Option<Vec<f32>>>>,
    is_gone: Vec<bool>,
}

impl Plan {
    /// Takes nothing from a model whose layers have so many heads.
    pub(super) fn new(heads: &[usize]) -> Self {
        let means = heads.iter().map(|&heads| vec![None; heads]).collect();
        Self { means, is_gone: vec![false; heads.len()] }
    }

    /// Takes a head.
    pub(super) fn take_head(&mut self, (layer, head): (usize, usize), mean: Vec<f32>) {
        self.means[layer][head] = Some(mean);
    }

    /// Takes a layer.
    pub(super) fn take_layer(&mut self, layer: usize) {
        self.is_gone[layer] = true;
    }

    /// Tells whether a layer stays.
    pub(super) fn has_layer(&self, layer: usize) -> bool {
        !self.is_gone[layer]
    }

    /// Lists the layers that stay.
    pub(super) fn layers(&self) -> Vec<usize> {
        (0..self.is_gone.len()).filter(|&layer| self.has_layer(layer)).collect()
    }

    /// Lists the heads of a layer that stay.
    pub(super) fn heads(&self, layer: usize) -> Vec<usize> {
        let heads = self.means[layer].iter().enumerate();
        heads.filter(|(_, mean)| mean.is_none()).map(|(head, _)| head).collect()
    }

    /// Lists the heads of a layer that are taken, with what stands in for them.
    pub(super) fn taken(&self, layer: usize) -> impl Iterator<Item = (usize, &[f32])> {
        let heads = self.means[layer].iter().enumerate();
        heads.filter_map(|(head, mean)| Some((head, mean.as_deref()?)))
    }

    /// Puts the means in the place of the heads that are taken; `rows: [tokens, heads * width]` is what the heads gave.
    pub(super) fn mute(&self, layer: usize, width: usize, rows: &mut [f32]) {
        let stride = self.means[layer].len() * width;
        for (head, mean) in self.taken(layer) {
            put(rows, (stride, head * width), mean);
        }
    }
}

/// Writes `mean` into every row, from column `from` on.
pub(super) fn put(rows: &mut [f32], (stride, from): (usize, usize), mean: &[f32]) {
    for row in rows.chunks_exact_mut(stride) {
        row[from..from + mean.len()].copy_from_slice(mean);
    }
}
