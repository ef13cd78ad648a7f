"""`t2fast chat` as a person uses it: from a terminal, through pipes, cut short."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys

import decode_models
import pytest
import t2fast.decode
import transformers
from test_decode_text import byte_level

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ORDERS = re.compile(rb"[\x01-\x08\x0e-\x1f]")
"""Control characters but for tabs and ends of lines."""


def command(model, *arguments):
    return [sys.executable, "-m", "t2fast", "chat", str(model), *arguments]


@pytest.fixture(scope="module")
def babbler(tmp_path_factory):
    """A model that says any byte, in a folder."""
    folder = tmp_path_factory.mktemp("babbler")
    trained, _ = byte_level("gpt-2")
    config = {"vocab_size": 500, "eos_token_id": 0, "num_key_value_heads": 2, "max_position_embeddings": 512}
    decode_models.randomise(decode_models._llama(**config), seed=1).save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=trained, eos_token="<|end|>")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    return folder


def test_chat_answers_line_by_line(smollm2):
    talk = command(smollm2, "--max-tokens", "12")
    done = subprocess.run(talk, capture_output=True, text=True, check=False, input="Hi.\nWho are you?\n\n")
    assert done.returncode == 0, done.stderr
    engine = t2fast.decode.load(smollm2)
    options = {"k": 1, "chat": True, "temperature": 0.7, "top_p": 0.95, "max_tokens": 12}
    said = [{"role": "user", "content": "Hi."}]
    first = engine.sample([(1, said)], **options).table["text"][0]
    said += [{"role": "assistant", "content": first}, {"role": "user", "content": "Who are you?"}]
    second = engine.sample([(3, said)], **options).table["text"][0]
    assert done.stdout == f"{first}\n{second}\n"
    assert "(cut at --max-tokens 12)" in done.stderr


def test_what_a_model_says_is_no_order_to_a_terminal(babbler):
    arguments = ("--temperature", "4", "--top-p", "1", "--max-tokens", "400", "--seed", "3")
    done = subprocess.run(command(babbler, *arguments), capture_output=True, check=True, input=b"hi\n")
    said = done.stdout
    assert ORDERS.search(said)  # a pipe gets it as it is
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(babbler, *arguments), stdin=subprocess.PIPE, stdout=theirs, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        process.stdin.write(b"hi\n")
        process.stdin.close()
        shown = bytearray()
        while True:
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:  # how Linux says that the other side is closed
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert process.returncode == 0
    assert not ORDERS.search(shown)
    assert b"\\x0" in shown or b"\\x1" in shown


def test_an_answer_that_is_cut_short_does_not_end_the_conversation(smollm2):
    talk = command(smollm2, "--max-tokens", "4000", "--temperature", "1.5")
    with subprocess.Popen(
        talk, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(b"Write a very long story about a house, with many chapters.\n")
        process.stdin.flush()
        assert os.read(process.stdout.fileno(), 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(b"\n", timeout=120)
    assert process.returncode == 0, err
    assert b"cut short" in err
    assert b"warning" not in err
    assert out.endswith(b"\n")


def test_an_answer_ends_where_the_model_does(babbler):
    """512 positions, as many as an answer may be long: the question's are taken off."""
    done = subprocess.run(command(babbler), capture_output=True, check=False, input=b"hi\n" * 40)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 1
    assert b"the conversation fills the 512 positions of the model: begin a new one" in done.stderr
