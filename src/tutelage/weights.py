"""Models by their description: from a configuration with keyed random weights, or from a folder or hub name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, assert_never

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tutelage import rng
from tutelage.folders import is_missing
from tutelage.lora import LoRA, adapted
from tutelage.protocols import Vocabulary

Precision = Literal["float32", "float64", "bfloat16", "mixed", "auto"]
"""``mixed``: weights and optimiser in float32, matrix products in bfloat16. ``auto``: mixed where the device multiplies
bfloat16 itself, else float32. Pure ``bfloat16`` weights lose small updates: they are for models that only judge."""


def weight_type(precision: Precision) -> torch.dtype:
    """The type in which weights are held."""
    return torch.float32 if precision in ("mixed", "auto") else getattr(torch, precision)


def is_mixed(precision: Precision, device: torch.device) -> bool:
    """Whether matrix products are computed in bfloat16 on ``device``."""
    return precision == "mixed" or (precision == "auto" and has_bfloat16(device))


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; a CPU that emulates it would be many times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    return (
        device.type == "cpu" and flags.exists() and bool({"amx_bf16", "avx512_bf16"} & set(flags.read_text().split()))
    )


@dataclass(frozen=True, slots=True)
class FromConfig:
    """A model from scratch: a Hugging Face architecture with keyed random weights."""

    architecture: str = "llama"
    """``model_type`` of the configuration."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Keys of that architecture's configuration; ``vocab_size`` defaults to the tokenizer's."""
    precision: Precision = "float32"
    """Of weights and of matrix products."""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A model from a local folder or hub name."""

    path: str
    """A folder with ``config.json`` and safetensors, or a hub name."""
    precision: Precision = "float32"
    """Of weights and of matrix products."""
    trust_remote_code: bool = False
    """Whether code in the model's folder may run. Leave it off unless you have read that code."""
    lora: LoRA | None = None
    """Train adapters beside the weights and not the weights; they are merged in where the model is exported."""


ModelSpec = FromConfig | Pretrained


def load_model(
    spec: ModelSpec, codec: Vocabulary, *, seed: int, device: torch.device, field: str = "model.path"
) -> PreTrainedModel:
    """Build or load the model of ``spec``; dropout is switched off for good [I]. Messages name its folder ``field``.

    Raises:
        ValueError: the folder does not exist, the architecture or a setting of it is unknown, or the tokenizer has
            more ids than the model has embeddings.
    """
    match spec:
        case FromConfig():
            model = _from_config(spec, codec, seed)
        case Pretrained():
            model = _from_folder(spec, field)
        case _:
            assert_never(spec)
    rows = embedding_rows(model)
    if rows < codec.vocab_size:
        raise ValueError(
            f"the tokenizer has {codec.vocab_size} ids but the model embeds only {rows}: "
            "use the tokenizer that the model was trained with, or resize the embeddings and save the model first"
        )
    if isinstance(spec, Pretrained) and spec.lora is not None:
        model = adapted(model, spec.lora, seed)
    model.to(device=device, dtype=weight_type(spec.precision))  # pyright: ignore[reportCallIssue]
    return model.eval()


def embedding_rows(model: PreTrainedModel) -> int:
    """Number of token ids that the model can embed."""
    weight: Any = model.get_input_embeddings().weight
    return int(weight.shape[0])


def _from_config(spec: FromConfig, codec: Vocabulary, seed: int) -> PreTrainedModel:
    # No pad id: an embedding that is named as padding would never be trained, and masks do not need one.
    ends = {"bos_token_id": codec.eos, "eos_token_id": codec.eos, "pad_token_id": None}
    settings = {"vocab_size": codec.vocab_size, **ends, **spec.settings}
    try:
        config = AutoConfig.for_model(spec.architecture, **settings)
    except ValueError as error:
        raise ValueError(f"model.architecture {spec.architecture!r}: {error}") from error
    # Configurations keep whatever they are given, so what they know is read from one that was given nothing.
    unknown = sorted(
        set(spec.settings) - set(AutoConfig.for_model(spec.architecture).to_dict()) - set(config.attribute_map)
    )
    if unknown:
        raise ValueError(f"model.settings: the architecture {spec.architecture!r} has no setting {unknown[0]!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.seed(seed, "weights"))

        def build(kind: str) -> PreTrainedModel:
            return AutoModelForCausalLM.from_config(config, attn_implementation=kind)

        return _with_attention(build)


def _from_folder(spec: Pretrained, field: str) -> PreTrainedModel:
    if is_missing(spec.path):
        raise ValueError(f"{field}: there is no folder {spec.path!r}")
    folder = Path(spec.path).expanduser()

    def load(kind: str) -> PreTrainedModel:
        return AutoModelForCausalLM.from_pretrained(
            str(folder) if folder.is_dir() else spec.path,
            attn_implementation=kind,
            trust_remote_code=spec.trust_remote_code,
            use_safetensors=True,
            dtype=weight_type(spec.precision),
        )

    try:
        require_safetensors(folder)
        return _with_attention(load)
    except (OSError, ValueError) as error:
        where = "" if folder.is_dir() else "there is no such folder here, so that it was looked for on the hub: "
        raise ValueError(f"{field}: cannot load {spec.path!r}: {where}{error}") from error


def require_safetensors(folder: Path, loader: str = "AutoModelForCausalLM") -> None:
    """Refuse a folder without safetensors; a name that is no folder here is left to the hub's client.

    Raises:
        ValueError: there are none; says that pickled weights are not read, and how to convert them.
    """
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        raise ValueError(
            "the folder holds no safetensors, and pickled weights (pytorch_model.bin) are never read, for a pickle can "
            f"run code; if you trust them, convert them once: transformers.{loader}.from_pretrained({str(folder)!r})"
            f".save_pretrained({str(folder)!r})"
        )


def _with_attention(load: Callable[[str], PreTrainedModel]) -> PreTrainedModel:
    """SDPA where the architecture offers it, else its own eager attention."""
    try:
        return load("sdpa")
    except ValueError as error:
        if "scaled_dot_product_attention" not in str(error):
            raise
        return load("eager")
