//! Activations arranged for the register tiles: rows interleaved within a tile, inner elements in sequence.

use super::simd::Arith;
use crate::aligned::{Buffer, Shared};
use crate::pack::BLOCK;

/// How rows are divided into register tiles of nearly equal height.
#[derive(Clone, Copy)]
pub(crate) struct Tiles {
    pub(crate) count: usize,
    base: usize,
    longer: usize,
}

impl Tiles {
    pub(crate) fn new(rows: usize, most: usize) -> Tiles {
        let count = rows.div_ceil(most).max(1);
        Tiles { count, base: rows / count, longer: rows % count }
    }

    /// First row and height of a tile.
    pub(crate) fn tile(self, t: usize) -> (usize, usize) {
        (t * self.base + t.min(self.longer), self.base + usize::from(t < self.longer))
    }

    /// First row and height of the tile that holds a row.
    #[inline(always)]
    fn of(self, row: usize) -> (usize, usize) {
        let split = self.longer * (self.base + 1);
        if row < split {
            (row / (self.base + 1) * (self.base + 1), self.base + 1)
        } else {
            (split + (row - split) / self.base * self.base, self.base)
        }
    }
}

/// Packed activations of a step's rows, and the sums of every sixteen (what minima are multiplied by).
pub(crate) struct XPack<A: Arith> {
    data: Buffer<A::X>,
    sums: Buffer<f32>,
}

/// An [`XPack`] shaped for a number of rows, lent to the tasks of a phase.
#[derive(Clone, Copy)]
pub(crate) struct XView<'a, A: Arith> {
    pub(crate) rows: usize,
    pub(crate) blocks: usize,
    pub(crate) tiles: Tiles,
    data: Shared<'a, A::X>,
    sums: Shared<'a, f32>,
}

impl<A: Arith> XPack<A> {
    pub(crate) fn new() -> Self {
        XPack { data: Buffer::zeroed(0), sums: Buffer::zeroed(0) }
    }

    /// A view for `rows` rows of `cols` inner elements; old contents are meaningless.
    pub(crate) fn shape(&mut self, rows: usize, cols: usize) -> XView<'_, A> {
        let blocks = cols.div_ceil(BLOCK);
        self.data.ensure(rows * blocks * BLOCK);
        self.sums.ensure(2 * rows * blocks);
        XView {
            rows,
            blocks,
            tiles: Tiles::new(rows, A::MR),
            data: self.data.shared(),
            sums: self.sums.shared(),
        }
    }
}

impl<A: Arith> XView<'_, A> {
    /// Stores 32 consecutive inner elements of a row.
    ///
    /// # Safety
    /// No other task touches this row and block.
    #[inline(always)]
    pub(crate) unsafe fn put(self, a: A, row: usize, block: usize, v: [A::F; 2]) {
        let (start, height) = self.tiles.of(row);
        let lane = row - start;
        let at = start * self.blocks * BLOCK + block * BLOCK * height + lane * A::STEP;
        // SAFETY: the block's elements of this row lie within the checked range, and the caller owns them.
        unsafe {
            let span = (BLOCK / A::STEP - 1) * height * A::STEP + A::STEP;
            let to = self.data.at(at, span);
            let sums = a.scatter(v, to, height * A::STEP);
            self.sums.slice(2 * (start * self.blocks + block * height + lane), 2).copy_from_slice(&sums);
        }
    }

    /// The packed elements of a tile, and the two sums of each block and row.
    ///
    /// # Safety
    /// No task writes the tile meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn tile(&self, t: usize) -> (usize, usize, &[A::X], &[f32]) {
        let (start, height) = self.tiles.tile(t);
        // SAFETY: the caller promises that nobody writes.
        unsafe {
            (
                start,
                height,
                self.data.read(start * self.blocks * BLOCK, height * self.blocks * BLOCK),
                self.sums.read(2 * start * self.blocks, 2 * height * self.blocks),
            )
        }
    }
}
