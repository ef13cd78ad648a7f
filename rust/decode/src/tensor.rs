//! Weights as the file has them: a memory-mapped, possibly quantised matrix.

use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;

/// How the elements of a [`Tensor`] are stored (little endian, GGML block layouts for the quantised kinds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// IEEE half.
    F16,
    /// bfloat16.
    BF16,
    /// Blocks of 32: f16 scale, 32 i8.
    Q8_0,
    /// Blocks of 32: f16 scale, 32 4-bit values minus 8.
    Q4_0,
    /// Blocks of 32: f16 scale, f16 minimum, 32 4-bit values.
    Q4_1,
}

/// Where the bytes of a tensor live.
#[derive(Clone)]
pub enum Storage {
    /// A range of a memory-mapped file.
    Mapped(Arc<Mmap>, Range<usize>),
    /// Bytes built while loading (re-ordered or joined rows).
    Owned(Arc<Vec<u8>>),
}

/// A row-major matrix (`rows` outputs × `cols` inputs) in the precision of its file.
#[derive(Clone)]
pub struct Tensor {
    /// Element type.
    pub dtype: DType,
    /// Number of rows (outputs; vocabulary entries for an embedding).
    pub rows: usize,
    /// Number of columns (inputs); a multiple of 32 for the block formats.
    pub cols: usize,
    /// The bytes, exactly `rows * dtype.row_bytes(cols)` of them.
    pub storage: Storage,
}

impl DType {
    /// Bytes of one row of `cols` elements.
    pub fn row_bytes(self, cols: usize) -> usize {
        match self {
            DType::F32 => 4 * cols,
            DType::F16 | DType::BF16 => 2 * cols,
            DType::Q8_0 => cols / 32 * 34,
            DType::Q4_0 => cols / 32 * 18,
            DType::Q4_1 => cols / 32 * 20,
        }
    }
}

impl Tensor {
    /// All bytes, row by row.
    pub fn bytes(&self) -> &[u8] {
        match &self.storage {
            Storage::Mapped(map, range) => &map[range.clone()],
            Storage::Owned(bytes) => bytes,
        }
    }
}
