"""Two tasks of lm-eval on rows that a caller makes: a choice among answers, and an answer written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TASK = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {data}}}
test_split: train
doc_to_text: "{{{{text}}}}"
{rest}
"""
CHOICE = """output_type: multiple_choice
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc}]"""
TEXT = """output_type: generate_until
doc_to_target: "{{choices[0]}}"
metric_list: [{metric: exact_match}]"""


def write_tasks(folder: Path, rows: Sequence[dict[str, Any]], *, until: str, most_tokens: int) -> None:
    """Write the rows (`text`, `choices`, `answer`) and the tasks `made_choice` and `made_text` of them."""
    data = folder / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    ends = json.dumps({"until": [until], "max_gen_toks": most_tokens})
    for name, rest in (("made_choice", CHOICE), ("made_text", f"{TEXT}\ngeneration_kwargs: {ends}")):
        (folder / f"{name}.yaml").write_text(TASK.format(name=name, data=data, rest=rest))
