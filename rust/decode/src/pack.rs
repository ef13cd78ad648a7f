//! Weights re-ordered once at load: panels of 32 outputs, blocks of 32 inner elements, as compact as the file.
//!
//! A panel streams from memory in order. Within a block the scales of the 32 outputs come first, then the values in the
//! order in which the kernels expand them: outputs across lanes, the inner dimension in sequence, in pairs for the dot
//! products of bfloat16. Missing outputs and inner elements are zeros.

use crate::aligned::{Arena, Buffer};
use crate::grid::{self, Codes, Form, Grid};
use crate::half::{bf16_to_f32, f16_to_f32};
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
    /// Scales and minima, then 4-bit codes or bytes.
    Grid(Grid),
}

impl Kind {
    fn of(dtype: DType, bf16: bool) -> Kind {
        match (Grid::of(dtype), dtype) {
            (Some(grid), _) => Kind::Grid(grid),
            (None, DType::F32) if !bf16 => Kind::F32,
            (None, DType::F16) if !bf16 => Kind::F16,
            (None, _) => Kind::Bf16,
        }
    }

    /// Bytes of a block's scales (and minima), which precede its values and stay apart from them.
    pub(crate) const fn scale_bytes(self) -> usize {
        if let Kind::Grid(grid) = self { grid.header() } else { 0 }
    }

    /// Bytes of one block of 32 outputs × 32 inner elements.
    pub(crate) const fn block_bytes(self) -> usize {
        match self {
            Kind::F32 => 4 * BLOCK * BLOCK,
            Kind::F16 | Kind::Bf16 => 2 * BLOCK * BLOCK,
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
            let u16_at = |i: usize| u16::from_le_bytes([block[2 * i], block[2 * i + 1]]);
            for (i, x) in out.iter_mut().enumerate() {
                *x = match self.kind {
                    Kind::F32 => {
                        let at = 4 * (BLOCK * i + o);
                        f32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
                    }
                    Kind::F16 => f16_to_f32(u16_at(BLOCK * i + o)),
                    Kind::Bf16 => bf16_to_f32(u16_at(pair_position(o, i))),
                    Kind::Grid(grid) => grid_value(grid, block, o, i),
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
    /// Scales (and minima) of an output, each kind with a unit of its own.
    const fn units(self) -> usize {
        1 + self.minima as usize
    }

    /// Bytes of a packed block's scales and minima, whole lines of the cache: units (of scales, then of minima), then
    /// multiples (of the scales' parts, then of the minima's), each of all outputs.
    pub(crate) const fn header(self) -> usize {
        let multiples = match self.form {
            Form::Multiple => self.parts,
            Form::Half | Form::Power => 0,
        };
        ((2 + multiples) * self.units() * BLOCK).next_multiple_of(64)
    }

    /// Where the multiples of a part of the scales (`kind` 0) or minima (1) begin.
    pub(crate) const fn multiples(self, kind: usize, part: usize) -> usize {
        (2 * self.units() + kind * self.parts + part) * BLOCK
    }

    const fn code_bytes(self) -> usize {
        match self.codes {
            Codes::Table(_) => BLOCK * BLOCK / 2,
            Codes::Byte => BLOCK * BLOCK,
        }
    }
}

/// One weight of a packed block.
fn grid_value(grid: Grid, block: &[u8], o: usize, i: usize) -> f32 {
    let part = i * grid.parts / BLOCK;
    let factor = |kind: usize| {
        let at = 2 * (kind * BLOCK + o);
        let multiple = match grid.form {
            Form::Multiple => block[grid.multiples(kind, part) + o].cast_signed(),
            Form::Half | Form::Power => 1,
        };
        grid.form.value([block[at], block[at + 1]], multiple)
    };
    let codes = &block[grid.header()..];
    let code = match grid.codes {
        Codes::Table(_) => {
            let (line, shift) = nibble_position(o, i);
            (codes[2 * line + shift / 8] >> (shift % 8) & 15).cast_signed()
        }
        Codes::Byte => codes[pair_position(o, i)].cast_signed(),
    };
    grid.value(code, factor(0), if grid.minima { factor(1) } else { 0.0 })
}

/// Places block `b` of one row of a type with a grid.
fn pack_grid(dtype: DType, grid: Grid, row: &[u8], b: usize, o: usize, block: &mut [u8]) {
    let (_, elements, size) = dtype.layout();
    let blocks = elements / BLOCK;
    let source = grid::block(dtype, &row[b / blocks * size..][..size], b % blocks);
    let (header, values) = block.split_at_mut(grid.header());
    for (kind, factor) in [source.scale, source.minimum].into_iter().take(grid.units()).enumerate() {
        header[2 * (kind * BLOCK + o)..][..2].copy_from_slice(&factor.unit);
        if grid.form == Form::Multiple {
            for part in 0..grid.parts {
                header[grid.multiples(kind, part) + o] = factor.multiples[part].cast_unsigned();
            }
        }
    }
    let code = |i: usize| source.codes[i].cast_unsigned();
    match grid.codes {
        Codes::Byte => (0..BLOCK).for_each(|i| values[pair_position(o, i)] = code(i)),
        // Four inner elements at a time share a lane.
        Codes::Table(_) => {
            for first in (0..BLOCK).filter(|i| i % 8 < 2) {
                let lane = (0..4).fold(0, |lane, t| lane | u16::from(code(first + 2 * t)) << (4 * t));
                values[2 * nibble_position(o, first).0..][..2].copy_from_slice(&lane.to_le_bytes());
            }
        }
    }
}

/// Places block `b` of one row, output `o` of its panel.
fn pack_row(dtype: DType, kind: Kind, row: &[u8], b: usize, o: usize, block: &mut [u8]) {
    if let Kind::Grid(grid) = kind {
        return pack_grid(dtype, grid, row, b, o, block);
    }
    let size = dtype.row_bytes(1);
    let source = &row[size * BLOCK * b..row.len().min(size * BLOCK * (b + 1))];
    for (i, bytes) in source.chunks_exact(size).enumerate() {
        let at = if kind == Kind::Bf16 { pair_position(o, i) } else { BLOCK * i + o };
        match (dtype, kind) {
            (DType::F32, Kind::Bf16) => {
                let x = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                block[2 * at..2 * at + 2].copy_from_slice(&f32_to_bf16(x).to_le_bytes());
            }
            (DType::F16, Kind::Bf16) => {
                let x = f16_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]));
                block[2 * at..2 * at + 2].copy_from_slice(&f32_to_bf16(x).to_le_bytes());
            }
            _ => block[size * at..size * (at + 1)].copy_from_slice(bytes),
        }
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
