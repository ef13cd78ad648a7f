//! Keys and values of positions, laid out as the matrix products of attention read them.

use crate::pack::BLOCK;

/// Positions in one block of a prompt's cache.
pub(crate) const PREFIX_BLOCK: usize = 64;
/// Positions in one block of a sample's own cache.
pub(crate) const SUFFIX_BLOCK: usize = 32;

/// A run of positions within a cache buffer: a prompt, or one sample's continuation.
///
/// For every layer and key head lie the blocks in order, and in each block first the keys (panels of 32 positions, inner
/// dimension in steps), then the values (panels of 32 coordinates, positions in steps).
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    /// First element in the buffer.
    pub(crate) start: usize,
    /// Positions in a block.
    pub(crate) block: usize,
    /// Blocks per layer and head.
    pub(crate) blocks: usize,
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
    /// Elements of a segment with all layers.
    pub(crate) fn elements(&self, layers: usize) -> usize {
        layers * self.kv_heads * self.blocks * self.block * self.width * 2
    }

    /// Offsets of a block's keys and values.
    pub(crate) fn block_at(&self, layer: usize, head: usize, block: usize) -> Place {
        let half = self.block * self.width;
        let k = self.start + ((layer * self.kv_heads + head) * self.blocks + block) * 2 * half;
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
