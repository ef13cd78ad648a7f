//! Random numbers by position: number j of stream s depends on (seed, s, j) alone, so neither order nor threads matter.

/// The finaliser of SplitMix64, a bijection that spreads every bit (Steele, Lea and Flood 2014).
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A stream of standard normal numbers.
#[derive(Clone, Copy, Debug)]
pub struct Normals {
    key: u64,
    next: u64,
}

impl Normals {
    /// Stream `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { key: mix(seed ^ mix(stream)), next: 0 }
    }

    /// The next number uniform in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        let bits = mix(self.key.wrapping_add(self.next));
        self.next += 1;
        // In the open interval: 53 bits and a half.
        ((bits >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
    }

    /// The next number, by the polar form of two uniform ones (Box and Muller 1958).
    pub fn draw(&mut self) -> f64 {
        let (radius, angle) = (self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// A number of Student's distribution: normal, over a spread that is known from `freedom` such numbers alone.
    pub fn student(&mut self, freedom: usize) -> f64 {
        let normal = self.draw();
        let squares: f64 = (0..freedom).map(|_| self.draw().powi(2)).sum();
        normal * (freedom as f64 / squares).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_a_normal_distribution() {
        let count = 200_000;
        let mut stream = Normals::new(3, 5);
        let draws: Vec<f64> = (0..count).map(|_| stream.draw()).collect();
        let moment = |p: i32| draws.iter().map(|x| x.powi(p)).sum::<f64>() / f64::from(count);
        // Standard errors of the four moments: 1, √2, √15 and √96 over √count.
        let unit = 4.0 / f64::from(count).sqrt();
        assert!(moment(1).abs() < unit && (moment(2) - 1.0).abs() < unit * 2f64.sqrt());
        assert!(moment(3).abs() < unit * 15f64.sqrt() && (moment(4) - 3.0).abs() < unit * 96f64.sqrt());
    }

    #[test]
    fn students_numbers_have_its_quantiles() {
        // scipy.stats.t(5).ppf([0.75, 0.95, 0.99])
        let limits = [0.726_686_843_8, 2.015_048_372_7, 3.364_929_998_9];
        let count = 40_000;
        let mut stream = Normals::new(1, 2);
        let draws: Vec<f64> = (0..count).map(|_| stream.student(5)).collect();
        for (limit, share) in limits.into_iter().zip([0.75, 0.95, 0.99f64]) {
            let below = draws.iter().filter(|&&x| x < limit).count() as f64 / f64::from(count);
            assert!(
                (below - share).abs() < 4.0 * (share * (1.0 - share) / f64::from(count)).sqrt(),
                "{below}"
            );
        }
    }

    #[test]
    fn streams_differ() {
        let first = |seed, stream| Normals::new(seed, stream).draw();
        assert!(first(0, 0) != first(0, 1) && first(0, 0) != first(1, 0) && first(0, 1) != first(1, 0));
    }
}
