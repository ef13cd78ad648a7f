"""A model whose logits are not numbers draws nothing: pass@k would be that of noise."""

from __future__ import annotations

import decode_models
import pytest
import t2fast.decode
import transformers
from safetensors.torch import load_file, save_file
from t2fast.decode.request import Sampling
from test_decode_text import byte_level


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.norm.weight", float("nan")),
        ("model.layers.1.mlp.down_proj.weight", float("inf")),
        ("model.embed_tokens.weight", float("nan")),
    ],
)
def test_weights_that_are_no_numbers_draw_no_samples(tmp_path, name, value):
    decode_models.randomise(decode_models._llama(vocab_size=500), seed=1).save_pretrained(tmp_path)
    trained, _ = byte_level("gpt-2")
    transformers.PreTrainedTokenizerFast(tokenizer_object=trained).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors[name][1] = value
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    prompt = [("p", [1, 2, 3])]
    sampling = Sampling(max_tokens=4, stop_tokens=())
    for dtype in ("float32", "auto"):
        engine = t2fast.decode.load(tmp_path, dtype=dtype)
        with pytest.raises(ValueError, match=r"^problem 'p': after 0 tokens .* are not numbers: its weights"):
            engine.sample(prompt, sampling, k=3)
        with pytest.raises(ValueError, match=r"^problem 'p': after 0 tokens"):
            engine.sample(prompt, sampling, k=1, temperature=0.0)
        with pytest.raises(ValueError, match=r"^problem 'p': after 0 tokens"):
            engine.each(prompt, lambda _: False, sampling, k=3)
        with pytest.raises(ValueError, match=r"^problem 'p': after 0 tokens"):
            engine.tally(prompt, sampling, k=3)
        with pytest.raises(ValueError, match=r"^problem 'p': after 0 tokens"):
            engine.score(prompt, [[[4, 5]]])
