//! The model as its definition has it, one token after the other in `f64`, beside the one that is computed fast.

use tastemaker_text::{GgufChat, GgufSettings, Likelihood, Precision, Role, Turn};

use crate::tiny::{self, DIM, GROUPS, HEADS, INNER, LAYERS, Tiny, WIDTH};

/// Reads the tensors of a file in `f32`.
struct Naive<'a> {
    tiny: &'a Tiny,
    is_llama: bool,
    has_head_norms: bool,
}

impl Naive<'_> {
    fn tensor(&self, name: &str) -> Option<Vec<f64>> {
        let tensor = self.tiny.tensors.iter().find(|tensor| tensor.name == name)?;
        let numbers = tensor.bytes.as_chunks::<4>().0.iter();
        Some(numbers.map(|b| f64::from(f32::from_le_bytes(*b))).collect())
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weights = self.tensor(&format!("{name}.weight")).unwrap();
        let rows = weights.chunks_exact(x.len());
        let mut y: Vec<f64> = rows.map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect();
        if let Some(bias) = self.tensor(&format!("{name}.bias")) {
            y.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
        }
        y
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let gain = self.tensor(&format!("{name}.weight")).unwrap();
        x.chunks_exact(gain.len())
            .flat_map(|x| {
                let square = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
                let scale = 1.0 / (square + f64::from(1e-5f32)).sqrt();
                x.iter().zip(&gain).map(move |(x, g)| x * scale * g).collect::<Vec<_>>()
            })
            .collect()
    }

    fn turn(&self, head: &mut [f64], place: usize) {
        let factors = self.tensor("rope_freqs.weight").unwrap_or_else(|| vec![1.0; DIM / 2]);
        for (pair, factor) in factors.iter().enumerate() {
            let angle = place as f64 * 1000f64.powf(-2.0 * pair as f64 / DIM as f64) / factor;
            let (a, b) =
                if self.is_llama { (2 * pair, 2 * pair + 1) } else { (pair, pair + DIM / 2) };
            let (x, y) = (head[a], head[b]);
            head[a] = x * angle.cos() - y * angle.sin();
            head[b] = x * angle.sin() + y * angle.cos();
        }
    }

    /// Returns the logarithms of the probabilities of all tokens but the first, each given those before it.
    fn log_probs(&self, tokens: &[usize]) -> Vec<f64> {
        let table = self.tensor("token_embd.weight").unwrap();
        let mut kept = vec![(Vec::<Vec<f64>>::new(), Vec::<Vec<f64>>::new()); LAYERS];
        let mut all = Vec::new();
        for (place, token) in tokens.iter().enumerate() {
            let mut x = table[token * WIDTH..][..WIDTH].to_vec();
            for (layer, (keys, values)) in kept.iter_mut().enumerate() {
                let name = |name: &str| format!("blk.{layer}.{name}");
                let h = self.norm(&name("attn_norm"), &x);
                let (mut q, mut k) =
                    (self.linear(&name("attn_q"), &h), self.linear(&name("attn_k"), &h));
                if self.has_head_norms {
                    (q, k) =
                        (self.norm(&name("attn_q_norm"), &q), self.norm(&name("attn_k_norm"), &k));
                }
                q.chunks_exact_mut(DIM).for_each(|head| self.turn(head, place));
                k.chunks_exact_mut(DIM).for_each(|head| self.turn(head, place));
                keys.push(k);
                values.push(self.linear(&name("attn_v"), &h));
                let mut mixed = Vec::new();
                for (head, q) in q.chunks_exact(DIM).enumerate() {
                    let from = head / (HEADS / GROUPS) * DIM;
                    let dot =
                        |k: &Vec<f64>| q.iter().zip(&k[from..]).map(|(q, k)| q * k).sum::<f64>();
                    let weights: Vec<f64> =
                        keys.iter().map(|k| (dot(k) / (DIM as f64).sqrt()).exp()).collect();
                    let sum: f64 = weights.iter().sum();
                    mixed.extend((from..from + DIM).map(|d| {
                        weights.iter().zip(&*values).map(|(w, v)| w * v[d]).sum::<f64>() / sum
                    }));
                }
                let mixed = self.linear(&name("attn_output"), &mixed);
                x.iter_mut().zip(mixed).for_each(|(x, y)| *x += y);
                let h = self.norm(&name("ffn_norm"), &x);
                let (gates, ups) =
                    (self.linear(&name("ffn_gate"), &h), self.linear(&name("ffn_up"), &h));
                assert_eq!(gates.len(), INNER);
                let inner: Vec<f64> =
                    gates.iter().zip(ups).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
                let down = self.linear(&name("ffn_down"), &inner);
                x.iter_mut().zip(down).for_each(|(x, y)| *x += y);
            }
            let head = if self.is_llama { "output" } else { "token_embd" };
            let logits = self.linear(head, &self.norm("output_norm", &x));
            let sum = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
            all.extend(tokens.get(place + 1).map(|next| logits[*next] - sum));
        }
        all
    }
}

/// Tokens of a text without merges: its bytes; marks stand behind the 9 merged words.
fn tokens(prompt: &str) -> Vec<usize> {
    let mut tokens = Vec::new();
    let mut rest = prompt;
    while !rest.is_empty() {
        let marks = [("<|im_start|>", 265), ("<|im_end|>", 266)];
        if let Some((mark, token)) = marks.iter().find(|(mark, _)| rest.starts_with(mark)) {
            tokens.push(*token);
            rest = &rest[mark.len()..];
        } else {
            tokens.push(rest.as_bytes()[0].into());
            rest = &rest[1..];
        }
    }
    tokens
}

#[test]
fn log_probs_equal_the_definition_token_by_token() {
    let said = "<|im_start|>user\nxyz<|im_end|>\n<|im_start|>assistant\n";
    for (family, is_llama, has_head_norms) in
        [("llama", true, false), ("qwen2", false, false), ("qwen3", false, true)]
    {
        let tiny = tiny::model(family, 0);
        let naive = Naive { tiny: &tiny, is_llama, has_head_norms };
        let (_folder, path) = tiny.write();
        let open = |precision| {
            GgufChat::open(&path, &GgufSettings { precision, ..GgufSettings::default() }).unwrap()
        };
        let turns = [Turn::new(Role::User, "xyz")];
        let continuations = ["u", "vw", "", "zyxwv", "vwu"];
        let wanted = continuations.map(|text| {
            let steps = naive.log_probs(&tokens(&format!("{said}{text}")));
            steps[steps.len() - text.len()..].iter().sum::<f64>()
        });
        for (precision, near) in
            // Rounding does not average out in a model as small as this one; seven bits of activations are off by .02 a token in a real one.
            [(Precision::F32, 1e-4), (Precision::Bf16, 0.05), (Precision::Int8, 0.35)]
        {
            let model = open(precision);
            let got = model.log_probs(&turns, &continuations).unwrap();
            for ((text, got), want) in continuations.iter().zip(&got).zip(wanted) {
                assert_eq!(got.tokens, text.len());
                assert!(
                    (got.sum - want).abs() < near * text.len().max(1) as f64,
                    "{family} {precision:?} {text}: {} {want}",
                    got.sum
                );
            }
            // Among others or alone, to the bit.
            for (text, got) in continuations.iter().zip(&got) {
                let alone = model.log_probs(&turns, &[text]).unwrap();
                assert_eq!(alone, [*got]);
            }
        }
    }
}
