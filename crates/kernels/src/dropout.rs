//! Dropout (Srivastava et al. 2014): each value is dropped with probability `rate`, the others grow by `1 / (1 - rate)`.
//! What is dropped follows from a key and the place of the value alone, so the backward pass drops the same values without
//! a mask in memory, and no result depends on the number of threads.

use multiversion::multiversion;

/// A well mixed number for every place of a stream (the `lowbias32` mixer, with the key put in twice).
#[inline(always)]
fn mix(place: u32, key: u64) -> u32 {
    let mut x = place ^ key as u32;
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x ^= (key >> 32) as u32;
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// Drops values in place; applied to a gradient with the same key, it is its own backward pass.
///
/// # Panics
/// When `rate` is not in `0..1`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub fn dropout(values: &mut [f32], rate: f32, key: u64) {
    assert!((0.0..1.0).contains(&rate), "a share of the values is kept");
    if rate <= 0.0 {
        return;
    }
    // SplitMix64 spreads the key over all bits, so that neighbouring keys are as good as far ones.
    let mut key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^= key >> 31;
    let threshold = (f64::from(rate) * 4_294_967_296.0) as u32;
    let scale = 1.0 / (1.0 - rate);
    for (place, x) in values.iter_mut().enumerate() {
        *x *= if mix(place as u32, key) < threshold { 0.0 } else { scale };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_dropped_is_the_rate_and_the_mean_stays() {
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let mut values = vec![1.0f32; 100_000];
            dropout(&mut values, rate, 0x1234_5678_9abc_def0);
            let dropped = values.iter().filter(|x| **x < 0.5).count() as f32 / 1e5;
            let mean = values.iter().sum::<f32>() / 1e5;
            assert!((dropped - rate).abs() < 0.01, "{rate}: {dropped}");
            assert!((mean - 1.0).abs() < 0.04, "{rate}: {mean}");
        }
    }

    #[test]
    fn a_key_repeats_and_keys_differ() {
        let with = |key| {
            let mut values = vec![1.0f32; 1000];
            dropout(&mut values, 0.5, key);
            values
        };
        assert!(with(1) == with(1));
        for other in [2, 1 << 32, (1 << 32) + 1] {
            let (a, b) = (with(1), with(other));
            let same = a.iter().zip(&b).filter(|(a, b)| (*a - *b).abs() < 0.5).count();
            assert!((400..600).contains(&same), "independent streams agree by chance: {same}");
        }
    }
}
