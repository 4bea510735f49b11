//! Convolutions over the tokens of texts (Kim 2014): for every width filters over so many tokens in a row, of each filter the
//! greatest answer within the text, `relu`, and a linear layer over all of them; a text is zero before its start.
//!
//! `y = W relu(max_t (b + Σ_j K[j] x[t - width + 1 + j])) + c`. Shapes: `x: [tokens, dim]`, `y: [texts, output]`, between them
//! `[texts, widths * filters]`.

use tastemaker_kernels::{Activation, CausalConv, ConvGradients, ConvShape, ConvWeights, MaxPool};

use super::{Linear, Work};
use crate::params::{Init, Layout, Span};

/// Sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextCnnShape<'a> {
    /// Width of a token's vector.
    pub(crate) dim: usize,
    /// Tokens in a row that a filter sees.
    pub(crate) widths: &'a [usize],
    /// Filters of each width.
    pub(crate) filters: usize,
    pub(crate) output: usize,
    /// Deviation of an output at the start, about.
    pub(crate) deviation: f32,
}

/// The layer's places in the run of parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TextCnn {
    dim: usize,
    filters: usize,
    /// Width, kernel and bias.
    widths: Vec<(usize, Span, Span)>,
    out: Linear,
}

/// What a forward pass leaves for the backward pass. Reused from call to call.
#[derive(Clone, Debug, Default)]
pub(crate) struct TextCnnState {
    convs: Vec<(CausalConv, MaxPool)>,
    /// Of one width: `[tokens, filters]` and `[texts, filters]`.
    answers: Vec<f32>,
    greatest: Vec<f32>,
    /// Of all widths, before and after the activation.
    pooled: Vec<f32>,
    active: Vec<f32>,
    d_active: Vec<f32>,
    d_one: Vec<f32>,
}

impl TextCnn {
    pub(crate) fn new(layout: &mut Layout, shape: TextCnnShape<'_>) -> Self {
        let TextCnnShape { dim, widths, filters, output, deviation } = shape;
        let mut add = |width: &usize| {
            let (width, init) = (*width, Init::xavier(width * dim, filters));
            // The place keeps names apart where a width is there twice.
            let name = format!("text.{}", layout.len());
            let kernel = layout.add(format!("{name}.weight"), filters * width * dim, init);
            let bias = layout.add(format!("{name}.bias"), filters, Init::Constant(0.0));
            (width, kernel, bias)
        };
        let spans = widths.iter().map(&mut add).collect();
        let input = filters * widths.len();
        let init = Init::Normal(deviation / (input as f32).sqrt());
        let out = Linear::with_init(layout, "text.out", (input, output), init);
        Self { dim, filters, widths: spans, out }
    }

    /// Returns about how many numbers a state holds for so many tokens.
    pub(crate) fn floats(&self, tokens: usize) -> usize {
        // The convolutions copy their windows, forward and backward.
        let windows: usize = self.widths.iter().map(|(width, ..)| 2 * width * self.dim).sum();
        tokens * (windows + 6 * self.filters * self.widths.len() + 2 * self.dim)
    }

    const fn wide(&self) -> usize {
        self.filters * self.widths.len()
    }

    /// Overwrites `y: [texts, output]`.
    pub(crate) fn forward(
        &self,
        work: &Work<'_>,
        x: &[f32],
        y: &mut [f32],
        state: &mut TextCnnState,
    ) {
        let Work { parameters, offsets, dropout, .. } = *work;
        let (filters, wide, texts) = (self.filters, self.wide(), offsets.len() - 1);
        let s = state;
        if s.convs.len() != self.widths.len() {
            let conv = |(width, ..): &(usize, Span, Span)| {
                CausalConv::new(ConvShape { width: *width, input: self.dim, output: filters })
            };
            s.convs = self.widths.iter().map(|w| (conv(w), MaxPool::default())).collect();
        }
        s.answers.resize(x.len() / self.dim * filters, 0.0);
        s.greatest.resize(texts * filters, 0.0);
        s.pooled.resize(texts * wide, 0.0);
        s.active.resize(texts * wide, 0.0);
        for (at, ((_, kernel, bias), (conv, pool))) in
            self.widths.iter().zip(&mut s.convs).enumerate()
        {
            let weights = ConvWeights { kernel: kernel.of(parameters), bias: bias.of(parameters) };
            conv.forward(&weights, offsets, x, &mut s.answers);
            pool.forward(offsets, filters, &s.answers, &mut s.greatest);
            let rows = s.pooled.chunks_exact_mut(wide).zip(s.greatest.chunks_exact(filters));
            rows.for_each(|(to, from)| to[at * filters..][..filters].copy_from_slice(from));
        }
        Activation::Relu.forward(&s.pooled, &mut s.active);
        dropout.apply(0, &mut s.active);
        self.out.forward(parameters, &s.active, y);
    }

    /// Overwrites `dx: [tokens, dim]` and adds the gradients of the parameters, given those of the outputs.
    pub(crate) fn backward(
        &self,
        work: &Work<'_>,
        (dy, dx): (&[f32], &mut [f32]),
        gradients: &mut [f32],
        state: &mut TextCnnState,
    ) {
        let Work { parameters, dropout, .. } = *work;
        let (filters, wide) = (self.filters, self.wide());
        let s = state;
        s.d_active.resize(s.active.len(), 0.0);
        self.out.backward((parameters, gradients), &s.active, dy, (0.0, &mut s.d_active));
        dropout.apply(0, &mut s.d_active);
        Activation::Relu.backward(&s.pooled, &mut s.d_active);
        s.d_one.resize(dx.len(), 0.0);
        dx.fill(0.0);
        for (at, ((_, kernel, bias), (conv, pool))) in
            self.widths.iter().zip(&mut s.convs).enumerate()
        {
            let weights = ConvWeights { kernel: kernel.of(parameters), bias: bias.of(parameters) };
            let rows = s.greatest.chunks_exact_mut(filters).zip(s.d_active.chunks_exact(wide));
            rows.for_each(|(to, from)| to.copy_from_slice(&from[at * filters..][..filters]));
            pool.backward(&s.greatest, &mut s.answers);
            let [kernel, bias] = kernel.both(*bias, gradients);
            conv.backward(&weights, &s.answers, &mut s.d_one, &mut ConvGradients { kernel, bias });
            dx.iter_mut().zip(&s.d_one).for_each(|(dx, d)| *dx += d);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Dropout;

    fn layer(
        (dim, widths, filters): (usize, &[usize], usize),
        output: usize,
    ) -> (TextCnn, Vec<f32>) {
        let mut layout = Layout::default();
        let shape = TextCnnShape { dim, widths, filters, output, deviation: 1.0 };
        let layer = TextCnn::new(&mut layout, shape);
        let mut parameters = layout.start(3);
        parameters.iter_mut().enumerate().for_each(|(i, x)| *x += 0.1 * (i as f32).sin());
        (layer, parameters)
    }

    #[test]
    fn two_texts_by_hand() {
        let (layer, _) = layer((1, &[1, 2], 1), 1);
        // Width 1: K = 2, b = -1; width 2: K = (-1, 1), b = 0; out = 10 · + 1 · + 0.5.
        let parameters = [2.0, -1.0, -1.0, 1.0, 0.0, 10.0, 1.0, 0.5];
        let work = |offsets| Work {
            parameters: &parameters,
            offsets,
            kinds: &[],
            dropout: Dropout::default(),
        };
        let (mut y, mut state) = ([0.0; 3], TextCnnState::default());
        // 3 1 4: the greatest of 5 1 7 is 7, of 3 -2 3 it is 3. Then -2: -5 and -2, which are cut off. Then no token at all.
        let x = [3.0, 1.0, 4.0, -2.0];
        layer.forward(&work(&[0, 3, 4, 4]), &x, &mut y, &mut state);
        for (y, want) in y.iter().zip([73.5, 0.5, 0.5]) {
            assert!((y - want).abs() < 1e-5, "{y} {want}");
        }
    }

    #[test]
    fn gradients_equal_numeric_ones_for_texts_of_any_length() {
        for lens in [&[1][..], &[1, 1], &[5, 0, 2, 9], &[0]] {
            for dropout in [Dropout::default(), Dropout { rate: 0.3, key: 5 }] {
                check(lens, (3, &[1, 2, 4], 5), dropout);
                check(lens, (1, &[3, 3], 2), dropout);
            }
        }
    }

    fn check(lens: &[usize], sizes: (usize, &[usize], usize), dropout: Dropout) {
        let (layer, mut parameters) = layer(sizes, 4);
        let mut offsets = vec![0];
        lens.iter().for_each(|len| offsets.push(offsets[offsets.len() - 1] + len));
        let tokens = offsets[lens.len()];
        let mut x: Vec<f32> = (0..tokens * sizes.0).map(|i| (i as f32 * 0.7).sin()).collect();
        let dy: Vec<f32> = (0..lens.len() * 4).map(|i| (i as f32 * 1.3).cos()).collect();
        let loss = |parameters: &[f32], x: &[f32], state: &mut TextCnnState| -> f64 {
            let mut y = vec![f32::NAN; dy.len()];
            layer.forward(
                &Work { parameters, offsets: &offsets, kinds: &[], dropout },
                x,
                &mut y,
                state,
            );
            y.iter().zip(&dy).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum()
        };
        let mut state = TextCnnState::default();
        loss(&parameters, &x, &mut state);
        let (mut dx, mut gradients) = (vec![f32::NAN; x.len()], vec![0.0; parameters.len()]);
        let work = Work { parameters: &parameters, offsets: &offsets, kinds: &[], dropout };
        layer.backward(&work, (&dy, &mut dx), &mut gradients, &mut state);
        // Small, so that few kinks lie within it.
        let step = 1e-4;
        let agree = |got: f32, above: f64, below: f64, what: String| {
            let want = (above - below) / f64::from(2.0 * step);
            assert!(
                (f64::from(got) - want).abs() < 1e-2 * (1.0 + want.abs()),
                "{what} {got} {want}"
            );
        };
        for i in 0..x.len() {
            let mut at = |by: f32| {
                x[i] += by;
                let loss = loss(&parameters, &x, &mut TextCnnState::default());
                x[i] -= by;
                loss
            };
            agree(dx[i], at(step), at(-step), format!("x {i}"));
        }
        for i in 0..parameters.len() {
            let mut at = |by: f32| {
                parameters[i] += by;
                let loss = loss(&parameters, &x, &mut TextCnnState::default());
                parameters[i] -= by;
                loss
            };
            agree(gradients[i], at(step), at(-step), format!("parameter {i}"));
        }
    }
}
