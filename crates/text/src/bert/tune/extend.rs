//! What is put into an encoder that it did not have: adapters, or a prefix.

use super::model::{TunableBert, TuneBlock, TuneState};
use super::places::Extras;
use crate::Error;
use crate::bert::tokenise::Tokens;

impl TunableBert {
    /// Puts two adapters of a width into every layer, which do nothing at first: their wide halves are 0, their narrow ones drawn
    /// by `draw`, which is told the number of inputs. An encoder that has adapters keeps them.
    pub fn add_adapters(
        &mut self,
        weights: &mut Vec<f32>,
        width: usize,
        mut draw: impl FnMut(&mut [f32], usize),
    ) -> Result<(), Error> {
        if self.extras.adapters > 0 {
            return Ok(());
        }
        self.add(weights, (width, 0))?;
        for tensor in &self.tensors {
            if tensor.part().ends_with("adapter.down.weight") {
                draw(&mut weights[tensor.range.clone()], tensor.shape[1]);
            }
        }
        Ok(())
    }

    /// Puts keys and values of so many tokens before those of every text. They start as those of the first tokens of `texts`, so
    /// that they are not strange to the encoder. An encoder that has a prefix keeps it.
    pub fn add_prefix(
        &mut self,
        weights: &mut Vec<f32>,
        tokens: usize,
        texts: &[Tokens],
    ) -> Result<(), Error> {
        if self.extras.prefix > 0 {
            return Ok(());
        }
        let mut rows = 0;
        let enough = |text: &&Tokens| {
            let is_needed = rows < tokens;
            rows += text.len();
            is_needed
        };
        let filled = texts.iter().filter(|text| !text.is_empty());
        let texts: Vec<&Tokens> = filled.take_while(enough).collect();
        let (hidden, mut state) = (self.dim(), TuneState::default());
        let mut vectors = vec![0.0; texts.len() * hidden];
        let block = TuneBlock { texts: &texts, ..TuneBlock::default() };
        self.forward(weights, block, &mut state, &mut vectors);
        self.add(weights, (0, tokens))?;
        for (layer, state) in state.layers.iter().enumerate() {
            let Some(at) = self.extras.keys(layer) else { continue };
            for which in 0..2 {
                let to = &mut weights[self.tensors[at + which].range.clone()];
                let rows = state.qkv.chunks_exact(3 * hidden).cycle();
                for (to, row) in to.chunks_exact_mut(hidden).zip(rows) {
                    to.copy_from_slice(&row[(1 + which) * hidden..(2 + which) * hidden]);
                }
            }
        }
        Ok(())
    }

    /// Adds the tensors, all 0.
    fn add(
        &mut self,
        weights: &mut Vec<f32>,
        (adapters, prefix): (usize, usize),
    ) -> Result<(), Error> {
        if self.extras != Extras::default() {
            let (path, field) = (self.dir.clone(), "tune.what");
            let found = if prefix > 0 {
                "a prefix for an encoder with adapters"
            } else {
                "adapters for an encoder with a prefix"
            };
            let supported = "one of the two";
            return Err(Error::Unsupported { path, field, found: found.to_owned(), supported });
        }
        if self.max_tokens + prefix > self.positions {
            let most = self.positions - self.max_tokens;
            return Err(Error::setting(
                "prefix",
                format!(
                    "must be at most {most} beside texts of {} tokens, is {prefix}",
                    self.max_tokens
                ),
            ));
        }
        let sizes = (self.dim(), self.n_layers());
        self.extras = Extras::add(&mut self.tensors, sizes, (adapters, prefix));
        weights.resize(self.tensors.last().map_or(0, |last| last.range.end), 0.0);
        Ok(())
    }
}
