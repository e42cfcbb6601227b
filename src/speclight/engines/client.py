"""An HTTP client over replicas of one engine: many requests in flight, retried, spread over the replicas.

No scheduler of our own: batching, parallelism and prefix caching are the engine's work.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from speclight.checks import check_whole_numbers
from speclight.engines.completion import CompletionRequest, EngineText
from speclight.engines.dialects.dialect import Dialect, HttpRequest
from speclight.engines.dialects.known import AUTO, dialect_named, spoken_by
from speclight.errors import EngineError, InvalidInput

API_KEY_VARIABLE = "SPECLIGHT_API_KEY"
# Answers worth asking again: too many requests, and servers that are overloaded, restarting or behind a
# proxy.
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_WAIT_S = 60.0
# A pause that a server asks for is kept; a longer one ends the run, which goes on when it is repeated.
LONGEST_ASKED_S = 900.0

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How an engine is reached.

    urls: replicas of one engine with one model. model: as the server calls it; asked of the server if None.
    dialect: `auto` or a name of DIALECTS. concurrency: requests in flight, over all replicas. attempts: tries
    of one request. timeout_s: of one request, seconds. first_wait_s: before the second try, then doubling.
    Raises InvalidInput outside these ranges, or for a URL that is no http(s) address.
    """

    urls: tuple[str, ...]
    model: str | None = None
    dialect: str = AUTO
    concurrency: int = 8
    attempts: int = 6
    timeout_s: float = 600.0
    first_wait_s: float = 1.0

    def __post_init__(self) -> None:
        check_whole_numbers(self, "concurrency", "attempts")
        if not self.urls:
            raise InvalidInput("an engine needs at least one URL, got none; give http://HOST:PORT")
        for url in self.urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise InvalidInput(
                    f"got the URL {address_of(url)!r}, expected http://HOST:PORT or https://HOST"
                )
            if parts.username or parts.password or parts.query:
                raise InvalidInput(
                    f"the URL of {address_of(url)} carries a name, key or query, expected the address "
                    "alone; put "
                    f"the key into the environment variable {API_KEY_VARIABLE}"
                )
        if not self.timeout_s > 0.0 or not self.first_wait_s >= 0.0:
            raise InvalidInput("timeout_s must be above 0 and first_wait_s at least 0 seconds")
        if self.dialect != AUTO:
            dialect_named(self.dialect)


def address_of(url: str) -> str:
    """Scheme, host and port of a URL: what may stand in messages and records. User names and keys do not."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


class _Transient(EngineError):
    """Worth trying again. retry_after_s: what the server asked for."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class _Replica:
    client: httpx2.Client
    address: str
    in_flight: int = 0
    failures: int = 0
    answered: int = field(default=0)


class EngineClient:
    """Replicas of one engine as one thing to ask. Use as a context manager; safe from several threads.

    The API key comes from the environment (SPECLIGHT_API_KEY) and never stands in a message or record.
    transport: for tests.
    """

    def __init__(self, settings: EngineSettings, transport: httpx2.BaseTransport | None = None) -> None:
        self.settings = settings
        key = os.environ.get(API_KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx2.Limits(max_connections=settings.concurrency)
        self._replicas = [
            _Replica(
                httpx2.Client(
                    base_url=url,
                    headers=headers,
                    timeout=httpx2.Timeout(settings.timeout_s, connect=10.0),
                    limits=limits,
                    transport=transport,
                ),
                address_of(url),
            )
            for url in settings.urls
        ]
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.dialect: Dialect = (
            spoken_by(self.get_if_there) if settings.dialect == AUTO else dialect_named(settings.dialect)
        )
        self.model = settings.model or self._only_model()

    def __enter__(self) -> EngineClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for replica in self._replicas:
            replica.client.close()

    @property
    def replicas(self) -> int:
        """How many servers answer."""
        return len(self._replicas)

    @property
    def answered(self) -> tuple[int, ...]:
        """[replicas] requests each has answered."""
        return tuple(replica.answered for replica in self._replicas)

    def complete(self, request: CompletionRequest) -> EngineText:
        """One text. Raises EngineError once all attempts have failed, or at once where trying again is no
        use.
        """
        text = self.dialect.read(self.post(self.dialect.completion(request, self.model)), request, self.post)
        asked = request.token_ids
        if asked is not None and text.prompt_tokens not in (None, len(asked)):
            raise EngineError(
                f"sent a prompt of {len(asked)} tokens, the engine counted {text.prompt_tokens}: it adds or "
                "drops tokens, such as a second beginning of text; switch that off (llama.cpp: a GGUF with "
                "add_bos_token false) or measure another server"
            )
        return text

    def complete_all(self, requests: Iterable[CompletionRequest]) -> Iterator[tuple[int, EngineText]]:
        """Pairs of a request's place and its text, in the order in which they arrive."""
        return self.in_parallel(self.complete, requests)

    def in_parallel(
        self, work: Callable[[Given], Made], items: Iterable[Given]
    ) -> Iterator[tuple[int, Made]]:
        """Run `work` on every item, `concurrency` at a time; the first error ends the whole and is raised."""
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            waiting: dict[Future[Made], int] = {
                pool.submit(work, item): place for place, item in enumerate(items)
            }
            try:
                while waiting:
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield waiting.pop(future), future.result()
            except BaseException:
                for future in waiting:
                    future.cancel()
                raise

    def post(self, request: HttpRequest) -> Mapping[str, Any]:
        """The JSON answer to a POST, from the replica with the fewest requests in flight."""
        answer = self._retried(lambda client: client.post(request.path, json=request.body), request.path)
        if not isinstance(answer, Mapping):
            raise EngineError(f"{request.path} answered with no JSON object, expected a completion")
        return answer

    def get_if_there(self, path: str) -> Any | None:
        """The JSON under a path of the first replica, or None where the server has nothing there."""
        try:
            return self._retried(lambda client: client.get(path), path, only_first=True)
        except _NotThere:
            return None

    def get_text(self, path: str) -> str:
        """A plain text, such as metrics, of the first replica."""
        found: list[str] = []

        def ask(client: httpx2.Client) -> httpx2.Response:
            response = client.get(path)
            found[:] = [response.text]
            return response

        self._retried(ask, path, only_first=True, as_json=False)
        return found[0]

    def _only_model(self) -> str:
        listed = self.get_if_there("/v1/models")
        names = (
            [entry.get("id") for entry in (listed or {}).get("data", [])] if isinstance(listed, dict) else []
        )
        if len(names) != 1 or not isinstance(names[0], str):
            raise InvalidInput(
                f"the server lists {len(names)} models, expected one; name the one to measure (model)"
            )
        return names[0]

    def _retried(
        self,
        ask: Callable[[httpx2.Client], httpx2.Response],
        path: str,
        *,
        only_first: bool = False,
        as_json: bool = True,
    ) -> Any:
        backing_off = wait_random_exponential(self.settings.first_wait_s, LONGEST_WAIT_S)

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked_for = error.retry_after_s if isinstance(error, _Transient) else None
            return backing_off(state) if asked_for is None else asked_for

        retrying = Retrying(
            retry=retry_if_exception_type(_Transient),
            stop=stop_after_attempt(self.settings.attempts),
            wait=pause,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._once, ask, path, only_first, as_json)

    def _sleep(self, seconds: float) -> None:
        """A pause that closing the client ends."""
        self._stop.wait(seconds)

    def _once(
        self, ask: Callable[[httpx2.Client], httpx2.Response], path: str, only_first: bool, as_json: bool
    ) -> Any:
        replica = self._replicas[0] if only_first else self._taken()
        try:
            answer = _answer(ask, replica, path, as_json)
        except _Transient:
            replica.failures += 1
            raise
        finally:
            with self._lock:
                replica.in_flight -= not only_first
        replica.failures = 0
        replica.answered += 1
        return answer

    def _taken(self) -> _Replica:
        """The replica with the fewest failures in a row, then the fewest requests in flight."""
        with self._lock:
            replica = min(self._replicas, key=lambda one: (one.failures > 0, one.in_flight + one.failures))
            replica.in_flight += 1
            return replica


class _NotThere(EngineError):
    """The server has nothing under this path."""


def _answer(
    ask: Callable[[httpx2.Client], httpx2.Response], replica: _Replica, path: str, as_json: bool
) -> Any:
    where = f"{replica.address}{path}"
    try:
        response = ask(replica.client)
    except httpx2.TransportError as error:
        raise _Transient(
            f"{where} did not answer ({type(error).__name__}); check that the server runs and is reachable, "
            "then "
            "repeat the command: what was finished stays"
        ) from error
    if response.status_code in TRANSIENT_STATUS:
        asked_for = _retry_after(response)
        if asked_for is not None and asked_for > LONGEST_ASKED_S:
            raise EngineError(
                f"{where} answered {response.status_code} and asks for a pause of {asked_for:.0f} s; repeat "
                "the command after it: what was finished stays"
            )
        raise _Transient(
            f"{where} answered {response.status_code} ({_reason(response)}); lower the concurrency, or "
            "repeat "
            "the command later: what was finished stays",
            asked_for,
        )
    if response.status_code in (404, 405):
        raise _NotThere(f"{where} answered {response.status_code}; check the URL and the dialect")
    if response.status_code != 200:
        raise EngineError(
            f"{where} answered {response.status_code} ({_reason(response)}); check the model's name, the "
            "dialect "
            f"and the key in {API_KEY_VARIABLE}"
        )
    if not as_json:
        return None
    try:
        return response.json()
    except ValueError as error:
        raise _Transient(
            f"{where} answered with something that is no JSON ({error}), as a cut connection leaves it; "
            "repeat "
            "the command: what was finished stays"
        ) from error


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds, from a number or a date."""
    text = response.headers.get("retry-after", "")
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _reason(response: httpx2.Response) -> str:
    """The server's own words, cut, without the key should it repeat it."""
    key = os.environ.get(API_KEY_VARIABLE)
    text = " ".join(response.text.split())[:200] or response.reason_phrase
    return text.replace(key, "***") if key else text
