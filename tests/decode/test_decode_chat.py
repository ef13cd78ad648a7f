"""Chat templates against transformers'."""

from __future__ import annotations

import json

import decode_models  # noqa: F401 (skips where the extra decode-test is missing)
import pytest
import transformers
from t2fast.decode import chat
from test_decode_text import byte_level

TEMPLATE = """{%- if messages[0].role == 'system' %}
    {{- bos_token + messages[0].content | trim }}
{%- endif %}
{%- for message in messages if message.role != 'system' %}
    {%- if message.role not in ('user', 'assistant') %}
        {{- raise_exception('no role ' + message.role) }}
    {%- endif %}
    {{- '<' + message.role + '>' + message.content + {'k': ['é', loop.index]} | tojson }}
    {%- if loop.index > 5 %}{% break %}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<assistant>' }}{% endif %}
"""
MESSAGES = [
    {"role": "system", "content": "  be brief "},
    {"role": "user", "content": "2 < 3 & 'quotes' {{ not a template }}"},
    {"role": "assistant", "content": "yes\n"},
    {"role": "user", "content": "why?"},
]


@pytest.fixture
def folder(tmp_path):
    trained, _ = byte_level("gpt-2")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=trained, bos_token="<|im_start|>", eos_token="<|end|>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(tmp_path)
    return tmp_path, tokenizer


def test_template_of_a_folder(folder):
    path, tokenizer = folder
    for messages in (MESSAGES, MESSAGES[1:2]):
        expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert chat.render(*chat.template(path), messages) == expected
    assert chat.render(*chat.template(path), "why?") == chat.render(*chat.template(path), MESSAGES[3:])


def test_template_inside_the_tokenizer_configuration(folder):
    path, _ = folder
    (path / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((path / "tokenizer_config.json").read_text())
    named = [{"name": "tools", "template": "no"}, {"name": "default", "template": "{{ bos_token }}!"}]
    config |= {"chat_template": named, "bos_token": {"content": "<s>", "special": True}}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    assert chat.render(*chat.template(path), "x") == "<s>!"


def test_template_of_smollm2(smollm2):
    theirs = transformers.AutoTokenizer.from_pretrained(smollm2.parent, gguf_file=smollm2.name)
    expected = theirs.apply_chat_template(MESSAGES[1:], tokenize=False, add_generation_prompt=True)
    assert chat.render(*chat.template(smollm2), MESSAGES[1:]) == expected


def test_what_goes_wrong_is_said(tmp_path):
    with pytest.raises(ValueError, match="no role judge"):
        chat.render(TEMPLATE, {}, [{"role": "judge", "content": ""}])
    with pytest.raises(ValueError, match="no chat template"):
        chat.template(tmp_path)
    with pytest.raises(ValueError, match="refuses"):
        chat.render("{{ ''.__class__.__mro__[1].__subclasses__() }}", {}, "a template is not trusted")
    with pytest.raises(ValueError, match="refuses"):
        chat.render("{% if %}", {}, "x")
