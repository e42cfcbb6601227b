"""A small inference server that answers as vLLM does, from a table, and misbehaves where it is told to."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VOCABULARY = 12
END = 11


def law(context: list[int], temperature: float = 1.0) -> list[float]:
    """Probabilities that depend on the last two tokens; a reference can compute them too."""
    last, before = context[-1], context[-2] if len(context) > 1 else 0
    scores = [math.sin(3.0 * token + last * 1.7 + before * 0.9) * 2.0 for token in range(VOCABULARY)]
    weights = [math.exp(score / temperature) for score in scores]
    return [weight / sum(weights) for weight in weights]


@dataclass
class Behaviour:
    """fail: statuses given in turn before answering at all. model: name, may be changed under way."""

    fail: list[int] = field(default_factory=list)
    retry_after: str = "0"  # sent with them
    cut: int = 0  # so many answers are cut in the middle
    drop: int = 0  # so many connections are closed without an answer
    stall_s: float = 0.0
    model: str = "fake"
    raw_log_probs: bool = False
    largest_top: int = 100
    default_temperature: float = 1.0  # where a request names none
    fewer_top: int = 0  # so many likeliest tokens less than asked for, without a word
    lossy: bool = False
    asked: list[dict] = field(default_factory=list)
    headers: list[dict] = field(default_factory=list)


def _draw(law_: list[float], value: float) -> int:
    for token, probability in enumerate(law_):
        value -= probability
        if value < 0:
            return token
    return VOCABULARY - 1


def completion(body: dict, behaviour: Behaviour) -> dict:
    import random

    generator = random.Random(body.get("seed", 0) * 7919 + 13)
    context = list(body["prompt"])
    temperature = body.get("temperature", behaviour.default_temperature)
    tokens, log_probs, tops = [], [], []
    for _ in range(body["max_tokens"]):
        sampled = law(context, temperature or 1.0)
        stated = law(context) if behaviour.raw_log_probs else sampled
        token = (
            max(range(VOCABULARY), key=sampled.__getitem__)
            if not temperature
            else _draw(sampled, generator.random())
        )
        if behaviour.lossy and generator.random() < 0.4:
            token = generator.randrange(VOCABULARY)
        order = sorted(range(VOCABULARY), key=lambda one: -stated[one])[
            : body["logprobs"] - behaviour.fewer_top
        ]
        tokens.append(token)
        log_probs.append(math.log(stated[token]))
        tops.append({f"token_id:{one}": math.log(stated[one]) for one in dict.fromkeys([*order, token])})
        context.append(token)
        if token == END:
            break
    return {
        "model": behaviour.model,
        "system_fingerprint": f"fake-{behaviour.model}",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop" if tokens[-1] == END else "length",
                "token_ids": tokens,
                "text": " ".join("x" * token for token in tokens if token),
                "logprobs": {
                    "tokens": [f"token_id:{token}" for token in tokens],
                    "token_logprobs": log_probs,
                    "top_logprobs": tops,
                },
            }
        ],
        "usage": {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(tokens)},
    }


class _Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def log_message(self, *arguments: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        answers = {"/version": {"version": "0.32.0"}, "/v1/models": {"data": [{"id": self.behaviour.model}]}}
        self._send(200 if self.path in answers else 404, answers.get(self.path, {}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        behaviour = self.behaviour
        behaviour.asked.append(body)
        behaviour.headers.append(dict(self.headers))
        if self.path == "/tokenize":
            words = " ".join(message["content"] for message in body["messages"]).split()
            self._send(200, {"tokens": [len(word) % (VOCABULARY - 1) for word in words][:20]})
            return
        time.sleep(behaviour.stall_s)
        if behaviour.drop:
            behaviour.drop -= 1
            self.close_connection = True
            self.connection.close()
        elif behaviour.fail:
            self._send(behaviour.fail.pop(0), {"error": "busy"}, {"retry-after": behaviour.retry_after})
        elif body.get("logprobs", 0) > behaviour.largest_top:
            self._send(400, {"error": f"logprobs above {behaviour.largest_top}"})
        else:
            self._send(200, completion(body, behaviour))

    def _send(self, status: int, content: dict, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.behaviour.cut and status == 200 and "choices" in content:
            self.behaviour.cut -= 1
            data = data[: len(data) // 2]
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


# How often the server looks whether it is to stop: each test of one waits that long at its end.
POLL_S = 0.01


@contextmanager
def fake_server(behaviour: Behaviour) -> Iterator[str]:
    """The address of the server, on 127.0.0.1."""
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
