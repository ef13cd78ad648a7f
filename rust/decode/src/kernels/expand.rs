//! Packed blocks expanded to float32, sixteen outputs at a time.

use super::simd::Isa;
use crate::grid::{Codes, Grid};
use crate::pack::{BLOCK, Kind};

/// Expands the values of one block of 32 outputs × 32 inner elements to `to[inner][output]`; scales stay apart.
///
/// # Safety
/// `from` points at the value bytes of a block of the given kind, `to` at 1,024 writable floats.
#[inline(always)]
pub(crate) unsafe fn float32<S: Isa>(s: S, kind: Kind, from: *const u8, to: *mut f32) {
    // SAFETY: every access stays within the block and the 1,024 floats that the caller promises.
    unsafe {
        let put = |inner: usize, half: usize, v: S::F| {
            s.store(v, &mut *to.add(32 * inner + 16 * half).cast::<[f32; 16]>());
        };
        match kind {
            Kind::Q4_0 | Kind::Q4_1 => {
                let bias = s.splat_u(if kind == Kind::Q4_0 { 8 } else { 0 });
                let low = s.splat_u(15);
                for line in 0..8 {
                    let packed = s.load_u(&from.add(64 * line).cast::<[u32; 16]>().read_unaligned());
                    for nibble in 0..8u32 {
                        let q = s.and(s.shr(packed, 4 * nibble), low);
                        let inner = 2 * (4 * (line / 2) + nibble as usize % 4) + nibble as usize / 4;
                        put(inner, line % 2, s.float_of_i32(s.sub_u(q, bias)));
                    }
                }
            }
            Kind::Q8_0 => {
                for vector in 0..32 {
                    let packed = s.load_u16(&from.add(32 * vector).cast::<[u16; 16]>().read_unaligned());
                    let (pair, half) = (vector / 2, vector % 2);
                    put(2 * pair, half, s.float_of_i32(s.sar(s.shl(packed, 24), 24)));
                    put(2 * pair + 1, half, s.float_of_i32(s.sar(s.shl(packed, 16), 24)));
                }
            }
            Kind::Bf16 => {
                for vector in 0..32 {
                    let packed = s.load_u(&from.add(64 * vector).cast::<[u32; 16]>().read_unaligned());
                    let (pair, half) = (vector / 2, vector % 2);
                    put(2 * pair, half, s.as_floats(s.shl(packed, 16)));
                    put(2 * pair + 1, half, s.as_floats(s.and(packed, s.splat_u(0xffff_0000))));
                }
            }
            Kind::F16 => {
                for vector in 0..64 {
                    let packed = from.add(32 * vector).cast::<[u16; 16]>().read_unaligned();
                    put(vector / 2, vector % 2, s.load_f16(&packed));
                }
            }
            Kind::F32 => std::ptr::copy_nonoverlapping(from, to.cast::<u8>(), 4096),
            Kind::Grid(g) => grid(s, g, from, |pair, half, values| {
                put(2 * pair, half, values[0]);
                put(2 * pair + 1, half, values[1]);
            }),
        }
    }
}

/// Σ q·x over one block for one row, in the order of the inner dimension.
///
/// # Safety
/// `from` points at the value bytes of a block of a kind with scales, `x` at 32 readable floats.
#[inline(always)]
pub(crate) unsafe fn block_float32<S: Isa>(s: S, kind: Kind, from: *const u8, x: *const f32) -> [S::F; 2] {
    let mut c = [s.splat(0.0); 2];
    // SAFETY: every access stays within the block and the 32 floats that the caller promises.
    unsafe {
        match kind {
            Kind::Q4_0 | Kind::Q4_1 => {
                let bias = s.splat_u(if kind == Kind::Q4_0 { 8 } else { 0 });
                let low = s.splat_u(15);
                for line in 0..8 {
                    let packed = s.load_u(&from.add(64 * line).cast::<[u32; 16]>().read_unaligned());
                    for i in 0..8 {
                        let q = s.and(s.shr(packed, (16 * (i % 2) + 4 * (i / 2)) as u32), low);
                        let xi = s.splat(*x.add(8 * (line / 2) + i));
                        c[line % 2] = s.fma(s.float_of_i32(s.sub_u(q, bias)), xi, c[line % 2]);
                    }
                }
            }
            Kind::Q8_0 => {
                for vector in 0..32 {
                    let packed = s.load_u16(&from.add(32 * vector).cast::<[u16; 16]>().read_unaligned());
                    let (pair, half) = (vector / 2, vector % 2);
                    for (i, shift) in [(0, 24), (1, 16)] {
                        let q = s.float_of_i32(s.sar(s.shl(packed, shift), 24));
                        c[half] = s.fma(q, s.splat(*x.add(2 * pair + i)), c[half]);
                    }
                }
            }
            Kind::F32 | Kind::F16 | Kind::Bf16 | Kind::Grid(_) => unreachable!("a kind without scales"),
        }
    }
    c
}

/// Calls `put` with the weights of each pair of inner elements and sixteen outputs of one block.
///
/// # Safety
/// `from` points at a whole block, scales first.
#[inline(always)]
pub(crate) unsafe fn grid<S: Isa>(
    s: S,
    grid: Grid,
    from: *const u8,
    mut put: impl FnMut(usize, usize, [S::F; 2]),
) {
    // SAFETY: every access stays within the block that the caller promises.
    unsafe {
        let float = |part: usize, half: usize| {
            s.load(&from.cast::<f32>().add(BLOCK * part + 16 * half).cast::<[f32; 16]>().read_unaligned())
        };
        let codes = from.add(grid.header());
        for half in 0..2 {
            // One scale for all 32 inner elements stands for both halves of them.
            let scales = [float(0, half), float(grid.parts - 1, half)];
            let minima =
                if grid.minima { [float(grid.parts, half), float(2 * grid.parts - 1, half)] } else { scales };
            let value = |pair: usize, step: S::F| {
                let scaled = s.mul(scales[pair / 8], step);
                if grid.minima { s.add(scaled, minima[pair / 8]) } else { scaled }
            };
            match grid.codes {
                Codes::Table(table) => {
                    let low = s.splat_u(15);
                    for group in 0..4 {
                        let line = codes.add(64 * (2 * group + half)).cast::<[u32; 16]>().read_unaligned();
                        let packed = s.load_u(&line);
                        for t in 0..4 {
                            let pair = 4 * group + t;
                            let step = |shift: usize| {
                                s.pick(table, s.and(s.shr(packed, (shift + 4 * t) as u32), low))
                            };
                            put(pair, half, [value(pair, step(0)), value(pair, step(16))]);
                        }
                    }
                }
                Codes::Byte => {
                    for pair in 0..16 {
                        let at = codes.add(32 * (2 * pair + half)).cast::<[u16; 16]>().read_unaligned();
                        let packed = s.load_u16(&at);
                        let step = |up: u32| s.float_of_i32(s.sar(s.shl(packed, up), 24));
                        put(pair, half, [value(pair, step(24)), value(pair, step(16))]);
                    }
                }
            }
        }
    }
}

/// A pair of vectors rounded to bfloat16 (to nearest even), the first in the low halves.
#[inline(always)]
pub(crate) fn bfloat16_pair<S: Isa>(s: S, pair: [S::F; 2]) -> S::I {
    let [low, high] = pair.map(|x| {
        let bits = s.to_bits(x);
        let odd = s.and(s.shr(bits, 16), s.splat_u(1));
        s.shr(s.add_u(s.add_u(bits, s.splat_u(0x7fff)), odd), 16)
    });
    s.add_u(low, s.shl(high, 16))
}
