"""A small client for chat endpoints that speak OpenAI's protocol (OpenAI, vLLM, llama.cpp, Ollama ...); off unless configured."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from core.errors import UserError

URL_VARIABLE, KEY_VARIABLE = "NEGSPACE_LLM_URL", "NEGSPACE_LLM_KEY"
MODEL_VARIABLE, SECOND_VARIABLE = "NEGSPACE_LLM_MODEL", "NEGSPACE_LLM_MODEL_2"
RETRIED = (408, 409, 425, 429, 500, 502, 503, 504, 529)
LONGEST_WAIT, MOST_ANSWER_BYTES = 60.0, 1_000_000


class ChatError(UserError):
    """An answer that did not come or cannot be used. ``is_fatal``: asking again, or about another pair, would not help."""

    def __init__(self, text: str, *, is_fatal: bool = False):
        super().__init__(text)
        self.is_fatal = is_fatal


@dataclass(frozen=True)
class Answer:
    """What the model said, and the tokens that the server counted (0 where it does not say)."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:  # the key must not travel to another host
        return None


class Pace:
    """Lets calls through one after the other, at most ``per_minute`` a minute; shared by the threads of a run."""

    def __init__(self, per_minute: float | None):
        self.gap = 60.0 / per_minute if per_minute else 0.0
        self._next, self._lock = 0.0, threading.Lock()

    def wait(self, sleep: Callable[[float], None]) -> None:
        with self._lock:
            now = time.monotonic()
            at = max(self._next, now)
            self._next = at + self.gap
        if at > now:
            sleep(at - now)


@dataclass(frozen=True)
class Endpoint:
    """Where to ask and whom. ``url``: the base, such as http://localhost:8000/v1. ``second_model``: "" = no cascade."""

    url: str
    model: str
    second_model: str = ""
    key: str = field(default="", repr=False)
    timeout_s: float = 60.0
    retries: int = 3

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Endpoint | None:
        """The endpoint that the variables name; None without a URL (the default). Raises UserError where they make no sense."""
        values = os.environ if environment is None else environment
        url = values.get(URL_VARIABLE, "").strip().rstrip("/")
        if not url:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"${URL_VARIABLE} must be the base of a chat endpoint, such as http://localhost:8000/v1; got {url!r}.")
        model = values.get(MODEL_VARIABLE, "").strip()
        if not model:
            raise UserError(f"${URL_VARIABLE} is set but ${MODEL_VARIABLE} is not. Name the model that shall judge.")
        return cls(url, model, values.get(SECOND_VARIABLE, "").strip(), values.get(KEY_VARIABLE, "").strip())

    def chat(
        self,
        model: str,
        messages: list[dict[str, str]],
        *,
        most_tokens: int = 200,
        should_stop: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Answer:
        """The model's answer at temperature 0; tries again after a while where the server is busy or gone.

        Raises ChatError when it refuses, or did not answer after ``retries`` more tries.
        """
        body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": most_tokens}
        headers = {"Content-Type": "application/json", "User-Agent": "negspace"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        url = f"{self.url}/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
        opener = urllib.request.build_opener(_NoRedirect)
        for attempt in range(self.retries + 1):
            pause = min(LONGEST_WAIT, 2.0**attempt)
            try:
                with opener.open(request, timeout=self.timeout_s) as response:
                    return _read(response.read(MOST_ANSWER_BYTES))
            except urllib.error.HTTPError as error:
                said = error.read(2000).decode("utf-8", "replace").strip()[:300]
                problem = f"{self.url} answered {error.code} ({said or error.reason})"
                if error.code not in RETRIED:
                    raise ChatError(f"{problem}. Check the URL, the key and the model's name.", is_fatal=True) from error
                pause = _retry_after(error.headers.get("Retry-After"), pause)
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, OSError) as error:
                problem = f"{self.url} does not answer ({getattr(error, 'reason', None) or error or type(error).__name__})"
            if should_stop() or attempt == self.retries:
                break
            sleep(pause)
        raise ChatError(f"{problem}, asked {attempt + 1} times. Try again later.")


def _read(data: bytes) -> Answer:
    try:
        body = json.loads(data)
        text = body["choices"][0]["message"]["content"]
        usage = body.get("usage") or {}
        return Answer(str(text or ""), int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        problem = "The endpoint's answer is not that of a chat: no choices[0].message.content. Check its URL."
        raise ChatError(problem, is_fatal=True) from error


def _retry_after(header: str | None, otherwise: float) -> float:
    try:
        return min(LONGEST_WAIT, max(0.0, float(header or "")))
    except ValueError:
        return otherwise
