"""The page in a real browser: 60 checkpoints, 1,000 problems, a law and a plan, names that are hostile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import t2fast

pytestmark = pytest.mark.browser

CHECKPOINTS, PROBLEMS = 60, 1000
HOSTILE = '<img src=x onerror="document.title=1"></script><script>document.title=1</script>\u202e${1}`'
SIZES = [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")]


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    law = t2fast.default_law()
    n, d = np.geomspace(1.6e8, 1.2e10, 10).tolist(), np.geomspace(2e9, 3e11, 6).tolist()
    drawn = t2fast.simulate_counts(law, n, d, problems=PROBLEMS, samples=64, seed=1)
    largest = drawn.frame["model"][-1]
    frame = drawn.frame.with_columns(pl.col("model").replace({largest: HOSTILE}))
    counts = t2fast.read_counts(frame)
    assert counts.checkpoints.height == CHECKPOINTS
    path = tmp_path_factory.mktemp("report") / "report.html"
    t2fast.report(counts, law, t2fast.plan(law, 2.56e19, 2e9), title=HOSTILE).save(path)
    return path


class Visit:
    """The page, opened; what its console said and what it asked for."""

    def __init__(
        self, browser: Any, file: Path, width: int = 1280, scheme: str = "light", **options: Any
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())

    def draw(self) -> None:
        """Scroll through all charts, which are drawn as they come near."""
        for place in self.page.query_selector_all(".live"):
            place.evaluate("one => one.scrollIntoView()")  # without waiting for it to hold still
            self.page.wait_for_function("place => place.dataset.drawn", arg=place)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_every_chart_is_drawn_and_nothing_leaves_the_page(
    browser: Any, page_file: Path, width: int, scheme: str
) -> None:
    with Visit(browser, page_file, width, scheme) as visit:
        visit.draw()
        page = visit.page
        charts = page.locator(".live svg").count()
        assert charts == page.locator(".live").count() >= 11
        # Marks, and not only axes.
        assert page.eval_on_selector_all(
            ".live",
            "all => all.every(one => one.querySelector('.mark-line path, .mark-symbol path, .mark-rect *'))",
        )
        assert visit.said == []
        assert [url for url in visit.requests if not url.startswith("data:")] == [page_file.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ink = page.evaluate("getComputedStyle(document.querySelector('.live text')).fill")
        assert (ink == "rgb(230, 232, 234)") == (scheme == "dark")


def test_a_picture_stands_for_every_chart_until_it_is_drawn(browser: Any, page_file: Path) -> None:
    with Visit(browser, page_file) as visit:
        visit.page.wait_for_selector(".live[data-drawn]", state="attached")
        assert not visit.page.locator(".still").first.is_visible()
        assert visit.page.locator(".live").last.get_attribute("data-drawn") is None
        assert visit.page.locator(".still").last.is_visible()
        visit.draw()
        assert not visit.page.locator(".still").last.is_visible()


def test_no_word_of_a_picture_is_cut(browser: Any, page_file: Path) -> None:
    """The browser's letters are wider than those that the picture was measured with."""
    cut = """async stills => {
        const cut = [];
        for (const still of stills) {
            const place = document.createElement("div");
            place.innerHTML = await (await fetch(still.src)).text();
            document.body.append(place);
            const frame = place.querySelector("svg").getBoundingClientRect();
            for (const word of place.querySelectorAll("text")) {
                const box = word.getBoundingClientRect();
                if (!box.width) continue;
                if (box.left < frame.left || box.right > frame.right) cut.push(word.textContent);
            }
            place.remove();
        }
        return cut;
    }"""
    with Visit(browser, page_file, bypass_csp=True) as visit:
        assert visit.page.locator(".still").evaluate_all(cut) == []


def test_names_are_text_wherever_they_stand(browser: Any, page_file: Path) -> None:
    shown = HOSTILE.replace("\u202e", "\\u202e")
    with Visit(browser, page_file) as visit:
        visit.draw()
        page = visit.page
        assert page.title() == shown
        assert page.locator("h1").text_content() == shown
        assert page.locator("img:not(.still)").count() == 0
        assert page.locator("script").count() == 3
        assert page.locator("td", has_text="onerror").count() >= 1


def test_a_band_is_shown_when_a_checkpoint_is_picked_by_keyboard(browser: Any, page_file: Path) -> None:
    with Visit(browser, page_file) as visit:
        visit.draw()
        first = visit.page.locator(".live").first
        listed, bands = first.locator("select"), first.locator(".mark-area path:not([opacity='0'])")
        assert bands.count() == 2  # of the highest and the lowest curve, until one is picked
        listed.focus()
        for key in ("ArrowDown", "End"):  # the first checkpoint, and that with the hostile name
            visit.page.keyboard.press(key)
            visit.page.wait_for_function(
                "one => one.querySelectorAll(\".mark-area path:not([opacity='0'])\").length == 1",
                arg=first.element_handle(),
            )
            assert bands.count() == 1
        assert listed.input_value() == HOSTILE.replace("\u202e", "\\u202e")


def test_the_data_of_a_figure_can_be_downloaded(browser: Any, page_file: Path) -> None:
    with Visit(browser, page_file, accept_downloads=True) as visit:
        with visit.page.expect_download() as waiting:
            visit.page.locator("a[download='pass_at_k.csv']").click()
        frame = pl.read_csv(waiting.value.path())
    assert frame["checkpoint"].n_unique() == CHECKPOINTS
    assert frame.filter(pl.col("k") == 1)["problems"].unique().to_list() == [PROBLEMS]


def test_without_scripts_and_on_paper_there_are_pictures(browser: Any, page_file: Path) -> None:
    shown = (
        "all => all.filter(one => one.naturalWidth > 100 && one.getBoundingClientRect().width > 100).length"
    )
    with Visit(browser, page_file, java_script_enabled=False) as visit:
        stills = visit.page.locator(".still")
        assert stills.evaluate_all(shown) == stills.count() >= 11
    with Visit(browser, page_file) as visit:
        visit.draw()
        visit.page.emulate_media(media="print")
        stills = visit.page.locator(".still")
        assert stills.evaluate_all(shown) == stills.count()
        assert not visit.page.locator(".live").first.is_visible()


def test_paper_has_the_beginning_of_a_long_table_and_says_so(browser: Any, tmp_path: Path) -> None:
    grid = np.arange(1, 101)
    losses = t2fast.read_losses({"n_params": grid * 1e7, "n_tokens": grid * 1e9, "loss": 4 - grid / 100})
    t2fast.report(losses).save(tmp_path / "report.html")
    with Visit(browser, tmp_path / "report.html") as visit:
        rows = visit.page.locator(".long").first.locator("tbody tr")
        rest = visit.page.locator(".unprinted").first
        shown = "all => all.filter(one => one.checkVisibility()).length"
        assert rows.evaluate_all(shown) == 100
        assert not rest.is_visible()
        visit.page.emulate_media(media="print")
        assert rows.evaluate_all(shown) == 60
        assert rest.is_visible()
        assert rest.inner_text() == "and 40 more rows on the page itself"


def test_figures_of_several_panels_stand_side_by_side_on_paper(browser: Any, page_file: Path) -> None:
    with Visit(browser, page_file, width=700) as visit:
        visit.page.emulate_media(media="print")
        first, second = visit.page.locator(".panels.many .panel").evaluate_all(
            "all => all.slice(0, 2).map(one => one.getBoundingClientRect().top)"
        )
        assert first == second


def test_the_page_stays_small(page_file: Path) -> None:
    assert page_file.stat().st_size < 5e6
