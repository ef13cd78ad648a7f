//! Packed blocks expanded to float32, sixteen outputs at a time.
//!
//! What computes with vectors is called in one place or always inlined: a closure that is not inlined has none of its
//! caller's instructions, and each of its vectors goes through memory.

use super::simd::Isa;
use crate::grid::{Codes, Grid, Table};
use crate::pack::{BLOCK, Kind};

/// Expands the values of one block of 32 outputs × 32 inner elements to `to[inner][output]`; scales stay apart.
///
/// # Safety
/// `from` points at the value bytes of a block of the given kind, `to` at 1,024 writable floats.
#[inline(always)]
pub(crate) unsafe fn float32<S: Isa>(s: S, kind: Kind, from: *const u8, to: *mut f32) {
    // SAFETY: every access stays within the block and the 1,024 floats that the caller promises.
    unsafe {
        match (kind.codes(), kind) {
            (Some(Codes::Table(table)), _) => {
                for line in 0..8 {
                    let packed = s.load_u(&from.add(64 * line).cast::<[u32; 16]>().read_unaligned());
                    for nibble in 0..8u32 {
                        let inner = 2 * (4 * (line / 2) + nibble as usize % 4) + nibble as usize / 4;
                        put(s, to, inner, line % 2, stands_for(s, table, s.shr(packed, 4 * nibble)));
                    }
                }
            }
            (Some(Codes::Byte), _) => {
                for vector in 0..32 {
                    let packed = s.load_u16(&from.add(32 * vector).cast::<[u16; 16]>().read_unaligned());
                    let (pair, half) = (vector / 2, vector % 2);
                    put(s, to, 2 * pair, half, s.float_of_i32(s.sar(s.shl(packed, 24), 24)));
                    put(s, to, 2 * pair + 1, half, s.float_of_i32(s.sar(s.shl(packed, 16), 24)));
                }
            }
            (None, Kind::Bf16) => {
                for vector in 0..32 {
                    let packed = s.load_u(&from.add(64 * vector).cast::<[u32; 16]>().read_unaligned());
                    let (pair, half) = (vector / 2, vector % 2);
                    put(s, to, 2 * pair, half, s.as_floats(s.shl(packed, 16)));
                    put(s, to, 2 * pair + 1, half, s.as_floats(s.and(packed, s.splat_u(0xffff_0000))));
                }
            }
            (None, Kind::F16) => {
                for vector in 0..64 {
                    let packed = from.add(32 * vector).cast::<[u16; 16]>().read_unaligned();
                    put(s, to, vector / 2, vector % 2, s.load_f16(&packed));
                }
            }
            (None, Kind::F32) => std::ptr::copy_nonoverlapping(from, to.cast::<u8>(), 4096),
            (None, Kind::Grid(grid)) => whole(s, grid, from, |pair, half, values| {
                put(s, to, 2 * pair, half, values[0]);
                put(s, to, 2 * pair + 1, half, values[1]);
            }),
            (None, Kind::Q8_0 | Kind::Q4_0 | Kind::Q4_1) => unreachable!("a kind with codes"),
        }
    }
}

/// Stores one inner element of sixteen outputs.
#[inline(always)]
unsafe fn put<S: Isa>(s: S, to: *mut f32, inner: usize, half: usize, v: S::F) {
    // SAFETY: the caller promises 1,024 writable floats.
    s.store(v, unsafe { &mut *to.add(32 * inner + 16 * half).cast::<[f32; 16]>() });
}

/// What the low four bits of each lane stand for.
#[inline(always)]
fn stands_for<S: Isa>(s: S, table: &Table, codes: S::I) -> S::F {
    let code = s.and(codes, s.splat_u(15));
    match table.first {
        Some(first) => s.float_of_i32(s.add_u(code, s.splat_u(first.cast_unsigned()))),
        None => s.pick(&table.floats, code),
    }
}

/// Σ q·x over eighths `FROM` to `TO` of one block for one row, in the order of the inner dimension.
///
/// # Safety
/// `from` points at the value bytes of a block of a kind with scales, `x` at 32 readable floats.
#[inline(always)]
pub(crate) unsafe fn block_float32<S: Isa, const FROM: usize, const TO: usize>(
    s: S,
    codes: Codes,
    from: *const u8,
    x: *const f32,
) -> [S::F; 2] {
    let mut c = [s.splat(0.0); 2];
    // SAFETY: every access stays within the block and the 32 floats that the caller promises.
    unsafe {
        match codes {
            Codes::Table(table) => {
                for line in FROM..TO {
                    let packed = s.load_u(&from.add(64 * line).cast::<[u32; 16]>().read_unaligned());
                    for i in 0..8 {
                        let q = stands_for(s, table, s.shr(packed, (16 * (i % 2) + 4 * (i / 2)) as u32));
                        c[line % 2] = s.fma(q, s.splat(*x.add(8 * (line / 2) + i)), c[line % 2]);
                    }
                }
            }
            Codes::Byte => {
                for vector in 4 * FROM..4 * TO {
                    let packed = s.load_u16(&from.add(32 * vector).cast::<[u16; 16]>().read_unaligned());
                    let (pair, half) = (vector / 2, vector % 2);
                    for (i, shift) in [(0, 24), (1, 16)] {
                        let q = s.float_of_i32(s.sar(s.shl(packed, shift), 24));
                        c[half] = s.fma(q, s.splat(*x.add(2 * pair + i)), c[half]);
                    }
                }
            }
        }
    }
    c
}

/// Calls `put` with the weights of each pair of inner elements and sixteen outputs of one block of a grid that is
/// multiplied as a whole: two scales, two minima and a table.
///
/// # Safety
/// `from` points at a whole block, scales first.
#[inline(always)]
pub(crate) unsafe fn whole<S: Isa>(
    s: S,
    grid: Grid,
    from: *const u8,
    mut put: impl FnMut(usize, usize, [S::F; 2]),
) {
    let Codes::Table(table) = grid.codes else { unreachable!("bytes have no minima") };
    // SAFETY: every access stays within the block that the caller promises.
    unsafe {
        let codes = from.add(grid.header());
        for half in 0..2 {
            let mut parts = [s.splat(0.0); 4];
            for (i, part) in parts.iter_mut().enumerate() {
                let at = from.cast::<f32>().add(BLOCK * i + 16 * half);
                *part = s.load(&at.cast::<[f32; 16]>().read_unaligned());
            }
            for group in 0..4 {
                let line = codes.add(64 * (2 * group + half)).cast::<[u32; 16]>().read_unaligned();
                let packed = s.load_u(&line);
                for t in 0..4 {
                    let pair = 4 * group + t;
                    let (scale, minimum) = (parts[pair / 8], parts[2 + pair / 8]);
                    let first = stands_for(s, table, s.shr(packed, 4 * t as u32));
                    let second = stands_for(s, table, s.shr(packed, 16 + 4 * t as u32));
                    let values = [s.add(s.mul(scale, first), minimum), s.add(s.mul(scale, second), minimum)];
                    put(pair, half, values);
                }
            }
        }
    }
}

/// A pair of vectors rounded to bfloat16 (to nearest even), the first in the low halves.
#[inline(always)]
pub(crate) fn bfloat16_pair<S: Isa>(s: S, pair: [S::F; 2]) -> S::I {
    s.add_u(bfloat16(s, pair[0]), s.shl(bfloat16(s, pair[1]), 16))
}

#[inline(always)]
fn bfloat16<S: Isa>(s: S, x: S::F) -> S::I {
    let bits = s.to_bits(x);
    let odd = s.and(s.shr(bits, 16), s.splat_u(1));
    s.shr(s.add_u(s.add_u(bits, s.splat_u(0x7fff)), odd), 16)
}
