//! Products of bfloat16 matrices, summed in `f32`, and of bytes, summed in `i32`, on the tile registers of recent Xeons (AMX):
//! several times the speed of `f32` code. Machines without them have no [`Tiles`], and callers take another way.

#[cfg(target_arch = "x86_64")]
use std::arch::asm;
use std::sync::OnceLock;

use super::words::{Kind, PANEL};

/// Rows of `c` and columns of `c` that a product is made in: shapes are multiples of it.
pub(crate) const BLOCK: usize = 32;

/// Rounds to the nearest bfloat16, ties to even; the result is the upper half of an `f32`.
#[inline(always)]
pub(crate) fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    ((bits.wrapping_add(0x7fff + ((bits >> 16) & 1))) >> 16) as u16
}

/// Puts two numbers into one word, as the right side of a product wants rows `2i` and `2i + 1`.
#[inline(always)]
pub(crate) fn pair(first: f32, second: f32) -> u32 {
    u32::from(round(first)) | u32::from(round(second)) << 16
}

/// Says that this machine has tile registers, and that they are set up on this thread until it is dropped.
pub(crate) struct Tiles {
    /// The set-up belongs to the thread.
    not_send: std::marker::PhantomData<*const ()>,
}

/// Left side: rows of bfloat16, `stride` numbers apart.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) data: &'a [u16],
    pub(crate) stride: usize,
}

/// Right side: pairs of rows, as [`pair`] makes them; `stride` words from one pair of rows to the next.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    pub(crate) data: &'a [u32],
    pub(crate) stride: usize,
}

#[cfg(target_arch = "x86_64")]
fn is_there() -> bool {
    use std::arch::x86_64::__cpuid_count;
    /// "Request permission for a component of the extended state", and the component that tiles are.
    const ARCH_PRCTL: u64 = 158;
    const REQUEST: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    if !cfg!(target_os = "linux") || !is_x86_feature_detected!("avx512f") {
        return false;
    }
    // Bits 22, 24 and 25: products of bfloat16, tile registers, products of bytes. No machine has the second without the others.
    let wanted = 1 << 22 | 1 << 24 | 1 << 25;
    if __cpuid_count(7, 0).edx & wanted != wanted {
        return false;
    }
    let result: i64;
    // SAFETY: a system call that changes nothing but what this process may use.
    #[expect(
        unsafe_code,
        reason = "the kernel wants to be asked, and the standard library has no words for it"
    )]
    unsafe {
        asm!(
            "syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") REQUEST, in("rsi") TILE_DATA,
            out("rcx") _, out("r11") _, options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_arch = "x86_64"))]
fn is_there() -> bool {
    false
}

impl Tiles {
    /// Tells whether the machine has tile registers and lets this process use them.
    pub(crate) fn are_there() -> bool {
        static THERE: OnceLock<bool> = OnceLock::new();
        *THERE.get_or_init(is_there)
    }

    /// Sets the tile registers of this thread up: eight of 16 rows of 64 bytes.
    pub(crate) fn open() -> Option<Self> {
        if !Self::are_there() {
            return None;
        }
        #[cfg(target_arch = "x86_64")]
        {
            #[repr(align(64))]
            struct Palette([u8; 64]);
            let mut palette = Palette([0; 64]);
            palette.0[0] = 1;
            for tile in 0..8 {
                palette.0[16 + 2 * tile] = 64;
                palette.0[48 + tile] = 16;
            }
            // SAFETY: the instruction is there, and reads 64 bytes.
            #[expect(unsafe_code, reason = "the intrinsic is not stable yet")]
            unsafe {
                asm!("ldtilecfg [{}]", in(reg) palette.0.as_ptr(), options(nostack, readonly));
            }
        }
        Some(Self { not_send: std::marker::PhantomData })
    }

    /// Makes the product of `a: [rows, depth]` and `b: [depth, columns]` and adds it to `c: [rows, columns]`, whose rows
    /// are `stride` apart, or writes it over `c`. All three sizes are multiples of [`BLOCK`].
    ///
    /// # Panics
    /// When a size is no such multiple or an operand reaches beyond its slice.
    pub(crate) fn product(
        &self,
        (rows, columns, depth): (usize, usize, usize),
        (a, b): (Left<'_>, Right<'_>),
        (c, stride): (&mut [f32], usize),
        add: bool,
    ) {
        let Self { not_send: _set_up } = self;
        let sizes = [rows, columns, depth];
        assert!(sizes.iter().all(|n| n.is_multiple_of(BLOCK) && *n > 0), "sizes are whole blocks");
        assert!((rows - 1) * a.stride + depth <= a.data.len(), "the left side lies in its slice");
        assert!((depth / 2 - 1) * b.stride + columns <= b.data.len(), "the right side does");
        assert!((rows - 1) * stride + columns <= c.len(), "and so does the result");
        for row in (0..rows).step_by(BLOCK) {
            for column in (0..columns).step_by(BLOCK) {
                let a = Left { data: &a.data[row * a.stride..], ..a };
                let b = Right { data: &b.data[column..], ..b };
                block(depth, (a, b), (&mut c[row * stride + column..], stride), add);
            }
        }
    }
}

/// Words of a row of a tile.
const WORDS: usize = 16;
/// Rows of a tile.
const HEIGHT: usize = 16;

impl Tiles {
    /// Multiplies rows of words with a panel `[depth, PANEL]` of words and writes sums to `c`; `rows` and `depth` are
    /// multiples of 16.
    ///
    /// # Panics
    /// When a size is no such multiple or an operand reaches beyond its slice.
    pub(crate) fn words(
        &self,
        (kind, rows): (Kind, usize),
        (a, a_stride): (&[u32], usize),
        panel: &[u32],
        (c, c_stride): (&mut [u32], usize),
    ) {
        let Self { not_send: _set_up } = self;
        let depth = panel.len() / PANEL;
        assert!(rows > 0 && rows.is_multiple_of(HEIGHT), "whole tiles of rows");
        assert!(depth > 0 && depth.is_multiple_of(WORDS), "whole tiles of words");
        assert!((rows - 1) * a_stride + depth <= a.len(), "the left side lies in its slice");
        assert!((rows - 1) * c_stride + PANEL <= c.len(), "and so does the result");
        let mut row = 0;
        while row < rows {
            let (a, c) = ((&a[row * a_stride..], a_stride), (&mut c[row * c_stride..], c_stride));
            let is_tall = rows - row >= 2 * HEIGHT;
            match (kind, is_tall) {
                (Kind::Half, true) => tall_halves(a, panel, c),
                (Kind::Half, false) => low_halves(a, panel, c),
                (Kind::Byte, true) => tall_bytes(a, panel, c),
                (Kind::Byte, false) => low_bytes(a, panel, c),
            }
            row += if is_tall { 2 * HEIGHT } else { HEIGHT };
        }
    }
}

/// Writes the functions that multiply 32 or 16 rows of words with a panel.
macro_rules! word_blocks {
    ($tall:ident, $low:ident, $dot:literal) => {
        #[cfg(target_arch = "x86_64")]
        fn $tall((a, a_stride): (&[u32], usize), panel: &[u32], (c, c_stride): (&mut [u32], usize)) {
            let (a0, b0, c0) = (a.as_ptr(), panel.as_ptr(), c.as_mut_ptr());
            // SAFETY: `words` checked that 32 rows of `a` and `c` lie inside their slices, and the steps go over the
            // whole tiles of the panel. `Tiles` set the registers up; the compiler itself never uses them.
            #[expect(unsafe_code, reason = "the intrinsics are not stable yet")]
            unsafe {
                asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
                for step in 0..panel.len() / (PANEL * WORDS) {
                    asm!(
                        "tileloadd tmm4, [{a0} + {sa}]", "tileloadd tmm6, [{b0} + {sb}]",
                        "tileloadd tmm5, [{a1} + {sa}]", "tileloadd tmm7, [{b0} + {sb} + 64]",
                        concat!($dot, " tmm0, tmm4, tmm6"), concat!($dot, " tmm1, tmm4, tmm7"),
                        concat!($dot, " tmm2, tmm5, tmm6"), concat!($dot, " tmm3, tmm5, tmm7"),
                        a0 = in(reg) a0.add(step * WORDS), a1 = in(reg) a0.add(HEIGHT * a_stride + step * WORDS),
                        b0 = in(reg) b0.add(step * WORDS * PANEL), sa = in(reg) 4 * a_stride, sb = in(reg) 4 * PANEL,
                        options(nostack, readonly),
                    );
                }
                asm!(
                    "tilestored [{c0} + {s}], tmm0", "tilestored [{c0} + {s} + 64], tmm1",
                    "tilestored [{c1} + {s}], tmm2", "tilestored [{c1} + {s} + 64], tmm3",
                    c0 = in(reg) c0, c1 = in(reg) c0.add(HEIGHT * c_stride), s = in(reg) 4 * c_stride, options(nostack),
                );
            }
        }

        #[cfg(target_arch = "x86_64")]
        fn $low((a, a_stride): (&[u32], usize), panel: &[u32], (c, c_stride): (&mut [u32], usize)) {
            let (a0, b0, c0) = (a.as_ptr(), panel.as_ptr(), c.as_mut_ptr());
            // SAFETY: as above, of 16 rows.
            #[expect(unsafe_code, reason = "the intrinsics are not stable yet")]
            unsafe {
                asm!("tilezero tmm0", "tilezero tmm1", options(nostack, nomem));
                for step in 0..panel.len() / (PANEL * WORDS) {
                    asm!(
                        "tileloadd tmm4, [{a0} + {sa}]", "tileloadd tmm6, [{b0} + {sb}]", "tileloadd tmm7, [{b0} + {sb} + 64]",
                        concat!($dot, " tmm0, tmm4, tmm6"), concat!($dot, " tmm1, tmm4, tmm7"),
                        a0 = in(reg) a0.add(step * WORDS), b0 = in(reg) b0.add(step * WORDS * PANEL),
                        sa = in(reg) 4 * a_stride, sb = in(reg) 4 * PANEL, options(nostack, readonly),
                    );
                }
                asm!(
                    "tilestored [{c0} + {s}], tmm0", "tilestored [{c0} + {s} + 64], tmm1",
                    c0 = in(reg) c0, s = in(reg) 4 * c_stride, options(nostack),
                );
            }
        }

        #[cfg(not(target_arch = "x86_64"))]
        fn $tall(_: (&[u32], usize), _: &[u32], _: (&mut [u32], usize)) {
            unreachable!("there are no tiles on this machine")
        }

        #[cfg(not(target_arch = "x86_64"))]
        fn $low(_: (&[u32], usize), _: &[u32], _: (&mut [u32], usize)) {
            unreachable!("there are no tiles on this machine")
        }
    };
}

word_blocks!(tall_halves, low_halves, "tdpbf16ps");
word_blocks!(tall_bytes, low_bytes, "tdpbusd");

#[cfg(target_arch = "x86_64")]
impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: gives the registers back; nobody else on this thread uses them.
        #[expect(unsafe_code, reason = "the intrinsic is not stable yet")]
        unsafe {
            asm!("tilerelease", options(nostack, nomem));
        }
    }
}

/// Makes a block of 32 by 32 in four registers; two hold its left side, two its right.
#[cfg(target_arch = "x86_64")]
fn block(depth: usize, (a, b): (Left<'_>, Right<'_>), (c, stride): (&mut [f32], usize), add: bool) {
    let (a_bytes, b_bytes, c_bytes) = (2 * a.stride, 4 * b.stride, 4 * stride);
    let (a0, b0, c0) = (a.data.as_ptr(), b.data.as_ptr(), c.as_mut_ptr());
    // SAFETY: `product` checked that every row of the block lies inside its slice, and `Tiles` that the registers are set
    // up on this thread. The compiler itself never uses them.
    #[expect(unsafe_code, reason = "the intrinsics are not stable yet")]
    unsafe {
        let c1 = c0.add(16 * stride);
        if add {
            asm!(
                "tileloadd tmm0, [{c0} + {s}]", "tileloadd tmm1, [{c0} + {s} + 64]",
                "tileloadd tmm2, [{c1} + {s}]", "tileloadd tmm3, [{c1} + {s} + 64]",
                c0 = in(reg) c0, c1 = in(reg) c1, s = in(reg) c_bytes, options(nostack, readonly),
            );
        } else {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                options(nostack, nomem)
            );
        }
        for step in 0..depth / BLOCK {
            let a0 = a0.add(step * BLOCK);
            let b0 = b0.add(step * BLOCK / 2 * b.stride);
            asm!(
                "tileloadd tmm4, [{a0} + {sa}]", "tileloadd tmm6, [{b0} + {sb}]",
                "tileloadd tmm5, [{a1} + {sa}]", "tileloadd tmm7, [{b0} + {sb} + 64]",
                "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
                a0 = in(reg) a0, a1 = in(reg) a0.add(16 * a.stride), b0 = in(reg) b0,
                sa = in(reg) a_bytes, sb = in(reg) b_bytes, options(nostack, readonly),
            );
        }
        asm!(
            "tilestored [{c0} + {s}], tmm0", "tilestored [{c0} + {s} + 64], tmm1",
            "tilestored [{c1} + {s}], tmm2", "tilestored [{c1} + {s} + 64], tmm3",
            c0 = in(reg) c0, c1 = in(reg) c1, s = in(reg) c_bytes, options(nostack),
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn block(_: usize, _: (Left<'_>, Right<'_>), _: (&mut [f32], usize), _: bool) {
    unreachable!("there are no tiles on this machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_and_keeps_what_fits() {
        let back = |x: f32| f32::from_bits(u32::from(round(x)) << 16);
        for x in [0.0, 1.0, -2.5, 1.5e-30, 3e30] {
            assert!((back(x) - x).abs() <= x.abs() / 256.0, "{x}");
        }
        assert!(round(1.0) == 0x3f80 && pair(1.0, -2.0) == 0xc000_3f80);
        let of = |bits: u32| round(f32::from_bits(bits));
        // Half way between two: to the even one. A hair more: up, through the exponent if need be.
        assert!(of(0x3f80_8000) == 0x3f80 && of(0x3f81_8000) == 0x3f82);
        assert!(of(0x3f80_8001) == 0x3f81 && of(0x3fff_ffff) == 0x4000);
    }

    #[test]
    fn products_equal_naive_ones_of_rounded_numbers_where_there_are_tiles() {
        let Some(tiles) = Tiles::open() else { return };
        let (rows, columns, depth) = (64, 32, 96);
        let at = |i: usize| f32::from_bits(u32::from(round((i as f32 * 0.37).sin())) << 16);
        let a: Vec<u16> = (0..rows * depth).map(|i| round(at(i))).collect();
        let b: Vec<u32> = (0..depth / 2 * columns)
            .map(|i| {
                let (r, c) = (i / columns, i % columns);
                pair(at(2 * r * columns + c), at((2 * r + 1) * columns + c))
            })
            .collect();
        let mut c = vec![1.0; rows * columns];
        let (left, right) = (Left { data: &a, stride: depth }, Right { data: &b, stride: columns });
        tiles.product((rows, columns, depth), (left, right), (&mut c, columns), true);
        let mut over = vec![9.0; rows * columns];
        tiles.product((rows, columns, depth), (left, right), (&mut over, columns), false);
        for (i, (c, over)) in c.iter().zip(over).enumerate() {
            let want: f32 = (0..depth)
                .map(|k| at(i / columns * depth + k) * at(k * columns + i % columns))
                .sum();
            assert!((c - 1.0 - want).abs() < 1e-4 && (over - want).abs() < 1e-4, "{i}: {c} {want}");
        }
    }
}
