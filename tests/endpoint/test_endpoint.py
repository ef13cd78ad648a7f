"""Samples from a server: each index once, whatever the server does, and none of what is not independent."""

from __future__ import annotations

import itertools
import threading
import time
import warnings
from typing import Any

import pytest
from speaking import Speaking, cut, cut_in_the_middle, draw, nothing, page, speaking, status
from t2fast.decode.endpoint import Endpoint, Served, Spent, pacing
from t2fast.decode.request import Sampling
from t2fast.decode.samples import Finished
from t2fast.decode.successes import AHEAD, Successes
from t2fast.kernels.rng import hash64

pytest.importorskip("httpx", reason="asking a server needs the endpoint extra (httpx)")

PROMPTS = {f"p{i}": f"{i} + {i} =" for i in range(7)}


def sampled(
    server: Speaking, k: int = 20, *, have: Any = (), settings: Any = None, **options: Any
) -> tuple[dict[tuple[str, int], Finished], list[Spent]]:
    """All samples, each handed on once."""
    found: dict[tuple[str, int], Finished] = {}
    spent: list[Spent] = []

    def keep(one: Finished) -> bool:
        assert threading.current_thread() is threading.main_thread()
        assert (one.problem, one.sample) not in found
        found[str(one.problem), one.sample] = one
        return False

    model = Served(Endpoint(server.url, **{"concurrency": 4, "per_request": 8, **options}), "m")
    assert model.each(PROMPTS, keep, settings or Sampling(seed=3), k=k, have=have, spent=spent.append)
    return found, spent


def expected(k: int) -> dict[tuple[str, int], str]:
    return {
        (problem, i): draw(prompt, (hash64(3, problem) + i) % 2**31)
        for problem, prompt in PROMPTS.items()
        for i in range(k)
    }


def texts(found: dict[tuple[str, int], Finished]) -> dict[tuple[str, int], str]:
    return {key: one.text for key, one in found.items()}


def test_every_sample_is_asked_for_once_in_chunks(server: Speaking) -> None:
    found, spent = sampled(server)
    assert texts(found) == expected(20)
    assert sorted(body["n"] for body in server.bodies()) == [4] * 7 + [8] * 14
    assert {tuple(body) for body in server.bodies()} == {
        ("model", "prompt", "n", "max_tokens", "temperature", "seed")
    }
    assert sum(one.samples for one in spent) == 140
    assert [sum(getattr(one, name) for one in spent) for name in ("prompt_tokens", "output_tokens")] == (
        server.tokens
    )
    assert {one.finish_reason for one in found.values()} == {"length"}
    assert {one.length for one in found.values()} == {None}


@pytest.mark.parametrize("shift", range(3))
def test_faults_cost_no_sample_and_draw_none_twice(server: Speaking, shift: int) -> None:
    kinds = [
        status(429, Retry_After="0"),
        cut,
        status(500),
        cut_in_the_middle,
        page,
        status(503),
        nothing,
        status(529, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
        None,
    ]
    server.faults = list(itertools.islice(itertools.cycle(kinds), shift, shift + 40))
    if shift == 2:
        server.faults.insert(0, None)
    found, spent = sampled(server, retries=60)
    assert texts(found) == expected(20)
    assert sum(one.retries for one in spent) == len(server.asked) - len(spent) > 20


def test_requests_under_way_are_bounded(server: Speaking) -> None:
    server.seconds = 0.02
    found, _ = sampled(server, 40, concurrency=3)
    assert texts(found) == expected(40)
    assert 1 < server.most_at_work <= 3


@pytest.mark.parametrize("most", [1, 3])
def test_a_server_that_gives_fewer_at_once_is_asked_again(server: Speaking, most: int) -> None:
    server.most_choices = most
    found, _ = sampled(server)
    assert texts(found) == expected(20)
    assert server.bodies()[-1]["n"] <= most
    assert {one.length for one in found.values()} == ({2} if most == 1 else {2, None})


def test_odd_choices_are_told_apart_by_their_index(server: Speaking) -> None:
    def change(answer: dict[str, Any], body: dict[str, Any]) -> None:
        choices = answer["choices"]
        more = {**choices[0], "index": len(choices), "text": "one too many"}
        answer["choices"] = [more, *reversed(choices), {**choices[0], "text": "again"}]
        answer.pop("usage")

    server.change = change
    found, spent = sampled(server)
    assert texts(found) == expected(20)
    assert {(one.prompt_tokens, one.output_tokens) for one in spent} == {(None, None)}


def test_a_pause_that_is_asked_for_is_kept_by_all(server: Speaking) -> None:
    server.faults = [None, status(429, Retry_After="1")]
    server.seconds = 0.05
    found, _ = sampled(server, 40, concurrency=2)
    assert texts(found) == expected(40)
    times = [at for at, *_ in server.asked]
    # The pause begins when the refusal is read: whatever was sent before that may still come in.
    assert max(after - before for before, after in itertools.pairwise(times)) >= 0.9


def test_many_refusals_at_once_slow_down_once() -> None:
    """Eight requests under way are refused together: the gap doubles, and answers bring it back."""
    pace = pacing.Pace(None)
    went = [pace.wait() for _ in range(8)]
    for one in went:
        pace.refused(one, 0.0)
    assert pace._gap == pacing._STEP
    pace.refused(pace.wait(), 0.0)
    assert pace._gap == 2 * pacing._STEP
    for _ in range(20):
        pace.answered()
    assert pace._gap == 0.0


def test_no_more_requests_a_minute_than_allowed(server: Speaking) -> None:
    sampled(server, 8, requests_per_minute=1200.0)
    times = [at for at, *_ in server.asked]
    assert times[-1] - times[0] >= 0.05 * (len(times) - 1) * 0.9


def test_what_fails_for_good_is_said_and_what_came_is_kept(server: Speaking) -> None:
    kept: list[Finished] = []
    server.faults = [None, None]
    server.always = status(500, "out of memory")
    model = Served(Endpoint(server.url, concurrency=1, per_request=4, retries=2), "m")
    with pytest.raises(ValueError, match="failed 3 times, at last with status 500: out of memory"):
        model.each(PROMPTS, lambda one: bool(kept.append(one)), Sampling(), k=4)
    assert [(one.problem, one.sample) for one in kept] == [(p, i) for p in ("p0", "p1") for i in range(4)]


@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (400, "this model's maximum context length is 8", "refuses: status 400: this model's maximum"),
        (404, "no model m", r"refuses: status 404: no model m \(either http://.*/v1 is not the address"),
        (401, "no such key sk-secret-123", r"status 401: no such key \*\*\* \(.*THE_KEY holds a key that"),
    ],
)
def test_what_is_refused_is_asked_once(
    server: Speaking, monkeypatch: pytest.MonkeyPatch, code: int, words: str, says: str
) -> None:
    monkeypatch.setenv("THE_KEY", "sk-secret-123")
    server.always = status(code, words)
    model = Served(Endpoint(server.url, key_env="THE_KEY", concurrency=1), "m")
    with pytest.raises(ValueError, match=says) as failed:
        model.each(PROMPTS, lambda _: False, Sampling(), k=4)
    assert "secret" not in str(failed.value)
    assert "secret" not in repr(model)
    assert "secret" not in repr(model.endpoint)
    assert len(server.asked) == 1
    assert server.asked[0][2]["Authorization"] == "Bearer sk-secret-123"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("sk-secret-123\u00e9", "a character that no key has"),
        ("sk-secret\r\nX: y", "a character that no key"),
    ],
)
def test_a_key_that_no_header_can_have_is_not_repeated(
    server: Speaking, monkeypatch: pytest.MonkeyPatch, key: str, says: str
) -> None:
    monkeypatch.setenv("THE_KEY", key)
    model = Served(Endpoint(server.url, key_env="THE_KEY"), "m")
    with pytest.raises(ValueError, match=f"environment's THE_KEY has {says}") as failed:
        model.each(PROMPTS, lambda _: False, Sampling(), k=1)
    assert "secret" not in str(failed.value)
    assert server.asked == []


def test_the_end_of_a_keys_line_is_no_part_of_it(server: Speaking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T2FAST_API_KEY", "sk-secret-123\r\n")
    sampled(server, 1)
    assert {headers["Authorization"] for _, _, headers, _ in server.asked} == {"Bearer sk-secret-123"}


@pytest.mark.parametrize("blanks", [0, 45, 52])
def test_a_key_in_an_answer_that_is_none_is_not_repeated_in_part(
    server: Speaking, monkeypatch: pytest.MonkeyPatch, blanks: int
) -> None:
    """Whatever is cut off of what an error shows, the key is taken out before."""
    monkeypatch.setenv("T2FAST_API_KEY", "sk-secret-123")
    model = Served(Endpoint(server.url, concurrency=1, retries=0), "m")
    for answer in (b"x" * blanks + b"sk-secret-123</html>", {"x" * blanks: "sk-secret-123"}):
        server.always = lambda handler, _, answer=answer: handler.reply(200, answer) or True
        with pytest.raises(
            ValueError, match=r"failed 1 time, at last with no (JSON but|choices in) "
        ) as failed:
            model.each(PROMPTS, lambda _: False, Sampling(), k=1)
        assert "sk-s" not in str(failed.value)


def test_pages_and_redirections_are_said_in_words(server: Speaking) -> None:
    server.always = lambda handler, _: handler.reply(403, b"<html><h1>Not\nyou</h1></html>") or True
    with pytest.raises(ValueError, match=r"refuses: status 403: Not you \("):
        sampled(server, concurrency=1)
    server.always = lambda handler, _: handler.reply(301, b"", Location="https://b.org/v1?key=secret") or True
    with pytest.raises(
        ValueError, match=r"status 301 \(it points to https://b.org/v1\?\*\*\*: give"
    ) as failed:
        sampled(server, concurrency=1)
    assert "secret" not in str(failed.value)


def test_no_key_is_sent_unless_it_is_named(server: Speaking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-another")
    monkeypatch.delenv("T2FAST_API_KEY", raising=False)
    sampled(server, 1)
    assert not any("authorization" in map(str.lower, headers) for _, _, headers, _ in server.asked)


def test_a_quota_that_is_used_up_is_not_waited_for(server: Speaking) -> None:
    def spent(handler: Any, _: Any) -> bool:
        handler.reply(429, {"error": {"message": "pay first", "code": "insufficient_quota"}})
        return True

    server.always = spent
    with pytest.raises(ValueError, match="refuses: status 429: pay first"):
        sampled(server, concurrency=1)
    assert len(server.asked) == 1


def test_a_pause_too_long_to_wait_is_said(server: Speaking) -> None:
    server.always = status(429, "tomorrow", Retry_After="86400")
    with pytest.raises(ValueError, match=r"asks to wait 86,400 s .status 429: tomorrow.: run again"):
        sampled(server, concurrency=1)


def test_where_nobody_answers_is_said_at_once() -> None:
    with speaking() as server:
        url = server.url
    began = time.monotonic()
    with pytest.raises(ValueError, match=f"nobody answers at {url}"):
        Served(Endpoint(url), "m").each(PROMPTS, lambda _: False, Sampling(), k=1)
    assert time.monotonic() - began < 30


def test_a_chat_is_put_to_the_other_path(server: Speaking) -> None:
    found: list[Finished] = []
    talk = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "2 + 2 ="}]
    sampling = Sampling(top_p=0.9, top_k=5, min_p=0.1, max_tokens=3, temperature=0.5, stop=("\n",))
    model = Served(Endpoint(server.url, request={"max_tokens": None, "max_completion_tokens": 9}), "m")
    prompts: Any = {"a": talk, "b": "3 + 3 ="}
    model.each(prompts, lambda one: bool(found.append(one)), sampling, k=2, chat=True)
    assert len(found) == 4
    bodies = {body["messages"][-1]["content"]: body for body in server.bodies()}
    assert {path for _, path, *_ in server.asked} == {"/v1/chat/completions"}
    assert bodies["2 + 2 ="]["messages"] == talk
    assert bodies["3 + 3 ="]["messages"] == [{"role": "user", "content": "3 + 3 ="}]
    settings = {"top_p": 0.9, "top_k": 5, "min_p": 0.1, "temperature": 0.5, "stop": ["\n"], "n": 2}
    assert settings.items() <= bodies["2 + 2 ="].items()
    assert bodies["2 + 2 ="]["max_completion_tokens"] == 9
    assert "max_tokens" not in bodies["2 + 2 ="]


@pytest.mark.parametrize(
    ("choice", "text", "reason"),
    [
        ({"text": " 4\nQ:", "finish_reason": "length"}, " 4", "stop_string"),
        ({"text": " 4", "finish_reason": "stop", "stop_reason": "\n"}, " 4", "stop_string"),
        ({"text": " 4", "finish_reason": "stop"}, " 4", "stop"),
        ({"text": "", "finish_reason": None}, "", "stop"),
        ({"message": {"content": None}, "finish_reason": "content_filter"}, "", "content_filter"),
    ],
)
def test_samples_end_where_they_should(
    server: Speaking, choice: dict[str, Any], text: str, reason: str
) -> None:
    def change(answer: dict[str, Any], _: dict[str, Any]) -> None:
        answer["choices"] = [choice]

    server.change = change
    found, _ = sampled(server, 1, settings=Sampling(stop=("\n",)))
    assert {(one.text, one.finish_reason) for one in found.values()} == {(text, reason)}


def test_samples_that_are_there_are_not_drawn_again(server: Speaking) -> None:
    there = [[0, 1, 5], [], list(range(20)), [19], [], [0], [3]]
    found, _ = sampled(server, have=there)
    gone = {(problem, i) for problem, own in zip(PROMPTS, there, strict=True) for i in own}
    assert texts(found) == {key: text for key, text in expected(20).items() if key not in gone}


def test_a_problem_ends_at_its_successes(server: Speaking) -> None:
    """In order of index, and with no more under way than is said."""
    server.seconds = 0.005
    verdicts = {problem: Successes(2) for problem in PROMPTS}

    def right(text: str) -> bool:
        return text in (" 3", " 7")

    def finished(one: Finished) -> bool:
        own = verdicts[str(one.problem)]
        assert not own.over
        return own.add(one.sample, right(one.text))

    model = Served(Endpoint(server.url, concurrency=4), "m")
    assert model.each(PROMPTS, finished, Sampling(seed=3), k=60, ahead=AHEAD)
    truth = expected(60)
    asked = dict.fromkeys(PROMPTS, 0)
    for body in server.bodies():
        asked[next(p for p, prompt in PROMPTS.items() if prompt == body["prompt"])] += body["n"]
    for problem, own in verdicts.items():
        hits = [i for i in range(60) if right(truth[problem, i])]
        end = hits[1] + 1 if len(hits) > 1 else 60
        assert own.next == end
        assert asked[problem] <= max(end + AHEAD, 1.5 * end + 1)


def test_one_sample_drawn_n_times_is_refused(server: Speaking) -> None:
    def change(answer: dict[str, Any], body: dict[str, Any]) -> None:
        for choice in answer["choices"]:
            choice["text"] = draw(body["prompt"], body["seed"])

    server.change = change
    with pytest.raises(ValueError, match=r"draws one sample where several are asked for.*--per-request 1"):
        sampled(server, 64)
    found, _ = sampled(server, 64, per_request=1)
    assert texts(found) == expected(64)


def test_a_reply_that_is_given_twice_is_refused(server: Speaking) -> None:
    kept: dict[str, dict[str, Any]] = {}

    def change(answer: dict[str, Any], body: dict[str, Any]) -> None:
        answer.update(kept.setdefault(body["prompt"], dict(answer)))

    server.change = change
    with pytest.raises(ValueError, match="gave a reply twice"):
        sampled(server, 64)


def test_one_id_for_all_replies_is_no_reason_to_doubt(server: Speaking) -> None:
    server.change = lambda answer, _: answer.update(id="chatcmpl-123")
    found, _ = sampled(server, 64)
    assert texts(found) == expected(64)


def test_samples_that_are_all_the_same_are_doubted(server: Speaking) -> None:
    def change(answer: dict[str, Any], _: dict[str, Any]) -> None:
        for choice in answer["choices"]:
            choice["text"] = " Paris"

    server.change = change
    with pytest.warns(UserWarning, match="no sample of a problem differs from another"):
        sampled(server)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampled(server, 1, settings=Sampling(temperature=0))


def test_another_model_in_the_middle_is_said(server: Speaking) -> None:
    names = itertools.cycle(["m-2024", "m-2025"])
    server.change = lambda answer, _: answer.update(model=next(names))
    with pytest.warns(UserWarning, match="answers as several models: m-2024, m-2025"):
        sampled(server)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "localhost:8000"}, "is no address"),
        ({"url": "ftp://host/v1"}, "is no address"),
        ({"url": "http://host:port/v1"}, "is no address"),
        ({"url": "https://me:sk-secret@host/v1"}, r"https://\*\*\*@host/v1.*without a user"),
        ({"url": "https://host/v1?key=sk-secret"}, "what follows a '\\?'"),
        ({"key_env": "sk-secret-123"}, "key_env is no name of a variable"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"per_request": 0}, "per_request must be at least 1"),
        ({"retries": -1}, "retries must be at least 0"),
        ({"timeout": 0.0}, "timeout must be above 0"),
        ({"requests_per_minute": float("nan")}, "requests_per_minute must be above 0"),
        ({"request": {"n": 3}}, "request may not set n"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        Endpoint(**{"url": "http://localhost:8000/v1", **options})
    assert "secret" not in str(refused.value)
