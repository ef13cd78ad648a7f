//! Prompts, read once into their cache.

use crate::kernels::simd::Arith;
use crate::request::{Error, Observer};
use crate::step::{Core, Prompt, Row, Slots};

/// Positions computed together.
pub(crate) const CHUNK: usize = 256;

/// Reads the positions of a prompt from `first` on; `visit` sees each chunk's first position and length while its rows are
/// in the residual stream.
pub(crate) fn read<A: Arith>(
    core: &mut Core<A>,
    prompt: &mut Prompt<A::X>,
    first: usize,
    observer: &mut dyn Observer,
    mut visit: impl FnMut(&mut Core<A>, usize, usize),
) -> Result<(), Error> {
    let mut none: Slots<A::X> = core.slots(0, 1);
    for first in (first..prompt.tokens.len()).step_by(CHUNK) {
        let until = (first + CHUNK).min(prompt.tokens.len());
        let row = |index| Row { token: prompt.tokens[index], prompt: 0, slot: None, index };
        let rows: Vec<Row> = (first..until).map(row).collect();
        core.forward(&rows, &mut [&mut *prompt], &mut none);
        visit(core, first, rows.len());
        observer.step(0)?;
    }
    Ok(())
}

/// Reads a prompt and returns the logits after its last token. What it shares with the beginning of a prompt that is
/// `known`, or with the engine's last, is copied: the keys and values are the same to the bit.
pub(crate) fn prefill_last<A: Arith>(
    core: &mut Core<A>,
    tokens: &[u32],
    known: &[&Prompt<A::X>],
    observer: &mut dyn Observer,
) -> Result<(Prompt<A::X>, Vec<f32>), Error> {
    let mut prompt = core.prompt(tokens);
    let alike = |other: &Prompt<A::X>| other.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
    let others = known.iter().copied().chain(core.recent.as_ref());
    let shared = others.map(|other| (alike(other), other)).max_by_key(|(shared, _)| *shared);
    // The last token is read in any case, for what comes after it.
    let first = shared.map_or(0, |(shared, other)| prompt.begin_as(other, shared.min(tokens.len() - 1)));
    let mut last = Vec::new();
    read(core, &mut prompt, first, observer, |core, first, len| {
        if first + len == tokens.len() {
            last = core.logits(&[len - 1]);
        }
    })?;
    Ok((prompt, last))
}
