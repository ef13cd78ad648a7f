//! Functions over (ln N, ln D) drawn from the Gaussian process of [`crate::gaussian_process`], as sums of cosines.
//!
//! f(x) = a √(2/M) Σ cos(ω_m·x + φ_m) with frequencies from the kernel's spectral density (Rahimi and Recht 2007); that of
//! a Matérn kernel of order 3/2 is a Student distribution with three degrees of freedom, of scale 1/ℓ.

use crate::gaussian_process::Place;
use crate::random::Normals;

/// Cosines: their sum is all but normal, and its covariance within a few hundredths of the kernel's.
const WAVES: usize = 64;

/// A function drawn at random.
#[derive(Clone, Debug)]
pub struct RandomField {
    height: f64,
    waves: Vec<[f64; 3]>,
}

impl RandomField {
    /// Of an amplitude and a length; zero everywhere where the amplitude is.
    pub fn new(amplitude: f64, length: f64, normals: &mut Normals) -> Self {
        let waves = (0..WAVES).map(|_| {
            let chi_squared: f64 = (0..3).map(|_| normals.draw().powi(2)).sum();
            let scale = (3.0 / chi_squared).sqrt() / length;
            [scale * normals.draw(), scale * normals.draw(), std::f64::consts::TAU * normals.uniform()]
        });
        Self { height: amplitude * (2.0 / WAVES as f64).sqrt(), waves: waves.collect() }
    }

    /// At a place.
    pub fn at(&self, [n, d]: Place) -> f64 {
        if self.height == 0.0 {
            return 0.0;
        }
        self.height * self.waves.iter().map(|[u, v, phase]| (u * n + v * d + phase).cos()).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaussian_process::matern;

    #[test]
    fn covariances_are_those_of_the_kernel() {
        let places = [[0.0, 0.0], [0.3, 0.4], [1.0, -1.0], [3.0, 0.0]];
        let (amplitude, length, draws) = (0.7, 1.5, 20_000);
        let mut sums = [[0.0; 4]; 4];
        for draw in 0..draws {
            let field = RandomField::new(amplitude, length, &mut Normals::new(1, draw));
            let values = places.map(|place| field.at(place));
            for i in 0..4 {
                for j in 0..4 {
                    sums[i][j] += values[i] * values[j] / draws as f64;
                }
            }
        }
        for i in 0..4 {
            for j in 0..4 {
                let expected = amplitude * amplitude * matern(places[i], places[j], length);
                // Four standard errors of a mean of products.
                assert!((sums[i][j] - expected).abs() < 4.0 * 0.49 * (2.0 / draws as f64).sqrt(), "{i} {j}");
            }
        }
    }
}
