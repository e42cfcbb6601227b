"""vLLM's own parser on the settings that plans write for it; run with the Python of vLLM's environment.

python tests/advice/emitted_settings.py | PYTHON_OF_VLLM tests/engines/vllm_reads_settings.py
"""

import json
import shlex
import sys
from typing import Annotated

from pydantic import TypeAdapter
from vllm.config.speculative import SpeculativeConfig  # pyright: ignore[reportMissingImports]
from vllm.engine.arg_utils import EngineArgs  # pyright: ignore[reportMissingImports]
from vllm.utils.argparse_utils import FlexibleArgumentParser  # pyright: ignore[reportMissingImports]
from vllm.v1.spec_decode.dynamic.utils import (  # pyright: ignore[reportMissingImports]
    validate_and_normalize_dynamic_sd_schedule,
)

parser = EngineArgs.add_cli_args(FlexibleArgumentParser())
read = 0
for lines in json.load(sys.stdin)["vLLM"]:
    for line in lines:
        words = shlex.split(line)
        assert words[:3] == ["vllm", "serve", "TARGET"], words
        config = parser.parse_args(["--model", words[2], *words[3:]]).speculative_config
        assert config, line
        for name, value in config.items():
            field = SpeculativeConfig.__pydantic_fields__[name]
            told = Annotated[field.annotation, field]  # pyright: ignore[reportInvalidTypeForm]
            TypeAdapter(told).validate_python(value)
        schedule = config.get("num_speculative_tokens_per_batch_size")
        if schedule is not None:
            validate_and_normalize_dynamic_sd_schedule(schedule)
            assert max(tokens for _, _, tokens in schedule) == config["num_speculative_tokens"]
        read += 1
assert read
sys.stdout.write(f"vLLM reads {read} settings\n")
