//! Weights as the file has them: a memory-mapped, possibly quantised matrix.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;

use crate::half::e4m3_to_f32;

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
    /// Blocks of 32: f16 scale, 32 5-bit values minus 16.
    Q5_0,
    /// Blocks of 32: f16 scale, f16 minimum, 32 5-bit values.
    Q5_1,
    /// Blocks of 256: a 4-bit scale and minimum for each 16 2-bit values.
    Q2K,
    /// Blocks of 256: a 6-bit scale for each 16 3-bit values.
    Q3K,
    /// Blocks of 256: a 6-bit scale and minimum for each 32 4-bit values.
    Q4K,
    /// Blocks of 256: a 6-bit scale and minimum for each 32 5-bit values.
    Q5K,
    /// Blocks of 256: an 8-bit scale for each 16 6-bit values.
    Q6K,
    /// Blocks of 32: f16 scale, 32 4-bit codes of uneven steps.
    Iq4Nl,
    /// Blocks of 256: a 6-bit scale for each 32 4-bit codes of uneven steps.
    Iq4Xs,
    /// Blocks of 32: a power of two, 32 floats of 4 bits.
    Mxfp4,
}

/// Where the bytes of a tensor live.
#[derive(Clone)]
pub enum Storage {
    /// A range of a memory-mapped file.
    Mapped(Arc<Mmap>, Range<usize>),
    /// Bytes built while loading (re-ordered or joined rows).
    Owned(Arc<Vec<u8>>),
    /// A range of a memory-mapped file with eight-bit floats (E4M3), which are float32 once they are scaled: row by row, when
    /// they are read.
    Scaled(Arc<Mmap>, Range<usize>, Scales),
}

/// What eight-bit floats are multiplied by: one factor for each block of rows and columns.
#[derive(Clone)]
pub struct Scales {
    /// Factors of the blocks, row by row.
    pub factors: Arc<Vec<f32>>,
    /// Factors in a row of them.
    pub across: usize,
    /// Rows that share a factor.
    pub height: usize,
    /// Columns that share a factor.
    pub width: usize,
    /// Which row of the whole matrix comes first in the tensor.
    pub first: usize,
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
    /// All of them.
    pub const ALL: [DType; 16] = [
        DType::F32,
        DType::F16,
        DType::BF16,
        DType::Q8_0,
        DType::Q4_0,
        DType::Q4_1,
        DType::Q5_0,
        DType::Q5_1,
        DType::Q2K,
        DType::Q3K,
        DType::Q4K,
        DType::Q5K,
        DType::Q6K,
        DType::Iq4Nl,
        DType::Iq4Xs,
        DType::Mxfp4,
    ];

    /// GGML's name, elements in a block and bytes of a block.
    pub fn layout(self) -> (&'static str, usize, usize) {
        match self {
            DType::F32 => ("F32", 1, 4),
            DType::F16 => ("F16", 1, 2),
            DType::BF16 => ("BF16", 1, 2),
            DType::Q8_0 => ("Q8_0", 32, 34),
            DType::Q4_0 => ("Q4_0", 32, 18),
            DType::Q4_1 => ("Q4_1", 32, 20),
            DType::Q5_0 => ("Q5_0", 32, 22),
            DType::Q5_1 => ("Q5_1", 32, 24),
            DType::Q2K => ("Q2_K", 256, 84),
            DType::Q3K => ("Q3_K", 256, 110),
            DType::Q4K => ("Q4_K", 256, 144),
            DType::Q5K => ("Q5_K", 256, 176),
            DType::Q6K => ("Q6_K", 256, 210),
            DType::Iq4Nl => ("IQ4_NL", 32, 18),
            DType::Iq4Xs => ("IQ4_XS", 256, 136),
            DType::Mxfp4 => ("MXFP4", 32, 17),
        }
    }

    /// GGML's name.
    pub fn name(self) -> &'static str {
        self.layout().0
    }

    /// Bytes of one row of `cols` elements.
    pub fn row_bytes(self, cols: usize) -> usize {
        let (_, elements, bytes) = self.layout();
        cols / elements * bytes
    }
}

impl Tensor {
    /// Bytes of all rows in the tensor's type.
    pub fn size(&self) -> usize {
        match &self.storage {
            Storage::Mapped(_, range) => range.len(),
            Storage::Owned(bytes) => bytes.len(),
            Storage::Scaled(_, range, _) => 4 * range.len(),
        }
    }

    /// Bytes of some rows in the tensor's type, row by row.
    ///
    /// # Panics
    /// If there are no such rows.
    pub fn bytes(&self, rows: Range<usize>) -> Cow<'_, [u8]> {
        let size = self.dtype.row_bytes(self.cols);
        let (from, until) = (rows.start * size, rows.end * size);
        match &self.storage {
            Storage::Mapped(map, range) => Cow::Borrowed(&map[range.clone()][from..until]),
            Storage::Owned(bytes) => Cow::Borrowed(&bytes[from..until]),
            Storage::Scaled(map, range, scales) => {
                let stored = &map[range.clone()][rows.start * self.cols..rows.end * self.cols];
                let mut bytes = Vec::with_capacity(until - from);
                for (i, row) in stored.chunks_exact(self.cols.max(1)).enumerate() {
                    let block = (scales.first + rows.start + i) / scales.height;
                    let factors = &scales.factors[block * scales.across..][..scales.across];
                    for (j, &x) in row.iter().enumerate() {
                        bytes.extend((e4m3_to_f32(x) * factors[j / scales.width]).to_le_bytes());
                    }
                }
                Cow::Owned(bytes)
            }
        }
    }
}
