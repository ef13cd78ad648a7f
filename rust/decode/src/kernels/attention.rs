//! Attention of some rows' queries to a shared prompt and to each row's own continuation.
//!
//! Positions are visited in fixed blocks, the prompt's first. Each block is two matrix products with a softmax between;
//! running maximum, sum and output of a query are rescaled from block to block (log-sum-exp merging). The blocks of a
//! position depend on nothing but the prompt's length, so a row's result does not depend on its company.

use super::gemm::plain;
use super::math;
use super::scratch::AttentionScratch;
use super::simd::{Arith, Op, prefetch};
use crate::aligned::Shared;
use crate::cache::Segment;
use crate::pack::BLOCK;

/// What one row may look at: positions below `prefix` in the prompt and below `suffix` in its own segment.
#[derive(Clone, Copy)]
pub(crate) struct Sight {
    pub(crate) prefix: usize,
    /// First visible prompt position (above 0 with a sliding window).
    pub(crate) prefix_from: usize,
    pub(crate) own: Option<Segment>,
    pub(crate) suffix: usize,
    pub(crate) suffix_from: usize,
}

/// One key head, some of its query heads, and some rows that share a prompt.
pub(crate) struct Attend<'a, A: Arith> {
    pub(crate) layer: usize,
    pub(crate) kv_head: usize,
    /// First query head and their number, all of one group.
    pub(crate) heads: (usize, usize),
    /// First row; one per element of `sights`.
    pub(crate) row: usize,
    pub(crate) sights: &'a [Sight],
    pub(crate) prefix: Segment,
    pub(crate) prefix_cache: Shared<'a, A::X>,
    pub(crate) suffix_cache: Shared<'a, A::X>,
    /// All rows' queries, `queries_stride` apart, heads of padded width.
    pub(crate) queries: &'a [A::X],
    pub(crate) queries_stride: usize,
    pub(crate) scale: f32,
    pub(crate) softcap: Option<f32>,
    pub(crate) head_dim: usize,
    /// Rows of heads × head width.
    pub(crate) out: Shared<'a, f32>,
    pub(crate) out_stride: usize,
    pub(crate) scratch: &'a mut AttentionScratch<A>,
}

impl<A: Arith> Op<A> for Attend<'_, A> {
    type Out = ();

    #[inline(always)]
    fn run(mut self, a: A) {
        let width = self.prefix.width;
        let group = self.heads.1;
        let m = self.sights.len() * group;
        let s = std::mem::replace(self.scratch, AttentionScratch::new());
        let mut s = s;
        s.out.clear();
        s.out.resize(m * width, 0.0);
        s.max.clear();
        s.max.resize(m, f32::NEG_INFINITY);
        s.sum.clear();
        s.sum.resize(m, 0.0);
        self.gather(&mut s.queries, 0..self.sights.len());
        let furthest = self.sights.iter().map(|s| s.prefix).max().unwrap_or(0);
        let nearest = self.sights.iter().map(|s| s.prefix_from).min().unwrap_or(0);
        let mut ranges = Vec::with_capacity(m);
        for block in nearest / self.prefix.block..furthest.div_ceil(self.prefix.block) {
            let first = block * self.prefix.block;
            ranges.clear();
            for sight in self.sights {
                let range = clip(sight.prefix_from, sight.prefix, first, self.prefix.block);
                ranges.extend(std::iter::repeat_n(range, group));
            }
            self.visit(a, self.prefix, self.prefix_cache, block, &ranges, &mut s, 0);
        }
        for i in 0..self.sights.len() {
            let sight = self.sights[i];
            let Some(own) = sight.own else { continue };
            if sight.suffix <= sight.suffix_from {
                continue;
            }
            // Every row's cache is elsewhere: the next one's arrives while this one is computed.
            if let Some(next) = self.sights.get(i + 1).and_then(|sight| sight.own) {
                let first = next.block_at(self.layer, self.kv_head, 0).k;
                let lines = next.block * next.width * 2 * size_of::<A::X>() / 64;
                let from = self.suffix_cache.at(first, next.block * next.width * 2).cast::<u8>();
                (0..lines).for_each(|line| prefetch(from.wrapping_add(64 * line)));
            }
            self.gather(&mut s.queries, i..i + 1);
            for block in sight.suffix_from / own.block..sight.suffix.div_ceil(own.block) {
                ranges.clear();
                let range = clip(sight.suffix_from, sight.suffix, block * own.block, own.block);
                ranges.extend(std::iter::repeat_n(range, group));
                self.visit(a, own, self.suffix_cache, block, &ranges, &mut s, i * group);
            }
        }
        for i in 0..self.sights.len() {
            for g in 0..group {
                let q = i * group + g;
                let at = (self.row + i) * self.out_stride + (self.heads.0 + g) * self.head_dim;
                // SAFETY: this task owns these heads of these rows.
                let out = unsafe { self.out.slice(at, self.head_dim) };
                let sum = s.sum[q];
                for (y, &o) in out.iter_mut().zip(&s.out[q * width..]) {
                    *y = o / sum;
                }
            }
        }
        *self.scratch = s;
    }
}

fn clip(from: usize, to: usize, first: usize, len: usize) -> (usize, usize) {
    let (from, to) = (from.saturating_sub(first).min(len), to.saturating_sub(first).min(len));
    (from, to.max(from))
}

impl<A: Arith> Attend<'_, A> {
    /// Interleaves the queries of some rows as a register tile reads them.
    #[inline(always)]
    fn gather(&self, to: &mut Vec<A::X>, rows: std::ops::Range<usize>) {
        let (width, group) = (self.prefix.width, self.heads.1);
        let m = rows.len() * group;
        to.resize(m * width, A::X::default());
        for (i, row) in rows.enumerate() {
            for g in 0..group {
                let at = (self.row + row) * self.queries_stride + (self.heads.0 + g) * width;
                let q = &self.queries[at..at + width];
                let lane = (i * group + g) * A::STEP;
                for (x, to) in q.chunks_exact(A::STEP).zip(to[lane..].chunks_mut(m * A::STEP)) {
                    to[..A::STEP].copy_from_slice(x);
                }
            }
        }
    }

    /// One block for the tile of `ranges.len()` queries whose running state begins at `state`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn visit(
        &mut self,
        a: A,
        segment: Segment,
        cache: Shared<'_, A::X>,
        block: usize,
        ranges: &[(usize, usize)],
        s: &mut AttentionScratch<A>,
        state: usize,
    ) {
        let end = ranges.iter().map(|r| r.1).max().unwrap_or(0);
        if end == 0 {
            return;
        }
        let place = segment.block_at(self.layer, self.kv_head, block);
        let len = segment.block * segment.width;
        // SAFETY: the phase before this one filled the cache; no task writes it now.
        let (keys, values) = unsafe { (cache.read(place.k, len), cache.read(place.v, len)) };
        let tile = Visit {
            keys,
            values,
            end,
            block: segment.block,
            ranges,
            scale: self.scale,
            softcap: self.softcap,
            s,
            state,
        };
        macro_rules! heights {
            ($($m:literal)*) => {
                match ranges.len() {
                    $($m if $m <= A::MR => { a.call(VisitM::<A, $m>(tile)); })*
                    _ => unreachable!("a tile higher than the register tile"),
                }
            };
        }
        heights!(1 2 3 4 5 6 7 8 9)
    }
}

struct Visit<'a, A: Arith> {
    keys: &'a [A::X],
    values: &'a [A::X],
    /// One past the last position that any query sees.
    end: usize,
    block: usize,
    ranges: &'a [(usize, usize)],
    scale: f32,
    softcap: Option<f32>,
    s: &'a mut AttentionScratch<A>,
    state: usize,
}

struct VisitM<'a, A: Arith, const M: usize>(Visit<'a, A>);

impl<A: Arith, const M: usize> Op<A> for VisitM<'_, A, M> {
    type Out = ();

    #[inline(always)]
    fn run(self, a: A) {
        let Visit { keys, values, end, block, ranges, scale, softcap, s, state } = self.0;
        let width = keys.len() / block;
        let cols = end.next_multiple_of(BLOCK);
        s.scores.clear();
        s.scores.resize(M * cols, 0.0);
        s.probabilities.resize(M * cols, A::X::default());
        assert!(s.queries.len() == M * width && s.out.len() >= (state + M) * width);
        for panel in 0..cols / BLOCK {
            let panel_keys = &keys[panel * BLOCK * width..][..BLOCK * width];
            // SAFETY: M queries of `width` elements, a panel of 32 × `width`, M rows of scores with room for it.
            unsafe {
                let to = s.scores.as_mut_ptr().add(panel * BLOCK);
                plain::<A, M>(a, width / A::STEP, s.queries.as_ptr(), panel_keys.as_ptr(), to, cols);
            }
        }
        for m in 0..M {
            let scores = &mut s.scores[m * cols..][..cols];
            let (from, to) = ranges[m];
            // Before the mask: the cap of −∞ is finite.
            let scale = match softcap {
                None => scale,
                Some(cap) => {
                    math::softcap(a, scores, scale, cap);
                    1.0
                }
            };
            scores[..from].fill(f32::NEG_INFINITY);
            scores[to..].fill(f32::NEG_INFINITY);
            let mut top = a.splat(f32::NEG_INFINITY);
            for i in 0..cols / 16 {
                let v: &mut [f32; 16] = (&mut scores[16 * i..16 * i + 16]).try_into().expect("16 floats");
                let scaled = a.mul(a.load(v), a.splat(scale));
                a.store(scaled, v);
                top = a.max(scaled, top);
            }
            let old = s.max[state + m];
            let top = a.top(top).max(old);
            let out = &mut s.out[(state + m) * width..][..width];
            let mut sum = 0.0;
            // A query that sees nothing here has probabilities exp(−∞ − finite) = 0; one that has seen nothing at all
            // takes any finite maximum for the same end.
            let base = if top == f32::NEG_INFINITY { 0.0 } else { top };
            for i in 0..cols / BLOCK {
                let part = &scores[i * BLOCK..][..BLOCK];
                let mut p = [a.splat(0.0); 2];
                for (half, p) in p.iter_mut().enumerate() {
                    let v = a.load(part[16 * half..16 * half + 16].try_into().expect("16 floats"));
                    *p = math::exp(a, a.sub(v, a.splat(base)));
                }
                let span = (BLOCK / A::STEP - 1) * M * A::STEP + A::STEP;
                let to = &mut s.probabilities[i * BLOCK * M + m * A::STEP..][..span];
                // SAFETY: the last write ends within the checked span.
                let [first, last] = unsafe { a.scatter(p, to.as_mut_ptr(), M * A::STEP) };
                sum += first + last;
            }
            if old != top {
                let mut shrink = [0f32; 16];
                a.store(math::exp(a, a.splat(old - base)), &mut shrink);
                s.sum[state + m] *= shrink[0];
                for o in out {
                    *o *= shrink[0];
                }
            }
            s.sum[state + m] += sum;
            s.max[state + m] = top;
        }
        let steps = end.div_ceil(A::STEP);
        for panel in 0..width / BLOCK {
            let panel_values = &values[panel * BLOCK * block..][..BLOCK * block];
            // SAFETY: M rows of `cols` probabilities, `steps` at most the block's, M rows of output with room.
            unsafe {
                let to = s.out.as_mut_ptr().add(state * width + panel * BLOCK);
                plain::<A, M>(a, steps, s.probabilities.as_ptr(), panel_values.as_ptr(), to, width);
            }
        }
    }
}
