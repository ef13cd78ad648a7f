"""Chat templates against transformers'."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import decode_models
import pytest
import t2fast.decode
import transformers
from t2fast.decode import chat, sandbox
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
        assert chat.template(path).render(messages) == expected
    assert chat.template(path).render("why?") == chat.template(path).render(MESSAGES[3:])


def test_template_inside_the_tokenizer_configuration(folder):
    path, _ = folder
    (path / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((path / "tokenizer_config.json").read_text())
    named = [{"name": "tools", "template": "no"}, {"name": "default", "template": "{{ bos_token }}!"}]
    config |= {"chat_template": named, "bos_token": {"content": "<s>", "special": True}}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    assert chat.template(path).render("x") == "<s>!"


def test_template_of_smollm2(smollm2):
    theirs = transformers.AutoTokenizer.from_pretrained(smollm2.parent, gguf_file=smollm2.name)
    expected = theirs.apply_chat_template(MESSAGES[1:], tokenize=False, add_generation_prompt=True)
    assert chat.template(smollm2).render(MESSAGES[1:]) == expected


def test_what_transformers_gives_to_templates(folder):
    path, tokenizer = folder
    answered = [*MESSAGES[1:3], {"role": "user", "content": {"é": [1, None]}}]
    for source in (
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}",
        "{% for m in messages %}{{ m.content | tojson(ensure_ascii=False) }}{% endfor %}",
        "{{ messages | tojson(ensure_ascii=True, indent=2, sort_keys=True) }}"
        "{{ [1, 2] | tojson(separators=(',', ':')) }}",
        "{% if tools is not none %}t{% endif %}{% if documents is defined and documents %}d{% endif %}end",
        "{% if tools %}t{% endif %}{{ tools }}{{ documents }}{{ unk_token is defined }}{{ eos_token }}",
        "{% generation %}{% set x = 1 %}{% endgeneration %}{{ x is defined }}",
    ):
        (path / "chat_template.jinja").write_text(source)
        expected = tokenizer.apply_chat_template(
            answered, chat_template=source, tokenize=False, add_generation_prompt=True
        )
        assert chat.template(path).render(answered) == expected


@pytest.mark.parametrize(
    "answer",
    [
        {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]},
        {"content": "x", "reasoning_content": "r"},
        {"content": "x", "thinking": "r"},
        {"content": "x", "reasoning": "r", "tool_calls": None},
        {"content": [{"type": "text", "text": "x"}]},
    ],
)
def test_messages_reach_a_template_as_from_transformers(folder, answer):
    path, tokenizer = folder
    messages = [MESSAGES[1], {"role": "assistant", **answer}, MESSAGES[3]]
    for source in (
        "{{ messages | tojson }}",
        "{% for m in messages %}{{ m.content is defined }}{{ m.reasoning_content }}"
        "{{ m.thinking }}{% endfor %}",
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
    ):
        (path / "chat_template.jinja").write_text(source)
        expected = tokenizer.apply_chat_template(messages, chat_template=source, tokenize=False)
        assert chat.template(path).render(messages, add_generation_prompt=False) == expected


def test_the_date_is_the_one_given(folder):
    path, _ = folder
    (path / "chat_template.jinja").write_text("{{ strftime_now('%d %b %Y') }}")
    assert chat.template(path).render("x", datetime(2024, 2, 29)) == "29 Feb 2024"
    assert chat.template(path).render("x") == datetime.now().strftime("%d %b %Y")


def test_what_goes_wrong_is_said_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="no chat template"):
        chat.template(tmp_path)
    for source, expected in (
        (TEMPLATE, "the chat template, line 6: no role judge"),
        ("\n{{ ''.__class__.__mro__[1].__subclasses__() }}", "line 2: SecurityError"),
        ("{% if %}", "line 1: TemplateSyntaxError"),
        ("{{ messages[0].content + 1 }}", "line 1: TypeError"),
        ("{{ 1 / 0 }}", "line 1: ZeroDivisionError"),
        ("{{ messages | tojson(ascii=True) }}", "TypeError"),
        ("{{ nothing.of.it }}", "UndefinedError"),
    ):
        (tmp_path / "chat_template.jinja").write_text(source)
        with pytest.raises(ValueError, match=expected) as error:
            chat.template(tmp_path).render([{"role": "judge", "content": ""}])
        assert str(error.value).startswith(f"{tmp_path / 'chat_template.jinja'}: ")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 10000000000 }}",
        "{{ '%9000000000s' % 'x' }}",
        "{{ 'x'.ljust(9000000000) }}",
        "{{ [0] * 3000000000 }}",
        "{{ {'k': 1} | tojson(indent=9000000000) }}",
        "{% set n = namespace(x='xy') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")
def test_a_template_that_builds_gigabytes_ends(source):
    with pytest.raises(ValueError, match=r"^m: the chat template: takes more memory than a template may$"):
        chat.ChatTemplate(source, {}, "m").render("x")


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 7 ** (7 ** (7 ** 7)) }}",  # no thread of Python's own could interrupt it
    ],
)
def test_a_template_without_end_is_ended(monkeypatch, source):
    monkeypatch.setattr(sandbox, "SECONDS", 0.5)
    endless = chat.ChatTemplate(source, {}, "m")
    with pytest.raises(ValueError, match=r"^m: the chat template gives no text in 0\.5 s"):
        endless.render("x")
    assert endless.turn_end(["<|end|>"]) is None
    monkeypatch.setattr(sandbox, "SECONDS", 60.0)
    assert chat.ChatTemplate("{{ messages[0].content }}", {}, "m").render("x") == "x"


def test_text_that_no_model_reads_is_refused():
    with pytest.raises(ValueError, match=r"^m: the chat template: 17,000,000 characters"):
        chat.ChatTemplate("{{ 'x' * 17000000 }}", {}, "m").render("x")


def test_messages_that_are_no_json_are_named():
    with pytest.raises(ValueError, match=r"^m: the chat template: messages are no JSON: .*type set"):
        chat.ChatTemplate("x", {}, "m").render([{"role": "user", "content": {1, 2}}])


@pytest.mark.parametrize("messages", [[3], {"role": "user"}, 7, [["user", "x"]]])
def test_what_is_no_list_of_messages_is_refused(messages):
    with pytest.raises(ValueError, match="a chat is text or a list of messages with role and content"):
        chat.ChatTemplate("x", {}, "m").render(messages)


CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
)


@pytest.mark.parametrize(
    ("source", "end"),
    [
        (CHATML, "<|im_end|>"),
        (CHATML.replace("<|im_end|>", " <|end|>"), "<|end|>"),
        (CHATML.replace("<|im_end|>", ""), "<|im_start|>"),  # what follows ends it
        (
            "{% for m in messages %}{% if not loop.first %}<|end|>{% endif %}{{ m.content }}{% endfor %}",
            "<|end|>",
        ),
        ("{{ raise_exception('one message alone') }}", None),
    ],
)
def test_the_token_that_closes_a_turn(folder, source, end):
    path, _ = folder
    (path / "chat_template.jinja").write_text(source)
    assert chat.template(path).turn_end(["<|im_start|>", "<|im_end|>", "<|end|>", "<|", ""]) == end


def test_a_sample_ends_where_its_turn_does(tmp_path):
    """The files name another end: the template's is one as well, with chat alone."""
    trained, _ = byte_level("gpt-2")
    config = {"vocab_size": 500, "eos_token_id": 0, "num_key_value_heads": 2}
    decode_models.randomise(decode_models._llama(**config), seed=1).save_pretrained(tmp_path)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=trained, eos_token="<|end|>")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(tmp_path)
    engine = t2fast.decode.load(tmp_path)
    options = {"k": 200, "max_tokens": 40, "temperature": 2.0, "seed": 1}
    table = engine.sample("hello", chat=True, **options).table
    assert not any(2 in tokens[:-1] for tokens in table["tokens"])
    ended = table.filter(finish_reason="stop_token")
    assert set(ended["stop"]) == {"<|im_end|>", "<|end|>"}
    assert all(tokens[-1] in (0, 2) for tokens in ended["tokens"])
    without = engine.sample(engine._chat_template.render("hello"), **options).table
    assert any(2 in tokens[:-1] for tokens in without["tokens"])
    named = engine.sample("hello", chat=True, stop_tokens=[0], **options).table
    assert any(2 in tokens[:-1] for tokens in named["tokens"])
