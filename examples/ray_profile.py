"""The limit of a target from texts sampled by Ray workers, each with a copy of it, that take prompts in turn.

Usage: python examples/ray_profile.py [WORKERS] [PROMPTS] [TOKENS]; here, or on the cluster of RAY_ADDRESS.
"""

import os
import sys
import tempfile
from itertools import chain

import ray
from ray.util import ActorPool

import speclight
from speclight.measure.profile_settings import ProfileSettings
from speclight.measure.prompts import shipped_prompts

workers, count, tokens = [*map(int, sys.argv[1:]), *(2, 10, 48)[len(sys.argv) - 1 :]]


@ray.remote(num_cpus=1)
class Worker:
    def __init__(self):
        self.target = speclight.load()

    def texts(self, numbered):  # with a seed each: else all texts share their noise
        settings = ProfileSettings(max_tokens=tokens, seed=numbered[0])
        profile = speclight.profile(self.target, [numbered[1]], tempfile.mkdtemp(), settings)
        return [(text.log_probs, text.ended, text.prompt_id) for text in profile.texts]


here = {"num_cpus": workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
ray.init(log_to_driver=False, **({} if "RAY_ADDRESS" in os.environ else here))
pool = ActorPool([Worker.remote() for _ in range(workers)])
work = enumerate(shipped_prompts(["qa"])[:count])
answers = pool.map_unordered(lambda worker, item: worker.texts.remote(item), work)
log_probs, ended, names = zip(*chain.from_iterable(answers), strict=True)
limits = speclight.limits_from_log_probs(log_probs, 8, ended=ended, prompts=names, length_limit=tokens)
low, high = limits.certified.value, limits.decode.going_on.value
print(f"{len(names)} texts by {workers} workers: {low:.2f} to {high:.2f} tokens per call at P = 8")
