//! Log-likelihood of given answers, and teacher-forced logits.

use crate::checks::{check_tokens, checked};
use crate::kernels::simd::Arith;
use crate::model::Config;
use crate::prefill::{CHUNK, prefill_last, read};
use crate::request::{Error, Observer, invalid};
use crate::step::{Core, Row};

/// The prompts as the model reads them.
///
/// # Errors
/// What is wrong with the prompts or their answers, for a model of this configuration.
pub fn score_prompts(
    config: &Config,
    prompts: &[Vec<u32>],
    answers: &[Vec<Vec<u32>>],
) -> Result<Vec<Vec<u32>>, Error> {
    if prompts.len() != answers.len() {
        return invalid(format!("{} prompts but {} lists of answers", prompts.len(), answers.len()));
    }
    let mut checked_prompts = Vec::with_capacity(prompts.len());
    for (i, (prompt, answers)) in prompts.iter().zip(answers).enumerate() {
        for (j, answer) in answers.iter().enumerate() {
            check_tokens(config, &format!("answer {j} of prompt {i}"), answer)?;
        }
        // An answer's last token is scored, but never read.
        let longest = answers.iter().map(|answer| answer.len().saturating_sub(1)).max().unwrap_or(0);
        checked_prompts.push(checked(config, &format!("prompt {i}"), prompt, longest)?);
    }
    Ok(checked_prompts)
}

/// Tokens whose logits are wanted, as the model reads them.
///
/// # Errors
/// What is wrong with them, for a model of this configuration.
pub fn logits_tokens(config: &Config, tokens: &[u32]) -> Result<Vec<u32>, Error> {
    if tokens.is_empty() {
        return invalid("tokens is empty: give at least one");
    }
    checked(config, "tokens", tokens, 0)
}

/// Log-probability of each answer's tokens; a prompt is read once for all its answers.
pub(crate) fn score<A: Arith>(
    core: &mut Core<A>,
    prompts: &[Vec<u32>],
    answers: &[Vec<Vec<u32>>],
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<Vec<f32>>>, Error> {
    let checked_prompts = score_prompts(&core.network.config, prompts, answers)?;
    checked_prompts
        .iter()
        .zip(answers)
        .map(|(prompt, answers)| one(core, prompt, answers, observer))
        .collect()
}

fn one<A: Arith>(
    core: &mut Core<A>,
    prompt: &[u32],
    answers: &[Vec<u32>],
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<f32>>, Error> {
    let mut out: Vec<Vec<f32>> = answers.iter().map(|answer| vec![0.0; answer.len()]).collect();
    if answers.iter().all(Vec::is_empty) {
        return Ok(out);
    }
    let (mut prompt, last) = prefill_last(core, prompt, &[], observer)?;
    for (answer, out) in answers.iter().zip(&mut out) {
        if let Some(&token) = answer.first() {
            out[0] = core.score_from(&last, token);
        }
    }
    // Answers one after the other, as many rows a step as a chunk of a prompt has. So no more answers than that share a
    // step, and the slot of one that ended is free when the numbering of those with rows returns to it.
    let mut todo = Vec::new();
    let mut longest = 1;
    let mut slot_count = 0;
    for (j, answer) in answers.iter().enumerate().filter(|(_, answer)| answer.len() > 1) {
        todo.extend((0..answer.len() - 1).map(|t| (j, slot_count % CHUNK, t)));
        longest = longest.max(answer.len() - 1);
        slot_count += 1;
    }
    let mut slots = core.slots(slot_count.min(CHUNK), longest);
    for part in todo.chunks(CHUNK) {
        for &(_, slot, _) in part.iter().filter(|&&(_, _, t)| t == 0) {
            slots.clear(slot);
        }
        let row = |&(j, slot, t): &(usize, usize, usize)| Row {
            token: answers[j][t],
            prompt: 0,
            slot: Some(slot),
            index: t,
        };
        let rows: Vec<Row> = part.iter().map(row).collect();
        core.forward(&rows, &mut [&mut prompt], &mut slots);
        let picked: Vec<usize> = (0..part.len()).collect();
        let targets: Vec<u32> = part.iter().map(|&(j, _, t)| answers[j][t + 1]).collect();
        for (&(j, _, t), logprob) in part.iter().zip(core.score_rows(&picked, &targets)) {
            out[j][t + 1] = logprob;
        }
        observer.step(part.len())?;
    }
    core.recent = Some(prompt);
    Ok(out)
}

/// Logits after every token, row by row.
pub(crate) fn logits<A: Arith>(
    core: &mut Core<A>,
    tokens: &[u32],
    observer: &mut dyn Observer,
) -> Result<Vec<f32>, Error> {
    let tokens = logits_tokens(&core.network.config, tokens)?;
    let mut out = Vec::with_capacity(tokens.len() * core.network.config.vocab);
    let mut prompt = core.prompt(&tokens);
    read(core, &mut prompt, 0, observer, |core, _, len| {
        let picked: Vec<usize> = (0..len).collect();
        for picked in picked.chunks(32) {
            out.extend_from_slice(&core.logits(picked));
        }
    })?;
    Ok(out)
}
