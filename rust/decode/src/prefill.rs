//! Prompts: checked, and read once into their cache.

use crate::kernels::simd::Arith;
use crate::model::Config;
use crate::request::{Error, Observer, invalid};
use crate::step::{Core, Prompt, Row, Slots};

/// Positions computed together.
pub(crate) const CHUNK: usize = 256;

/// The prompt as the model reads it, or why it cannot.
pub(crate) fn checked(config: &Config, name: &str, prompt: &[u32], more: usize) -> Result<Vec<u32>, Error> {
    let tokens = match (prompt.is_empty(), config.bos) {
        (false, _) => prompt.to_vec(),
        (true, Some(bos)) => vec![bos],
        (true, None) => {
            return invalid(format!(
                "{name} is empty and the model has no beginning-of-sequence token: give it at least one token"
            ));
        }
    };
    check_tokens(config, name, &tokens)?;
    let longest = config.max_positions;
    if tokens.len().saturating_add(more) > longest {
        return invalid(format!(
            "{name} has {} tokens and {more} are to follow, but the model was made for {longest} positions: shorten it",
            tokens.len()
        ));
    }
    Ok(tokens)
}

/// Whether every token is one of the vocabulary's.
pub(crate) fn check_tokens(config: &Config, name: &str, tokens: &[u32]) -> Result<(), Error> {
    match tokens.iter().position(|&t| t as usize >= config.vocab) {
        None => Ok(()),
        Some(at) => invalid(format!(
            "{name}, token {at}: {} is not in the vocabulary of {}",
            tokens[at], config.vocab
        )),
    }
}

/// Reads a prompt; `visit` sees each chunk's first position and length while its rows are in the residual stream.
pub(crate) fn prefill<A: Arith>(
    core: &mut Core<A>,
    tokens: &[u32],
    observer: &mut dyn Observer,
    mut visit: impl FnMut(&mut Core<A>, usize, usize),
) -> Result<Prompt<A::X>, Error> {
    let mut prompt = core.prompt(tokens.len());
    let mut none: Slots<A::X> = core.slots(0, 1);
    for (chunk, tokens) in tokens.chunks(CHUNK).enumerate() {
        let first = chunk * CHUNK;
        let rows: Vec<Row> = tokens
            .iter()
            .enumerate()
            .map(|(i, &token)| Row { token, prompt: 0, slot: None, index: first + i })
            .collect();
        core.forward(&rows, &mut [&mut prompt], &mut none);
        visit(core, first, rows.len());
        observer.step(0)?;
    }
    Ok(prompt)
}

/// Reads a prompt and returns the logits after its last token.
pub(crate) fn prefill_last<A: Arith>(
    core: &mut Core<A>,
    tokens: &[u32],
    observer: &mut dyn Observer,
) -> Result<(Prompt<A::X>, Vec<f32>), Error> {
    let mut last = Vec::new();
    let prompt = prefill(core, tokens, observer, |core, first, len| {
        if first + len == tokens.len() {
            last = core.logits(&[len - 1]);
        }
    })?;
    Ok((prompt, last))
}
