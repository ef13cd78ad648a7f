//! One row against one panel: blocks go from memory to the registers, with the arithmetic of the tiles of [`super::gemm`].

use super::factors::factors;
use super::simd::{Arith, prefetch};
use crate::grid::{Form, Grid};
use crate::pack::{BLOCK, Kind};

/// How many blocks ahead packed weights are asked for.
pub(super) const AHEAD: usize = 16;

/// How many bytes ahead floats are asked for.
const FLOATS_AHEAD: usize = 8192;

/// acc[output] = Σ over the inner dimension for one panel; `sums` are those of x by sixteens.
#[inline(always)]
pub(super) fn multiply<A: Arith>(
    a: A,
    kind: Kind,
    panel: &[u8],
    x: &[A::X],
    sums: &[f32],
    acc: &mut [f32; BLOCK],
) {
    // Each form has a loop of its own.
    match kind {
        Kind::Grid(grid) => match grid.form {
            Form::Half => single(a, Grid { form: Form::Half, parts: 1, ..grid }, panel, x, sums, acc),
            Form::Power => single(a, Grid { form: Form::Power, parts: 1, ..grid }, panel, x, sums, acc),
            Form::Multiple => single(a, Grid { form: Form::Multiple, ..grid }, panel, x, sums, acc),
        },
        Kind::Bf16 => single_floats(a, Kind::Bf16, panel, x, acc),
        Kind::F16 => single_floats(a, Kind::F16, panel, x, acc),
        Kind::F32 => single_floats(a, Kind::F32, panel, x, acc),
    }
}

/// One row of block formats.
#[inline(always)]
fn single<A: Arith>(a: A, grid: Grid, panel: &[u8], x: &[A::X], sums: &[f32], acc: &mut [f32; BLOCK]) {
    let size = Kind::Grid(grid).block_bytes();
    assert!(x.len() >= panel.len() / size * BLOCK);
    let mut total = [a.splat(0.0); 2];
    for (b, block) in panel.chunks_exact(size).enumerate() {
        for line in (0..size).step_by(64) {
            prefetch(block.as_ptr().wrapping_add(AHEAD * size + line));
        }
        let (header, bytes) = block.split_at(grid.header());
        let (bytes, x) = (bytes.as_ptr(), x[b * BLOCK..].as_ptr());
        let [first, last] = [sums[2 * b], sums[2 * b + 1]];
        // SAFETY: `bytes` is a block of this grid, and x has 32 elements for it.
        unsafe {
            if grid.parts == 1 {
                add(a, grid, header, 0, a.block::<0, 8>(grid.codes, bytes, x), first + last, &mut total);
            } else {
                add(a, grid, header, 0, a.block::<0, 4>(grid.codes, bytes, x), first, &mut total);
                add(a, grid, header, 1, a.block::<4, 8>(grid.codes, bytes, x), last, &mut total);
            }
        }
    }
    store(a, total, acc);
}

/// One row of a matrix of floats: one chain along the inner dimension.
#[inline(always)]
fn single_floats<A: Arith>(a: A, kind: Kind, panel: &[u8], x: &[A::X], acc: &mut [f32; BLOCK]) {
    let size = kind.block_bytes();
    assert!(x.len() >= panel.len() / size * BLOCK);
    let mut total = [a.splat(0.0); 2];
    for (b, block) in panel.chunks_exact(size).enumerate() {
        for line in (0..size).step_by(64) {
            prefetch(block.as_ptr().wrapping_add(FLOATS_AHEAD + line));
        }
        // SAFETY: a block of this kind, and x has 32 elements for it.
        total = unsafe { a.chain(kind, block.as_ptr(), x[b * BLOCK..].as_ptr(), total) };
    }
    store(a, total, acc);
}

#[inline(always)]
fn store<A: Arith>(a: A, total: [A::F; 2], acc: &mut [f32; BLOCK]) {
    let (low, high) = acc.split_at_mut(16);
    a.store(total[0], low.try_into().expect("16 floats"));
    a.store(total[1], high.try_into().expect("16 floats"));
}

/// Adds the sums of a part of a block times its scales, and its inputs' sum times its minima.
#[inline(always)]
fn add<A: Arith>(
    a: A,
    grid: Grid,
    header: &[u8],
    part: usize,
    c: [A::F; 2],
    sum: f32,
    total: &mut [A::F; 2],
) {
    for half in 0..2 {
        total[half] = a.fma(factors(a, grid, header, 0, part, half), c[half], total[half]);
        if grid.minima {
            total[half] = a.fma(factors(a, grid, header, 1, part, half), a.splat(sum), total[half]);
        }
    }
}
