//! Packed blocks expanded to float32, sixteen outputs at a time.
//!
//! What computes with vectors is called in one place or always inlined: a closure that is not inlined has none of its
//! caller's instructions, and each of its vectors goes through memory.

use super::simd::Isa;
use crate::grid::{Codes, Grid};
use crate::pack::Kind;

/// Expands the values of one block of 32 outputs × 32 inner elements to `to[inner][output]`; scales stay apart.
///
/// # Safety
/// `from` points at the value bytes of a block of the given kind, `to` at 1,024 writable floats.
#[inline(always)]
pub(crate) unsafe fn float32<S: Isa>(s: S, kind: Kind, from: *const u8, to: *mut f32) {
    let unit = s.splat(1.0 / S::UNIT);
    // SAFETY: every access stays within the block and the 1,024 floats that the caller promises.
    unsafe {
        match kind {
            Kind::Grid(Grid { codes: Codes::Table(table), .. }) => {
                for at in 0..8 {
                    let line = s.line(table, &from.add(64 * at).cast::<[u32; 16]>().read_unaligned());
                    for i in 0..8 {
                        put(s, to, 8 * (at / 2) + i, at % 2, s.mul(s.code(line, i), unit));
                    }
                }
            }
            Kind::Grid(Grid { codes: Codes::Byte, .. }) => {
                for vector in 0..32 {
                    let both = s.bytes(&from.add(32 * vector).cast::<[[u8; 2]; 16]>().read_unaligned());
                    let (pair, half) = (vector / 2, vector % 2);
                    put(s, to, 2 * pair, half, s.mul(both[0], unit));
                    put(s, to, 2 * pair + 1, half, s.mul(both[1], unit));
                }
            }
            Kind::Bf16 => {
                for vector in 0..32 {
                    let packed = s.load_u(&from.add(64 * vector).cast::<[u32; 16]>().read_unaligned());
                    let (pair, half) = (vector / 2, vector % 2);
                    put(s, to, 2 * pair, half, s.as_floats(s.shl(packed, 16)));
                    put(s, to, 2 * pair + 1, half, s.as_floats(s.and(packed, s.splat_u(0xffff_0000))));
                }
            }
            Kind::F16 => {
                for vector in 0..64 {
                    let packed = from.add(32 * vector).cast::<[u16; 16]>().read_unaligned();
                    put(s, to, vector / 2, vector % 2, s.load_f16(&packed));
                }
            }
            Kind::F32 => std::ptr::copy_nonoverlapping(from, to.cast::<u8>(), 4096),
        }
    }
}

/// Stores one inner element of sixteen outputs.
#[inline(always)]
unsafe fn put<S: Isa>(s: S, to: *mut f32, inner: usize, half: usize, v: S::F) {
    // SAFETY: the caller promises 1,024 writable floats.
    s.store(v, unsafe { &mut *to.add(32 * inner + 16 * half).cast::<[f32; 16]>() });
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
                for group in FROM / 2..TO / 2 {
                    let at = from.add(128 * group).cast::<[u32; 16]>();
                    let low = s.line(table, &at.read_unaligned());
                    let high = s.line(table, &at.add(1).read_unaligned());
                    for i in 0..8 {
                        let x = s.splat(*x.add(8 * group + i));
                        c[0] = s.fma(s.code(low, i), x, c[0]);
                        c[1] = s.fma(s.code(high, i), x, c[1]);
                    }
                }
            }
            Codes::Byte => {
                for pair in 2 * FROM..2 * TO {
                    let at = from.add(64 * pair).cast::<[[u8; 2]; 16]>();
                    let low = s.bytes(&at.read_unaligned());
                    let high = s.bytes(&at.add(1).read_unaligned());
                    for i in 0..2 {
                        let x = s.splat(*x.add(2 * pair + i));
                        c[0] = s.fma(low[i], x, c[0]);
                        c[1] = s.fma(high[i], x, c[1]);
                    }
                }
            }
        }
    }
    // Exact: the products were of whole numbers, so that even the smallest sum has no bit below a float's last.
    let unit = s.splat(1.0 / S::UNIT);
    [s.mul(c[0], unit), s.mul(c[1], unit)]
}
