//! The keys and values of the tokens that were read, layer by layer.

/// What a model keeps of a text; grows with it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Keys and values, `[places, groups * dim]` each.
    pub(super) layers: Vec<(Vec<f32>, Vec<f32>)>,
    row: usize,
    places: usize,
}

impl Memory {
    pub(super) fn new(layers: usize, row: usize) -> Self {
        Self { layers: vec![(Vec::new(), Vec::new()); layers], row, places: 0 }
    }

    /// Returns how many tokens are kept.
    pub(crate) const fn len(&self) -> usize {
        self.places
    }

    /// Returns how many bytes they take.
    pub(crate) fn bytes(&self) -> usize {
        self.layers.iter().map(|(keys, values)| 4 * (keys.capacity() + values.capacity())).sum()
    }

    /// Forgets all but the first tokens.
    pub(crate) fn truncate(&mut self, places: usize) {
        self.places = self.places.min(places);
        let kept = self.places * self.row;
        for (keys, values) in &mut self.layers {
            keys.truncate(kept);
            values.truncate(kept);
        }
    }

    /// Counts the tokens that all layers have taken in.
    pub(super) const fn grown(&mut self, places: usize) {
        self.places += places;
    }
}
