"""What comes in and goes out at the command line: folders of runs, sizes, names, errors, narrow terminals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from rich.cells import cell_len
from t2fast.cli.main import _COMMANDS, _parser, main
from t2fast.cli.wording import _OPTIONS, own_words
from t2fast.text import columns, plain, with_unit

ROWS = {
    "model": ["llama[v2]", "[/INST]", "bad\x1b[31mred"],
    "n_params": ["160M", "1.2B", "1e9"],
    "n_tokens": ["2T", "3e9", "20B"],
    "task": ["t", "t", "t"],
    "problem": ["p", "p", "p"],
    "n_samples": [100, 100, 10],
    "n_correct": [50, 0, 3],
}


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    path = tmp_path / "counts.csv"
    pl.DataFrame(ROWS).write_csv(path)
    return path


def test_names_are_printed_whole_and_without_their_escape_codes(
    counts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["passk", str(counts), "-k", "1,64"]) == 0
    shown = capsys.readouterr().out
    assert "llama[v2]" in shown
    assert "[/INST]" in shown
    assert "bad\\x1b[31mred" in shown
    assert "\x1b" not in shown
    assert "0 of 1" in shown


def test_sizes_are_typed_as_people_write_them(counts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [with_unit(text) for text in ("160M", "1.2B", "1e9", "3k", " 2t ")] == [
        1.6e8,
        1.2e9,
        1e9,
        3e3,
        2e12,
    ]
    assert main(["passk", str(counts), "--min-params", "1B", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["n_params"], row["n_tokens"]) for row in rows] == [(1e9, 2e10), (1.2e9, 3e9)]


def test_json_is_valid_where_numbers_are_not(counts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passk", str(counts), "-k", "1000", "--missing", "drop", "--json"]) == 0
    data = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert {(row["pass_at_k"], row["low"], row["of_problems"]) for row in data["rows"]} == {(None, None, 1)}


def test_rows_are_chosen_by_any_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text("problem,split,level,n_samples,n_correct\na,dev,1.0,4,1\nb,test,2,4,2\nc,test,1,4,oops\n")
    assert main(["passk", str(path), "--where", "split=test", "--where", "level=2.0", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [row["pass_at_k"] for row in data["rows"]] == [0.5]
    assert data["left_out"] == [{"rows": 2, "reason": "other than split 'test', level '2.0'"}]
    assert main(["passk", str(path), "--where", "split=test"]) == 1
    assert "row 3: n_correct is 'oops'" in capsys.readouterr().err
    assert main(["passk", str(path), "--where", "spilt=test"]) == 1
    assert "has no column 'spilt'" in capsys.readouterr().err


def test_a_choice_is_made_of_the_rows_that_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(m, p, s, 20, c) for m, c in (("a", 4), ("b", 9)) for p in "xyz" for s in ("easy", "hard")]
    schema = ["model", "problem", "split", "n_samples", "n_correct"]
    counts, prices = tmp_path / "counts.csv", tmp_path / "prices.csv"
    pl.DataFrame(rows, schema=schema, orient="row").write_csv(counts)
    price = {"model": ["a", "b"], "usd_per_million_prompt_tokens": [1, 2]}
    pl.DataFrame({**price, "usd_per_million_output_tokens": [1, 2]}).write_csv(prices)
    asked = ["choose", str(counts), "--prices", str(prices), "--prompt-tokens", "9", "--output-tokens", "9"]
    assert main(asked) == 1  # each problem is there twice
    assert "samples of problem 'x' with 2 values of 'split'" in capsys.readouterr().err
    assert main([*asked, "--where", "split=hard", "--json"]) == 0
    found = capsys.readouterr()
    assert "left out: 6 x other than split 'hard'" in found.err
    assert json.loads(found.out)["model"] == "b"


def test_several_files_are_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    human = tmp_path / "human.jsonl"
    human.write_text('{"task_id": "T/0", "completion": "x", "result": "passed", "passed": true}\n')
    other = tmp_path / "other.jsonl"
    other.write_text(human.read_text().replace("true", "false") * 2)
    own = tmp_path / "own.csv"
    pl.DataFrame({**ROWS, "problem": ["T/0"] * 3}).drop("task").write_csv(own)
    assert main(["passk", str(human), str(other), str(own), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    expected = {
        "human.jsonl": 1.0,
        "other.jsonl": 0.0,
        "llama[v2]": 0.5,
        "[/INST]": 0.0,
        "bad\x1b[31mred": 0.3,
    }
    assert {row["model"]: row["pass_at_k"] for row in rows} == pytest.approx(expected)
    assert main(["passk", str(own), str(own)]) == 1
    assert f"{own} is given twice" in capsys.readouterr().err
    again = tmp_path / "again.csv"
    again.write_bytes(own.read_bytes())
    assert main(["passk", str(own), str(again)]) == 1
    assert "add their counts up by --duplicates sum" in capsys.readouterr().err
    assert main(["passk", str(own), str(again), "--duplicates", "sum", "-k", "200", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][-1]["problems"] == 1
    named = tmp_path / "named.csv"
    pl.DataFrame(ROWS).write_csv(named)
    assert main(["passk", str(own), str(named)]) == 1
    assert f"{own} has no task, which {named} has" in capsys.readouterr().err


def test_values_of_rows_that_are_chosen_may_hold_commas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.csv"
    path.write_text('problem,note,n_samples,n_correct\na,"x, y",4,1\nb,"x=1,y",4,2\nc,x,4,3\n')
    for asked, expected in (("note=x, y", 0.25), ("note=x=1,y", 0.5), ("note=x,problem=c", 0.75)):
        assert main(["passk", str(path), "--where", asked, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["rows"][0]["pass_at_k"] == expected
    with pytest.raises(SystemExit):
        main(["passk", str(path), "--where", "note"])
    assert "'note' is not of the form COLUMN=VALUE" in capsys.readouterr().err


def test_what_was_asked_for_is_printed_with_its_digits(
    counts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for level, words in (("0.975", "97.5% interval"), ("0.9999", "99.99% interval"), ("0.9", "90% interval")):
        assert main(["passk", str(counts), "--level", level]) == 0
        assert words in capsys.readouterr().out


def test_refusals_of_options_name_them_and_their_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("problem,n_samples,n_correct\na,4,1\n")
    assert main(["passk", str(path), "-k", "1,0"]) == 1
    assert capsys.readouterr().err == "t2fast passk: -k must be at least 1; got 0\n"
    assert main(["passk", str(path), "--min-params", "1B"]) == 1
    found = capsys.readouterr().err
    assert main(["compare", str(path), str(tmp_path / "." / "x.csv")]) == 1
    assert capsys.readouterr().err.endswith("x.csv is given twice\n")
    with pytest.raises(SystemExit):
        main(["compare", str(path), "--seed", "-1"])
    assert "--seed: '-1' is not a whole number from 0 to 2^64 - 1" in capsys.readouterr().err
    assert "has no n_params and no n_tokens, by which rows were to be chosen" in found
    assert "law" not in found


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locale C")
@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_without_utf_8_tells_names_apart(tmp_path: Path, terminal: bool) -> None:
    path = tmp_path / "counts.csv"
    names = ["café-模型", "café-模式", "llama"]
    pl.DataFrame({**ROWS, "model": names}).write_csv(path)
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment |= {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "xterm"}
    command = [sys.executable, "-m", "t2fast", "passk", str(path), "-k", "1,8"]
    if terminal:
        import pty

        ours, theirs = pty.openpty()
        done = subprocess.run(command, stdout=theirs, stderr=theirs, env=environment, check=False)
        os.close(theirs)
        shown = os.read(ours, 1 << 16).decode("ascii").replace("\r", "").replace("\x1b[0m", "")
        os.close(ours)
    else:
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
        shown = done.stdout.decode("ascii")
    assert done.returncode == 0
    for name in names:
        assert name.encode("ascii", "backslashreplace").decode() in shown
    assert shown.count("0.5000") == 1
    lines = [line for line in shown.splitlines() if "160M" in line or "1.2B" in line]
    assert len({line.index("M" if "160M" in line else "B") for line in lines}) == 1  # columns stay columns


def test_columns_of_the_models_table_go_by_other_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts, models = tmp_path / "c.csv", tmp_path / "m.csv"
    counts.write_text("model,problem,n_samples,n_correct\nm,a,4,1\n")
    models.write_text("name,size\nm,160M\n")
    names = "models.model=name,models.n_params=size"
    assert main(["passk", str(counts), "--models", str(models), "--columns", names, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["n_params"] == 1.6e8


def test_several_tasks_or_training_sets_are_no_one_law(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "losses.csv"
    rows = [
        f"{s},{n}e8,{d}e9,{3 + 1 / n + 1 / d}" for s in ("c4", "rp") for n in (1, 2, 4) for d in (1, 2, 4)
    ]
    path.write_text("train_set,n_params,n_tokens,loss\n" + "\n".join(rows) + "\n")
    fit = ["fit", str(path), "--law", "chinchilla", "--draws", "0"]
    assert main(fit) == 1
    assert "has 2 training sets, which no law has in common: 'c4', 'rp'" in capsys.readouterr().err
    assert main([*fit, "--where", "train_set=c4"]) == 0


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("say columns={'problem': 'id', 'n_samples': 'n'}.", "say --columns problem=id,n_samples=n."),
        ("add their counts up by duplicates='sum'", "add their counts up by --duplicates sum"),
        ("choose one by correct_at=", "choose one by --correct-at"),
        ("metric= 'x' is no choice", "--metric x is no choice"),
        ("[Errno 2] No such file or directory: 'x.csv'", "x.csv: no such file or directory"),
        ("allow it by extrapolate=1.4e+09", "allow it by --extrapolate 1.4e+09"),
        ("per_query is nan: it has to be", "--per-query is nan: it has to be"),
        ("max_k is 0: at least one sample", "--max-k is 0: at least one sample"),
        ("choose one by where={'level': '1'}, or", "choose one by --where level=1, or"),
        ("by columns={'problem': 'task'}, or", "by --columns problem=task, or"),
        ("device='cuda': no GPU, or use device='cpu'", "--device cuda: no GPU, or use --device cpu"),
        ("the column target is empty: fill it", "the column target is empty: fill it"),
        ("runs/task=gsm8k/x.csv is empty", "runs/task=gsm8k/x.csv is empty"),
    ],
)
def test_messages_speak_the_words_of_the_command_line(message: str, words: str) -> None:
    assert own_words(message) == words


def test_every_word_of_messages_is_an_option() -> None:
    _, parsers = _parser(_COMMANDS)
    there = {option for parser in parsers.values() for a in parser._actions for option in a.option_strings}
    assert {f"--{name.replace('_', '-')}" for name in _OPTIONS.split("|")} <= there


def test_a_file_that_is_not_there_has_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passk", "nowhere.csv"]) == 1
    assert capsys.readouterr().err == "t2fast passk: nowhere.csv: no such file or directory\n"


def test_a_closed_stdout_is_quiet(counts: Path) -> None:
    script = f"{sys.executable} -m t2fast passk {counts} >&-"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_tables_fit_80_and_60_columns_and_cut_nothing() -> None:
    table = columns("model", "n_params", "task", "k", "pass@k", "95% interval", left=("model", "task"))
    names = ["EleutherAI/pythia-1.4b-deduped", "EleutherAI/pythia-160m-deduped"]
    cells = [(name, "1.41B", "gsm8k", str(k), "0.1234", "0.1000 to 0.2000") for name in names for k in (1, 8)]
    for row in cells:
        table.add_row(*row)
    for width in (120, 80, 60, 40):
        shown = plain(table, width)
        assert max(map(cell_len, shown.splitlines())) <= width
        assert all(value in shown for row in cells for value in row)
    assert plain(table, 60) == (
        "n_params 1.41B   task gsm8k   pass@k 0.1234\n"
        "95% interval 0.1000 to 0.2000\n"
        "model                           k\n"
        "EleutherAI/pythia-1.4b-deduped  1\n"
        "EleutherAI/pythia-1.4b-deduped  8\n"
        "EleutherAI/pythia-160m-deduped  1\n"
        "EleutherAI/pythia-160m-deduped  8"
    )


def test_a_row_that_fits_no_line_is_stacked() -> None:
    table = columns("model", "tokens per parameter", "predicted pass@k", left=("model",))
    table.add_row("a-model-with-a-long-name", "1,234", "0.1234")
    table.add_row("another", "20", "0.4321")
    assert plain(table, 40) == (
        "model a-model-with-a-long-name\n"
        "tokens per parameter 1,234\n"
        "predicted pass@k 0.1234\n"
        "\n"
        "model another   tokens per parameter 20\n"
        "predicted pass@k 0.4321"
    )


def test_a_law_that_cannot_be_kept_is_not_fitted_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing" / "law.json"
    assert main(["fit", "nowhere.csv", "-o", str(missing)]) == 1
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["explore"], ["fit", "x.csv"], ["simulate"], ["train", "x.txt", "--tokens", "1"]]
)
def test_a_dash_is_no_name_of_a_file(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main([*command, "-o", "-"])
    said = capsys.readouterr().err
    assert said.startswith(f"t2fast {command[0]}: error: argument -o/--output: '-' would be a file of that")
    assert not list(tmp_path.iterdir())


def test_a_law_goes_through_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "losses.csv"
    sizes = [(n, d) for n in (1, 2, 4) for d in (1, 2, 4)]
    rows = [f"{n}e8,{d}e9,{3 + 1 / n + 1 / d}" for n, d in sizes]
    path.write_text("n_params,n_tokens,loss\n" + "\n".join(rows) + "\n")
    command = [sys.executable, "-m", "t2fast", "fit", str(path), "--law", "chinchilla", "--draws", "0"]
    done = subprocess.run([*command, "-o", "/dev/stderr"], capture_output=True, text=True, check=True)
    assert '"format"' in done.stderr


def test_recipes_in_a_column_that_is_not_read_are_not_one_law_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, runs, page = (tmp_path / name for name in ("losses.csv", "runs.csv", "page.html"))
    rows = [f"{r},{n}e8,{d}e9,{3 + 1 / n + 1 / d}" for r in "ab" for n in (1, 2, 4, 8) for d in (1, 2, 4)]
    path.write_text("recipe,n_params,n_tokens,loss\n" + "\n".join(rows) + "\n")
    runs.write_text("n_params,n_tokens\n8e8,8e9\n")
    fit = ["fit", str(path), "--law", "chinchilla", "--draws", "0"]
    for line in (
        fit,
        ["validate", str(path), "--splits", "2", "--methods", "chinchilla", "--draws", "0"],
        ["design", str(path), "--runs", str(runs), "--at", "8e8,8e9", "--draws", "50"],
        ["report", str(path), "--validate", "2", "-o", str(page), "--json"],
    ):
        assert main(line) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "24 checkpoints have 12 pairs of N and D" in said, line
        assert "'recipe' (where chooses by it)" in said, line
    assert main([*fit, "--where", "recipe=a"]) == 0
    assert "pairs of N and D" not in capsys.readouterr().out
    assert main([*fit, "--group-by", "corpus"]) == 1
    assert "no column 'corpus' to group by" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full, a disk that is full")
def test_a_disk_that_is_full_is_said_in_words_of_what_is_printed_too(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("problem,correct\na,1\na,0\n")
    command = [sys.executable, "-m", "t2fast", "passk", str(tmp_path / "x.csv")]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "t2fast passk: what is printed cannot be written: no space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full, a disk that is full")
@pytest.mark.parametrize(
    "command",
    [
        ["fit", "losses.csv", "--law", "chinchilla", "--draws", "0", "-o", "/dev/full"],
        ["validate", "losses.csv", "--splits", "1", "--methods", "chinchilla", "-o", "/dev/full"],
        ["passk", "counts.csv", "--plot", "full.svg"],
        ["compare", "counts.csv", "--draws", "100", "--plot", "full.svg"],
        ["plan", "--train-flops", "1e20", "--inference-flops", "1e10", "--plot", "full.svg"],
    ],
)
def test_what_was_found_is_printed_though_it_cannot_be_kept(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink("/dev/full", "full.svg")
    rows = [f"{n}e8,{d}e9,{3 + 1 / n + 1 / d}" for n in (1, 2, 4, 8) for d in (1, 2, 4, 8)]
    (tmp_path / "losses.csv").write_text("n_params,n_tokens,loss\n" + "\n".join(rows) + "\n")
    pl.DataFrame({**ROWS, "problem": ["a"] * 3}).vstack(
        pl.DataFrame({**ROWS, "problem": ["b"] * 3})
    ).write_csv("counts.csv")
    assert main([*command, "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)
    assert "cannot be written: no space is left on the device" in said.err


def test_files_of_which_one_lacks_sizes_are_joined_without_them(
    counts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, page = tmp_path / "other.csv", str(tmp_path / "page.html")
    lines = pl.DataFrame(ROWS).drop("n_params", "n_tokens").with_columns(pl.col("model") + "-tuned")
    lines.write_csv(other)
    assert main(["report", str(counts), str(other), "-o", page, "--json"]) == 0
    (said,) = [words for words in json.loads(capsys.readouterr().out)["warnings"] if "left out" in words]
    because = f"because {other} has none: add them there to have them"
    assert said == f"n_params and n_tokens are left out, {because}"


def test_files_that_cannot_be_joined_say_what_is_missing_where(
    counts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nameless, staged, page = tmp_path / "nameless.csv", tmp_path / "staged.csv", str(tmp_path / "page.html")
    grid = pl.DataFrame(ROWS).with_columns(model=pl.lit("one"))
    grid.write_csv(nameless)
    pl.DataFrame(ROWS).drop("n_params", "n_tokens").write_csv(tmp_path / "other.csv")
    assert main(["report", str(nameless), str(tmp_path / "other.csv"), "-o", page]) == 1
    said = capsys.readouterr().err
    assert (
        f"{nameless} cannot be joined with {tmp_path / 'other.csv'}: its checkpoints are told apart by"
        in said
    )
    assert "n_params and n_tokens, which are missing there" in said
    pl.DataFrame(ROWS).with_columns(stage=pl.lit("base")).write_csv(staged)
    assert main(["report", str(counts), str(staged), "-o", page]) == 1
    assert f"{counts} has no stage, which {staged} has. Add what is missing" in capsys.readouterr().err
