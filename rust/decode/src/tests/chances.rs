//! Tokens are drawn as often as the softmax has it, filtered or not.

use super::*;

/// Pearson's chi-square of first tokens against the softmax, tokens expected fewer than ten times pooled.
fn chi_square(sampling: Sampling, keep: impl Fn(&[f64]) -> Vec<f64>) {
    const DRAWS: usize = 100_000;
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let prompt = prompt(12, 6);
    let logits = engine.logits(&prompt, &mut Silent).unwrap();
    let row: Vec<f64> = logits[5 * 301..].iter().map(|&x| f64::from(x)).collect();
    let p = keep(&row);
    let mut counts = vec![0usize; 301];
    let request = Request { max_tokens: 1, sampling, ..request(vec![prompt], DRAWS) };
    for sample in draw(&mut engine, &request) {
        counts[sample.tokens[0] as usize] += 1;
        let expected = p[sample.tokens[0] as usize].ln();
        assert!(
            (f64::from(sample.processed[0]) - expected).abs() < 1e-4,
            "{} {expected}",
            sample.processed[0]
        );
    }
    let (mut statistic, mut cells) = (0.0, 0.0);
    let mut pool = (0.0, 0.0);
    for (&count, p) in counts.iter().zip(&p) {
        let expected = p * DRAWS as f64;
        assert!(expected > 0.0 || count == 0);
        if expected < 10.0 {
            pool = (pool.0 + expected, pool.1 + count as f64);
        } else {
            statistic += (count as f64 - expected).powi(2) / expected;
            cells += 1.0;
        }
    }
    if pool.0 > 0.0 {
        statistic += (pool.1 - pool.0).powi(2) / pool.0;
        cells += 1.0;
    }
    // Mean cells − 1, variance twice that: five deviations are one chance in a million and more.
    let freedom: f64 = cells - 1.0;
    assert!(freedom > 3.0 && statistic < freedom + 5.0 * (2.0 * freedom).sqrt(), "{statistic} on {freedom}");
}

fn softmax(x: &[f64], kept: impl Fn(usize) -> bool) -> Vec<f64> {
    let top = x.iter().fold(f64::MIN, |a, &b| a.max(b));
    let e: Vec<f64> =
        x.iter().enumerate().map(|(i, x)| if kept(i) { (x - top).exp() } else { 0.0 }).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|e| e / sum).collect()
}

#[test]
fn tokens_follow_the_softmax() {
    chi_square(Sampling::default(), |row| softmax(row, |_| true));
    chi_square(Sampling { temperature: 0.7, ..Sampling::default() }, |row| {
        softmax(&row.iter().map(|x| x / 0.7).collect::<Vec<_>>(), |_| true)
    });
}

#[test]
fn filtered_tokens_follow_the_filtered_softmax() {
    let sampling = Sampling { temperature: 1.5, top_k: 60, top_p: 0.9, min_p: 0.02 };
    chi_square(sampling, |row| {
        let z: Vec<f64> = row.iter().map(|x| x / 1.5).collect();
        let mut order: Vec<usize> = (0..z.len()).collect();
        order.sort_by(|&a, &b| z[b].total_cmp(&z[a]));
        order.truncate(60);
        let limited = softmax(&z, |i| order.contains(&i));
        let mut before = 0.0;
        let kept: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&i| {
                let inside = before < 0.9;
                before += limited[i];
                inside && limited[i] >= 0.02 * limited[order[0]]
            })
            .collect();
        softmax(&z, |i| kept.contains(&i))
    });
}

#[test]
fn filters_do_not_depend_on_company_either() {
    let sampling = Sampling { temperature: 0.9, top_k: 0, top_p: 0.95, min_p: 0.01 };
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let all = draw(&mut engine, &Request { sampling, ..request(vec![prompt(13, 8)], 50) });
    let one = draw(&mut engine, &Request { sampling, first_sample: 41, ..request(vec![prompt(13, 8)], 1) });
    assert_eq!(one[0], all[41]);
}

#[test]
fn greedy_takes_the_largest_logit() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
    let drawn = draw(&mut engine, &Request { sampling, ..request(vec![prompt(14, 10)], 3) });
    assert!(drawn.windows(2).all(|w| w[0].tokens == w[1].tokens));
    let mut text = prompt(14, 10);
    for &token in &drawn[0].tokens {
        let logits = engine.logits(&text, &mut Silent).unwrap();
        let last = &logits[logits.len() - 301..];
        let best = (0..301).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap();
        assert_eq!(token as usize, best);
        text.push(token);
    }
}
