//! What is asked, held against the model that it is asked of.

use crate::model::Config;
use crate::request::{Error, Request, invalid};

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

impl Request {
    /// The prompts as the model reads them; stop strings need a `vocabulary` of that many tokens' bytes.
    ///
    /// # Errors
    /// What is wrong with the request, for a model of this configuration.
    pub fn check(&self, config: &Config, vocabulary: usize) -> Result<Vec<Vec<u32>>, Error> {
        let Request { prompts, keys, k, stop, have, .. } = self;
        if keys.len() != prompts.len() || k.len() != prompts.len() {
            return invalid(format!(
                "{} prompts but {} keys and {} values of k",
                prompts.len(),
                keys.len(),
                k.len()
            ));
        }
        self.sampling.check().map_err(Error::Invalid)?;
        if self.max_tokens == 0 {
            return invalid("max_tokens must be at least 1");
        }
        for (name, value) in [("max_rows", self.max_rows), ("ahead", self.ahead)] {
            if value == Some(0) {
                return invalid(format!("{name} must be at least 1"));
            }
        }
        let most = k.iter().max().copied().unwrap_or(0);
        if most.checked_add(self.first_sample as usize).is_none_or(|last| last > u32::MAX as usize) {
            return invalid(format!(
                "k = {most} from sample {} passes 2^32 samples of a problem",
                self.first_sample
            ));
        }
        if !have.is_empty() && have.len() != prompts.len() {
            return invalid(format!(
                "{} prompts but {} lists of samples there are",
                prompts.len(),
                have.len()
            ));
        }
        for (i, have) in have.iter().enumerate() {
            let asked = self.first_sample..self.first_sample + k[i] as u32;
            if !have.is_sorted_by(|a, b| a < b) || !have.iter().all(|sample| asked.contains(sample)) {
                return invalid(format!(
                    "the samples there are of prompt {i} must ascend and be some of {} to {}",
                    asked.start,
                    asked.end.saturating_sub(1)
                ));
            }
        }
        if let Some(i) = stop.iter().position(Vec::is_empty) {
            return invalid(format!(
                "stop string {i} is empty: it would end every sample before its first token"
            ));
        }
        if !stop.is_empty() && vocabulary < config.vocab {
            return invalid(format!(
                "stop strings need the bytes of all {} tokens, and the vocabulary that was set has {vocabulary}",
                config.vocab
            ));
        }
        check_tokens(config, "stop_tokens", &self.stop_tokens)?;
        let more = self.max_tokens;
        prompts.iter().enumerate().map(|(i, p)| checked(config, &format!("prompt {i}"), p, more)).collect()
    }
}
