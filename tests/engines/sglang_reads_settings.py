"""SGLang's own parser on the settings that plans write for it; run with a Python that has its files.

    pip install --no-deps sglang && pip install msgspec
    python tests/advice/emitted_settings.py | PYTHON_OF_SGLANG tests/engines/sglang_reads_settings.py

Its server's arguments are declared apart from the engine. They are imported past the package's own start,
which needs CUDA libraries, so that no GPU is needed.
"""

import argparse
import importlib
import importlib.util
import json
import shlex
import sys
import types
from pathlib import Path

found = importlib.util.find_spec("sglang")
assert found is not None, "SGLang's files are not installed"
assert found.origin is not None
package = types.ModuleType("sglang")
package.__path__ = [str(Path(found.origin).parent)]
sys.modules["sglang"] = package

Spec = importlib.import_module("sglang.srt.arg_groups.fields.spec").Spec
add_arguments = importlib.import_module("sglang.srt.arg_groups.arg_utils").add_cli_args_from_dataclass

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--model-path", required=True)
add_arguments(parser, Spec)
read = 0
for lines in json.load(sys.stdin)["SGLang"]:
    for line in lines:
        if line.startswith("adaptive.json: "):
            tiers = {
                name: tier for name, tier in json.loads(line.partition(" ")[2]).items() if name.isdigit()
            }
            assert tiers, line
            for tier in tiers.values():
                assert all(isinstance(steps, int) and steps >= 0 for steps in tier["candidate_steps"]), line
            continue
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "sglang.launch_server"], words
        told = parser.parse_args(words[3:])
        if told.speculative_adaptive:  # adaptive_unsupported_reason
            assert told.speculative_algorithm in ("EAGLE", "EAGLE3"), line
            assert told.speculative_eagle_topk == 1, line
        if told.speculative_use_rejection_sampling:
            assert told.speculative_eagle_topk == 1, line
        read += 1
assert read
sys.stdout.write(f"SGLang reads {read} settings\n")
