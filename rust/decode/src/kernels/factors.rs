//! Scales and minima of packed blocks to float32.

use super::scratch::Chunk;
use super::simd::Arith;
use crate::grid::{Form, Grid};
use crate::pack::BLOCK;

/// Scales (`kind` 0) or minima (1) of a part, for sixteen outputs.
#[inline(always)]
pub(super) fn factors<A: Arith>(
    a: A,
    grid: Grid,
    header: &[u8],
    kind: usize,
    part: usize,
    half: usize,
) -> A::F {
    let units = header[2 * (kind * BLOCK + 16 * half)..][..32].as_ptr();
    // SAFETY: the slices have the bytes; every bit pattern is a number.
    unsafe {
        match grid.form {
            Form::Half => a.load_f16(&units.cast::<[u16; 16]>().read_unaligned()),
            Form::Power => a.as_floats(a.shl(a.load_i16(&units.cast::<[i16; 16]>().read_unaligned()), 16)),
            Form::Multiple => {
                let multiples = header[grid.multiples(kind, part) + 16 * half..][..16].as_ptr();
                let multiples = a.load_i8(&multiples.cast::<[i8; 16]>().read_unaligned());
                let units = a.load_f16(&units.cast::<[u16; 16]>().read_unaligned());
                a.mul(units, a.float_of_i32(multiples))
            }
        }
    }
}

/// Scales and minima of block `b` of a chunk to float32.
#[inline(always)]
pub(super) fn expand_factors<A: Arith>(a: A, grid: Grid, header: &[u8], b: usize, chunk: &mut Chunk<A::X>) {
    for part in 0..grid.parts {
        for half in 0..2 {
            let at = (b * grid.parts + part) * BLOCK + 16 * half;
            let to = (&mut chunk.scales[at..at + 16]).try_into().expect("16 floats");
            a.store(factors(a, grid, header, 0, part, half), to);
            if grid.minima {
                let to = (&mut chunk.minima[at..at + 16]).try_into().expect("16 floats");
                a.store(factors(a, grid, header, 1, part, half), to);
            }
        }
    }
}
