//! Keys and values of positions, laid out as the matrix products of attention read them.

use crate::pack::BLOCK;

/// Positions in one block of a prompt's cache.
pub(crate) const PREFIX_BLOCK: usize = 64;
/// Positions in one block of a sample's own cache.
pub(crate) const SUFFIX_BLOCK: usize = 32;

/// A run of positions within a cache buffer: a prompt, or one sample's continuation.
///
/// Layers and key heads are `stride` elements apart; within each lie the blocks in order, and in each block first the keys
/// (panels of 32 positions, inner dimension in steps), then the values (panels of 32 coordinates, positions in steps).
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    /// First element in the buffer.
    pub(crate) start: usize,
    /// Positions in a block.
    pub(crate) block: usize,
    /// Blocks per layer and head.
    pub(crate) blocks: usize,
    /// Elements from one layer's head to the next.
    pub(crate) stride: usize,
    pub(crate) kv_heads: usize,
    /// Width of a head, padded.
    pub(crate) width: usize,
}

/// Offsets of one position's key and value.
pub(crate) struct Place {
    pub(crate) k: usize,
    pub(crate) v: usize,
}

impl Segment {
    /// `count` runs of `positions` each, side by side within every layer and head, so that a step that visits them one
    /// after the other reads memory in order; this is the first.
    pub(crate) fn first_of(
        count: usize,
        positions: usize,
        block: usize,
        kv_heads: usize,
        width: usize,
    ) -> Segment {
        let blocks = positions.div_ceil(block);
        Segment { start: 0, block, blocks, stride: count * blocks * 2 * block * width, kv_heads, width }
    }

    /// The `i`-th of runs side by side.
    pub(crate) fn nth(self, i: usize) -> Segment {
        Segment { start: self.start + i * self.head_elements(), ..self }
    }

    /// Elements of one layer's head.
    pub(crate) fn head_elements(&self) -> usize {
        self.blocks * 2 * self.block * self.width
    }

    /// Elements of a buffer with all layers.
    pub(crate) fn elements(&self, layers: usize) -> usize {
        layers * self.kv_heads * self.stride
    }

    /// Offsets of a block's keys and values.
    pub(crate) fn block_at(&self, layer: usize, head: usize, block: usize) -> Place {
        let half = self.block * self.width;
        let k = self.start + (layer * self.kv_heads + head) * self.stride + block * 2 * half;
        Place { k, v: k + half }
    }

    /// Offsets of the first coordinate of a position's key and value.
    pub(crate) fn place(&self, layer: usize, head: usize, index: usize, step: usize) -> Place {
        let Place { k, v } = self.block_at(layer, head, index / self.block);
        let i = index % self.block;
        Place {
            k: k + (i / BLOCK) * BLOCK * self.width + (i % BLOCK) * step,
            v: v + (i / step) * BLOCK * step + i % step,
        }
    }
}
