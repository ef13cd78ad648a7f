"""The explorer in a browser: it answers as it is moved, by keyboard too, and all text on it is only text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import t2fast
from t2fast import text
from t2fast.cli.main import main
from t2fast.plans.memory import housed

HOSTILE = "</script><script>document.title=1</script><img src=x onerror=alert(1)>\u202e"
SIZES = [(1280, "light"), (400, "dark")]
ANSWERED = "() => ['law', 'draws'].every((role) => document.body.dataset.answered?.includes(role))"


@pytest.fixture(scope="module")
def law() -> t2fast.Law:
    law = t2fast.default_law()
    return replace(law, draws=law.draws[:60], source=HOSTILE)


@pytest.fixture(scope="module")
def file(law: t2fast.Law, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    t2fast.explore(law, 2.56e19, 2e9, title=HOSTILE).save(path)
    return path


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Any, file: Path) -> Iterator[Any]:
    width, scheme = getattr(request, "param", SIZES[0])
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    asked_for: list[str] = []
    page.on("request", lambda request: asked_for.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function(ANSWERED)
    yield page
    assert said == []
    assert [url for url in asked_for if not url.startswith(("data:", "blob:"))] == [file.as_uri()]
    context.close()


def answer(page: Any) -> str:
    page.wait_for_function(ANSWERED)
    words: str = page.inner_text("#summary")
    return words


@pytest.mark.browser
@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_it_begins_with_the_plan_its_interval_and_what_to_know(page: Any, law: t2fast.Law) -> None:
    plan = t2fast.plan(law, 2.56e19, 2e9)
    assert plan.ratio is not None
    assert plan.ratio_interval is not None
    low, high = plan.ratio_interval
    assert answer(page) == (
        f"Train {text.amount(plan.n_params)} parameters on {text.amount(plan.n_tokens)} tokens and draw "
        f"{text.samples(plan.k)} samples a problem: predicted pass@k {text.chance(plan.predicted)}, "
        f"{plan.ratio:.2f} times Chinchilla's (90% interval {low:.2f} to {high:.2f})."
    )
    assert page.locator("#warned li").all_inner_texts() == list(plan.warnings)
    here = plan.intervals["predicted_here"]
    cells = page.locator("#plan td").all_inner_texts()
    assert " to ".join(map(text.chance, here)) in cells
    assert text.chance(plan.chinchilla.predicted) in cells
    assert page.locator(".chart svg .mark").count() == 2 * (1 + 4)
    assert page.locator(".chart svg .band").count() == 1 + 2 * 4
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_the_answer_is_seen_while_fields_are_moved(page: Any) -> None:
    page.check("[name=mode][value=one]")
    page.select_option("#chip", "H100")
    answer(page)
    page.locator("#unique").scroll_into_view_if_needed()
    box = page.locator("#summary").bounding_box()
    assert 0 <= box["y"] < box["y"] + box["height"] <= 900
    assert page.locator("#unique").bounding_box()["y"] > (box["y"] + box["height"] if box["x"] < 200 else 0)


@pytest.mark.browser
def test_names_are_text(page: Any) -> None:
    shown = HOSTILE.replace("\u202e", "\\u202e")
    assert page.title() == shown
    assert page.locator("h1").inner_text() == shown
    assert shown in page.locator("header p").inner_text()
    assert page.locator("script").count() == 5
    assert page.locator("img").count() == 0


@pytest.mark.browser
def test_what_is_typed_is_planned_and_what_is_no_number_is_marked(page: Any, law: t2fast.Law) -> None:
    page.fill("#train", "1e21")
    plan = t2fast.plan(law, 1e21, 2e9)
    assert answer(page).startswith(f"Train {text.amount(plan.n_params)} parameters")
    before = answer(page)
    page.fill("#train", "much")
    assert page.get_attribute("#train", "aria-invalid") == "true"
    assert page.inner_text("#train-why") == "“much” is no number: write 2.5e9, 160M or 1.2B"
    assert answer(page) == before
    page.fill("#train", "1e14")
    page.wait_for_selector("#refusal:not([hidden])")
    with pytest.raises(ValueError, match="buy no model") as refused:
        t2fast.plan(law, 1e14, 2e9)
    words = str(refused.value).replace("extrapolate=", "“How far beyond the law's data, as a factor” ")
    assert page.inner_text("#refusal") == f"Training budget 6ND: {words}"
    assert page.get_attribute("#train", "aria-invalid") == "true"
    assert page.text_content("#progress") == ""
    page.click("#reset")
    page.wait_for_selector("#refusal", state="hidden")
    assert page.get_attribute("#train", "aria-invalid") == "false"
    assert page.input_value("#train") == "2.56e+19"


@pytest.mark.browser
def test_a_draw_that_cannot_be_planned_leaves_the_plan_and_says_so(
    browser: Any, law: t2fast.Law, tmp_path: Path
) -> None:
    assert law.draws is not None
    draws = law.draws.copy()
    draws[50, list(law.params).index("alpha")] = -1
    t2fast.explore(replace(law, draws=draws), 2.56e19, 2e9).save(tmp_path / "explorer.html")
    page = browser.new_page()
    page.goto((tmp_path / "explorer.html").as_uri())
    page.wait_for_selector("#progress >> text=no intervals")
    assert page.inner_text("#progress") == (
        "no intervals, because of one draw: parameter alpha is -1: it has to be finite and not negative"
    )
    assert text.amount(t2fast.plan(replace(law, draws=None), 2.56e19, 2e9).n_params) in page.inner_text(
        "#plan"
    )
    page.close()


@pytest.mark.browser
def test_far_beyond_the_data_charts_still_end(page: Any, law: t2fast.Law) -> None:
    """Where the law's pass@k is near the least number there is, ticks of its logarithm never ended."""
    page.click("summary")
    page.fill("#extrapolate", "1000")
    page.fill("#train", "3e19")
    plan = t2fast.plan(law, 3e19, 2e9, extrapolate=1000)
    assert answer(page).startswith(f"Train {text.amount(plan.n_params)} parameters")
    page.wait_for_function("document.querySelectorAll('#frontier svg').length > 0")
    assert page.locator("#frontier svg text").count() < 200


@pytest.mark.browser
def test_what_no_command_takes_is_marked(page: Any) -> None:
    page.click("summary")
    before = answer(page)
    for field, value, why in (
        ("#mostK", "0.5", "at least 1"),
        ("#extrapolate", "0.9", "at least 1"),
        ("#level", "1.5", "at most 0.9999"),
        ("#train", "-2", "more than 0"),
        ("#train", "", "a number is needed: write 2.5e9, 160M or 1.2B"),
    ):
        page.fill(field, value)
        assert page.get_attribute(field, "aria-invalid") == "true"
        assert page.inner_text(f"{field}-why") == why
        assert answer(page) == before


@pytest.mark.browser
def test_sliders_and_charts_move_by_keyboard(page: Any) -> None:
    before = answer(page)
    page.focus("[aria-label^='Training budget']")
    page.keyboard.press("ArrowRight")
    assert float(page.input_value("#train")) > 2.56e19
    assert answer(page) != before
    page.focus("#row")
    page.keyboard.press("ArrowRight")
    assert answer(page).endswith("By draw 1 of the law.")
    assert page.inner_text("#by") == "At the command line, by the law itself: no command plans by one draw"
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#by") == "The same at the command line"
    answer(page)
    page.focus("#profile .chart")
    page.keyboard.press("Home")
    read = page.inner_text("#profile .readout")
    assert re.fullmatch(r"N = .*: pass@k [\d.e-]+ \([\d.e-]+ to [\d.e-]+\)", read), read


@pytest.mark.browser
def test_one_budget_in_dollars_and_a_target(page: Any, law: t2fast.Law) -> None:
    page.check("[name=mode][value=one]")
    page.select_option("#chip", "H100")
    page.fill("#budget", "10000")
    words = answer(page)
    work = t2fast.Workload.on(
        t2fast.costs.Machine(t2fast.costs.accelerator("H100"), usd_per_hour=2.5), 1e6, 500, 500
    )
    plan = t2fast.plan_spending(law, work, budget=1e4)
    assert words.startswith(f"Train {text.amount(plan.chosen.n_params)} parameters")
    assert page.locator("#warned li").all_inner_texts() == list(plan.warnings)
    assert plan.room is not None
    assert page.locator("#room li").all_inner_texts() == list(housed(plan.room, plan.chosen, []))
    assert page.inner_text("#command") == (
        't2fast plan --law LAW.json --usd 10000 --queries 1e6 --gpu "H100" --usd-per-hour 2.5'
    )
    page.check("[name=mode][value=target]")
    page.fill("#target", "0.3")
    answer(page)
    cheapest = t2fast.plan_spending(law, work, target=0.3)
    assert work.money(cheapest.chosen.cost) in page.locator("#plan td").all_inner_texts()
    assert page.locator("#frontier-cost .line").count() == 1
    assert page.locator("#frontier-value").is_hidden()
    page.check("[name=mode][value=two]")
    answer(page)
    assert page.locator("#room li").count() == 0
    assert page.locator("#frontier-value .line").count() == 2
    assert page.locator("#frontier-value .band").count() == 2


@pytest.mark.browser
def test_a_refusal_names_the_field_that_is_to_blame(page: Any) -> None:
    refusal = "#refusal:not([hidden])"
    page.fill("#inference", "1e3")
    page.wait_for_selector(refusal)
    assert page.inner_text(refusal).startswith("Inference budget 2Nk, per token served: 1e+03 infer")
    assert page.get_attribute("#inference", "aria-invalid") == "true"
    page.check("[name=mode][value=one]")
    page.fill("#budget", "1e3")
    page.wait_for_selector(refusal)
    assert page.inner_text(refusal).startswith("Budget for training and all queries: 1e+03 FLOPs is too")
    page.check("[name=mode][value=target]")
    page.fill("#target", "0.999")
    page.wait_for_selector(f"{refusal} >> text=nowhere")
    assert page.inner_text(refusal).startswith("Target pass@k: the law reaches pass@k 0.999 nowhere")
    assert page.get_attribute("#budget", "aria-invalid") == "false"


def test_the_command_names_a_law_where_it_is_not_the_usual_one(law: t2fast.Law) -> None:
    assert '"ours":false' in t2fast.explore(law).html()
    assert '"ours":true' in t2fast.explore(t2fast.default_law()).html()


@pytest.mark.browser
def test_without_scripts_it_says_so(browser: Any, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator("#bare").is_visible()
    context.close()


def test_the_command_writes_the_same_small_page_each_time(tmp_path: Path, capsys: Any) -> None:
    files = [tmp_path / "a.html", tmp_path / "b.html"]
    for path in files:
        assert main(["explore", "-o", str(path), "--json"]) == 0
    shown = capsys.readouterr()
    assert f"explorer kept in {files[1]}" in shown.err
    content = files[0].read_bytes()
    assert content == files[1].read_bytes()
    assert len(content) < 2e6
    decoder = json.JSONDecoder()
    data, _ = decoder.raw_decode(shown.out)
    assert data["bytes"] == len(content)
    assert data["law"] == "accuracy"


def test_the_law_may_be_named_as_by_other_commands(tmp_path: Path, capsys: Any) -> None:
    pages = []
    for how in (["testbed-causal"], ["--law", "testbed-causal"]):
        path = tmp_path / "explorer.html"
        assert main(["explore", *how, "-o", str(path)]) == 0
        pages.append(path.read_text())
    assert pages[0] == pages[1]
    with pytest.raises(SystemExit):
        main(["explore", "testbed-causal", "--law", "testbed-causal", "-o", str(path)])
    assert "not allowed with" in capsys.readouterr().err


def test_what_cannot_be_planned_cannot_be_explored(law: t2fast.Law) -> None:
    direct = t2fast.Law("direct", {"c0": 8.0, "c1": -0.2, "c2": -0.9, "c3": 0.015})
    with pytest.raises(ValueError, match="plan with another law"):
        t2fast.explore(direct)
    with pytest.raises(ValueError, match="buy no model"):
        t2fast.explore(law, 1e14)
    with pytest.raises(TypeError, match="an explorer takes Law or ForecastLaw"):
        t2fast.explore("law.json")  # type: ignore[arg-type]
