"""What both sides are given: one model with random weights, prompts, documents, a reward that costs nothing.

Nothing here imports Tutelage, since the peers read it from environments of their own.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
EOS = 0
"""End-of-text of the saved tokenizer; never in a prompt, and every arm goes on to exactly N new tokens."""
VOCABULARY = {"cpu": 4096, "cuda": 32768}
SIZES: dict[str, dict[str, int]] = {
    "cpu": {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 8, "num_attention_heads": 8},
    "cuda": {"hidden_size": 2048, "intermediate_size": 5504, "num_hidden_layers": 24, "num_attention_heads": 16},
}
"""A Llama of 8.4 M parameters on a CPU, of 1.35 B on a GPU."""
LEARNING_RATE = 1e-5
BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.1
CLIP = 1.0
BETA = 0.1
"""β of DPO, and the weight of GRPO's KL term: both sides run a reference."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is told when it starts."""

    arm: str
    """``module:function``."""
    shape: tuple[int, int, int]
    """P tokens of a prompt, N new tokens, K continuations."""
    prompts: int
    """Prompts, or documents, of a step."""
    folder: str
    """The model as a Hugging Face folder, with its tokenizer."""
    vocabulary: int
    device: str = "cpu"
    threads: int = 2
    """Told to thread pools through their environment when the worker starts."""
    steps: int = 64
    """Most steps that will be asked for, for arms that need their data beforehand."""
    cuts: int = 1
    """Forks along one document."""
    settings: dict[str, Any] | None = None
    """The arm's own settings, where they are not its defaults."""

    def setting(self, name: str, default: Any) -> Any:
        """One of the arm's own settings."""
        return (self.settings or {}).get(name, default)


def device_kind() -> str:
    """``cuda`` where there is one, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def prompts(job: Job, step: int) -> list[Ids]:
    """Random prompts of P tokens, other ones at every step."""
    draw = np.random.default_rng([17, step])
    return list(draw.integers(1, job.vocabulary, (job.prompts, job.shape[0])))


def documents(job: Job, step: int) -> list[Ids]:
    """Random documents of P + N tokens."""
    draw = np.random.default_rng([18, step])
    return list(draw.integers(1, job.vocabulary, (job.prompts, job.shape[0] + job.shape[1])))


def completions(job: Job, step: int) -> NDArray[np.int64]:
    """Made-up continuations for rows that time the pass alone, shape (prompts, K, N)."""
    _, new, count = job.shape
    return np.random.default_rng([19, step]).integers(1, job.vocabulary, (job.prompts, count, new))


def reward(ids: Sequence[int]) -> float:
    """A number in [0, 1) that hangs on every token and costs nothing."""
    return (sum(i * (2 * k + 1) for k, i in enumerate(ids)) * 2654435761 % 2**32) / 2**32


def words(ids: Sequence[int]) -> str:
    """Text that the saved tokenizer turns into exactly ``ids``."""
    return " ".join(f"t{i}" for i in ids)


def save_tokenizer(folder: Path, size: int) -> None:
    """One word a token, so that text and ids are the same thing."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.WordLevel({f"t{i}": i for i in range(size)}, unk_token=f"t{EOS}"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    special = f"t{EOS}"
    PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token=special, pad_token=special, bos_token=special, padding_side="left"
    ).save_pretrained(folder)


def save_model(folder: Path, kind: str, settings: dict[str, int] | None = None, size: int = 0) -> int:
    """Write the model with keyed random weights and its tokenizer; returns the number of parameters."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    size = size or VOCABULARY[kind]
    torch.manual_seed(0)
    sizes: dict[str, Any] = {**(settings or SIZES[kind])}
    config = LlamaConfig(
        **sizes,
        vocab_size=size,
        max_position_embeddings=16384,
        tie_word_embeddings=False,
        bos_token_id=EOS,
        eos_token_id=EOS,
        pad_token_id=None,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    save_tokenizer(folder, size)
    return sum(p.numel() for p in model.parameters())


if __name__ == "__main__":
    where = Path(sys.argv[1])
    device = device_kind() if sys.argv[2] == "auto" else sys.argv[2]
    place = where / f"model-{device}"
    if not (place / "tokenizer.json").exists():
        save_model(place, device)
    print(json.dumps({"device": device, "folder": str(place), "vocabulary": VOCABULARY[device]}))
