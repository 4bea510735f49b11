//! How the numbers of a tensor lie in a file: plain, or in blocks that share a scale. Layouts are those of `ggml-quants.c`.

use crate::bert::half_to_f32;

/// Numbers of a block of the older kinds.
const SMALL: usize = 32;
/// Numbers of a block of the `K` kinds.
const LARGE: usize = 256;

/// A kind of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

/// What can be read, for people.
pub(crate) const SUPPORTED: &str =
    "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K";

impl Numbers {
    /// Returns the kind a file means by a number.
    pub(crate) fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Returns how many numbers a block has, and how many bytes.
    pub(crate) const fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (SMALL, 18),
            Self::Q4_1 => (SMALL, 20),
            Self::Q5_0 => (SMALL, 22),
            Self::Q5_1 => (SMALL, 24),
            Self::Q8_0 => (SMALL, 34),
            Self::Q4K => (LARGE, 144),
            Self::Q5K => (LARGE, 176),
            Self::Q6K => (LARGE, 210),
        }
    }

    /// Reads whole blocks.
    ///
    /// # Panics
    /// When the bytes are not those of so many numbers.
    pub(crate) fn read(self, bytes: &[u8], to: &mut [f32]) {
        let (numbers, size) = self.block();
        assert!(to.len() / numbers * size == bytes.len(), "bytes and numbers fit");
        let blocks = bytes.chunks_exact(size).zip(to.chunks_exact_mut(numbers));
        match self {
            Self::F32 => {
                blocks.for_each(|(b, to)| to[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            }
            Self::F16 => blocks.for_each(|(b, to)| to[0] = half(b)),
            Self::Bf16 => blocks.for_each(|(b, to)| {
                to[0] = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
            }),
            Self::Q8_0 => blocks.for_each(|(b, to)| {
                let scale = half(b);
                to.iter_mut()
                    .zip(&b[2..])
                    .for_each(|(x, q)| *x = scale * f32::from(q.cast_signed()));
            }),
            Self::Q4_0 => {
                blocks.for_each(|(b, to)| nibbles(&b[2..], 0, to, |q| half(b) * (q - 8.0)));
            }
            Self::Q4_1 => blocks.for_each(|(b, to)| {
                nibbles(&b[4..], 0, to, |q| half(b) * q + half(&b[2..]));
            }),
            Self::Q5_0 => blocks.for_each(|(b, to)| {
                nibbles(&b[6..], bits(&b[2..]), to, |q| half(b) * (q - 16.0));
            }),
            Self::Q5_1 => blocks.for_each(|(b, to)| {
                nibbles(&b[8..], bits(&b[4..]), to, |q| half(b) * q + half(&b[2..]));
            }),
            Self::Q4K => blocks.for_each(|(b, to)| scaled_pairs(b, None, &b[16..], to)),
            Self::Q5K => blocks.for_each(|(b, to)| scaled_pairs(b, Some(&b[16..48]), &b[48..], to)),
            Self::Q6K => blocks.for_each(|(b, to)| sixths(b, to)),
        }
    }
}

fn half(bytes: &[u8]) -> f32 {
    half_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn bits(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// 32 numbers: the low halves of 16 bytes, then the high ones, each with a fifth bit.
fn nibbles(bytes: &[u8], fifths: u32, to: &mut [f32], number: impl Fn(f32) -> f32) {
    let (low, high) = to.split_at_mut(SMALL / 2);
    for (at, byte) in bytes[..SMALL / 2].iter().enumerate() {
        let fifth = |bit: usize| ((fifths >> bit & 1) << 4) as u8;
        low[at] = number(f32::from(byte & 15 | fifth(at)));
        high[at] = number(f32::from(byte >> 4 | fifth(at + SMALL / 2)));
    }
}

/// Scale and least of the `at`th 32 numbers: six bits each, the last four of eight spread over two places.
fn six_bits(packed: &[u8], at: usize) -> (u8, u8) {
    if at < 4 {
        (packed[at] & 63, packed[at + 4] & 63)
    } else {
        let scale = packed[at + 4] & 15 | packed[at - 4] >> 6 << 4;
        (scale, packed[at + 4] >> 4 | packed[at] >> 6 << 4)
    }
}

/// `Q4_K` and, with a bit more for each number, `Q5_K`: 64 numbers share 32 bytes.
fn scaled_pairs(block: &[u8], fifths: Option<&[u8]>, bytes: &[u8], to: &mut [f32]) {
    let (scale, least) = (half(block), half(&block[2..]));
    for (pair, (to, bytes)) in to.chunks_exact_mut(64).zip(bytes.chunks_exact(32)).enumerate() {
        let (low, high) = to.split_at_mut(32);
        for (side, to) in [low, high].into_iter().enumerate() {
            let (s, m) = six_bits(&block[4..16], 2 * pair + side);
            let (s, m) = (scale * f32::from(s), least * f32::from(m));
            for (at, (x, byte)) in to.iter_mut().zip(bytes).enumerate() {
                let fifth = fifths.map_or(0, |bits| (bits[at] >> (2 * pair + side) & 1) << 4);
                let q = if side == 0 { byte & 15 } else { byte >> 4 };
                *x = s * f32::from(q | fifth) - m;
            }
        }
    }
}

/// `Q6_K`: four low bits, two high ones, a scale for every 16 numbers.
fn sixths(block: &[u8], to: &mut [f32]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half(&block[208..]);
    for (half, to) in to.chunks_exact_mut(128).enumerate() {
        let (low, high, scales) = (&low[64 * half..], &high[32 * half..], &scales[8 * half..]);
        for (at, x) in to.iter_mut().enumerate() {
            let (part, place) = (at / 32, at % 32);
            let byte = low[place + 32 * (part % 2)];
            let four = if part < 2 { byte & 15 } else { byte >> 4 };
            let two = high[place] >> (2 * part) & 3;
            let q = i32::from(four | two << 4) - 32;
            *x = scale * f32::from(scales[2 * part + place / 16].cast_signed()) * q as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Numbers, bytes: &[u8]) -> Vec<f32> {
        let mut to = vec![f32::NAN; kind.block().0];
        kind.read(bytes, &mut to);
        to
    }

    const ONE: [u8; 2] = [0x00, 0x3c];
    const TWO: [u8; 2] = [0x00, 0x40];

    #[test]
    fn small_blocks_by_hand() {
        // Byte 0x9c: 12 in the low half, number 0; 9 in the high half, number 16.
        let mut bytes = [0x9c; 16];
        bytes[15] = 0x0f;
        let q = read(Numbers::Q4_0, &[&TWO[..], &bytes].concat());
        assert_eq!((q[0], q[15], q[16], q[31]), (8.0, 14.0, 2.0, -16.0));
        let q = read(Numbers::Q4_1, &[&TWO[..], &ONE, &bytes].concat());
        assert_eq!((q[0], q[15], q[16], q[31]), (25.0, 31.0, 19.0, 1.0));
        // Bits 0 and 31 are set: 28 - 16 and 16 - 16.
        let fifths = 0x8000_0001_u32.to_le_bytes();
        let q = read(Numbers::Q5_0, &[&TWO[..], &fifths, &bytes].concat());
        assert_eq!((q[0], q[15], q[16], q[31]), (24.0, -2.0, -14.0, 0.0));
        let q = read(Numbers::Q5_1, &[&TWO[..], &ONE, &fifths, &bytes].concat());
        assert_eq!((q[0], q[15], q[16], q[31]), (57.0, 31.0, 19.0, 33.0));
        let eights: Vec<u8> = (0..32i8).map(|i| (i - 16).cast_unsigned()).collect();
        let q = read(Numbers::Q8_0, &[&TWO[..], &eights].concat());
        assert_eq!((q[0], q[31]), (-32.0, 30.0));
    }

    #[test]
    fn large_blocks_by_hand() {
        // Scale 1, least 2; of the eight pairs of six bits: number 0 is (5, 3), number 5 is (17 = 1 + 1 * 16, 34 = 2 + 2 * 16).
        let mut packed = [0u8; 12];
        (packed[0], packed[4]) = (5, 3);
        (packed[9], packed[1], packed[5]) = (1 | 2 << 4, 1 << 6, 2 << 6);
        let mut bytes = [0u8; 128];
        (bytes[0], bytes[64 + 3]) = (0x0f, 0xa0);
        let q = read(Numbers::Q4K, &[&ONE[..], &TWO, &packed, &bytes].concat());
        // 5 * 15 - 2 * 3; 5 * 0 - 2 * 3; 17 * 10 - 2 * 34.
        assert_eq!((q[0], q[1], q[160 + 3]), (69.0, -6.0, 102.0));
        let mut fifths = [0u8; 32];
        (fifths[0], fifths[3]) = (1, 1 << 5);
        let q = read(Numbers::Q5K, &[&ONE[..], &TWO, &packed, &fifths, &bytes].concat());
        assert_eq!((q[0], q[1], q[160 + 3]), (149.0, -6.0, 374.0));
    }

    #[test]
    fn sixths_by_hand() {
        let (mut low, mut high, mut scales) = ([0u8; 128], [0u8; 64], [1u8; 16]);
        // Number 0: 7 + 2 * 16 - 32 = 7. Number 128 + 96 + 20: high half of byte 64 + 32 + 20, bits 6 and 7 of byte 32 + 20,
        // scale 8 + 6 + 1: (9 + 3 * 16 - 32) * -2 = -50; times 2.
        (low[0], high[0]) = (7, 2);
        (low[116], high[52], scales[15]) = (9 << 4, 3 << 6, (-2i8).cast_unsigned());
        let q = read(Numbers::Q6K, &[&low[..], &high, &scales, &TWO].concat());
        assert_eq!((q[0], q[244], q[1]), (14.0, -100.0, -64.0));
    }

    #[test]
    fn plain_numbers_are_read_as_they_are() {
        assert_eq!(read(Numbers::F32, &1.5f32.to_le_bytes()), [1.5]);
        assert_eq!(read(Numbers::F16, &TWO), [2.0]);
        assert_eq!(read(Numbers::Bf16, &[0x80, 0x3f]), [1.0]);
    }
}
