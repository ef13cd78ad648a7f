//! From the residual stream to tokens: final norm, output head, and the reduction of every tile of the vocabulary.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::aligned::{Buffer, Shared};
use crate::kernels::draw::{Noise, Partial, TILE, Want, reduce};
use crate::kernels::linear::{Linear, product};
use crate::kernels::math;
use crate::kernels::rows::PackRow;
use crate::kernels::scratch::{Scratch, space};
use crate::kernels::simd::{Arith, Op};
use crate::kernels::xpack::XView;
use crate::pack::BLOCK;
use crate::sampling::{Choice, Sampling, choose, choose_filtered, score};
use crate::step::Core;

/// Rows of whole logits held at a time, where a filter needs them.
const WHOLE_ROWS: usize = 32;

/// Logits of a tile for all rows: reduced, stored, or both.
struct HeadTile<'a, A: Arith> {
    head: &'a Linear,
    tile: usize,
    tiles: usize,
    vocab: usize,
    scale: f32,
    softcap: Option<f32>,
    x: XView<'a, A>,
    wants: Option<&'a [Want]>,
    bounds: &'a [AtomicU32],
    partials: Shared<'a, Partial>,
    /// Whole rows, `vocab` apart.
    store: Option<Shared<'a, f32>>,
    scratch: &'a mut Scratch<A>,
}

impl<A: Arith> Op<A> for HeadTile<'_, A> {
    type Out = ();

    #[inline(always)]
    fn run(self, a: A) {
        let rows = self.x.rows;
        let first = self.tile * TILE;
        let real = TILE.min(self.vocab - first);
        let mut sums = std::mem::take(&mut self.scratch.sums);
        let mut logits = std::mem::take(&mut self.scratch.logits);
        sums.resize(sums.len().max(rows * BLOCK), 0.0);
        logits.resize(logits.len().max(rows * TILE), 0.0);
        for panel in 0..real.div_ceil(BLOCK) {
            product(a, self.head, first / BLOCK + panel, self.x, &mut sums, self.scratch);
            for (row, sums) in sums.chunks_exact(BLOCK).take(rows).enumerate() {
                logits[row * TILE + panel * BLOCK..][..BLOCK].copy_from_slice(sums);
            }
        }
        for (row, logits) in logits.chunks_exact_mut(TILE).take(rows).enumerate() {
            let logits: &mut [f32; TILE] = logits.try_into().expect("a tile");
            if let Some(cap) = self.softcap {
                math::softcap(a, logits, self.scale, cap);
            } else if self.scale != 1.0 {
                logits.iter_mut().for_each(|x| *x *= self.scale);
            }
            // Padded rows of the head are no tokens.
            logits[real..].fill(f32::NEG_INFINITY);
            if let Some(store) = self.store {
                // SAFETY: this task owns the tile's tokens of every row.
                unsafe { store.slice(row * self.vocab + first, real) }.copy_from_slice(&logits[..real]);
            }
            if let Some(wants) = self.wants {
                let bound = f32::from_bits(self.bounds[row].load(Ordering::Relaxed));
                let partial = reduce(a, logits, first as u32, wants[row], bound.next_down());
                if partial.best > bound {
                    self.bounds[row].store(partial.best.to_bits(), Ordering::Relaxed);
                }
                // SAFETY: this task owns its partial of every row.
                unsafe { self.partials.set(row * self.tiles + self.tile, partial) };
            }
        }
        self.scratch.sums = sums;
        self.scratch.logits = logits;
    }
}

/// One tile of a row of logits that is already there.
struct ReduceTile<'a> {
    logits: &'a [f32],
    first: usize,
    want: Want,
    bound: f32,
}

impl<A: Arith> Op<A> for ReduceTile<'_> {
    type Out = Partial;

    #[inline(always)]
    fn run(self, a: A) -> Partial {
        let mut tile = [f32::NEG_INFINITY; TILE];
        let real = TILE.min(self.logits.len() - self.first);
        tile[..real].copy_from_slice(&self.logits[self.first..][..real]);
        reduce(a, &tile, self.first as u32, self.want, self.bound)
    }
}

fn want(sampling: &Sampling, noise: Noise) -> Want {
    if sampling.greedy() { Want::Greedy } else { Want::Draw { noise, temperature: sampling.temperature } }
}

impl<A: Arith> Core<A> {
    /// The head over rows `picked` of the residual stream; fills `partials` row by row, or `store` with whole logits.
    fn head(&mut self, picked: &[usize], wants: Option<&[Want]>, store: Option<Shared<'_, f32>>) -> usize {
        let (n, stride) = (picked.len(), self.stride());
        let vocab = self.network.config.vocab;
        let tiles = vocab.div_ceil(TILE);
        self.partials.ensure(n * tiles);
        let (a, pool) = (self.a, &self.pool);
        let scratch = &self.scratch[..];
        let x = self.x.shape(n, self.network.config.width);
        let (stream, norm) = (&self.stream, &self.network.final_norm);
        pool.run(n, &|row, worker| {
            let from = &stream[picked[row] * stride..][..stride];
            let scratch = &mut space(scratch, worker).row;
            a.call(PackRow { norm: Some(norm), from, row, to: x, scratch });
        });
        let bounds: Vec<AtomicU32> = (0..n).map(|_| AtomicU32::new(f32::NEG_INFINITY.to_bits())).collect();
        let partials = self.partials.shared();
        pool.run(tiles, &|tile, worker| {
            a.call(HeadTile {
                head: &self.network.head,
                tile,
                tiles,
                vocab,
                scale: self.network.config.logit_scale,
                softcap: self.network.config.logit_softcap,
                x,
                wants,
                bounds: &bounds,
                partials,
                store,
                scratch: &mut space(scratch, worker),
            });
        });
        tiles
    }

    fn tiles_of(&self, row: usize, tiles: usize) -> impl Iterator<Item = Partial> + Clone + '_ {
        self.partials[row * tiles..][..tiles].iter().copied()
    }

    /// One token for each picked row.
    pub(crate) fn sample_rows(
        &mut self,
        picked: &[usize],
        noises: &[Noise],
        sampling: &Sampling,
    ) -> Vec<Choice> {
        if !sampling.filters() {
            let wants: Vec<Want> = noises.iter().map(|&noise| want(sampling, noise)).collect();
            let tiles = self.head(picked, Some(&wants), None);
            return (0..picked.len()).map(|row| choose(self.tiles_of(row, tiles), sampling)).collect();
        }
        let vocab = self.network.config.vocab;
        let mut out = Vec::with_capacity(picked.len());
        let mut whole = Buffer::zeroed(WHOLE_ROWS.min(picked.len()) * vocab);
        for (picked, noises) in picked.chunks(WHOLE_ROWS).zip(noises.chunks(WHOLE_ROWS)) {
            let wants = vec![Want::Greedy; picked.len()];
            let tiles = self.head(picked, Some(&wants), Some(whole.shared()));
            out.extend(self.filter_rows(
                noises,
                sampling,
                &|row| &whole[row * vocab..][..vocab],
                &|row| row,
                tiles,
            ));
        }
        out
    }

    /// Chooses by filters from whole logits; `partial` names the row whose partials belong to a choice.
    fn filter_rows<'l>(
        &self,
        noises: &[Noise],
        sampling: &Sampling,
        logits: &(dyn Fn(usize) -> &'l [f32] + Sync),
        partial: &(dyn Fn(usize) -> usize + Sync),
        tiles: usize,
    ) -> Vec<Choice> {
        let mut choices = Buffer::<Choice>::zeroed(noises.len());
        let shared = choices.shared();
        self.pool.run(noises.len(), &|i, _| {
            let parts = self.tiles_of(partial(i), tiles);
            let choice = choose_filtered(self.a, logits(i), parts, sampling, noises[i]);
            // SAFETY: this task owns its choice.
            unsafe { shared.set(i, choice) };
        });
        choices.to_vec()
    }

    /// Whole logits of picked rows, row by row.
    pub(crate) fn logits(&mut self, picked: &[usize]) -> Vec<f32> {
        let mut out = Buffer::zeroed(picked.len() * self.network.config.vocab);
        self.head(picked, None, Some(out.shared()));
        out.to_vec()
    }

    /// Log-probability of a token under one row of logits.
    pub(crate) fn score_from(&self, logits: &[f32], token: u32) -> f32 {
        let want = Want::Score { token };
        let tiles: Vec<Partial> = (0..logits.len())
            .step_by(TILE)
            .map(|first| self.a.call(ReduceTile { logits, first, want, bound: f32::NEG_INFINITY }))
            .collect();
        score(tiles.iter().copied())
    }

    /// One token for each noise, all from one row of logits: the first tokens of a prompt's samples.
    pub(crate) fn sample_from(
        &mut self,
        logits: &[f32],
        noises: &[Noise],
        sampling: &Sampling,
    ) -> Vec<Choice> {
        let tiles = logits.len().div_ceil(TILE);
        let filters = sampling.filters();
        // With filters, or greedily, the tiles say the same for every sample.
        let rows = if filters { 1 } else { noises.len() };
        self.partials.ensure(rows * tiles);
        let a = self.a;
        let partials = self.partials.shared();
        self.pool.run(rows, &|row, _| {
            let want = if filters { Want::Greedy } else { want(sampling, noises[row]) };
            // SAFETY: this task owns the row's partials.
            let out = unsafe { partials.slice(row * tiles, tiles) };
            let mut bound = f32::NEG_INFINITY;
            for (tile, out) in out.iter_mut().enumerate() {
                *out = a.call(ReduceTile { logits, first: tile * TILE, want, bound: bound.next_down() });
                bound = bound.max(out.best);
            }
        });
        if filters {
            self.filter_rows(noises, sampling, &|_| logits, &|_| 0, tiles)
        } else {
            (0..rows).map(|row| choose(self.tiles_of(row, tiles), sampling)).collect()
        }
    }

    /// Log-probability of one token for each picked row.
    pub(crate) fn score_rows(&mut self, picked: &[usize], tokens: &[u32]) -> Vec<f32> {
        let wants: Vec<Want> = tokens.iter().map(|&token| Want::Score { token }).collect();
        let tiles = self.head(picked, Some(&wants), None);
        (0..picked.len()).map(|row| score(self.tiles_of(row, tiles))).collect()
    }
}
