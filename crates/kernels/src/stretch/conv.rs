//! Causal convolution over ragged sequences: `y[t] = b + sum over j of K[j] x[t - width + 1 + j]`, where a sequence is
//! zero before its start and sees nothing of its neighbours. Windows are copied side by side, then it is one product.

use crate::{Layout, Packed, Rows, axpy, gemm};

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Positions seen at once: the present one and `width - 1` before it.
    pub width: usize,
    /// Width of an input.
    pub input: usize,
    /// Width of an output.
    pub output: usize,
}

/// Borrows the weights of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct ConvWeights<'a> {
    /// `[output, width, input]`, oldest position first: `PyTorch`'s `[output, input, width]` with the last two swapped,
    /// so that a window is a piece of the inputs.
    pub kernel: &'a [f32],
    /// `[output]`
    pub bias: &'a [f32],
}

/// Sums to which the gradients of [`ConvWeights`] are added; same shapes.
#[derive(Debug)]
pub struct ConvGradients<'a> {
    /// `[output, width, input]`
    pub kernel: &'a mut [f32],
    /// `[output]`
    pub bias: &'a mut [f32],
}

/// A convolution at work: its shape and its buffers, reused from call to call. Weights stay with the caller.
#[derive(Clone, Debug)]
pub struct CausalConv {
    shape: ConvShape,
    /// Positions of each window that lie inside its sequence: `[positions]`.
    seen: Vec<usize>,
    /// What each position sees: `[positions, width * input]`.
    windows: Vec<f32>,
    d_windows: Vec<f32>,
    kernel: Packed,
}

impl CausalConv {
    /// Makes a convolution without memory of any sequence.
    ///
    /// # Panics
    /// When a size is zero.
    pub fn new(shape: ConvShape) -> Self {
        assert!(
            shape.width > 0 && shape.input > 0 && shape.output > 0,
            "a convolution has a width, inputs and outputs"
        );
        Self {
            shape,
            seen: Vec::new(),
            windows: Vec::new(),
            d_windows: Vec::new(),
            kernel: Packed::default(),
        }
    }

    /// Writes the outputs, and keeps what [`backward`](Self::backward) needs.
    ///
    /// Sequence `i` is `offsets[i]..offsets[i + 1]`; `x: [positions, input]`, `y: [positions, output]`.
    ///
    /// # Panics
    /// When slices do not fill these shapes, or offsets do not rise from zero.
    pub fn forward(
        &mut self,
        weights: &ConvWeights<'_>,
        offsets: &[usize],
        x: &[f32],
        y: &mut [f32],
    ) {
        let ConvShape { width, input, output } = self.shape;
        assert!(
            offsets.first() == Some(&0) && offsets.is_sorted(),
            "offsets rise from zero to the number of positions"
        );
        let (count, window) = (offsets[offsets.len() - 1], width * input);
        self.check(weights.kernel.len(), weights.bias.len());
        assert!(x.len() == count * input && y.len() == count * output, "shapes fit");
        self.seen.clear();
        for ends in offsets.windows(2) {
            self.seen.extend((1..=ends[1] - ends[0]).map(|n| n.min(width)));
        }
        self.windows.clear();
        for (position, seen) in self.seen.iter().enumerate() {
            self.windows.resize(self.windows.len() + (width - seen) * input, 0.0);
            let (from, to) = (position + 1 - seen, position + 1);
            self.windows.extend_from_slice(&x[from * input..to * input]);
        }
        self.kernel.refill_transposed(
            Rows { data: weights.kernel, stride: window, count: output },
            window,
        );
        for y in y.chunks_exact_mut(output) {
            y.copy_from_slice(weights.bias);
        }
        let rows = Rows { data: &self.windows, stride: window, count };
        self.kernel.add_product(rows, y, output);
    }

    /// Goes back through the last [`forward`](Self::forward), which had the same weights: from the gradient `dy` of its
    /// `y` writes the gradient `dx` of its `x` and adds to the weights' gradients.
    ///
    /// # Panics
    /// When slices do not fill their shapes.
    pub fn backward(
        &mut self,
        weights: &ConvWeights<'_>,
        dy: &[f32],
        dx: &mut [f32],
        gradients: &mut ConvGradients<'_>,
    ) {
        let ConvShape { width, input, output } = self.shape;
        let (count, window) = (self.seen.len(), width * input);
        self.check(weights.kernel.len(), weights.bias.len());
        self.check(gradients.kernel.len(), gradients.bias.len());
        assert!(dx.len() == count * input && dy.len() == count * output, "shapes fit");
        self.kernel.refill(Rows { data: weights.kernel, stride: window, count: output }, window);
        self.d_windows.clear();
        self.d_windows.resize(count * window, 0.0);
        let rows = Rows { data: dy, stride: output, count };
        self.kernel.add_product(rows, &mut self.d_windows, window);
        dx.fill(0.0);
        let windows = self.d_windows.chunks_exact(window).zip(&self.seen);
        for (position, (row, seen)) in windows.enumerate() {
            let (from, to) = (position + 1 - seen, position + 1);
            axpy(1.0, &row[(width - seen) * input..], &mut dx[from * input..to * input]);
        }
        let (left, right) = ((dy, Layout::Transposed), (&self.windows[..], Layout::Plain));
        gemm((output, window, count), 1.0, left, right, 1.0, gradients.kernel);
        for row in dy.chunks_exact(output) {
            axpy(1.0, row, gradients.bias);
        }
    }

    fn check(&self, kernel: usize, bias: usize) {
        let ConvShape { width, input, output } = self.shape;
        assert!(kernel == output * width * input && bias == output, "weights fill their shapes");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recurrent::check::{assert_close, dot, numbers, offsets, slopes, widen};

    fn sizes(shape: ConvShape, positions: usize) -> [usize; 3] {
        let ConvShape { width, input, output } = shape;
        [positions * input, output * width * input, output]
    }

    fn split<T>(mut values: &[T], sizes: [usize; 3]) -> [&[T]; 3] {
        sizes.map(|n| {
            let (part, rest) = values.split_at(n);
            values = rest;
            part
        })
    }

    /// `values` holds inputs, kernel and bias.
    fn naive(shape: ConvShape, offsets: &[usize], values: &[f64]) -> Vec<f64> {
        let ConvShape { width, input, output } = shape;
        let [x, kernel, bias] = split(values, sizes(shape, offsets[offsets.len() - 1]));
        let mut y = Vec::new();
        for ends in offsets.windows(2) {
            for t in ends[0]..ends[1] {
                for (o, bias) in bias.iter().enumerate() {
                    let mut sum = *bias;
                    for j in (0..width).filter(|j| t + j >= ends[0] + width - 1) {
                        let from = t + j + 1 - width;
                        for i in 0..input {
                            sum += kernel[(o * width + j) * input + i] * x[from * input + i];
                        }
                    }
                    y.push(sum);
                }
                assert_eq!(y.len() % output, 0);
            }
        }
        y
    }

    fn agrees(conv: &mut CausalConv, lens: &[usize], seed: u32) {
        let shape = conv.shape;
        let offsets = offsets(lens);
        let sizes = sizes(shape, offsets[lens.len()]);
        let values = numbers(sizes.iter().sum(), seed);
        let dy = numbers(offsets[lens.len()] * shape.output, seed + 5000);
        let [x, kernel, bias] = split(&values, sizes);
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        let (mut d_kernel, mut d_bias) = (vec![1.0; kernel.len()], vec![1.0; bias.len()]);
        let weights = ConvWeights { kernel, bias };
        conv.forward(&weights, &offsets, x, &mut y);
        let mut gradients = ConvGradients { kernel: &mut d_kernel, bias: &mut d_bias };
        conv.backward(&weights, &dy, &mut dx, &mut gradients);

        let values = widen(&values);
        assert_close(&y, &naive(shape, &offsets, &values), "y");
        let slopes = slopes(&values, |values| dot(&naive(shape, &offsets, values), &dy));
        let [want, want_kernel, want_bias] = split(&slopes, sizes);
        let one_more = |x: &[f64]| x.iter().map(|x| x + 1.0).collect::<Vec<f64>>();
        assert_close(&dx, want, "dx");
        assert_close(&d_kernel, &one_more(want_kernel), "kernel");
        assert_close(&d_bias, &one_more(want_bias), "bias");
    }

    #[test]
    fn two_sequences_by_hand() {
        // Kernel (10, 1), bias 100, sequences 1 2 3 and 5: 0·10 + 1, 1·10 + 2, 2·10 + 3 and, on its own, 0·10 + 5.
        let weights = ConvWeights { kernel: &[10.0, 1.0], bias: &[100.0] };
        let mut conv = CausalConv::new(ConvShape { width: 2, input: 1, output: 1 });
        let mut y = [9.0; 4];
        conv.forward(&weights, &[0, 3, 4], &[1.0, 2.0, 3.0, 5.0], &mut y);
        assert_close(&y, &[101.0, 112.0, 123.0, 105.0], "y");
        // dy = 1 everywhere: an input that is followed gets 10 + 1, a last one 1; the kernel gets 1 + 2 = 3 and
        // 1 + 2 + 3 + 5 = 11, the bias 4.
        let (mut dx, mut kernel, mut bias) = ([9.0; 4], [0.0; 2], [0.0; 1]);
        let mut gradients = ConvGradients { kernel: &mut kernel, bias: &mut bias };
        conv.backward(&weights, &[1.0; 4], &mut dx, &mut gradients);
        assert_close(&dx, &[11.0, 11.0, 1.0, 1.0], "dx");
        assert_close(&kernel, &[3.0, 11.0], "kernel");
        assert_close(&bias, &[4.0], "bias");
    }

    #[test]
    fn gradients_equal_central_differences() {
        for lens in [&[1][..], &[1, 1, 1], &[4, 0, 1, 7, 2], &[]] {
            agrees(&mut CausalConv::new(ConvShape { width: 3, input: 5, output: 34 }), lens, 7);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_sequences_equal_the_naive_convolution(
            (width, input, output) in (1usize..6, 1usize..6, 1usize..8),
            lens in prop::collection::vec(0usize..8, 0..6),
            again in prop::collection::vec(0usize..4, 0..4),
            seed in 0u32..1000,
        ) {
            // The second case meets the buffers of the first.
            let mut conv = CausalConv::new(ConvShape { width, input, output });
            agrees(&mut conv, &lens, seed);
            agrees(&mut conv, &again, seed + 1);
        }
    }
}
