//! Weights re-ordered once at load: panels of 32 outputs, blocks of 32 inner elements, as compact as the file.
//!
//! A panel streams from memory in order. Within a block the scales of the 32 outputs come first, then the values in the
//! order in which the kernels expand them: outputs across lanes, the inner dimension in sequence, in pairs for the dot
//! products of bfloat16. Missing outputs and inner elements are zeros.

use crate::aligned::{Arena, Buffer};
use crate::grid::{self, Codes, Grid};
use crate::half::f16_to_f32;
use crate::pool::Pool;
use crate::tensor::{DType, Storage, Tensor};

/// Outputs in a panel, and inner elements in a block.
pub(crate) const BLOCK: usize = 32;

/// Bytes of a file packed at a time.
const SLICE: usize = 1 << 20;

/// A fault brings in what the page cache has around it, up to this much before it: pages that were just let go.
const AROUND: usize = 64 << 10;

/// How a packed matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
    Q4_1,
    /// Scales in float32, then minima, then 4-bit codes or bytes; expanded to the weights themselves.
    Grid(Grid),
}

impl Kind {
    fn of(dtype: DType, bf16: bool) -> Kind {
        if let Some(grid) = Grid::of(dtype) {
            return Kind::Grid(grid);
        }
        match dtype {
            DType::F32 | DType::F16 if bf16 => Kind::Bf16,
            DType::F32 => Kind::F32,
            DType::F16 => Kind::F16,
            DType::BF16 => Kind::Bf16,
            DType::Q8_0 => Kind::Q8_0,
            DType::Q4_0 => Kind::Q4_0,
            DType::Q4_1 => Kind::Q4_1,
            _ => unreachable!("a type with a grid"),
        }
    }

    /// Bytes of a block's scales (and minima), which precede its values and stay apart from them.
    pub(crate) const fn scale_bytes(self) -> usize {
        match self {
            Kind::F32 | Kind::F16 | Kind::Bf16 | Kind::Grid(_) => 0,
            Kind::Q8_0 | Kind::Q4_0 => 2 * BLOCK,
            Kind::Q4_1 => 4 * BLOCK,
        }
    }

    /// Bytes of one block of 32 outputs × 32 inner elements.
    pub(crate) const fn block_bytes(self) -> usize {
        self.scale_bytes()
            + match self {
                Kind::F32 => 4096,
                Kind::F16 | Kind::Bf16 => 2048,
                Kind::Q8_0 => 1024,
                Kind::Q4_0 | Kind::Q4_1 => 512,
                Kind::Grid(grid) => grid.header() + grid.code_bytes(),
            }
    }
}

/// A packed matrix.
pub(crate) struct Packed {
    pub(crate) kind: Kind,
    /// Real outputs.
    pub(crate) rows: usize,
    /// Real inner elements.
    pub(crate) cols: usize,
    /// Blocks along the inner dimension.
    pub(crate) blocks: usize,
    data: Buffer<u8>,
}

impl Packed {
    /// Bytes that a tensor takes in the arena once packed.
    pub(crate) fn room(tensor: &Tensor, bf16: bool) -> usize {
        let blocks = tensor.rows.div_ceil(BLOCK) * tensor.cols.div_ceil(BLOCK);
        Arena::room(blocks * Kind::of(tensor.dtype, bf16).block_bytes())
    }

    /// Packs a tensor; for bfloat16 arithmetic, float32 and float16 weights are rounded to bfloat16.
    pub(crate) fn new(tensor: &Tensor, bf16: bool, arena: &mut Arena, pool: &Pool) -> Packed {
        let kind = Kind::of(tensor.dtype, bf16);
        let (rows, cols) = (tensor.rows, tensor.cols);
        let (panels, blocks) = (rows.div_ceil(BLOCK), cols.div_ceil(BLOCK));
        let panel_bytes = blocks * kind.block_bytes();
        let mut data = arena.buffer(panels * panel_bytes);
        let shared = data.shared();
        let row_bytes = tensor.dtype.row_bytes(cols);
        // In slices, each let go once packed: a big matrix is never in memory twice.
        let slice = (SLICE / (BLOCK * row_bytes).max(1)).max(1);
        for first in (0..panels).step_by(slice) {
            let count = slice.min(panels - first);
            pool.run(count, &|i, _| {
                let panel = first + i;
                // SAFETY: each task owns its panel.
                let out = unsafe { shared.slice(panel * panel_bytes, panel_bytes) };
                let bytes = tensor.bytes(panel * BLOCK..rows.min((panel + 1) * BLOCK));
                for (o, row) in bytes.chunks_exact(row_bytes.max(1)).enumerate() {
                    for (b, block) in out.chunks_exact_mut(kind.block_bytes()).enumerate() {
                        pack_row(tensor.dtype, kind, row, b, o, block);
                    }
                }
            });
            let until = rows.min((first + count) * BLOCK);
            release(tensor, first * BLOCK..until);
        }
        Packed { kind, rows, cols, blocks, data }
    }

    /// Panels of 32 outputs.
    pub(crate) fn panels(&self) -> usize {
        self.rows.div_ceil(BLOCK)
    }

    /// Bytes of all panels.
    pub(crate) fn bytes(&self) -> usize {
        self.data.len()
    }

    /// The blocks of one panel.
    pub(crate) fn panel(&self, panel: usize) -> &[u8] {
        let size = self.blocks * self.kind.block_bytes();
        &self.data[panel * size..][..size]
    }

    /// One row (an embedding) as float32.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let o = row % BLOCK;
        let panel = self.panel(row / BLOCK);
        for (block, out) in
            panel.chunks_exact(self.kind.block_bytes()).zip(out[..self.cols].chunks_mut(BLOCK))
        {
            if let Kind::Grid(grid) = self.kind {
                for (i, x) in out.iter_mut().enumerate() {
                    *x = grid_value(grid, block, o, i);
                }
                continue;
            }
            let (scales, values) = block.split_at(self.kind.scale_bytes());
            let half_at = |i: usize| u16::from_le_bytes([scales[2 * i], scales[2 * i + 1]]);
            let u16_at = |i: usize| u16::from_le_bytes([values[2 * i], values[2 * i + 1]]);
            for (i, x) in out.iter_mut().enumerate() {
                let lane = pair_position(o, i);
                let nibble = || {
                    let (line, shift) = nibble_position(o, i);
                    f32::from((u16_at(line) >> shift) & 15)
                };
                *x = match self.kind {
                    Kind::F32 => {
                        let at = 4 * (BLOCK * i + o);
                        f32::from_le_bytes([values[at], values[at + 1], values[at + 2], values[at + 3]])
                    }
                    Kind::F16 => f16_to_f32(u16_at(BLOCK * i + o)),
                    Kind::Bf16 => f32::from_bits(u32::from(u16_at(lane)) << 16),
                    Kind::Q8_0 => f16_to_f32(half_at(o)) * f32::from(values[lane] as i8),
                    Kind::Q4_0 => f16_to_f32(half_at(o)) * (nibble() - 8.0),
                    Kind::Q4_1 => f16_to_f32(half_at(o)) * nibble() + f16_to_f32(half_at(BLOCK + o)),
                    Kind::Grid(_) => unreachable!("read above"),
                };
            }
        }
    }
}

/// Element index of output `o`, inner `i` where inner elements come in pairs, sixteen outputs to a vector.
fn pair_position(o: usize, i: usize) -> usize {
    (i / 2) * 2 * BLOCK + (o / 16) * 32 + (o % 16) * 2 + i % 2
}

/// (u16 index, shift) of output `o`, inner `i` among 4-bit values: four pairs share a vector of 16-bit lanes.
fn nibble_position(o: usize, i: usize) -> (usize, usize) {
    let pair = i / 2;
    (((pair / 4) * 2 + o / 16) * 32 + (o % 16) * 2 + i % 2, 4 * (pair % 4))
}

impl Grid {
    /// Bytes of a packed block's scales and minima.
    pub(crate) const fn header(self) -> usize {
        4 * BLOCK * self.parts * (1 + self.minima as usize)
    }

    const fn code_bytes(self) -> usize {
        match self.codes {
            Codes::Table(_) => BLOCK * BLOCK / 2,
            Codes::Byte => BLOCK * BLOCK,
        }
    }
}

/// Scale `part` of output `o`; its minimum has the parts that follow.
const fn scale_position(part: usize, o: usize) -> usize {
    4 * (BLOCK * part + o)
}

/// One weight of a packed block.
fn grid_value(grid: Grid, block: &[u8], o: usize, i: usize) -> f32 {
    let float = |part: usize| {
        let at = scale_position(part, o);
        f32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
    };
    let codes = &block[grid.header()..];
    let part = i * grid.parts / BLOCK;
    let step = match grid.codes {
        Codes::Table(table) => {
            let (line, shift) = nibble_position(o, i);
            table[usize::from(u16::from_le_bytes([codes[2 * line], codes[2 * line + 1]]) >> shift & 15)]
        }
        Codes::Byte => f32::from(codes[pair_position(o, i)] as i8),
    };
    let scaled = float(part) * step;
    if grid.minima { scaled + float(grid.parts + part) } else { scaled }
}

/// Places block `b` of one row of a type with a grid.
fn pack_grid(dtype: DType, grid: Grid, row: &[u8], b: usize, o: usize, block: &mut [u8]) {
    let (_, elements, size) = dtype.layout();
    let blocks = elements / BLOCK;
    let source = grid::block(dtype, &row[b / blocks * size..][..size], b % blocks);
    let (header, codes) = block.split_at_mut(grid.header());
    let floats = source.scales[..grid.parts].iter();
    let floats = floats.chain(source.minima[..grid.parts].iter().filter(|_| grid.minima));
    for (part, x) in floats.enumerate() {
        header[scale_position(part, o)..][..4].copy_from_slice(&x.to_le_bytes());
    }
    for (i, &code) in source.codes.iter().enumerate() {
        match grid.codes {
            Codes::Byte => codes[pair_position(o, i)] = code.cast_unsigned(),
            Codes::Table(_) => {
                let (line, shift) = nibble_position(o, i);
                codes[2 * line + shift / 8] |= code.cast_unsigned() << (shift % 8);
            }
        }
    }
}

/// Places block `b` of one row, output `o` of its panel.
fn pack_row(dtype: DType, kind: Kind, row: &[u8], b: usize, o: usize, block: &mut [u8]) {
    if let Kind::Grid(grid) = kind {
        return pack_grid(dtype, grid, row, b, o, block);
    }
    let (scales, values) = block.split_at_mut(kind.scale_bytes());
    let mut scale = |i: usize, bytes: &[u8]| scales[2 * i..2 * i + 2].copy_from_slice(bytes);
    match dtype {
        DType::Q8_0 => {
            let source = &row[34 * b..34 * b + 34];
            scale(o, &source[..2]);
            for (i, &q) in source[2..].iter().enumerate() {
                values[pair_position(o, i)] = q;
            }
        }
        DType::Q4_0 | DType::Q4_1 => {
            let header = if dtype == DType::Q4_0 { 2 } else { 4 };
            let source = &row[(header + 16) * b..(header + 16) * (b + 1)];
            scale(o, &source[..2]);
            if header == 4 {
                scale(BLOCK + o, &source[2..4]);
            }
            let quants = &source[header..];
            let nibble = |i: usize| u16::from(if i < 16 { quants[i] & 15 } else { quants[i - 16] >> 4 });
            for group in 0..4 {
                for parity in 0..2 {
                    let first = 8 * group + parity;
                    let lane = (0..4).fold(0, |lane, t| lane | nibble(first + 2 * t) << (4 * t));
                    let at = 2 * nibble_position(o, first).0;
                    values[at..at + 2].copy_from_slice(&lane.to_le_bytes());
                }
            }
        }
        DType::F32 | DType::F16 | DType::BF16 => {
            let size = dtype.row_bytes(1);
            let source = &row[size * BLOCK * b..row.len().min(size * BLOCK * (b + 1))];
            for (i, bytes) in source.chunks_exact(size).enumerate() {
                let at = if kind == Kind::Bf16 { pair_position(o, i) } else { BLOCK * i + o };
                match (dtype, kind) {
                    (DType::F32, Kind::Bf16) => {
                        let x = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                        values[2 * at..2 * at + 2].copy_from_slice(&f32_to_bf16(x).to_le_bytes());
                    }
                    (DType::F16, Kind::Bf16) => {
                        let x = f16_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]));
                        values[2 * at..2 * at + 2].copy_from_slice(&f32_to_bf16(x).to_le_bytes());
                    }
                    _ => values[size * at..size * (at + 1)].copy_from_slice(bytes),
                }
            }
        }
        _ => unreachable!("a type with a grid"),
    }
}

/// Lets go of pages of a mapped tensor: their packed copy has taken their place.
fn release(tensor: &Tensor, rows: std::ops::Range<usize>) {
    #[cfg(unix)]
    {
        let (map, range, size) = match &tensor.storage {
            Storage::Mapped(map, range) => (map, range, tensor.dtype.row_bytes(tensor.cols)),
            Storage::Scaled(map, range, _) => (map, range, tensor.cols),
            Storage::Owned(_) => return,
        };
        // SAFETY: the map is a read-only view of a file, so dropped pages come back from it unchanged. Advice may fail
        // without harm: the pages then stay until the map goes.
        let (from, until) = (range.start + rows.start * size, range.start + rows.end * size);
        let from = from.saturating_sub(AROUND);
        let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, until - from) };
    }
    #[cfg(not(unix))]
    let _ = (tensor, rows);
}

/// Single to bfloat16, to nearest even; NaN stays NaN.
pub(crate) fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}
