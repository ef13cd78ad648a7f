//! The engine against a plain float64 model, and against itself: any number of samples, batch, order, threads, kernel.

use crate::naive;
use crate::tensor::DType;
use crate::testing::{Numbers, Shape, model};
use crate::{Engine, Error, Finish, Kernel, Observer, Options, Precision, Request, Sample, Sampling, Silent};

fn engine(shape: &Shape, precision: Precision, kernel: Option<Kernel>, threads: usize) -> Engine {
    let options = Options { precision: Some(precision), threads: Some(threads), kernel };
    Engine::new(model(shape), options).unwrap()
}

fn request(prompts: Vec<Vec<u32>>, k: usize) -> Request {
    Request {
        keys: (0..prompts.len() as u64).map(|i| i * 0x1234_5678_9abc + 7).collect(),
        k: vec![k; prompts.len()],
        prompts,
        first_sample: 0,
        have: vec![],
        sampling: Sampling::default(),
        max_tokens: 9,
        stop_tokens: vec![],
        stop: vec![],
        max_rows: None,
        ahead: None,
        keep: true,
    }
}

fn prompt(seed: u64, len: usize) -> Vec<u32> {
    let mut numbers = Numbers::new(seed);
    (0..len).map(|_| (numbers.bits() >> 33) as u32 % 301).collect()
}

fn draw(engine: &mut Engine, request: &Request) -> Vec<Sample> {
    engine.sample(request, &mut Silent).unwrap().samples
}

fn precisions() -> Vec<(Precision, Kernel)> {
    let precision =
        |&k: &Kernel| if k == Kernel::Avx512Bf16 { Precision::Bfloat16 } else { Precision::Float32 };
    Kernel::available().iter().map(|k| (precision(k), *k)).collect()
}

fn shapes() -> Vec<Shape> {
    let quantised = |dtype| Shape {
        dtype,
        width: 64,
        heads: 2,
        kv_heads: 1,
        head_dim: 32,
        hidden: 96,
        ..Shape::default()
    };
    vec![
        Shape::default(),
        Shape { neox: true, ..Shape::default() },
        Shape { dtype: DType::F16, window: Some(5), heads: 3, kv_heads: 1, ..Shape::default() },
        Shape { dtype: DType::BF16, neox: true, heads: 5, kv_heads: 5, head_dim: 20, ..Shape::default() },
        quantised(DType::Q8_0),
        quantised(DType::Q4_0),
        quantised(DType::Q4_1),
    ]
}

#[test]
fn logits_are_the_plain_models() {
    for (i, shape) in shapes().iter().enumerate() {
        let tokens = prompt(3, 70);
        let expected = naive::logits(&model(shape), &tokens);
        let spread = expected.iter().flatten().fold(0f64, |a, b| a.max(b.abs()));
        for (precision, kernel) in precisions() {
            let found = engine(shape, precision, Some(kernel), 2).logits(&tokens, &mut Silent).unwrap();
            let worst = found
                .iter()
                .zip(expected.iter().flatten())
                .fold(0f64, |worst, (&a, &b)| worst.max((f64::from(a) - b).abs()));
            let allowed = if precision == Precision::Float32 { 2e-5 } else { 6e-2 };
            assert!(worst < allowed * spread, "shape {i}, {kernel:?}: {worst} of {spread}");
        }
    }
}

/// Every type that is expanded to its weights; rows of 256, since some have blocks of as many.
fn grids() -> impl Iterator<Item = Shape> {
    DType::ALL.into_iter().skip(6).map(|dtype| Shape {
        dtype,
        layers: 1,
        width: 256,
        heads: 8,
        kv_heads: 1,
        head_dim: 32,
        hidden: 256,
        vocab: 40,
        ..Shape::default()
    })
}

#[test]
fn logits_of_quantised_types_are_the_plain_models() {
    for shape in grids() {
        let tokens = &prompt(3, 11).iter().map(|t| t % 40).collect::<Vec<_>>()[..];
        let expected = naive::logits(&model(&shape), tokens);
        let spread = expected.iter().flatten().fold(0f64, |a, b| a.max(b.abs()));
        let mut bits = Vec::new();
        for (precision, kernel) in precisions() {
            let mut engine = engine(&shape, precision, Some(kernel), 2);
            let found = engine.logits(tokens, &mut Silent).unwrap();
            let worst = found.iter().zip(expected.iter().flatten());
            let worst = worst.fold(0f64, |worst, (&a, &b)| worst.max((f64::from(a) - b).abs()));
            let allowed = if precision == Precision::Float32 { 2e-5 } else { 6e-2 };
            assert!(worst < allowed * spread, "{:?}, {kernel:?}: {worst} of {spread}", shape.dtype);
            if precision == Precision::Float32 {
                bits.push(found.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
            }
            // One row at a time takes the same way.
            let prompt = tokens[..4].to_vec();
            let drawn = draw(&mut engine, &Request { max_tokens: 3, ..request(vec![prompt.clone()], 5) });
            let alone = Request { max_tokens: 3, max_rows: Some(1), ..request(vec![prompt], 5) };
            assert_eq!(drawn, draw(&mut engine, &alone));
        }
        assert!(bits.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", shape.dtype);
    }
}

#[test]
fn float32_has_the_same_bits_on_every_kernel() {
    for shape in shapes() {
        let tokens = prompt(4, 37);
        let mut results = Kernel::available().into_iter().map(|kernel| {
            let mut engine = engine(&shape, Precision::Float32, Some(kernel), 1);
            let logits = engine.logits(&tokens, &mut Silent).unwrap();
            let drawn = draw(&mut engine, &request(vec![prompt(5, 11)], 5));
            (logits.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), drawn)
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first));
    }
}

#[test]
fn a_sample_does_not_depend_on_its_company() {
    for shape in shapes() {
        for (precision, kernel) in precisions() {
            if kernel == Kernel::Portable {
                continue;
            }
            let prompts = vec![prompt(6, 67), prompt(7, 1), prompt(8, 30)];
            let mut wide = engine(&shape, precision, Some(kernel), 3);
            let all = draw(&mut wide, &request(prompts.clone(), 33));
            assert_eq!(all.len(), 99);
            let few = draw(&mut wide, &Request { max_rows: Some(7), ..request(prompts.clone(), 33) });
            assert_eq!(all, few);
            let mut narrow = engine(&shape, precision, Some(kernel), 1);
            for (problem, alone) in prompts.iter().enumerate() {
                for i in [0, 5, 32] {
                    let keys = vec![request(prompts.clone(), 1).keys[problem]];
                    let one = Request { keys, first_sample: i, ..request(vec![alone.clone()], 1) };
                    let one = draw(&mut narrow, &one).remove(0);
                    assert_eq!(Sample { problem, ..one }, all[problem * 33 + i as usize]);
                }
            }
        }
    }
}

#[test]
fn prompts_that_begin_alike_are_as_if_read_alone() {
    for shape in shapes() {
        for (precision, kernel) in precisions() {
            let start = prompt(22, 150);
            // Within a block and at its end, all of a prompt, and none.
            let prompts: Vec<Vec<u32>> = [(100, 40), (100, 3), (64, 70), (1, 9), (0, 5), (150, 0), (149, 0)]
                .iter()
                .map(|&(shared, own)| [&start[..shared], &prompt(shared as u64 + 23, own)[..]].concat())
                .collect();
            let request = request(prompts.clone(), 3);
            for rows in [2, 40] {
                let request = Request { max_rows: Some(rows), ..request.clone() };
                let together = draw(&mut engine(&shape, precision, Some(kernel), 2), &request);
                for (problem, alone) in prompts.iter().enumerate() {
                    let one = Request {
                        prompts: vec![alone.clone()],
                        keys: vec![request.keys[problem]],
                        k: vec![3],
                        ..request.clone()
                    };
                    let one = draw(&mut engine(&shape, precision, Some(kernel), 1), &one);
                    for (one, shared) in one.into_iter().zip(&together[3 * problem..]) {
                        assert_eq!(&Sample { problem, ..one }, shared);
                    }
                }
            }
            let answers: Vec<Vec<Vec<u32>>> = prompts.iter().map(|_| vec![prompt(24, 4)]).collect();
            let mut one = engine(&shape, precision, Some(kernel), 2);
            let scores = one.score(&prompts, &answers, &mut Silent).unwrap();
            for (problem, alone) in prompts.iter().enumerate() {
                let mut fresh = engine(&shape, precision, Some(kernel), 2);
                let score = fresh.score(std::slice::from_ref(alone), &answers[..1], &mut Silent).unwrap();
                assert_eq!(score[0], scores[problem]);
            }
        }
    }
}

#[test]
fn samples_that_are_there_are_left_out() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let plain = Request { first_sample: 3, ..request(vec![prompt(25, 5), prompt(26, 9), prompt(27, 2)], 8) };
    let all = draw(&mut engine, &plain);
    let have = vec![vec![3, 4, 10], (3..11).collect(), vec![]];
    let expected: Vec<Sample> =
        all.iter().filter(|s| !have[s.problem].contains(&s.sample)).cloned().collect();
    for (max_rows, ahead) in [(None, None), (Some(3), None), (Some(6), Some(2))] {
        let request = Request { have: have.clone(), max_rows, ahead, ..plain.clone() };
        assert_eq!(draw(&mut engine, &request), expected);
        let part = engine.sample(&request, &mut Interrupt(2)).unwrap();
        let indices = |samples: &[Sample]| samples.iter().map(|s| (s.problem, s.sample)).collect::<Vec<_>>();
        assert_eq!(indices(&part.samples), indices(&expected));
    }
    let unkept = engine.sample(&Request { have, keep: false, ..plain }, &mut Silent).unwrap();
    assert_eq!(unkept.samples, vec![]);
}

/// Counts the samples of each problem that have begun and not ended; a problem is stopped at its `self.stop`-th.
struct InFlight {
    begun: Vec<usize>,
    ended: Vec<usize>,
    stop: Vec<usize>,
    few: usize,
    problems_at_once: usize,
}

impl Observer for InFlight {
    fn finished(&mut self, sample: &Sample) -> Result<bool, Error> {
        self.ended[sample.problem] += 1;
        Ok(self.ended[sample.problem] >= self.stop[sample.problem])
    }
    fn token(&mut self, sample: &Sample) -> Result<(), Error> {
        if sample.tokens.len() == 1 {
            self.begun[sample.problem] += 1;
        }
        let (begun, ended) = (self.begun[sample.problem], self.ended[sample.problem]);
        assert!(begun - ended <= self.few.max(ended / 2));
        Ok(())
    }
    fn step(&mut self, _: usize) -> Result<(), Error> {
        let open = |(problem, &begun): (usize, &usize)| begun > 0 && self.ended[problem] < self.stop[problem];
        let open = self.begun.iter().enumerate().filter(|&x| open(x)).count();
        self.problems_at_once = self.problems_at_once.max(open);
        Ok(())
    }
}

#[test]
fn few_samples_are_ahead_of_what_may_stop_their_problem() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let prompts: Vec<Vec<u32>> = (0..9).map(|i| prompt(30 + i, 3 + i as usize)).collect();
    let plain = Request { max_rows: Some(12), ..request(prompts, 40) };
    let all = draw(&mut engine, &plain);
    let stop = vec![1, 2, 41, 1, 7, 41, 1, 1, 3];
    let mut watch = InFlight { begun: vec![0; 9], ended: vec![0; 9], stop, few: 3, problems_at_once: 0 };
    let found = engine.sample(&Request { ahead: Some(3), ..plain.clone() }, &mut watch).unwrap().samples;
    assert_eq!(found.len(), all.len());
    for (found, free) in found.iter().zip(&all) {
        assert_eq!((found.problem, found.sample), (free.problem, free.sample));
        assert!(found == free || found.finish == Finish::Cancelled && free.tokens.starts_with(&found.tokens));
    }
    assert_eq!(watch.problems_at_once, 4); // the rows that one leaves are other problems'
    for problem in 0..9 {
        let cut_off = watch.begun[problem] - watch.ended[problem];
        assert!(cut_off <= 3.max(watch.ended[problem] / 2), "problem {problem}: {cut_off}");
        assert!(watch.stop[problem] < 41 || watch.ended[problem] == 40);
    }
}

#[test]
fn scores_are_the_samples_own_log_probabilities() {
    for shape in shapes() {
        for (precision, kernel) in precisions() {
            let mut engine = engine(&shape, precision, Some(kernel), 2);
            let prompts = vec![prompt(9, 21), prompt(10, 64)];
            let drawn = draw(&mut engine, &request(prompts.clone(), 6));
            let answers: Vec<Vec<Vec<u32>>> = (0..2)
                .map(|p| drawn.iter().filter(|s| s.problem == p).map(|s| s.tokens.clone()).collect())
                .collect();
            let scores = engine.score(&prompts, &answers, &mut Silent).unwrap();
            for sample in &drawn {
                assert_eq!(scores[sample.problem][sample.sample as usize], sample.logprobs);
                assert_eq!(sample.processed, sample.logprobs);
            }
        }
    }
}

/// Many long answers: more than one step's rows, slots used again, single-token answers between.
#[test]
fn many_answers_score_as_each_alone() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let answers: Vec<Vec<u32>> = (0..400).map(|i| prompt(20 + i, i as usize % 4)).collect();
    let all = engine.score(&[prompt(11, 5)], std::slice::from_ref(&answers), &mut Silent).unwrap();
    for (answer, scores) in answers.iter().zip(&all[0]) {
        let one = engine.score(&[prompt(11, 5)], &[vec![answer.clone()]], &mut Silent).unwrap();
        assert_eq!(&one[0][0], scores);
    }
}

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

#[test]
fn stop_strings_cross_tokens_and_say_which() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 1);
    let token_bytes: Vec<Vec<u8>> = (0..301).map(|t| format!("<{t}>").into_bytes()).collect();
    let free = draw(&mut engine, &request(vec![prompt(15, 4)], 20));
    engine.set_vocabulary(token_bytes);
    let text = |tokens: &[u32]| tokens.iter().map(|t| format!("<{t}>")).collect::<String>();
    let stop = vec![b"no such text".to_vec(), b"7><2".to_vec(), b"><1".to_vec()];
    let request = Request { stop: stop.clone(), ..request(vec![prompt(15, 4)], 20) };
    let mut fired = 0;
    for (stopped, free) in draw(&mut engine, &request).iter().zip(&free) {
        assert!(free.tokens.starts_with(&stopped.tokens));
        let holds = |n: usize, s: &[u8]| text(&free.tokens[..n]).contains(std::str::from_utf8(s).unwrap());
        let first = (1..=free.tokens.len()).find(|&n| stop.iter().any(|s| holds(n, s)));
        match first {
            Some(n) => {
                fired += 1;
                assert_eq!(stopped.tokens.len(), n);
                assert!(matches!(stopped.finish, Finish::StopString(i) if holds(n, &stop[i])));
            }
            None => assert_eq!(stopped.finish, Finish::Length),
        }
    }
    assert!(fired > 3);
}

struct StopFirst(usize);

impl Observer for StopFirst {
    fn finished(&mut self, sample: &Sample) -> Result<bool, Error> {
        Ok(sample.problem == self.0)
    }
    fn step(&mut self, _: usize) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn a_stopped_problem_leaves_the_others_alone() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let request =
        Request { max_rows: Some(5), ..request(vec![prompt(16, 3), prompt(17, 9), prompt(18, 2)], 12) };
    let all = draw(&mut engine, &request);
    let stopped = engine.sample(&request, &mut StopFirst(1)).unwrap();
    assert!(!stopped.interrupted);
    assert_eq!(stopped.samples.len(), all.len());
    for (stopped, free) in stopped.samples.iter().zip(&all) {
        assert_eq!((stopped.problem, stopped.sample), (free.problem, free.sample));
        if stopped.problem == 1 {
            assert!(free.tokens.starts_with(&stopped.tokens));
        } else {
            assert_eq!(stopped, free);
        }
    }
    assert!(stopped.samples.iter().any(|s| s.finish == Finish::Cancelled && s.tokens.is_empty()));
}

struct Interrupt(usize);

impl Observer for Interrupt {
    fn finished(&mut self, _: &Sample) -> Result<bool, Error> {
        Ok(false)
    }
    fn step(&mut self, _: usize) -> Result<(), Error> {
        self.0 -= 1;
        if self.0 == 0 { Err(Error::Interrupted) } else { Ok(()) }
    }
}

#[test]
fn an_interrupted_call_returns_what_it_has() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 2);
    let request = Request { max_rows: Some(4), ..request(vec![prompt(19, 3), prompt(21, 9)], 6) };
    let all = draw(&mut engine, &request);
    for after in [1, 2, 5, 12] {
        let part = engine.sample(&request, &mut Interrupt(after)).unwrap();
        assert!(part.interrupted);
        assert_eq!(part.samples.len(), 12);
        for (part, free) in part.samples.iter().zip(&all) {
            assert_eq!((part.problem, part.sample), (free.problem, free.sample));
            assert!(free.tokens.starts_with(&part.tokens));
            assert!(part.finish == Finish::Cancelled || part == free);
        }
    }
}

#[test]
fn bad_requests_are_errors() {
    let mut engine = engine(&Shape::default(), Precision::Float32, None, 1);
    let good = request(vec![prompt(1, 3)], 1);
    let bad = [
        Request { prompts: vec![vec![]], ..good.clone() },
        Request { prompts: vec![vec![301]], ..good.clone() },
        Request { prompts: vec![vec![0; 510]], ..good.clone() },
        Request { keys: vec![], ..good.clone() },
        Request { max_tokens: 0, ..good.clone() },
        Request { max_rows: Some(0), ..good.clone() },
        Request { ahead: Some(0), ..good.clone() },
        Request { have: vec![vec![1]], ..good.clone() },
        Request { have: vec![vec![0], vec![]], ..good.clone() },
        Request { have: vec![vec![0, 0]], k: vec![2], ..good.clone() },
        Request { stop: vec![vec![]], ..good.clone() },
        Request { stop: vec![b"x".to_vec()], ..good.clone() },
        Request { stop_tokens: vec![1000], ..good.clone() },
        Request { first_sample: u32::MAX, k: vec![2], ..good.clone() },
        Request { sampling: Sampling { temperature: -1.0, ..Sampling::default() }, ..good.clone() },
        Request { sampling: Sampling { temperature: f32::NAN, ..Sampling::default() }, ..good.clone() },
        Request { sampling: Sampling { top_p: 0.0, ..Sampling::default() }, ..good.clone() },
        Request { sampling: Sampling { min_p: 1.5, ..Sampling::default() }, ..good.clone() },
    ];
    for request in bad {
        let error = engine.sample(&request, &mut Silent).unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if !text.is_empty()));
    }
    assert!(engine.logits(&[], &mut Silent).is_err());
    assert!(engine.score(&[vec![1]], &[vec![vec![301]]], &mut Silent).is_err());
    assert_eq!(draw(&mut engine, &Request { k: vec![0], ..good }), vec![]);
}
