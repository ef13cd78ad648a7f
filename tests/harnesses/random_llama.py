"""A small Llama of random weights with a tokenizer of a few words, by transformers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "saw", "red", "dogs", "run", "1", "2", "hills", "far")


def write_llama(out: Path) -> Path:
    """Write it to a folder; its tokenizer is trained on WORDS."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    rng = random.Random(0)
    lines = [" ".join(rng.choices(WORDS, k=12)) for _ in range(200)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"])
    tokenizer.train_from_iterator(lines, trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    fast.save_pretrained(out)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=96,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Wide enough that greedy choices are no matter of rounding.
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(out)
    return out


def texts(count: int, words: int) -> list[str]:
    """So many texts of at most `words` of the words."""
    rng = random.Random(count)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, words))) for _ in range(count)]
