//! Scores of answers are the log-probabilities that sampling reports.

use super::*;

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
