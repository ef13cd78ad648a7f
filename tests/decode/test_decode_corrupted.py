"""Damaged model files, hundreds of them: each works or is refused in one line, in little memory and time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import corrupted
import decode_models as models
import gguf
import pytest
import transformers
from gguf_models import add_keys
from test_decode_text import byte_level

SEEDS = 400
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 48} | {
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models in folders and a GGUF file, with tokenizers and templates."""
    root = tmp_path_factory.mktemp("sound")
    trained, metadata = byte_level("smollm")
    vocab = len(metadata["tokenizer.ggml.tokens"])
    yarn = {**models._YARN_ROPE, "original_max_position_embeddings": 16}
    llama = transformers.LlamaConfig(**SIZES, vocab_size=vocab, num_key_value_heads=1, rope_parameters=yarn)
    gemma = transformers.Gemma3TextConfig(
        **SIZES, vocab_size=vocab, num_key_value_heads=1, head_dim=16, sliding_window=8
    )
    gpt2 = transformers.GPT2Config(
        vocab_size=vocab, n_embd=32, n_head=2, n_layer=1, n_positions=64, bos_token_id=1, eos_token_id=2
    )
    made = {
        "llama": transformers.LlamaForCausalLM(llama),
        "gemma": transformers.Gemma3ForCausalLM(gemma),
        "gpt2": transformers.GPT2LMHeadModel(gpt2),
    }
    tokens = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}}
    for name, model in made.items():
        models.randomise(model, 1).save_pretrained(root / name)
        trained.save(str(root / name / "tokenizer.json"))
        (root / name / "special_tokens_map.json").write_text(json.dumps(tokens))
        own = {} if name == "gemma" else {"chat_template": TEMPLATE}
        (root / name / "tokenizer_config.json").write_text(json.dumps({**tokens, **own}))
    (root / "gemma" / "chat_template.jinja").write_text(TEMPLATE)
    _write_gguf(root / "model.gguf", made["llama"], metadata)
    return root


def _write_gguf(path: Path, model: Any, metadata: dict[str, Any]) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    add_keys(writer, "llama", model.config)
    for key, value in metadata.items():
        {str: writer.add_string, int: writer.add_uint32, list: writer.add_array}[type(value)](key, value)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, tensor in model.state_dict().items():
        blocks = tensor.dim() == 2 and tensor.shape[1] % 32 == 0
        kind = gguf.GGMLQuantizationType.Q4_0 if blocks else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(tensor.numpy(), kind)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_sound_models_work(sound: Path) -> None:
    for path in sound.iterdir():
        corrupted.use(path)


def test_damage_ends_well_or_in_one_line(sound: Path) -> None:
    command = [sys.executable, str(Path(corrupted.__file__)), str(sound), "0", str(SEEDS)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    ended: dict[int, dict[str, Any]] = {}
    for line in done.stdout.splitlines():
        ended.setdefault(json.loads(line)["seed"], {}).update(json.loads(line))
    wrong = []
    for case in ended.values():
        said = case.get("said")
        # A special token of a thousand letters is sound, if not wise; what is wrong then is the prompt.
        named = said is None or re.search("damaged|prompt 0 has .* tokens|logits are not numbers", said)
        if case.get("kind") not in ("well", "ValueError") or not named or "\n" in (said or ""):
            wrong.append(case)
    assert done.returncode == 0, (wrong, done.stderr[-2000:])
    assert not wrong
    assert len(ended) == SEEDS
    assert sum(case["kind"] == "ValueError" for case in ended.values()) > SEEDS / 2
