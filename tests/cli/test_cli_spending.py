"""`t2fast plan` under one budget, from flags to JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from t2fast import _core, default_law, fit_forecast
from t2fast.cli.main import main
from t2fast.costs import Architecture, Machine, accelerator
from t2fast.laws import Law
from t2fast.plans import Workload, plan_spending
from t2fast.plans.spending import best_spending, chinchilla_spending
from t2fast.tables import Counts

DOLLARS = ["plan", "--usd", "1000", "--gpu", "h100", "--usd-per-hour", "2.5", "--queries", "1e6"]
BUDGETS = ["plan", "--train-flops", "1e20", "--inference-flops", "1e10"]
TOTAL = ["plan", "--total-flops", "1e22", "--queries", "1e8"]
LOSS = Law("loss", {"E": 0.2, "A": 60.0, "B": 90.0, "G": 1.5, "alpha": 0.3, "beta": 0.26, "gamma": 0.5})


def test_dollars_buy_what_they_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DOLLARS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    work = Workload.on(Machine(accelerator("H100"), usd_per_hour=2.5), 1e6, 500, 500)
    n, flop, byte = found["n_params"], 2.5 / 3600 / (0.4 * 989e12), 2.5 / 3600 / (0.6 * 3.35e12)
    assert found["training"] == pytest.approx(6 * flop * n * found["n_tokens"])
    # Weights once for 64 samples, and keys and values of the prompt and half a sample.
    moved = 2 * n / 64 + 750 * 4 * 128 * (n / (12 * 128**2)) ** (2 / 3)
    sample = 500 * max(2 * n * flop, moved * byte)
    assert found["serving"] == pytest.approx(1e6 * (500 * 2 * n * flop + found["k"] * sample))
    assert found["training"] + found["serving"] == pytest.approx(1000, rel=1e-9)
    law = default_law()
    free = best_spending(law, 1000, work, n_params=(8e7, 2.4e10), n_tokens=(1e9, 6e11), k=(1, 256))
    assert found["predicted"] == pytest.approx(free.predicted, rel=1e-9)
    low, high = found["intervals"]["predicted_here"]
    assert low <= found["predicted"] <= high
    other = found["chinchilla"]
    assert other["tokens_per_param"] == pytest.approx(20)
    assert other["cost"] <= 1000 * (1 + 1e-9)
    assert other["predicted"] < found["predicted"]
    assert any(warning.startswith("the law: ") for warning in found["warnings"])


def test_a_target_costs_what_buys_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DOLLARS, "--json"]) == 0
    best = json.loads(capsys.readouterr().out)
    target = ["plan", "--target", str(best["predicted"]), *DOLLARS[3:], "--json"]
    assert main(target) == 0
    assert json.loads(capsys.readouterr().out)["cost"] == pytest.approx(1000, rel=1e-6)


def test_short_text_says_what_more_would_bring(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DOLLARS, "--unique-tokens", "1e10"]) == 0
    out = capsys.readouterr().out
    assert "text is short: read" in out
    assert "another trillion would bring pass@k" in out
    assert main([*DOLLARS, "--unique-tokens", "1e14"]) == 0
    assert "are enough text" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "--usd", "5", "--queries", "1"], "--usd needs --gpu"),
        (["plan", "--usd", "5", "--gpu", "H100", "--queries", "1"], "--usd-per-hour is missing"),
        (["plan", "--usd", "5", "--gpu", "H100", "--usd-per-hour", "2"], "--queries is missing"),
        ([*DOLLARS, "--target", "0.5"], "exclude each other"),
        ([*DOLLARS, "--train-flops", "1e20"], "--train-flops is a budget of its own"),
        ([*DOLLARS[:4], "X100", *DOLLARS[5:]], "no accelerator is called 'X100'"),
        ([*DOLLARS, "--min-params", "1e12"], "N from 1T on lies beyond what the law was fitted on"),
        ([*DOLLARS, "--max-tokens", "1e6"], "D up to 1M lies beyond what the law was fitted on"),
        ([*DOLLARS, "--max-tokens", "0.5"], "--max-tokens is 0.5: it has to be at least 1"),
        ([*DOLLARS, "--sizes", "160M,-5"], "--sizes is -5.0: it has to be positive and finite"),
        ([*DOLLARS, "--min-params", "1e9", "--max-params", "1e8"], "--min-params to --max-params runs from"),
        ([*BUDGETS, "--prompt-tokens", "3"], "--prompt-tokens goes with one budget"),
        ([*BUDGETS, "--mfu", "0.9"], "--mfu goes with one budget"),
        ([*TOTAL, "--usd-per-hour", "3"], "--usd-per-hour is of hardware: say which by --gpu"),
        ([*TOTAL, "--accelerators", "none.csv"], "--accelerators is of hardware: say which by --gpu"),
        ([*TOTAL, "--batch", "3"], "--batch is of hardware: say which by --gpu"),
        ([*TOTAL, "--chips", "3"], "--chips is of hardware: say which by --gpu"),
        ([*TOTAL, "--cache-bytes", "3"], "--cache-bytes is of hardware: say which by --gpu"),
        ([*DOLLARS, "--chips", "0"], "--chips is 0: --gpu needs a positive number there"),
        ([*DOLLARS, "--cache-bytes", "-1"], "cache_bytes is -1.0: it has to be finite and not negative"),
        ([*BUDGETS, "--chips", "2"], "--chips goes with one budget"),
        ([*TOTAL, "--gpu", "H100"], "--total-flops needs no --gpu"),
        ([*TOTAL, "--per-query", "1e3"], "cost a query at most 1000 FLOPs: the least model"),
        (["plan", "--usd", "1e-3", *DOLLARS[3:]], "times that"),
        (["plan", "--target", "0.9999", *DOLLARS[3:]], "nowhere with N up to 24B"),
        (
            [*DOLLARS, "--frontier", "--true-positive", "0.9", "--false-positive", "0.01"],
            "--frontier is of plans whose check does not err",
        ),
        ([*DOLLARS, "--profile"], "--profile is of plans under two budgets"),
        ([*DOLLARS, "--chinchilla", "law"], "give tokens per parameter here"),
        ([*DOLLARS, "--extrapolate", "0.5"], "--extrapolate is 0.5"),
        ([*DOLLARS, "--extrapolate", "nan"], "--extrapolate is nan"),
        ([*DOLLARS, "--max-params", "0"], "--max-params is 0.0"),
        ([*DOLLARS, "--mfu", "2"], "--mfu is 2.0: a share of the peak lies between 0 and 1"),
        ([*DOLLARS, "--chinchilla", "-3"], "--chinchilla is -3.0"),
        ([*DOLLARS, "--sizes", "1e9", "--min-params", "1e8"], "--sizes already says which N are allowed"),
        ([*DOLLARS, "--unique-tokens", "0"], "--unique-tokens is 0.0"),
        ([*DOLLARS, "--latency", "-1"], "--latency is -1.0"),
        ([*DOLLARS, "--max-k", "0.5"], "--max-k is 0.5: a problem gets at least one sample"),
        (
            [*DOLLARS, "--min-tokens", "1e11", "--max-tokens", "1e10"],
            "--min-tokens to --max-tokens runs from 1e+11 down to 1e+10",
        ),
        ([*BUDGETS, "--queries", "5"], "--queries goes with one budget"),
        ([*BUDGETS, "--latency", "1"], "--latency goes with one budget"),
        ([*BUDGETS, "--unique-tokens", "1e9"], "--unique-tokens goes with one budget"),
        (["plan", "--train-flops", "-5", *BUDGETS[3:], "--frontier"], "has to be positive and finite"),
        (["plan", "--train-flops", "nan", *BUDGETS[3:], "--frontier"], "has to be positive and finite"),
        (["plan", "--train-flops", "1e25", *BUDGETS[3:], "--frontier"], "--frontier ends at 1e+25 FLOPs"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_chinchillas_ratio_is_the_one_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DOLLARS, "--chinchilla", "100"]) == 0
    assert "Chinchilla (100 tokens/parameter)" in capsys.readouterr().out
    assert main([*DOLLARS, "--chinchilla", "100", "--json"]) == 0
    other = json.loads(capsys.readouterr().out)["chinchilla"]
    assert other["tokens_per_param"] == pytest.approx(100)


def test_what_stays_unspent_and_uncompared_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--usd", "1e12", *DOLLARS[3:]]) == 0
    out = capsys.readouterr().out
    assert "100.0% of the budget unspent" in out
    assert "held to N = 24B," in out
    assert main(["plan", "--total-flops", "1e20", "--queries", "1e6", "--min-params", "1e9"]) == 0
    assert "buys no model with 20 tokens a parameter and N from 1B" in capsys.readouterr().out


def test_a_loss_law_is_asked_for_pass_at_k_and_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LOSS.save(tmp_path / "law.json")
    line = ["plan", "--law", str(tmp_path / "law.json"), "--target", "0.5", "--queries", "1e4"]
    assert main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["predicted"] == pytest.approx(math.log(2), rel=1e-6)
    assert main(line) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Best model for pass@k 0.5 at least cost" in out
    assert "that is pass@k" in out
    assert "0.5000" in out
    assert main([*line[:4], "1.5", *line[5:]]) == 1
    assert "pass@k 1.5 is not between 0 and 1" in capsys.readouterr().err


def test_a_law_without_a_split_of_compute_is_refused() -> None:
    direct = Law("direct", dict.fromkeys(_core.law_parameters("direct"), 0.1))
    with pytest.raises(ValueError, match="knows training compute alone"):
        best_spending(direct, 1e20, Workload(1e6, 500, 500))


def test_long_plans_show_that_they_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main([*DOLLARS, "--json"]) == 0
    seen = capsys.readouterr()
    assert "planning" in seen.err
    json.loads(seen.out)


def test_a_plan_without_a_budget_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["plan"])
    assert stopped.value.code == 2
    assert "what is there to spend" in capsys.readouterr().err


def test_an_architecture_is_chosen_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "models.csv"
    table.write_text(
        "layers,width,hidden,vocab,heads,head_dim,tied\n"
        "12,768,2048,50000,12,64,no\n"
        "24,1024,2816,50000,16,64,no\n"
        "24,2048,5632,50000,32,64,yes\n"
        "4,64,256,512,4,16,\n"
    )
    assert main([*DOLLARS, "--architectures", str(table), "--json", "--integer-k"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n_params"] == pytest.approx(
        Architecture(**{**found["architecture"], "kv_heads": None}).n_params()
    )
    assert found["k"] == round(found["k"])
    assert found["cost"] <= 1000 * (1 + 1e-9)
    assert main([*DOLLARS, "--architectures", str(table)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "architecture: " in shown
    assert "N counts the embedding and the head" in shown
    sizes = ["--sizes", "1e8,3e8,1e9"]
    assert main([*DOLLARS, *sizes, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_params"] in (1e8, 3e8, 1e9)


def test_the_command_says_what_python_says(capsys: pytest.CaptureFixture[str]) -> None:
    work = Workload.on(Machine(accelerator("H100"), usd_per_hour=2.5), 1e6, 500, 500)
    whole = plan_spending(default_law(), work, budget=1000, integer_k=True, unique_tokens=2e10)
    assert main([*DOLLARS, "--integer-k", "--unique-tokens", "2e10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(whole.to_dict()))
    assert main([*DOLLARS, "--integer-k", "--unique-tokens", "2e10"]) == 0
    assert capsys.readouterr().out.rstrip("\n") == str(whole)


def test_faults_of_the_law_are_told_in_short_and_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    fit = default_law().fit
    assert fit is not None
    for line in (DOLLARS, BUDGETS):
        assert main(line) == 0
        short = " ".join(capsys.readouterr().out.split())
        assert (
            f"about the law, {len(fit.notes)} things (in full by --verbose or --json): on a bound; " in short
        )
        # The humblest baseline stays beside the claim.
        assert "a median relative error of 9% (nearest checkpoint: 12%)" in short
        assert main([*line, "--verbose"]) == 0
        full = " ".join(capsys.readouterr().out.split())
        assert main([*line, "--json"]) == 0
        warnings = json.loads(capsys.readouterr().out)["warnings"]
        for words in fit.notes:
            assert words.split(": ")[0].split(" (")[0] in short
            assert f"the law: {words}" in full
            assert f"the law: {words}" in warnings


def test_dollars_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("altair", reason="figures need t2fast[report]")
    for more in ([], ["--sizes", "1e8,4e8,8e8,2e10"]):
        assert main([*DOLLARS, "--usd", "100", *more, "--json", "--plot", str(tmp_path / "bought.svg")]) == 0
        best = json.loads(capsys.readouterr().out)
        assert "<svg" in (tmp_path / "bought.svg").read_text(encoding="utf-8")
        work = Workload.on(Machine(accelerator("H100"), usd_per_hour=2.5), 1e6, 500, 500)
        sizes = [1e8, 4e8, 8e8, 2e10] if more else None
        found = plan_spending(default_law(), work, budget=100, n_params=sizes, level=0.8)
        curve = found.profile(30)
        # 2e10 parameters on the fewest tokens cost more than all there is.
        assert curve["n_params"].to_list() == ([1e8, 4e8, 8e8] if more else sorted(curve["n_params"]))
        assert curve["predicted"].max() <= best["predicted"] * (1 + 1e-9)
        assert curve["predicted"].max() > best["predicted"] * 0.98
        marked = found.figure().frame.filter(pl.col("choice").is_not_null())
        assert marked["choice"].to_list() == ["plan", "Chinchilla"]


def test_a_limit_that_cuts_chinchillas_choice_withholds_the_ratio(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*DOLLARS, "--per-query", "1e-5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["chinchilla"]["cost"] < 0.1 * 1000
    assert found["ratio"] is None
    assert found["no_ratio"] == "Chinchilla's choice is cut by cost a query at most 1e-05 USD"


def test_a_query_is_held_to_what_it_may_cost_and_take(capsys: pytest.CaptureFixture[str]) -> None:
    limited = [*DOLLARS, "--per-query", "2e-4", "--latency", "3"]
    assert main([*limited, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["serving"] <= 1e6 * 2e-4 * (1 + 1e-9)
    assert any(words.startswith("held to cost a query at most 0.0002 USD;") for words in found["warnings"])
    assert main(["plan", "--total-flops", "1e22", "--queries", "1e6", "--latency", "1"]) == 1
    assert "--latency needs --gpu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers,width\n1,2\n", "has no column 'hidden'"),
        ("layers,width,hidden,vocab,heads,head_dim\n12,0.5,1,1,1,1\n", "row 1: width is '0.5'"),
        ("layers,width,hidden,vocab,heads,head_dim\n12,64,1,,1,1\n", "row 1: vocab is empty"),
        ("layers,width,hidden,vocab,heads,head_dim,tied\n1,1,1,1,1,1,maybe\n", "tied is 'maybe'"),
        ("layers,width,hidden,vocab,heads,head_dim\n", "has no rows"),
        ("layers,width,hidden,vocab,heads,head_dim\n2,8,8,8,2,4\n", "none of these sizes"),
    ],
)
def test_an_architecture_that_is_none_is_refused(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "models.csv"
    table.write_text(text)
    assert main([*DOLLARS, "--architectures", str(table)]) == 1
    assert message in capsys.readouterr().err


def test_the_ratio_is_of_both_planned_anew(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DOLLARS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ratio"] == pytest.approx(found["predicted"] / found["chinchilla"]["predicted"])
    work = Workload.on(Machine(accelerator("H100"), usd_per_hour=2.5), 1e6, 500, 500)
    law = default_law()
    assert law.draws is not None
    ranges = {"n_params": (8e7, 2.4e10), "k": (1, 256)}
    drawn = []
    for row in law.draws[:40]:
        one = Law(law.name, dict(zip(law.params, row, strict=True)), draws=None)
        ours = best_spending(one, 1000, work, n_tokens=(1e9, 6e11), **ranges).predicted
        theirs = chinchilla_spending(one, 1000, work, **ranges)
        assert theirs is not None
        drawn.append(ours / theirs.predicted)
    low, high = found["ratio_interval"]
    assert low < found["ratio"] < high
    assert np.mean((np.array(drawn) >= low) & (np.array(drawn) <= high)) == pytest.approx(0.9, abs=0.12)
    assert main(DOLLARS) == 0
    assert (
        f"predicted pass@k {found['ratio']:.2f} times Chinchilla's (90% interval " in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--extrapolate", "10", "--usd", "1e7"], "outside the law's data"),
        (["--max-params", "2e8"], "Chinchilla's choice is cut by the n_params maximum"),
    ],
)
def test_no_ratio_where_none_can_be_believed(
    capsys: pytest.CaptureFixture[str], more: list[str], reason: str
) -> None:
    assert main([*DOLLARS, *more, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ratio"] is None
    assert reason in found["no_ratio"]


def test_what_lifting_a_limit_would_bring_is_what_it_brings(capsys: pytest.CaptureFixture[str]) -> None:
    rich = [*DOLLARS, "--usd", "100000", "--json"]
    assert main(rich) == 0
    found = json.loads(capsys.readouterr().out)
    said = [words for words in found["warnings"] if words.startswith("held to ")]
    assert [words[8] for words in said] == ["D", "k"]
    assert "where this law stops being believed, 2x beyond the most it was fitted on (128)" in said[1]
    assert main([*DOLLARS, "--usd", "100000", "--max-k", "64", "--json"]) == 0
    narrow = json.loads(capsys.readouterr().out)
    (held,) = (words for words in narrow["warnings"] if words.startswith("held to k = 64, the most allowed"))
    assert main([*DOLLARS, "--usd", "100000", "--max-k", "128", "--json"]) == 0
    wider = json.loads(capsys.readouterr().out)["predicted"]
    assert f"would bring pass@k {wider:.4f} in place of pass@k {narrow['predicted']:.4f}" in held


def test_a_target_beyond_a_law_that_falls_names_the_best_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, pythia: Counts
) -> None:
    law = fit_forecast(pythia.filter(min_params=1.6e8, min_tokens=2e9), draws=0)
    law.save(tmp_path / "law.json")
    asked = [*DOLLARS[3:], "--law", str(tmp_path / "law.json"), "--max-params", "1.6e8"]
    assert main(["plan", "--target", "0.9", *asked]) == 1
    error = capsys.readouterr().err
    best = float(error.split("its best there is ")[1].split(",")[0])
    d = np.geomspace(1e9, 6e11, 400)
    dense = max(
        np.max(law.predict(np.full(400, n), d, np.full(400, 256.0))) for n in np.geomspace(8e7, 1.6e8, 30)
    )
    assert best == pytest.approx(float(dense), abs=1e-3)
    assert main(["plan", "--usd", "100000", *asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["predicted"] == pytest.approx(best, abs=1e-4)
    assert any("tokens here: 98." in words and "left unspent" in words for words in found["warnings"])


def test_a_model_beyond_one_chip_names_the_chips_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--usd", "1e7", "--gpu", "TPU v5e", "--usd-per-hour", "1.2", "--queries", "1e6"]
    asked += ["--sizes", "7.7B", "--batch", "8", "--cache-bytes", "1e5", "--k", "100", "--latency", "60"]
    asked += ["--chips", "1"]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    memory = found["memory"]
    # 15.4 GB of weights and 8 x 1000 x 0.1 MB of caches on chips of 16 GB.
    assert (memory["chips"], memory["weight_bytes"], memory["cache_bytes"]) == (2, 15.4e9, 0.8e9)
    assert memory["largest_batch"] == 166
    rate = 2 * 0.6 * 0.819e12
    step = (15.4e9 + 100 * 750 * 1e5) / rate
    prompt = max(2 * 7.7e9 * 500 / (2 * 0.4 * 197e12), 15.4e9 / rate)
    assert memory["seconds_per_query"] == pytest.approx(prompt + 500 * step)
    second = 2 * 1.2 / 3600
    read = 500 * 2 * 7.7e9 / (2 * 0.4 * 197e12) * second
    written = 100 * 500 * (15.4e9 + 8 * 750 * 1e5) / rate / 8 * second
    assert found["serving"] / 1e6 == pytest.approx(read + written)
    assert main(asked) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "served on 2 chips of TPU v5e, 32 GB: weights 15.4 GB" in shown
    assert "memory binds at a batch of 166; 1 does not hold it" in shown
    # Held on one chip, which does not hold it; on two it takes less than that.
    assert "! latency at most 60 s: it was held on 1 chip, all samples at once" in shown
    assert "if these share bytes and arithmetic evenly" in shown
    # Asked for two, it fits.
    assert main([*asked, "--chips", "2"]) == 0
    assert "hold it" not in capsys.readouterr().out
    assert main([*DOLLARS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["memory"]["chips"] == 1
    assert main([*TOTAL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["memory"] is None


def test_reading_caches_is_paid_and_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    held = ["--sizes", "1.5B", "--k", "16", "--tokens", "5B"]
    serving = []
    for more in ([], ["--cache-bytes", "0"]):
        assert main([*DOLLARS, "--usd", "10000", *held, *more, "--json"]) == 0
        serving.append(json.loads(capsys.readouterr().out)["serving"])
    assert serving[0] > 3 * serving[1]
    slow = ["plan", "--usd", "10000", *DOLLARS[3:], "--latency", "5", "--sizes", "1.5B"]
    slow += ["--chips", "1"]
    assert main([*slow, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["memory"]["seconds_per_query"] <= 5 * (1 + 1e-9)
    assert main(slow) == 0
    assert "s is more than it" not in capsys.readouterr().out
    assert main([*slow, "--k", "256"]) == 1
    assert "latency at most 5 s: the least model, 1.5B parameters, takes " in capsys.readouterr().err
