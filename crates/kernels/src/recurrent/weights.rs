//! Weights of a recurrent layer and their gradients, as `PyTorch` lays them out: the rows of all gates below each other,
//! in the order the layer's file names. Products with them are packed anew on every call, so no other layout would be faster.

/// Sizes of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecurrentShape {
    /// Width of an input.
    pub input: usize,
    /// Width of the hidden state.
    pub hidden: usize,
}

/// Borrows the weights of a layer with `gates` gates: three in a GRU, four in an LSTM.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentWeights<'a> {
    /// `[gates * hidden, input]`
    pub input: &'a [f32],
    /// `[gates * hidden, hidden]`
    pub hidden: &'a [f32],
    /// `[gates * hidden]`
    pub input_bias: &'a [f32],
    /// `[gates * hidden]`
    pub hidden_bias: &'a [f32],
}

/// Sums to which the gradients of [`RecurrentWeights`] are added; same shapes.
#[derive(Debug)]
pub struct RecurrentGradients<'a> {
    /// `[gates * hidden, input]`
    pub input: &'a mut [f32],
    /// `[gates * hidden, hidden]`
    pub hidden: &'a mut [f32],
    /// `[gates * hidden]`
    pub input_bias: &'a mut [f32],
    /// `[gates * hidden]`
    pub hidden_bias: &'a mut [f32],
}

impl RecurrentShape {
    fn sizes(self, gates: usize) -> [usize; 4] {
        let rows = gates * self.hidden;
        [rows * self.input, rows * self.hidden, rows, rows]
    }
}

impl RecurrentWeights<'_> {
    pub(super) fn check(&self, shape: RecurrentShape, gates: usize) {
        let lens = [self.input, self.hidden, self.input_bias, self.hidden_bias].map(<[f32]>::len);
        assert_eq!(lens, shape.sizes(gates), "weights fill their shapes");
    }
}

impl RecurrentGradients<'_> {
    pub(super) fn check(&self, shape: RecurrentShape, gates: usize) {
        let lens = [&self.input, &self.hidden, &self.input_bias, &self.hidden_bias];
        assert_eq!(lens.map(|x| x.len()), shape.sizes(gates), "gradients fill their shapes");
    }
}
