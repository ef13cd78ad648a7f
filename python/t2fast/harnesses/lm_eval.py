"""t2fast's engine as a model of lm-eval (EleutherAI's lm-evaluation-harness, 0.4.9 or later).

lm-eval looks for no plugins: it knows the models of its own list, and those that were registered before
it started. So its command is started from here,

    t2fast-lm-eval --model t2fast --model_args pretrained=MODEL --tasks TASK

with every option of `lm_eval`. In Python, importing this module makes
`lm_eval.simple_evaluate(model="t2fast", model_args="pretrained=MODEL")` work.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from datetime import datetime
from typing import Any

import torch
from lm_eval import utils
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text

from t2fast.decode import load

_KNOWN = {"do_sample", "until", "max_gen_toks", "temperature", "top_k", "top_p", "min_p"}

Scored = tuple[Any, list[int], list[int]]


@register_model("t2fast")
class T2Fast(TemplateLM):  # type: ignore[misc]
    """A model that this engine loads.

    Answers to one context are scored together and samples of one prompt (a task's `repeats`) are drawn
    together, its keys and values being kept once. Greedy text and scores are those of the `hf` model up to
    rounding.

    Args:
        pretrained: a Hugging Face folder, a `.gguf` file or a hub id, as for `t2fast.decode.load`.
        device: cpu or cuda; cuda:0, which lm-eval says where nobody did, is the processor where torch sees no
            GPU.
        dtype: auto, float32 or bfloat16.
        threads: of the CPU.
        max_length: most tokens of a prompt with its answer; the model's own if not given.
        max_gen_toks: of generated text, where a task does not say.
        seed: of samples.
        batch_size: taken because lm-eval passes it; the engine forms its own batches.
        max_batch_size: likewise.
    """

    def __init__(
        self,
        pretrained: str,
        device: str | None = None,
        dtype: str = "auto",
        threads: int | None = None,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        seed: int = 0,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ):
        super().__init__()
        if device == "cuda:0":  # what lm-eval says where nobody did
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.engine = load(pretrained, device=device, dtype=dtype, threads=threads)  # type: ignore[arg-type]
        self.model = self.engine.core.model
        self.max_length = max_length or self.model.max_positions
        self.max_gen_toks = max_gen_toks
        self.seed = seed
        # A run that goes past midnight tells all its prompts one date.
        self.now = datetime.now()

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        if not self.model.eos:
            raise ValueError(f"{self.engine.name} names no token that ends a text (eos)")
        return self.model.eos[0]

    @property
    def prefix_token_id(self) -> int:
        """What goes before a text that is scored from its beginning."""
        return self.eot_token_id if self.model.bos is None else self.model.bos

    @property
    def tokenizer_name(self) -> str:
        """What cached requests are told apart by."""
        return self.engine.name.replace("/", "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Tokens of a text; without a choice, with what the model wants before it unless it stands there."""
        special = add_special_tokens
        if special is None:
            first = self.engine.tokenizer.token_bytes[self.prefix_token_id].decode(errors="replace")
            special = not string.startswith(first)
        return self.engine.tokenizer.encode(string, special=special)

    def _loglikelihood_tokens(
        self, requests: list[Scored], disable_tqdm: bool = False, greedy: bool = True, **_: Any
    ) -> list[tuple[float, bool]]:
        # A context is read once for all of its answers.
        groups: dict[tuple[int, ...], list[tuple[int, list[int]]]] = defaultdict(list)
        for i, (_, context, answer) in enumerate(requests):
            kept = (context + answer)[-(self.max_length + 1) :]
            groups[tuple(kept[: -len(answer)])].append((i, answer))
        contexts = [list(context) for context in groups]
        answers = [[answer for _, answer in own] for own in groups.values()]
        scored = self.engine.score(contexts, answers)
        drawn: list[list[int]] = [[] for _ in contexts]
        if greedy:
            for length in {max(map(len, own)) for own in answers}:
                rows = [row for row, own in enumerate(answers) if max(map(len, own)) == length]
                sampled = self.engine.sample(
                    [contexts[row] for row in rows],
                    k=1,
                    temperature=0.0,
                    max_tokens=length,
                    stop_tokens=(),
                    progress=False,
                )
                for row, tokens in zip(rows, sampled.table["tokens"].to_list(), strict=True):
                    drawn[row] = tokens
        places = [(row, i, answer) for row, own in enumerate(groups.values()) for i, answer in own]
        found: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        for (row, i, answer), logprob in zip(places, scored["logprob"].to_list(), strict=True):
            found[i] = logprob, drawn[row][: len(answer)] == answer
        return found

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """ln of the probability of whole texts, in windows of at most `max_length` tokens."""
        windows: list[Scored] = []
        owners: list[int] = []
        for owner, request in enumerate(requests):
            for window in utils.get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            ):
                windows.append((None, *utils.make_disjoint_window(window)))
                owners.append(owner)
        totals = [0.0] * len(requests)
        scores = self._loglikelihood_tokens(windows, greedy=False)
        for owner, (logprob, _) in zip(owners, scores, strict=True):
            totals[owner] += logprob
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Text after each prompt; repeated requests are samples of one prompt."""
        repeats: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, request in enumerate(requests):
            repeats[request.args[0], repr(request.args[1])].append(i)
        alike: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
        for (context, settings), places in repeats.items():
            alike[settings].append((context, places))
        texts = [""] * len(requests)
        for group in alike.values():
            settings = normalize_gen_kwargs(requests[group[0][1][0]].args[1], self.max_gen_toks)
            self._generate(group, dict(settings), texts)
        return texts

    def _generate(
        self, group: list[tuple[str, list[int]]], settings: dict[str, Any], texts: list[str]
    ) -> None:
        unknown = sorted(settings.keys() - _KNOWN)
        if unknown:
            raise ValueError(
                f"generation_kwargs {', '.join(unknown)}: this engine knows {', '.join(sorted(_KNOWN))}"
            )
        most = settings["max_gen_toks"]
        room = self.max_length - most
        if room < 1:
            raise ValueError(
                f"max_gen_toks is {most}, but prompt and text share {self.max_length} tokens: ask for fewer"
            )
        end = self.engine.tokenizer.token_bytes[self.eot_token_id].decode(errors="replace")
        until = handle_stop_sequences(settings.get("until"), eos=end)
        greedy = not settings.get("do_sample") or settings.get("temperature") == 0
        rules: dict[str, Any] = (
            {"temperature": 0.0}
            if greedy
            else {
                name: settings[name]
                for name in ("temperature", "top_k", "top_p", "min_p")
                if name in settings
            }
        )
        sampled = self.engine.sample(
            [self.tok_encode(context)[-room:] for context, _ in group],
            # Greedy samples are all the same: one is enough.
            k=[1 if greedy else len(places) for _, places in group],
            max_tokens=most,
            stop=tuple(term for term in until if term),
            seed=self.seed,
            **rules,
        )
        decode = self.engine.tokenizer.decode
        for row, sample, tokens in sampled.table.select("problem", "sample", "tokens").iter_rows():
            text = postprocess_generated_text(decode(tokens), until, None)
            places = group[row][1]
            for place in places if greedy else places[sample : sample + 1]:
                texts[place] = text

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Messages as the model's own template writes them."""
        if not add_generation_prompt:
            raise ValueError("a chat that ends with the assistant's turn (prefill) is not supported here")
        return self.engine.chat_text(chat_history, self.now)


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    sys.exit(cli_evaluate())
