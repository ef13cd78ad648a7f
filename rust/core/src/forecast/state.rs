//! A fitted forecast law with its draws: all that predicting and planning need.

use rayon::prelude::*;

use super::field::{Field, Forecast, Spot};
use super::noise::Noise;
use super::quantity::Quantity;
use super::scatter::Scatter;
use super::table::Table;
use crate::cancel::Cancel;
use crate::random_field::RandomField;

/// How much faster forecasts go wrong away from the measured checkpoints than refits say, for each unit of ln N or ln D
/// from the nearest of them. What a table's widening is learnt with, too.
pub const GROWTH: f64 = 1.5;

/// What a forecast of a draw includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The members' parameters move, the process stays.
    Parameters,
    /// The mean of checkpoints of this size.
    Mean,
    /// One new checkpoint, with a part of its own.
    Checkpoint,
}

/// One refit, as its parameters, its measurements and what sets checkpoints apart.
#[derive(Clone, Copy, Debug)]
pub struct Refit<'a> {
    /// θ of every member.
    pub thetas: &'a [f64],
    /// z, (checkpoints, K).
    pub z: &'a [f64],
    /// Of a new checkpoint, too.
    pub noise: Noise,
}

/// The law and its draws.
#[derive(Clone, Debug)]
pub struct State {
    field: Field,
    scatters: Vec<Scatter>,
    point: Forecast,
    draws: Vec<(Forecast, Noise, RandomField)>,
    widening: f64,
}

impl State {
    /// From parameters and error scales of the members and refits; `None` when cancelled. `widening` is the factor by
    /// which a new checkpoint's draws lie further from the forecast than refits alone have them, at no distance from
    /// the measured checkpoints.
    pub fn new(
        table: Table,
        thetas: &[f64],
        scales: &[f64],
        refits: &[Refit],
        widening: f64,
        cancel: &Cancel,
    ) -> Option<Self> {
        let field = Field::new(table);
        let scatters = field.scatters(thetas, scales);
        let mut rows = vec![(thetas, &field.table().z[..])];
        rows.extend(refits.iter().map(|refit| (refit.thetas, refit.z)));
        let mut forecasts = field.forecasts(&rows, &field.scales(thetas), cancel)?;
        let drawn = forecasts.split_off(1).into_iter().zip(refits);
        let draws = drawn.map(|(forecast, refit)| (forecast, refit.noise, refit.noise.field())).collect();
        let point = forecasts.pop()?;
        Some(Self { field, scatters, point, draws, widening })
    }

    /// What is forecast.
    pub fn quantity(&self) -> Quantity {
        self.field.table().quantity
    }

    /// Number of draws.
    pub fn draws(&self) -> usize {
        self.draws.len()
    }

    /// A place to forecast at.
    pub fn spot(&self, log_n: f64, log_d: f64) -> Spot {
        self.field.spot(log_n, log_d)
    }

    /// z at a spot, and the part of it that is the process.
    pub fn z(&self, spot: &Spot, log_k: f64) -> (f64, f64) {
        self.field.z(&self.point, spot, log_k)
    }

    /// ln k at which forecasts bend in ln k.
    pub fn bends(&self) -> &[f64] {
        if self.quantity() == Quantity::Passing { self.field.log_ks() } else { &[] }
    }

    /// The process at a spot at each measured k: of the law, or of a draw's mean of checkpoints.
    pub fn corrections(&self, draw: Option<usize>, spot: &Spot) -> Vec<f64> {
        let (of, apart) = match draw {
            None => (&self.point, self.field.nowhere()),
            Some(draw) => (&self.draws[draw].0, self.apart(draw, Kind::Mean, spot)),
        };
        self.field.corrections(&of.thetas, &of.process, spot, apart)
    }

    /// z of the law, or of a draw's mean of checkpoints, and the part of it that is the process, given its
    /// [`Self::corrections`].
    pub fn z_given(&self, draw: Option<usize>, spot: &Spot, corrections: &[f64], log_k: f64) -> (f64, f64) {
        let forecast = draw.map_or(&self.point, |draw| &self.draws[draw].0);
        self.field.z_given(&forecast.thetas, spot, corrections, log_k)
    }

    /// How far a draw's checkpoints lie apart at a spot, and the profile in k of that.
    fn apart(&self, draw: usize, kind: Kind, spot: &Spot) -> (f64, &[f64]) {
        let (forecast, noise, field) = &self.draws[draw];
        let scatter = &self.scatters[noise.member];
        let own = if kind == Kind::Mean { 0.0 } else { noise.nugget * noise.own };
        let unit = scatter.at(self.field.law(&forecast.thetas, spot, self.log_middle()));
        (unit * (field.at(spot.place) + own), scatter.profile())
    }

    /// By how much more than once a new checkpoint's draws are to lie off the forecast at a spot.
    fn stretch(&self, spot: &Spot) -> f64 {
        (self.widening * (1.0 + GROWTH * spot.distance) - 1.0).max(0.0)
    }

    /// z forecast at the middle k, about which draws of a new checkpoint are widened.
    pub fn centre(&self, spot: &Spot) -> f64 {
        if self.stretch(spot) > 0.0 { self.z(spot, self.log_middle()).0 } else { 0.0 }
    }

    fn log_middle(&self) -> f64 {
        self.field.table().ks[self.scatters[0].k()].ln()
    }

    /// z of one draw at a spot, given its [`Self::centre`]. A widening moves all k alike, lest pass@k fall in k.
    pub fn drawn(&self, draw: usize, kind: Kind, spot: &Spot, log_k: f64, centre: f64) -> f64 {
        let forecast = &self.draws[draw].0;
        // The process is held where the parameters alone are drawn.
        let (process, apart) = match kind {
            Kind::Parameters => (&self.point.process, self.field.nowhere()),
            _ => (&forecast.process, self.apart(draw, kind, spot)),
        };
        let middle = self.log_middle();
        let corrections = self.field.corrections(&forecast.thetas, process, spot, apart);
        let at = |log_k: f64| self.field.z_given(&forecast.thetas, spot, &corrections, log_k).0;
        let z = at(log_k);
        let stretch = if kind == Kind::Checkpoint { self.stretch(spot) } else { 0.0 };
        if stretch == 0.0 {
            return z;
        }
        let there = if log_k == middle { z } else { at(middle) };
        z + stretch * (there - centre)
    }

    /// Values at points (N, D, k), and the share of z that is the process.
    pub fn values(&self, n: &[f64], d: &[f64], k: &[f64]) -> Vec<(f64, f64)> {
        let at = |i: usize| {
            let (z, process) = self.z(&self.spot(n[i].ln(), d[i].ln()), k[i].ln());
            (self.quantity().natural(z), process)
        };
        (0..n.len()).into_par_iter().with_min_len(64).map(at).collect()
    }

    /// Values of every draw at points (N, D, k): (draws, points).
    pub fn draw_values(&self, kind: Kind, n: &[f64], d: &[f64], k: &[f64]) -> Vec<f64> {
        let spots: Vec<Spot> = (0..n.len()).map(|i| self.spot(n[i].ln(), d[i].ln())).collect();
        let centres: Vec<f64> = spots.par_iter().map(|spot| self.centre(spot)).collect();
        let at = |index: usize| {
            let (draw, i) = (index / n.len(), index % n.len());
            self.quantity().natural(self.drawn(draw, kind, &spots[i], k[i].ln(), centres[i]))
        };
        (0..self.draws.len() * n.len()).into_par_iter().with_min_len(64).map(at).collect()
    }
}
