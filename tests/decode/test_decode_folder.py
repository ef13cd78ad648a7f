"""What the files beside `tokenizer.json` say of tokens and prompts, against transformers."""

from __future__ import annotations

import json
import warnings

import decode_models  # noqa: F401 (skips where the extra decode-test is missing)
import pytest
import transformers
from t2fast.decode import chat, text
from test_decode_text import TEXTS, byte_level

STRINGS = [
    *TEXTS,
    " lead",
    "a <|im_start|> b<|im_end|>  c",
    "<x1> <x2>tail",
    "say <tool>x</tool>",
    "<|im_start|>user\nhi<|im_end|>\n",
    "the <s>hi</s> there",
]


def token(content, **flags):
    plain = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
    return {"content": content, "special": True, **plain, **flags}


def template(before=None, after=None):
    """A post-processor."""
    special = {
        name: {"id": name, "ids": [i], "tokens": [name]} for i, name in enumerate(("<|end|>", "<|im_start|>"))
    }
    single = [{"Sequence": {"id": "A", "type_id": 0}}]
    single = [{"SpecialToken": {"id": name, "type_id": 0}} for name in before or ()] + single
    single += [{"SpecialToken": {"id": name, "type_id": 0}} for name in after or ()]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


def folder(tmp_path, config, *, files=(), **changes):
    trained, _ = byte_level("gpt-2")
    (tmp_path / "tokenizer.json").write_text(json.dumps({**json.loads(trained.to_str()), **changes}))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
    for name, content in (("tokenizer_config.json", config), *dict(files).items()):
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path, transformers.AutoTokenizer.from_pretrained(tmp_path)


def read(path, match=None):
    if match is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return text.load(path)
    with pytest.warns(UserWarning, match=match):
        return text.load(path)


MAP, ADDED = "special_tokens_map.json", "added_tokens.json"


@pytest.mark.parametrize(
    ("config", "files"),
    [
        ({"eos_token": "<x1>", "bos_token": "<s>"}, {}),
        ({"eos_token": "the"}, {}),
        ({"additional_special_tokens": ["<x1>", "<x2>"]}, {}),
        ({"extra_special_tokens": ["<x1>"]}, {}),
        ({"extra_special_tokens": {"some_token": "<x1>"}}, {}),
        ({"tool_token": "<tool>", "pad_token": "<x1>"}, {}),
        ({"added_tokens_decoder": {"479": token("<x2>"), "478": token("<x1>")}}, {}),
        ({"added_tokens_decoder": {"478": token("<tool>", special=False, normalized=True)}}, {}),
        ({"added_tokens_decoder": {"1": token("<|im_start|>", rstrip=True)}}, {}),
        ({"added_tokens_decoder": {"478": token("<x1>", lstrip=True)}, "eos_token": "<x1>"}, {}),
        (
            {"added_tokens_decoder": {"478": token("<x1>", special=False)}, "eos_token": "<x1>"},
            {MAP: {"bos_token": "<s>"}},
        ),
        ({}, {MAP: {"eos_token": "<x1>", "bos_token": "<s>"}}),
        ({"eos_token": "<x2>"}, {MAP: {"eos_token": {**token("<x1>"), "normalized": True}}}),
        ({}, {MAP: {"additional_special_tokens": ["<x1>"]}}),
        ({}, {ADDED: {"<tool>": 479, "<x1>": 478}}),
        ({"eos_token": "<x1>"}, {ADDED: {"<x1>": 478}}),
        ({"clean_up_tokenization_spaces": True, "unk_token": "<|end|>"}, {}),
    ],
)
def test_tokens_that_other_files_name(tmp_path, config, files):
    """Each is one token wherever it stands, with the id that transformers gives it."""
    path, theirs = folder(tmp_path, config, files=files)
    ours = read(path)
    for string in STRINGS:
        assert ours.encode(string) == theirs(string).input_ids, string
    assert ours.added == {token.content: i for i, token in theirs.added_tokens_decoder.items()}


def test_an_id_that_a_token_cannot_have(tmp_path):
    path, theirs = folder(tmp_path, {"added_tokens_decoder": {"510": token("<x1>")}})
    ours = read(path, match=r"'<x1>' has id 510 there, and gets 478")
    assert ours.encode("<x1>") == theirs("<x1>").input_ids == [478]


@pytest.mark.filterwarnings("ignore:a prompt begins with")
@pytest.mark.parametrize(
    ("config", "changes", "match"),
    [
        ({}, {"post_processor": template(before=["<|im_start|>"])}, None),
        ({}, {"post_processor": template(before=["<|im_start|>", "<|end|>"])}, None),
        ({"add_bos_token": True}, {"post_processor": template(before=["<|im_start|>"])}, None),
        (
            {"add_bos_token": False},
            {"post_processor": template(before=["<|im_start|>"])},
            "no beginning-of-text token",
        ),
        ({"add_bos_token": True, "bos_token": "<|im_start|>"}, {}, "a beginning-of-text token before"),
        ({"add_prefix_space": True}, {}, "a space before every prompt"),
        ({"add_prefix_space": False}, {}, None),
    ],
)
def test_tokenizer_json_says_what_is_put_before_prompts(tmp_path, config, changes, match):
    path, theirs = folder(tmp_path, config, **changes)
    ours = read(path, match)
    for string in STRINGS:
        assert ours.encode(string) == theirs(string).input_ids, string
        assert ours.encode(string, special=False) == theirs(string, add_special_tokens=False).input_ids


@pytest.mark.filterwarnings("ignore:a prompt begins with")
@pytest.mark.parametrize("before", [[], ["<|im_start|>"]])
def test_nothing_is_put_after_a_prompt(tmp_path, before):
    """After an end-of-text token, where transformers leaves it, another text would begin."""
    path, theirs = folder(tmp_path, {}, post_processor=template(before, ["<|end|>"]))
    ours = read(path, match=r"puts <\|end\|> after every text: left out")
    for string in STRINGS:
        assert [*ours.encode(string), 0] == theirs(string).input_ids


def test_special_tokens_stay_whole(tmp_path):
    path, _ = folder(tmp_path, {"split_special_tokens": True})
    assert read(path, match="split_special_tokens").encode("<|im_end|>") == [2]


def test_a_prompt_that_brings_its_own_first_token(tmp_path):
    path, theirs = folder(tmp_path, {}, post_processor=template(["<|im_start|>"]))
    with pytest.warns(UserWarning, match="it is there twice"):
        assert read(path).encode("<|im_start|>x") == theirs("<|im_start|>x").input_ids


def test_files_that_cannot_be_read_are_named(tmp_path):
    path, _ = folder(tmp_path, {})
    for name, content in (
        ("tokenizer_config.json", {"added_tokens_decoder": {"one": token("<x1>")}}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"1": {"name": "<x1>"}}}),
        ("added_tokens.json", {"<x1>": "many"}),
        ("tokenizer_config.json", []),
    ):
        (path / "tokenizer_config.json").write_text("{}")
        (path / name).write_text(json.dumps(content))
        with pytest.raises(ValueError, match=name) as error:
            text.load(path)
        assert "\n" not in str(error.value)


NAMED = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]


@pytest.mark.parametrize(
    ("files", "expected", "match"),
    [
        ({"chat_template.jinja": "file"}, "file", None),
        ({"tokenizer_config.json": "configuration"}, "configuration", None),
        ({"tokenizer_config.json": NAMED}, "plain", None),
        ({"chat_template.jinja": "file", "tokenizer_config.json": NAMED}, "file", "chat templates differ"),
        ({"chat_template.jinja": "same", "tokenizer_config.json": "same"}, "same", None),
        ({"additional_chat_templates/tool_use.jinja": "tools", "chat_template.jinja": "file"}, "file", None),
        ({"chat_template.json": "images"}, "images", None),
        ({"chat_template.json": "images", "tokenizer_config.json": "text"}, "text", "chat templates differ"),
    ],
)
def test_which_template_is_taken(tmp_path, files, expected, match):
    path, _ = folder(tmp_path, {})
    for name, source in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        own = json.loads((path / name).read_text()) if (path / name).exists() else {}
        whole = source if name.endswith(".jinja") else json.dumps(own | {"chat_template": source})
        (path / name).write_text(whole)
    if match is None:
        found = chat.template(path).render("x")
    else:
        with pytest.warns(UserWarning, match=match):
            found = chat.template(path).render("x")
    assert found == expected
    if [*files] != ["chat_template.json"]:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        messages = [{"role": "user", "content": "x"}]
        assert tokenizer.apply_chat_template(messages, tokenize=False) == expected


@pytest.mark.parametrize("named", [NAMED[:1], [{"name": "x"}], {"tool_use": "t"}, 7])
def test_templates_without_one_to_take(tmp_path, named):
    path, _ = folder(tmp_path, {})
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    with pytest.raises(ValueError, match=r"tokenizer_config\.json: .*chat"):
        chat.template(path)
