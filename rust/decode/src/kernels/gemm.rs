//! Matrix products: every row of a step against one panel of 32 outputs.
//!
//! One output is one chain of fused multiply-adds along the inner dimension. For block formats the chain runs over a
//! block's integers, s = Σ q·x, and the block then adds d·s + m·Σx: the same for one row and for hundreds, whatever the
//! size of the register tile.

use super::factors::expand_factors;
use super::one_row::{self, AHEAD};
use super::scratch::{CHUNK, Scratch};
use super::simd::{Arith, Op, prefetch};
use super::xpack::XView;
use crate::pack::{BLOCK, Kind, Packed};

/// acc[row][output] = Σ over the inner dimension for one panel; `acc` is rows × 32.
pub(crate) struct Panel<'a, A: Arith> {
    pub(crate) weights: &'a Packed,
    pub(crate) panel: usize,
    pub(crate) x: XView<'a, A>,
    pub(crate) acc: &'a mut [f32],
    pub(crate) scratch: &'a mut Scratch<A>,
}

impl<A: Arith> Op<A> for Panel<'_, A> {
    type Out = ();

    #[inline(always)]
    fn run(self, a: A) {
        let kind = self.weights.kind;
        let panel = self.weights.panel(self.panel);
        assert!(self.acc.len() >= self.x.rows * BLOCK && self.x.blocks == self.weights.blocks);
        let size = kind.block_bytes();
        if self.x.rows == 1 {
            // SAFETY: activations are complete before the phase that multiplies them.
            let (_, _, x, sums) = unsafe { self.x.tile(0) };
            let acc: &mut [f32; BLOCK] = (&mut self.acc[..BLOCK]).try_into().expect("32 floats");
            one_row::multiply(a, kind, panel, x, sums, acc);
            return;
        }
        self.acc[..self.x.rows * BLOCK].fill(0.0);
        let chunk = &mut self.scratch.chunk;
        for first in (0..self.weights.blocks).step_by(CHUNK) {
            let blocks = CHUNK.min(self.weights.blocks - first);
            let source = &panel[first * size..(first + blocks) * size];
            // Weights that need no expansion are read where they lie.
            let direct = (A::BF16 && kind == Kind::Bf16) || (!A::BF16 && kind == Kind::F32);
            let values = if direct {
                source.as_ptr().cast::<A::X>()
            } else {
                for (b, block) in source.chunks_exact(size).enumerate() {
                    for line in (0..size).step_by(64) {
                        prefetch(block.as_ptr().wrapping_add(AHEAD * size + line));
                    }
                    let (scales, bytes) = block.split_at(kind.scale_bytes());
                    if let Kind::Grid(grid) = kind {
                        expand_factors(a, grid, scales, b, chunk);
                    }
                    // SAFETY: `bytes` is a block of this kind; the chunk has room for CHUNK blocks of 1,024 elements.
                    unsafe {
                        a.expand(kind, bytes.as_ptr(), chunk.values.as_mut_ptr().add(b * BLOCK * BLOCK));
                    }
                }
                chunk.values.as_ptr()
            };
            for t in 0..self.x.tiles.count {
                // SAFETY: activations are complete before the phase that multiplies them.
                let (start, height, x, sums) = unsafe { self.x.tile(t) };
                let grid = if let Kind::Grid(grid) = kind { Some(grid) } else { None };
                let weights = Weights {
                    values,
                    blocks,
                    scales: grid.map(|_| &chunk.scales),
                    minima: grid.filter(|grid| grid.minima).map(|_| &chunk.minima),
                    parts: grid.map_or(1, |grid| grid.parts),
                };
                let x = &x[first * BLOCK * height..];
                let sums = &sums[2 * first * height..];
                let acc = &mut self.acc[start * BLOCK..][..height * BLOCK];
                // SAFETY: `values` has `blocks` blocks of 1,024 elements, x as many inner elements of `height` rows.
                unsafe { tile_any(a, height, weights, x, sums, acc) };
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Weights<'a, X> {
    values: *const X,
    blocks: usize,
    scales: Option<&'a Vec<f32>>,
    minima: Option<&'a Vec<f32>>,
    /// Scales for each 32 inner elements of an output.
    parts: usize,
}

/// Dispatches on the height of the tile, which the loops of [`tile`] need as a constant.
#[inline(always)]
unsafe fn tile_any<A: Arith>(
    a: A,
    height: usize,
    w: Weights<'_, A::X>,
    x: &[A::X],
    sums: &[f32],
    acc: &mut [f32],
) {
    macro_rules! heights {
        ($($m:literal)*) => {
            match height {
                $($m if $m <= A::MR => {
                    a.call(Tile::<A, $m> { w, x, sums, acc });
                })*
                _ => unreachable!("a tile higher than the register tile"),
            }
        };
    }
    heights!(1 2 3 4 5 6 7 8 9)
}

struct Tile<'a, A: Arith, const M: usize> {
    w: Weights<'a, A::X>,
    x: &'a [A::X],
    sums: &'a [f32],
    acc: &'a mut [f32],
}

impl<A: Arith, const M: usize> Op<A> for Tile<'_, A, M> {
    type Out = ();

    #[inline(always)]
    fn run(self, a: A) {
        assert!(self.acc.len() == M * BLOCK && self.x.len() >= M * self.w.blocks * BLOCK);
        let acc = self.acc.as_mut_ptr();
        // SAFETY: lengths are checked above; `values` is valid for `blocks` blocks by construction in `Panel`.
        unsafe {
            match self.w.scales {
                None => {
                    let steps = self.w.blocks * BLOCK / A::STEP;
                    plain::<A, M>(a, steps, self.x.as_ptr(), self.w.values, acc, BLOCK);
                }
                Some(scales) => {
                    let (x, w, n) = (self.x.as_ptr(), self.w.values, self.w.blocks);
                    let minima = self.w.minima.map(|m| &m[..]);
                    if self.w.parts == 1 {
                        coded::<A, M, 1>(a, n, x, w, scales, minima, self.sums, acc);
                    } else {
                        coded::<A, M, 2>(a, n, x, w, scales, minima, self.sums, acc);
                    }
                }
            }
        }
    }
}

/// [`scaled`] for all 32 outputs, in one pass or two.
///
/// # Safety
/// As for [`scaled`].
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn coded<A: Arith, const M: usize, const P: usize>(
    a: A,
    blocks: usize,
    x: *const A::X,
    w: *const A::X,
    scales: &[f32],
    minima: Option<&[f32]>,
    sums: &[f32],
    acc: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if A::NV == 2 {
            scaled::<A, M, 2, P>(a, blocks, x, w, scales, minima, sums, acc);
        } else {
            scaled::<A, M, 1, P>(a, blocks, x, w, scales, minima, sums, acc);
            let minima = minima.map(|m| &m[16..]);
            let (w, scales, acc) = (w.add(16 * A::STEP), &scales[16..], acc.add(16));
            scaled::<A, M, 1, P>(a, blocks, x, w, scales, minima, sums, acc);
        }
    }
}

/// acc[m][0..32] += Σ over `steps` dot steps; rows of `acc` are `ld` floats apart.
///
/// # Safety
/// `x` has `steps * M * STEP` elements, `w` `steps * 32 * STEP`, and `acc` M rows.
#[inline(always)]
pub(crate) unsafe fn plain<A: Arith, const M: usize>(
    a: A,
    steps: usize,
    x: *const A::X,
    w: *const A::X,
    acc: *mut f32,
    ld: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if A::NV == 2 {
            chain::<A, M, 2>(a, steps, x, w, acc, ld);
        } else {
            chain::<A, M, 1>(a, steps, x, w, acc, ld);
            chain::<A, M, 1>(a, steps, x, w.add(16 * A::STEP), acc.add(16), ld);
        }
    }
}

#[inline(always)]
unsafe fn at<'a>(p: *mut f32) -> &'a mut [f32; 16] {
    // SAFETY: the caller promises sixteen floats nobody else uses.
    unsafe { &mut *p.cast::<[f32; 16]>() }
}

/// `steps` dot steps on M rows × V vectors of outputs held in registers.
#[inline(always)]
unsafe fn dots<A: Arith, const M: usize, const V: usize>(
    a: A,
    steps: usize,
    x: *const A::X,
    w: *const A::X,
    c: &mut [[A::F; V]; M],
) {
    // SAFETY: the caller promises the elements.
    unsafe {
        for step in 0..steps {
            let wp = w.add(step * BLOCK * A::STEP);
            let mut wv = [a.load_w(wp); V];
            if V == 2 {
                wv[V - 1] = a.load_w(wp.add(16 * A::STEP));
            }
            let xp = x.add(step * M * A::STEP);
            for m in 0..M {
                for v in 0..V {
                    c[m][v] = a.dot(c[m][v], xp.add(m * A::STEP), wv[v]);
                }
            }
        }
    }
}

/// The M rows × V vectors of a tile's sums, rows `ld` floats apart.
#[inline(always)]
unsafe fn sums_from<A: Arith, const M: usize, const V: usize>(
    a: A,
    acc: *mut f32,
    ld: usize,
) -> [[A::F; V]; M] {
    let mut c = [[a.splat(0.0); V]; M];
    for m in 0..M {
        for v in 0..V {
            // SAFETY: the caller promises M rows.
            c[m][v] = a.load(unsafe { at(acc.add(m * ld + 16 * v)) });
        }
    }
    c
}

#[inline(always)]
unsafe fn sums_to<A: Arith, const M: usize, const V: usize>(
    a: A,
    c: &[[A::F; V]; M],
    acc: *mut f32,
    ld: usize,
) {
    for m in 0..M {
        for v in 0..V {
            // SAFETY: the caller promises M rows.
            a.store(c[m][v], unsafe { at(acc.add(m * ld + 16 * v)) });
        }
    }
}

#[inline(always)]
unsafe fn chain<A: Arith, const M: usize, const V: usize>(
    a: A,
    steps: usize,
    x: *const A::X,
    w: *const A::X,
    acc: *mut f32,
    ld: usize,
) {
    // SAFETY: the caller promises the elements and rows.
    unsafe {
        let mut c = sums_from::<A, M, V>(a, acc, ld);
        dots::<A, M, V>(a, steps, x, w, &mut c);
        sums_to(a, &c, acc, ld);
    }
}

/// Some blocks: acc += d·Σ q·x + m·Σ x for each of P parts.
///
/// # Safety
/// `x` has `blocks * M * 32` elements, `w` `blocks * 1,024`, and `acc` M rows; scales and minima are those of the blocks.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn scaled<A: Arith, const M: usize, const V: usize, const P: usize>(
    a: A,
    blocks: usize,
    x: *const A::X,
    w: *const A::X,
    scales: &[f32],
    minima: Option<&[f32]>,
    sums: &[f32],
    acc: *mut f32,
) {
    // SAFETY: the caller promises the elements and rows; there are 32 scales and minima a part, and 2·M sums a block.
    unsafe {
        // Where a tile is one vector wide, the registers have no room for both kinds of sums.
        let held = V == 2;
        let inner = BLOCK / P;
        let mut total = sums_from::<A, M, V>(a, acc, BLOCK);
        for b in 0..blocks {
            for part in 0..P {
                let mut c = [[a.splat(0.0); V]; M];
                let at = b * P + part;
                dots::<A, M, V>(a, inner / A::STEP, x.add(at * inner * M), w.add(at * inner * BLOCK), &mut c);
                if !held {
                    total = sums_from(a, acc, BLOCK);
                }
                for v in 0..V {
                    let d = a.load(&*scales.as_ptr().add(at * BLOCK + 16 * v).cast::<[f32; 16]>());
                    for m in 0..M {
                        total[m][v] = a.fma(d, c[m][v], total[m][v]);
                    }
                    if let Some(minima) = minima {
                        let low = a.load(&*minima.as_ptr().add(at * BLOCK + 16 * v).cast::<[f32; 16]>());
                        for m in 0..M {
                            let of = |part: usize| *sums.get_unchecked(2 * (b * M + m) + part);
                            let sum = if P == 1 { of(0) + of(1) } else { of(part) };
                            total[m][v] = a.fma(low, a.splat(sum), total[m][v]);
                        }
                    }
                }
                if !held {
                    sums_to(a, &total, acc, BLOCK);
                }
            }
        }
        if held {
            sums_to(a, &total, acc, BLOCK);
        }
    }
}
