//! The phases of a layer: linear maps and norms over rows, panel by panel and row by row, on all threads.

use std::sync::Mutex;

use crate::kernels::linear::{Apply, Linear, Rows, Then};
use crate::kernels::rows::{AddRow, Norm, PackRow};
use crate::kernels::scratch::{Scratch, space};
use crate::kernels::simd::Arith;
use crate::kernels::xpack::XView;
use crate::network::{Layer, Network};
use crate::pool::Pool;

/// What the phases of a layer share.
pub(crate) struct Phases<'a, A: Arith> {
    pub(crate) a: A,
    pub(crate) pool: &'a Pool,
    pub(crate) scratch: &'a [Mutex<Scratch<A>>],
}

impl<A: Arith> Phases<'_, A> {
    /// Normalises and packs rows.
    pub(crate) fn pack(&self, norm: Option<&Norm>, from: Rows<'_>, to: XView<'_, A>) {
        self.pool.run(to.rows, &|row, worker| {
            // SAFETY: rows are complete before this phase, and nothing writes them in it.
            let from = unsafe { from.data.read(row * from.stride, from.stride) };
            self.a.call(PackRow { norm, from, row, to, scratch: &mut space(self.scratch, worker).row });
        });
    }

    /// Adds a block's output to the stream, by way of its norm and factor where it has any.
    pub(crate) fn add<'t>(
        &self,
        linear: &Linear,
        x: XView<'t, A>,
        norm: Option<&Norm>,
        scale: f32,
        branch: Rows<'t>,
        stream: Rows<'t>,
    ) where
        A: 't,
    {
        if norm.is_none() && scale == 1.0 {
            return self.linear(linear, x, || Then::Add { to: stream });
        }
        self.linear(linear, x, || Then::Store { to: branch, column: 0 });
        self.pool.run(x.rows, &|row, _| {
            // SAFETY: the branch's rows are complete, and this task owns both rows.
            let (from, to) = unsafe {
                (
                    branch.data.slice(row * branch.stride, branch.stride),
                    stream.data.slice(row * stream.stride, stream.stride),
                )
            };
            self.a.call(AddRow { norm, scale, from, to });
        });
    }

    pub(crate) fn linear<'t>(&self, linear: &Linear, x: XView<'t, A>, then: impl Fn() -> Then<'t, A> + Sync)
    where
        A: 't,
    {
        let panels = linear.weights.panels();
        let grain = grain(panels, self.pool.threads());
        self.pool.run(panels.div_ceil(grain), &|task, worker| {
            let panels = task * grain..panels.min((task + 1) * grain);
            self.apply(linear, panels, x, then(), worker);
        });
    }

    fn apply<'t>(
        &self,
        linear: &'t Linear,
        panels: std::ops::Range<usize>,
        x: XView<'t, A>,
        then: Then<'t, A>,
        worker: usize,
    ) {
        let mut scratch = space(self.scratch, worker);
        self.a.call(Apply { linear, panels, x, then, scratch: &mut scratch });
    }

    /// Queries, keys and values in one phase.
    pub(crate) fn projections(&self, layer: &Layer, network: &Network, x: XView<'_, A>, to: Rows<'_>) {
        let parts = [(&layer.q, 0), (&layer.k, network.columns.k), (&layer.v, network.columns.v)];
        let counts = parts.map(|(linear, _)| linear.weights.panels());
        let total = counts.iter().sum();
        let grain = grain(total, self.pool.threads());
        self.pool.run(total.div_ceil(grain), &|task, worker| {
            let mut first = 0;
            for ((linear, column), count) in parts.into_iter().zip(counts) {
                let from = (task * grain).clamp(first, first + count) - first;
                let until = ((task + 1) * grain).clamp(first, first + count) - first;
                if from < until {
                    self.apply(linear, from..until, x, Then::Store { to, column }, worker);
                }
                first += count;
            }
        });
    }
}

/// Panels to a task: a few tasks for each thread, so that a slow core does not hold up the phase.
fn grain(panels: usize, threads: usize) -> usize {
    (panels / (6 * threads)).max(1)
}
