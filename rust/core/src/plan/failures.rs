//! The law's failure probability at many N, eight at once, without the derivatives: what a scan of a line, or a list of
//! sizes, takes most of its time for.

use crate::lanes::{LANES, Lanes, exp, fused, lanes};
use crate::laws::{NU, theta};
use crate::special::log_rising_quotient_flat;

/// A law of pass@k with what of its budgets moves with N.
pub(super) struct Failures<'a> {
    /// Its parameters.
    pub params: &'a [f64],
    /// ln(C_train/6) and ln D_max.
    pub tokens: (f64, f64),
    /// ln(C_inf/2) and ln k_max.
    pub samples: (f64, f64),
}

impl Failures<'_> {
    /// Fills `out` with ln of the failure probability at every ln N; NaN where a number on the way is too large or small.
    pub fn fill(&self, log_n: &[f64], out: &mut [f64]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("fma") {
            // SAFETY: the processor has the features that the functions are compiled for.
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                return unsafe { self.with_avx512(log_n, out) };
            }
            if is_x86_feature_detected!("avx2") {
                return unsafe { self.with_avx2(log_n, out) };
            }
        }
        self.all::<{ cfg!(target_arch = "aarch64") }>(log_n, out)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,fma")]
    fn with_avx512(&self, log_n: &[f64], out: &mut [f64]) {
        self.all::<true>(log_n, out)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn with_avx2(&self, log_n: &[f64], out: &mut [f64]) {
        self.all::<true>(log_n, out)
    }

    #[inline(always)]
    fn all<const FMA: bool>(&self, log_n: &[f64], out: &mut [f64]) {
        for (log_n, out) in log_n.chunks(LANES).zip(out.chunks_mut(LANES)) {
            let x = lanes!(|i| log_n[i.min(log_n.len() - 1)]);
            out.copy_from_slice(&self.eight::<FMA>(&x)[..out.len()]);
        }
    }

    /// As `Line::failure`.
    #[inline(always)]
    fn eight<const FMA: bool>(&self, x: &Lanes) -> Lanes {
        let &[e, a, b, alpha, beta] = self.params.first_chunk().expect("a law of pass@k has more");
        let [t0, t1, t2, t3, t4] = theta(self.params);
        let (tokens, samples) = (self.tokens, self.samples);
        let latent = lanes!(|i| {
            let trained = a * exp::<FMA>(-alpha * x[i]);
            e + trained + b * exp::<FMA>(-beta * (tokens.0 - x[i]).min(tokens.1))
        });
        // As `Link::new`.
        let z = lanes!(|i| t1 * (latent[i] - t0));
        let small = lanes!(|i| exp::<FMA>(-z[i].abs()));
        let nu = lanes!(|i| exp::<FMA>(fused::<FMA>(t4, latent[i], t3)).max(NU.0).min(NU.1));
        let k = lanes!(|i| exp::<FMA>((samples.0 - x[i]).min(samples.1)));
        let sure = t2 == 1.0;
        lanes!(|i| {
            let (above, share) = (z[i] > 0.0, 1.0 / (1.0 + small[i]));
            let (s, rest) = if above { (small[i] * share, share) } else { (share, small[i] * share) };
            let failing = if sure { rest } else { 1.0 - t2 * s };
            let a = (t2 * s * nu[i]).max(f64::MIN_POSITIVE);
            let b = (failing * nu[i]).max(f64::MIN_POSITIVE);
            let value = log_rising_quotient_flat::<FMA>(b, a, k[i]);
            // Beyond, `small` is no longer e^−|z|, or products overflow.
            if z[i].abs() < 700.0 && k[i] < 1e60 { value } else { f64::NAN }
        })
    }
}
