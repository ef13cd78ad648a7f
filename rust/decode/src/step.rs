//! One step of the model: rows in, residual stream out.

use std::sync::Mutex;

use crate::aligned::{Buffer, Plain};
use crate::cache::{PREFIX_BLOCK, SUFFIX_BLOCK, Segment};
use crate::kernels::attention::{Attend, Sight};
use crate::kernels::draw::Partial;
use crate::kernels::linear::{Rows, Then};
use crate::kernels::rows::Heads;
use crate::kernels::scratch::{Scratch, space};
use crate::kernels::simd::Arith;
use crate::kernels::xpack::XPack;
use crate::model::Rotation;
use crate::network::Network;
use crate::pack::BLOCK;
use crate::phases::Phases;
use crate::pool::Pool;

/// One position to compute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) token: u32,
    /// Index of its prompt among the step's; rows of one prompt stand together.
    pub(crate) prompt: usize,
    /// The sample's cache slot, or none for a position of the prompt itself.
    pub(crate) slot: Option<usize>,
    /// Position in the prompt, or in the slot.
    pub(crate) index: usize,
}

/// The cache of one prompt.
pub(crate) struct Prompt<X: Plain> {
    segment: Segment,
    layers: usize,
    cache: Buffer<X>,
    pub(crate) tokens: Vec<u32>,
}

impl<X: Plain> Prompt<X> {
    /// Takes the keys and values of the first `shared` positions from another prompt's cache; returns `shared`. What else
    /// lies in the last block is read only once this prompt's own has been written there.
    pub(crate) fn begin_as(&mut self, other: &Prompt<X>, shared: usize) -> usize {
        let len = shared.div_ceil(PREFIX_BLOCK) * 2 * PREFIX_BLOCK * self.segment.width;
        for layer in 0..self.layers {
            for head in 0..self.segment.kv_heads {
                let (to, from) =
                    (self.segment.block_at(layer, head, 0).k, other.segment.block_at(layer, head, 0).k);
                self.cache[to..to + len].copy_from_slice(&other.cache[from..from + len]);
            }
        }
        shared
    }
}

/// The caches of the samples being drawn, all of one size.
pub(crate) struct Slots<X: Plain> {
    first: Segment,
    layers: usize,
    cache: Buffer<X>,
}

impl<X: Plain + Default> Slots<X> {
    /// Clears a slot for its next sample: what a block holds beyond its sample must be finite.
    pub(crate) fn clear(&mut self, slot: usize) {
        let segment = self.first.nth(slot);
        for layer in 0..self.layers {
            for head in 0..segment.kv_heads {
                let at = segment.block_at(layer, head, 0).k;
                self.cache[at..at + segment.head_elements()].fill(X::default());
            }
        }
    }
}

/// Everything a step needs: weights, threads, work space.
pub(crate) struct Core<A: Arith> {
    pub(crate) a: A,
    pub(crate) network: Network,
    pub(crate) pool: Pool,
    pub(crate) scratch: Vec<Mutex<Scratch<A>>>,
    /// Cosines, then sines, of every position so far needed: global, local.
    rotations: [Vec<f32>; 2],
    /// What a block adds to the stream, where a norm or a factor comes between.
    branch: Buffer<f32>,
    pub(crate) stream: Buffer<f32>,
    qkv: Buffer<f32>,
    attended: Buffer<f32>,
    queries: Buffer<A::X>,
    pub(crate) x: XPack<A>,
    x2: XPack<A>,
    hidden: XPack<A>,
    pub(crate) partials: Buffer<Partial>,
    /// The prompt read last whose samples are over: the next often begins like it.
    pub(crate) recent: Option<Prompt<A::X>>,
}

impl<A: Arith> Core<A> {
    pub(crate) fn new(a: A, network: Network, pool: Pool) -> Core<A> {
        let scratch = (0..pool.threads()).map(|_| Mutex::new(Scratch::new())).collect();
        Core {
            a,
            network,
            pool,
            scratch,
            rotations: [Vec::new(), Vec::new()],
            branch: Buffer::zeroed(0),
            stream: Buffer::zeroed(0),
            qkv: Buffer::zeroed(0),
            attended: Buffer::zeroed(0),
            queries: Buffer::zeroed(0),
            x: XPack::new(),
            x2: XPack::new(),
            hidden: XPack::new(),
            partials: Buffer::zeroed(0),
            recent: None,
        }
    }

    /// Floats from one row of the residual stream to the next.
    pub(crate) fn stride(&self) -> usize {
        self.network.config.width.next_multiple_of(BLOCK)
    }

    /// An empty cache for a prompt.
    pub(crate) fn prompt(&self, tokens: &[u32]) -> Prompt<A::X> {
        let (c, width) = (&self.network.config, self.network.head_width());
        let segment = Segment::first_of(1, tokens.len(), PREFIX_BLOCK, c.kv_heads, width);
        let cache = Buffer::zeroed(segment.elements(c.layers));
        Prompt { segment, layers: c.layers, cache, tokens: tokens.to_vec() }
    }

    /// Caches for `count` samples of up to `positions` tokens.
    pub(crate) fn slots(&self, count: usize, positions: usize) -> Slots<A::X> {
        let (c, width) = (&self.network.config, self.network.head_width());
        let first = Segment::first_of(count, positions, SUFFIX_BLOCK, c.kv_heads, width);
        Slots { first, layers: c.layers, cache: Buffer::zeroed(first.elements(c.layers)) }
    }

    /// Extends the tables of rotations to `positions`.
    fn rotate_to(&mut self, positions: usize) {
        let c = &self.network.config;
        let tables = [(&c.inv_freq, c.rope_scale), (&c.local_inv_freq, 1.0)];
        for ((frequencies, scale), table) in tables.into_iter().zip(&mut self.rotations) {
            let known = table.len().checked_div(2 * frequencies.len()).unwrap_or(positions);
            for position in known..positions {
                let angles = frequencies.iter().map(|f| position as f32 * f);
                table.extend(angles.clone().map(|angle| angle.cos() * scale));
                table.extend(angles.map(|angle| angle.sin() * scale));
            }
        }
    }

    /// Computes the rows' residual stream after the last layer, entering their keys and values into the caches.
    pub(crate) fn forward(
        &mut self,
        rows: &[Row],
        prompts: &mut [&mut Prompt<A::X>],
        slots: &mut Slots<A::X>,
    ) {
        let position = |r: &Row| r.index + if r.slot.is_some() { prompts[r.prompt].tokens.len() } else { 0 };
        let positions: Vec<usize> = rows.iter().map(position).collect();
        self.rotate_to(positions.iter().max().map_or(0, |p| p + 1));
        let stride = self.stride();
        let (a, network, pool, scratch) = (self.a, &self.network, &self.pool, &self.scratch[..]);
        let c = &network.config;
        let n = rows.len();
        let q_len = c.heads * c.head_dim;
        let attended_stride = q_len.next_multiple_of(BLOCK);
        let queries_stride = c.heads * network.head_width();
        self.stream.ensure(n * stride);
        self.qkv.ensure(n * network.columns.stride);
        self.attended.ensure(n * attended_stride);
        self.queries.ensure(n * queries_stride);
        self.branch.ensure(n * stride);
        for ((row, &position), h) in rows.iter().zip(&positions).zip(self.stream.chunks_exact_mut(stride)) {
            network.embed(row.token, position, h);
        }
        let lengths: Vec<usize> = prompts.iter().map(|p| p.tokens.len()).collect();
        let sights_within = |window: Option<usize>| -> Vec<Sight> {
            let sight = |(row, &position): (&Row, &usize)| {
                let from = (position + 1).saturating_sub(window.unwrap_or(usize::MAX));
                let prompt = lengths[row.prompt];
                match row.slot {
                    None => Sight {
                        prefix: row.index + 1,
                        prefix_from: from,
                        own: None,
                        suffix: 0,
                        suffix_from: 0,
                    },
                    Some(slot) => Sight {
                        prefix: prompt,
                        prefix_from: from.min(prompt),
                        own: Some(slots.first.nth(slot)),
                        suffix: row.index + 1,
                        suffix_from: from.saturating_sub(prompt),
                    },
                }
            };
            rows.iter().zip(&positions).map(sight).collect()
        };
        let mut sights: Vec<(Option<usize>, Vec<Sight>)> = Vec::new();
        for layer in &network.layers {
            if sights.iter().all(|(window, _)| *window != layer.window) {
                sights.push((layer.window, sights_within(layer.window)));
            }
        }
        let tasks = attention_tasks::<A>(rows, c.kv_heads, c.heads / c.kv_heads);
        let segments: Vec<Segment> = prompts.iter().map(|p| p.segment).collect();
        let caches: Vec<_> = prompts.iter_mut().map(|p| p.cache.shared()).collect();
        let first_slot = slots.first;
        let slot_cache = slots.cache.shared();
        let stream = Rows { data: self.stream.shared(), stride };
        let qkv = Rows { data: self.qkv.shared(), stride: network.columns.stride };
        let attended = Rows { data: self.attended.shared(), stride: attended_stride };
        let queries = self.queries.shared();
        let branch = Rows { data: self.branch.shared(), stride };
        let step = Phases { a, pool, scratch };
        for (index, layer) in network.layers.iter().enumerate() {
            let sights =
                sights.iter().find(|(window, _)| *window == layer.window).map_or(&[][..], |(_, s)| s);
            let (table, width) = match layer.rotation {
                Rotation::Global => (&self.rotations[0], 2 * c.inv_freq.len()),
                Rotation::Local => (&self.rotations[1], 2 * c.local_inv_freq.len()),
                Rotation::Absent => (&self.rotations[0], 0),
            };
            let x = self.x.shape(n, c.width);
            step.pack(layer.attn_norm.as_ref(), stream, x);
            // A parallel residual's feed-forward reads the stream as it is before attention adds to it.
            let early = c.parallel_residual.then(|| self.x2.shape(n, c.width));
            if let Some(early) = early {
                step.pack(layer.ffn_norm.as_ref(), stream, early);
            }
            step.projections(layer, network, x, qkv);
            pool.run(n, &|r, worker| {
                let row = rows[r];
                let (segment, cache) = match row.slot {
                    None => (segments[row.prompt], caches[row.prompt]),
                    Some(slot) => (first_slot.nth(slot), slot_cache),
                };
                // SAFETY: this task owns the row's projections and queries.
                let (qkv, queries) = unsafe {
                    (
                        qkv.data.slice(r * qkv.stride, qkv.stride),
                        queries.slice(r * queries_stride, queries_stride),
                    )
                };
                a.call(Heads {
                    config: c,
                    norms: &layer.head_norms,
                    columns: network.columns,
                    qkv,
                    rotation: &table[positions[r] * width..][..width],
                    queries,
                    segment,
                    cache,
                    layer: index,
                    index: row.index,
                    scratch: &mut space(scratch, worker).row,
                });
            });
            pool.run(tasks.len(), &|t, worker| {
                let task = &tasks[t];
                let prompt = rows[task.row].prompt;
                a.call(Attend {
                    layer: index,
                    kv_head: task.kv_head,
                    heads: task.heads,
                    row: task.row,
                    sights: &sights[task.row..task.row + task.rows],
                    prefix: segments[prompt],
                    prefix_cache: caches[prompt],
                    suffix_cache: slot_cache,
                    // SAFETY: the phase before wrote the queries; this one only reads them.
                    queries: unsafe { queries.read(0, n * queries_stride) },
                    queries_stride,
                    scale: c.attention_scale,
                    softcap: c.attention_softcap,
                    head_dim: c.head_dim,
                    out: attended.data,
                    out_stride: attended.stride,
                    scratch: &mut space(scratch, worker).attention,
                });
            });
            let x = self.x.shape(n, q_len);
            step.pack(None, attended, x);
            step.add(&layer.o, x, layer.post_attn_norm.as_ref(), c.residual_scale, branch, stream);
            let x = early.unwrap_or_else(|| {
                let x = self.x.shape(n, c.width);
                step.pack(layer.ffn_norm.as_ref(), stream, x);
                x
            });
            let hidden = self.hidden.shape(n, c.hidden);
            step.linear(&layer.up, x, || Then::Activate {
                gate: layer.gate.as_ref(),
                activation: c.activation,
                to: hidden,
            });
            step.add(&layer.down, hidden, layer.post_ffn_norm.as_ref(), c.residual_scale, branch, stream);
        }
    }
}

struct AttentionTask {
    row: usize,
    rows: usize,
    kv_head: usize,
    heads: (usize, usize),
}

/// Tiles of queries that share a prompt and a key head, each at most as high as the register tile.
fn attention_tasks<A: Arith>(rows: &[Row], kv_heads: usize, group: usize) -> Vec<AttentionTask> {
    let part = group.min(A::MR);
    let height = (A::MR / part).max(1);
    let mut tasks = Vec::new();
    let mut row = 0;
    while row < rows.len() {
        let same = rows[row..].iter().take_while(|r| r.prompt == rows[row].prompt).count();
        for kv_head in 0..kv_heads {
            for first in (0..group).step_by(part) {
                let heads = (kv_head * group + first, part.min(group - first));
                let mut done = 0;
                while done < same {
                    let rows = height.min(same - done);
                    tasks.push(AttentionTask { row: row + done, rows, kv_head, heads });
                    done += rows;
                }
            }
        }
        row += same;
    }
    tasks
}
