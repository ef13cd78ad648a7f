//! What happens to one row between the matrix products: normalisation, rotation, entry into the cache.

use super::simd::{Arith, Op};
use super::xpack::XView;
use crate::aligned::Shared;
use crate::cache::{Place, Segment};
use crate::model::{Config, NormKind, RopePairs};
use crate::pack::BLOCK;

/// A normalisation, its weights padded with zeros to whole blocks.
pub(crate) struct Norm {
    pub(crate) kind: NormKind,
    pub(crate) eps: f32,
    /// Real length.
    pub(crate) len: usize,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Option<Vec<f32>>,
}

#[inline(always)]
fn lanes<A: Arith>(a: A, x: &[f32], i: usize) -> A::F {
    a.load(x[16 * i..16 * i + 16].try_into().expect("16 floats"))
}

#[inline(always)]
fn put<A: Arith>(a: A, v: A::F, x: &mut [f32], i: usize) {
    a.store(v, (&mut x[16 * i..16 * i + 16]).try_into().expect("16 floats"));
}

/// Normalises a padded row in place; the padding must be zero and stays zero.
#[inline(always)]
pub(crate) fn normalise<A: Arith>(a: A, norm: &Norm, x: &mut [f32]) {
    let n = norm.len as f32;
    let vectors = x.len() / 16;
    let mut shift = a.splat(0.0);
    if norm.kind == NormKind::Layer {
        let mut sum = a.splat(0.0);
        for i in 0..vectors {
            sum = a.add(sum, lanes(a, x, i));
        }
        shift = a.splat(a.sum(sum) / n);
        for i in 0..vectors {
            let centred = a.sub(lanes(a, x, i), shift);
            put(a, centred, x, i);
        }
        x[norm.len..].fill(0.0);
    }
    let _ = shift;
    let mut squares = a.splat(0.0);
    for i in 0..vectors {
        let v = lanes(a, x, i);
        squares = a.fma(v, v, squares);
    }
    let scale = a.splat(1.0 / (a.sum(squares) / n + norm.eps).sqrt());
    for i in 0..vectors {
        let scaled = a.mul(a.mul(lanes(a, x, i), scale), lanes(a, &norm.weight, i));
        let shifted = match &norm.bias {
            Some(bias) => a.add(scaled, lanes(a, bias, i)),
            None => scaled,
        };
        put(a, shifted, x, i);
    }
}

/// Normalises one row (or copies it, without a norm) and packs it as a matrix product's input.
pub(crate) struct PackRow<'a, A: Arith> {
    pub(crate) norm: Option<&'a Norm>,
    /// The row, padded to whole blocks.
    pub(crate) from: &'a [f32],
    pub(crate) row: usize,
    pub(crate) to: XView<'a, A>,
    pub(crate) scratch: &'a mut Vec<f32>,
}

impl<A: Arith> Op<A> for PackRow<'_, A> {
    type Out = ();

    #[inline(always)]
    fn run(self, a: A) {
        let row = self.scratch;
        row.clear();
        row.extend_from_slice(self.from);
        if let Some(norm) = self.norm {
            normalise(a, norm, row);
        }
        for block in 0..row.len() / BLOCK {
            let pair = [lanes(a, row, 2 * block), lanes(a, row, 2 * block + 1)];
            // SAFETY: this task owns the row.
            unsafe { self.to.put(a, self.row, block, pair) };
        }
    }
}

/// Normalises one row, multiplies it and adds it to another.
pub(crate) struct AddRow<'a> {
    pub(crate) norm: Option<&'a Norm>,
    pub(crate) scale: f32,
    /// Padded to whole blocks; its padding may hold anything.
    pub(crate) from: &'a mut [f32],
    pub(crate) to: &'a mut [f32],
}

impl<A: Arith> Op<A> for AddRow<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self, a: A) {
        if let Some(norm) = self.norm {
            self.from[norm.len..].fill(0.0);
            normalise(a, norm, self.from);
        }
        let scale = a.splat(self.scale);
        for i in 0..self.to.len() / 16 {
            let scaled = a.mul(lanes(a, self.from, i), scale);
            put(a, a.add(lanes(a, self.to, i), scaled), self.to, i);
        }
    }
}

/// Where queries, keys and values lie in a row of the projections' output.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) k: usize,
    pub(crate) v: usize,
    pub(crate) stride: usize,
}

/// One layer's norms of queries and keys: none, one for all heads, or one for each.
pub(crate) struct HeadNorms {
    pub(crate) q: Vec<Norm>,
    pub(crate) k: Vec<Norm>,
}

/// Queries, keys and values of one row: normalised, rotated, and stored for attention.
pub(crate) struct Heads<'a, A: Arith> {
    pub(crate) config: &'a Config,
    pub(crate) norms: &'a HeadNorms,
    pub(crate) columns: Columns,
    /// Projections of this row.
    pub(crate) qkv: &'a mut [f32],
    /// Cosines, then sines, of this row's position.
    pub(crate) rotation: &'a [f32],
    /// This row's queries: heads × padded head width.
    pub(crate) queries: &'a mut [A::X],
    pub(crate) segment: Segment,
    pub(crate) cache: Shared<'a, A::X>,
    pub(crate) layer: usize,
    pub(crate) index: usize,
    pub(crate) scratch: &'a mut Vec<f32>,
}

impl<A: Arith> Op<A> for Heads<'_, A> {
    type Out = ();

    #[inline(always)]
    fn run(self, a: A) {
        let c = self.config;
        let width = c.head_dim;
        let padded = width.next_multiple_of(BLOCK);
        let head = self.scratch;
        let (q_len, kv_len) = (c.heads * width, c.kv_heads * width);
        for (norm, start, len) in [(&self.norms.q, 0, q_len), (&self.norms.k, self.columns.k, kv_len)] {
            if let Some(norm) = norm.first().filter(|norm| norm.len == len && len != width) {
                head.clear();
                head.extend_from_slice(&self.qkv[start..start + len]);
                head.resize(len.next_multiple_of(BLOCK), 0.0);
                normalise(a, norm, head);
                self.qkv[start..start + len].copy_from_slice(&head[..len]);
            }
        }
        head.clear();
        head.resize(padded, 0.0);
        for h in 0..c.heads {
            turned(a, c, &self.qkv[h * width..], own(&self.norms.q, h), self.rotation, head);
            let to = &mut self.queries[h * padded..(h + 1) * padded];
            for block in 0..padded / BLOCK {
                let pair = [lanes(a, head, 2 * block), lanes(a, head, 2 * block + 1)];
                // SAFETY: 32 consecutive elements of this row's queries.
                unsafe { a.scatter(pair, to[block * BLOCK..][..BLOCK].as_mut_ptr(), A::STEP) };
            }
        }
        for h in 0..c.kv_heads {
            let Place { k, v } = self.segment.place(self.layer, h, self.index, A::STEP);
            let key = &self.qkv[self.columns.k + h * width..];
            turned(a, c, key, own(&self.norms.k, h), self.rotation, head);
            for block in 0..padded / BLOCK {
                let pair = [lanes(a, head, 2 * block), lanes(a, head, 2 * block + 1)];
                let stride = BLOCK * A::STEP;
                let at = k + block * BLOCK * BLOCK;
                let span = (BLOCK / A::STEP - 1) * stride + A::STEP;
                // SAFETY: this row's position of the cache belongs to this task.
                unsafe { a.scatter(pair, self.cache.at(at, span), stride) };
            }
            head[..width].copy_from_slice(&self.qkv[self.columns.v + h * width..][..width]);
            for block in 0..padded / BLOCK {
                let pair = [lanes(a, head, 2 * block), lanes(a, head, 2 * block + 1)];
                let mut elements = [A::X::default(); BLOCK];
                let at = v + block * BLOCK * self.segment.block;
                let to = self.cache.at(at, (BLOCK - 1) * A::STEP + 1);
                // SAFETY: 32 elements; and this row's position of the cache belongs to this task.
                unsafe {
                    a.scatter(pair, elements.as_mut_ptr(), A::STEP);
                    for (i, x) in elements.into_iter().enumerate() {
                        *to.add(i * A::STEP) = x;
                    }
                }
            }
        }
    }
}

/// The norm of head `h`: its own, or that of all.
fn own(norms: &[Norm], h: usize) -> Option<&Norm> {
    norms.get(h).or(norms.first())
}

/// Puts the head at the beginning of `from` into `head`, normalised (if by itself) and rotated.
#[inline(always)]
fn turned<A: Arith>(
    a: A,
    config: &Config,
    from: &[f32],
    norm: Option<&Norm>,
    rotation: &[f32],
    head: &mut [f32],
) {
    let width = config.head_dim;
    head[..width].copy_from_slice(&from[..width]);
    head[width..].fill(0.0);
    if let Some(norm) = norm.filter(|norm| norm.len == width) {
        normalise(a, norm, head);
    }
    rotate(head, rotation, config.rope_pairs);
}

/// Rotary embedding of a head's first coordinates.
#[inline(always)]
fn rotate(head: &mut [f32], rotation: &[f32], pairs: RopePairs) {
    let n = rotation.len() / 2;
    let (cos, sin) = rotation.split_at(n);
    match pairs {
        RopePairs::Halves => {
            let (first, second) = head[..2 * n].split_at_mut(n);
            for i in 0..n {
                let (x, y) = (first[i], second[i]);
                first[i] = x * cos[i] - y * sin[i];
                second[i] = y * cos[i] + x * sin[i];
            }
        }
        RopePairs::Interleaved => {
            for (i, pair) in head[..2 * n].chunks_exact_mut(2).enumerate() {
                let (x, y) = (pair[0], pair[1]);
                pair[0] = x * cos[i] - y * sin[i];
                pair[1] = y * cos[i] + x * sin[i];
            }
        }
    }
}
