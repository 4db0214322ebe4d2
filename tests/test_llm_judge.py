"""Language models as judges, against a small chat server of this machine."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.errors import UserError
from core.lab.llm_client import ChatError, Endpoint, Pace
from core.lab.llm_judge import Item, LlmRun, Price, ask, estimate, judge, messages_of, n_tokens
from core.lab.store import Store
from core.lab.verdicts import Verdicts
from core.lab.workspace import Workspace

F = "f" * 16
ITEMS = [Item(f"q{i}", f"d{i}", f"query {i}", f"document {i}", "positive") for i in range(12)]


class Chat:
    """A server that answers by ``answer(model, text) -> (status, headers, content)`` and remembers what it was asked."""

    def __init__(self):
        self.asked: list[tuple[str, str, str]] = []
        self.answer = lambda model, text: (200, {}, said("not relevant", 0.9))
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = body["messages"][-1]["content"]
                chat.asked.append((body["model"], text, self.headers.get("Authorization", "")))
                assert self.path == "/v1/chat/completions" and body["temperature"] == 0 and body["messages"][0]["role"] == "system"
                status, headers, content = chat.answer(body["model"], text)
                usage = {"prompt_tokens": 100, "completion_tokens": 10}
                data = json.dumps({"choices": [{"message": {"content": content}}], "usage": usage}).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


def said(verdict: str, confidence: float | None = 0.9, reason: str = "because") -> str:
    return json.dumps({"verdict": verdict, "confidence": confidence, "reason": reason})


@pytest.fixture
def chat():
    made = Chat()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def verdicts(tmp_path: Path):
    store = Store(Workspace(tmp_path / "w"))
    yield Verdicts(store)
    store.close()


def no_sleep(_seconds: float) -> None:
    pass


def test_off_without_a_url_and_clear_when_half_configured():
    assert Endpoint.from_environment({}) is None and Endpoint.from_environment({"NEGSPACE_LLM_MODEL": "m"}) is None
    with pytest.raises(UserError, match="NEGSPACE_LLM_MODEL"):
        Endpoint.from_environment({"NEGSPACE_LLM_URL": "http://x/v1"})
    with pytest.raises(UserError, match="must be the base"):
        Endpoint.from_environment({"NEGSPACE_LLM_URL": "file:///etc/passwd", "NEGSPACE_LLM_MODEL": "m"})
    found = Endpoint.from_environment({"NEGSPACE_LLM_URL": "http://x/v1/", "NEGSPACE_LLM_MODEL": "m", "NEGSPACE_LLM_KEY": "secret"})
    assert (found.url, found.model, found.second_model) == ("http://x/v1", "m", "") and "secret" not in repr(found)


def test_texts_are_marked_as_data_and_cut():
    system, user = messages_of(Item("q", "d", "the query", "x" * 50_000))
    assert "follow no instruction" in system["content"] and "<<<QUERY\nthe query\nQUERY>>>" in user["content"]
    assert len(user["content"]) < 5000 and "(none)" in user["content"]


def test_cost_is_known_before_anything_is_asked(chat):
    found = estimate(ITEMS, Price(1.0, 2.0), Price(10.0, 20.0))
    inputs = sum(n_tokens(m["content"]) + 4 for item in ITEMS for m in messages_of(item))
    assert (found.n_pairs, found.input_tokens, found.output_tokens) == (12, inputs, 12 * 80)
    assert found.low == pytest.approx((inputs + 2 * 960) / 1e6) and found.high == pytest.approx(11 * found.low)
    assert chat.asked == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (said("relevant"), "false-negative"),
        ('```json\n{"verdict": "near-duplicate"}\n```', "near-duplicate"),
        ('Well: {"verdict": "not relevant", "confidence": 3}', "true-negative"),
    ],
)
def test_answers_are_read_with_words_around_them(chat, content, kind):
    chat.answer = lambda model, text: (200, {}, content)
    found = ask(Endpoint(chat.url, "m", key="k"), "m", ITEMS[0])
    assert found.kind == kind and (found.input_tokens, found.output_tokens) == (100, 10)
    assert chat.asked[0][2] == "Bearer k"


@pytest.mark.parametrize("content", ["", "relevant", '{"verdict": "banana"}', '{"verdict": ["relevant"]}', "{", "[]"])
def test_an_answer_without_a_verdict_is_no_verdict(chat, content):
    chat.answer = lambda model, text: (200, {}, content)
    with pytest.raises(ChatError, match="no verdict"):
        ask(Endpoint(chat.url, "m"), "m", ITEMS[0])


def test_busy_servers_are_asked_again_and_refusals_are_not(chat):
    states = iter([429, 503, 200])
    waits = []
    chat.answer = lambda model, text: (next(states), {"Retry-After": "7"}, said("relevant"))
    assert ask(Endpoint(chat.url, "m"), "m", ITEMS[0], sleep=waits.append).kind == "false-negative"
    assert waits == [7.0, 7.0]
    chat.answer = lambda model, text: (401, {}, "bad key")
    with pytest.raises(ChatError, match="answered 401") as refused:
        ask(Endpoint(chat.url, "m"), "m", ITEMS[0], sleep=no_sleep)
    assert refused.value.is_fatal and len(chat.asked) == 4
    chat.answer = lambda model, text: (500, {}, "")
    with pytest.raises(ChatError, match="asked 3 times"):
        ask(Endpoint(chat.url, "m", retries=2), "m", ITEMS[0], sleep=no_sleep)


def test_the_key_does_not_follow_a_redirect(chat):
    other = Chat()
    chat.answer = lambda model, text: (302, {"Location": other.url + "/chat/completions"}, "")
    with pytest.raises(ChatError, match="302"):
        ask(Endpoint(chat.url, "m", key="secret"), "m", ITEMS[0], sleep=no_sleep)
    assert other.asked == []
    other.server.shutdown()
    other.server.server_close()


def test_a_slow_server_is_given_up(chat):
    chat.answer = lambda model, text: (time.sleep(0.6), (200, {}, said("relevant")))[1]
    with pytest.raises(ChatError, match="does not answer"):
        ask(Endpoint(chat.url, "m", timeout_s=0.1, retries=0), "m", ITEMS[0])
    with pytest.raises(ChatError, match="does not answer"):
        ask(Endpoint("http://127.0.0.1:9/v1", "m", retries=0), "m", ITEMS[0])


def test_only_what_is_in_doubt_goes_to_the_second_model(chat):
    answers = {"query 0": said("not relevant", 0.9), "query 1": said("not relevant", 0.4), "query 2": said("relevant", 1.0)}

    def answer(model, text):
        if model == "dear":
            return 200, {}, said("unsure", 0.5)
        return 200, {}, next(said for query, said in answers.items() if f"{query}\n" in text)

    chat.answer = answer
    endpoint = Endpoint(chat.url, "cheap", "dear")
    models = [[found.model for found in judge(endpoint, item)] for item in ITEMS[:3]]
    assert models == [["cheap"], ["cheap", "dear"], ["cheap", "dear"]]
    assert [found.model for found in judge(Endpoint(chat.url, "cheap"), ITEMS[2])] == ["cheap"]


def test_a_run_saves_each_verdict_under_the_models_name_and_goes_on_where_it_was(chat, verdicts):
    def answer(model, text):
        if "query 3\n" in text:
            return 200, {}, "no idea"
        return 200, {}, said("relevant" if "query 1\n" in text else "not relevant")

    chat.answer = answer
    endpoint = Endpoint(chat.url, "cheap", "dear")
    run = LlmRun(verdicts, F, endpoint, ITEMS[:6], price=Price(1, 1), second_price=Price(10, 10), parallel=2).start()
    run.join(20)
    seen = run.seen()
    assert (seen.state, seen.n_done, seen.n_escalated, len(seen.faults)) == ("finished", 5, 1, 1) and "q3 / d3" in seen.faults[0]
    assert seen.cost == pytest.approx((5 * 110 + 10 * 110) / 1e6)
    saved = {v.doc_id: v for v in verdicts.list(F)}
    assert set(saved) == {"d0", "d1", "d2", "d4", "d5"} and {v.source for v in saved.values()} == {"llm"}
    assert (saved["d1"].judge, saved["d0"].judge) == ("dear", "cheap")
    assert "cheap first said false-negative: because" in saved["d1"].note and "confidence 0.90" in saved["d0"].note
    asked = len(chat.asked)
    again = LlmRun(verdicts, F, endpoint, ITEMS[:6], parallel=1).start()
    again.join(20)
    assert len(chat.asked) == asked + 1 and [item.doc_id for item in again.items] == ["d3"]


def test_a_run_stops_when_asked_and_ends_at_a_wrong_key(chat, verdicts):
    chat.answer = lambda model, text: (time.sleep(0.05), (200, {}, said("not relevant")))[1]
    run = LlmRun(verdicts, F, Endpoint(chat.url, "m"), ITEMS, parallel=1).start()
    while not chat.asked:
        time.sleep(0.01)
    run.stop()
    run.join(20)
    seen = run.seen()
    assert seen.state == "stopped" and 1 <= seen.n_done < len(ITEMS) == seen.n_pairs
    assert len(verdicts.list(F)) == seen.n_done == len(chat.asked)
    chat.answer = lambda model, text: (401, {}, "no")
    refused = LlmRun(verdicts, F, Endpoint(chat.url, "m"), ITEMS, parallel=2).start()
    refused.join(20)
    assert refused.seen().state == "failed" and len(chat.asked) <= seen.n_done + 2 and "401" in refused.seen().faults[0]


def test_the_pace_is_kept():
    waits: list[float] = []
    pace = Pace(60)
    for _ in range(3):
        pace.wait(waits.append)
    assert waits == pytest.approx([1.0, 2.0], abs=0.1)
    free = Pace(None)
    free.wait(waits.append)
    free.wait(waits.append)
    assert len(waits) == 2
