"""The policy, its frozen reference, and how either scores a packed batch.

Any Hugging Face causal language model will do. What it can take (branching masks, a separate head) is found out by
comparing log-probabilities when it is loaded, not by a list of names.
"""

import copy
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tutelage import rng
from tutelage.collate import Batch, Layout, collate
from tutelage.maths.logprobs import from_logits, target_logprobs
from tutelage.protocols import Codec
from tutelage.types import Group, Pair, Row, Segment, Tokens

log = logging.getLogger(__name__)

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


ModelSpec = FromConfig | Pretrained


def load_model(spec: ModelSpec, codec: Codec, *, seed: int, device: torch.device) -> PreTrainedModel:
    """Build or load the model of ``spec``; dropout is switched off for good [I].

    Raises:
        ValueError: the folder does not exist, the architecture or a setting of it is unknown, or the tokenizer has
            more ids than the model has embeddings.
    """
    match spec:
        case FromConfig():
            model = _from_config(spec, codec, seed)
        case Pretrained():
            model = _from_folder(spec)
        case _:
            assert_never(spec)
    rows = embedding_rows(model)
    if rows < codec.vocab_size:
        raise ValueError(
            f"the tokenizer has {codec.vocab_size} ids but the model embeds only {rows}: "
            "use the tokenizer that the model was trained with, or resize the embeddings and save the model first"
        )
    model.to(device=device, dtype=weight_type(spec.precision))  # pyright: ignore[reportCallIssue]
    return model.eval()


def embedding_rows(model: PreTrainedModel) -> int:
    """Number of token ids that the model can embed."""
    weight: Any = model.get_input_embeddings().weight
    return int(weight.shape[0])


def _from_config(spec: FromConfig, codec: Codec, seed: int) -> PreTrainedModel:
    # No pad id: an embedding that is named as padding would never be trained, and masks do not need one.
    ends = {"bos_token_id": codec.eos, "eos_token_id": codec.eos, "pad_token_id": None}
    settings = {"vocab_size": codec.vocab_size, **ends, **spec.settings}
    try:
        config = AutoConfig.for_model(spec.architecture, **settings)
    except ValueError as error:
        raise ValueError(f"model.architecture {spec.architecture!r}: {error}") from error
    # Configurations keep whatever they are given, so what they know is read from one that was given nothing.
    unknown = sorted(set(settings) - set(AutoConfig.for_model(spec.architecture).to_dict()) - set(config.attribute_map))
    if unknown:
        raise ValueError(f"model.settings: the architecture {spec.architecture!r} has no setting {unknown[0]!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.seed(seed, "weights"))

        def build(kind: str) -> PreTrainedModel:
            return AutoModelForCausalLM.from_config(config, attn_implementation=kind)

        return _with_attention(build)


def _from_folder(spec: Pretrained) -> PreTrainedModel:
    if spec.path.startswith(("/", ".", "~")) and not Path(spec.path).expanduser().is_dir():
        raise ValueError(f"model.path: there is no folder {spec.path!r}")
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
        raise ValueError(f"model.path: cannot load {spec.path!r}: {error}") from error


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


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a model says of the targets of a batch, in nats."""

    logprobs: Float[Tensor, " N"]
    entropy: Float[Tensor, " N"]
    """Entropy of the model's distribution at each target; carries no gradient."""


class Policy:
    """A causal language model that scores packed batches."""

    def __init__(self, model: PreTrainedModel, *, version: int = 0, mixed: bool = False) -> None:
        self.model = model
        self.mixed = mixed
        self.version = version
        self.device = next(model.parameters()).device
        self._separate_head = True
        self.layout: Layout = "trees"
        self.tree_limit: int | None = getattr(model.config, "sliding_window", None)
        """Longest tree that the model's attention window allows: a window counts columns, a branch needs positions."""
        self._probe()

    def score(self, batch: Batch) -> Scores:
        """Log-probability and entropy of every target; gradients flow where the caller lets them."""
        with self.computing():
            return self._score(batch.to(self.device), self._separate_head)

    def computing(self) -> AbstractContextManager[object]:
        """Matrix products in bfloat16 where the policy is of mixed precision; every use of ``model`` belongs in it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed)

    def frozen_copy(self) -> "Policy":
        """A copy of the weights as they are, without gradients: the reference."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model).requires_grad_(False)
        return twin

    def copy_weights(self, other: "Policy") -> None:
        """Take over the other's weights in place."""
        self.model.load_state_dict(other.model.state_dict())
        self.version = other.version

    def save_hf(self, folder: Path) -> None:
        """Write a folder that ``AutoModelForCausalLM.from_pretrained`` loads."""
        self.model.save_pretrained(folder, safe_serialization=True)

    @property
    def context_length(self) -> int | None:
        """Most positions that the configuration names, if it names any."""
        config = self.model.config
        return next(
            (int(n) for k in ("max_position_embeddings", "n_positions") if (n := getattr(config, k, None))),
            None,
        )

    def _score(self, batch: Batch, separate_head: bool) -> Scores:
        arguments: dict[str, Any] = {"input_ids": batch.tokens, "use_cache": False}
        if batch.visible is not None:
            arguments |= {"attention_mask": self._mask(batch.visible), "position_ids": batch.positions}
        if separate_head:
            hidden = self.model.base_model(**arguments).last_hidden_state
            head = self.model.get_output_embeddings()
            assert isinstance(head, nn.Linear)
            picked = hidden.reshape(-1, hidden.shape[-1])[batch.source].to(head.weight.dtype)
            return Scores(*target_logprobs(picked, head.weight, batch.target, bias=head.bias))
        logits = self.model(**arguments).logits
        return Scores(*from_logits(logits.reshape(-1, logits.shape[-1])[batch.source], batch.target))

    def _mask(self, visible: Tensor) -> Tensor:
        """SDPA takes booleans; eager attention adds its mask to the scores."""
        if getattr(self.model.config, "_attn_implementation", "") == "sdpa":
            return visible[:, None]
        dtype = next(self.model.parameters()).dtype
        zero = torch.zeros((), dtype=dtype, device=visible.device)
        return torch.where(visible[:, None], zero, torch.finfo(dtype).min)

    @torch.no_grad()
    def _probe(self) -> None:
        """Find out whether the head can be called alone and whether branches can be trusted.

        A small tree is scored packed and flat; a difference above rounding means that the model reads positions from
        columns (sliding windows) or ignores the mask, and rows are laid out flat from then on, with a logged reason.
        """
        vocab = embedding_rows(self.model)
        length = max(4, min(12, (self.context_length or 4096) - 8))
        draw = rng.generator("probe").integers
        text = Tokens(draw(0, vocab, length + 16))
        rows = [
            Row(
                (
                    Segment(text[:length], ntp_weight=1.0),
                    Segment(text[length + i : length + i + 4], trained=True),
                )
            )
            for i in (0, 4)
        ]
        item = Pair(rows[0], rows[1])
        flat = collate([item], max_tokens=1 << 30, layout="flat")[0].to(self.device)
        tolerance = 1e-4 if next(self.model.parameters()).dtype in (torch.float32, torch.float64) else 5e-2
        expected = self._score(flat, False).logprobs
        self._require_causal(rows[0], flat, expected, tolerance)
        self._separate_head = isinstance(self.model.get_output_embeddings(), nn.Linear) and self._agrees(
            lambda: self._score(flat, True).logprobs, expected, tolerance
        )
        tree = collate([item], max_tokens=1 << 30)[0].to(self.device)
        forest = collate([item, Group((rows[1],))], max_tokens=1 << 30)[0].to(self.device)
        both = torch.cat([expected, expected[flat.row == 1]])
        separate = self._separate_head
        exact = self._agrees(lambda: self._score(tree, separate).logprobs, expected, tolerance)
        if not (exact and self._agrees(lambda: self._score(forest, separate).logprobs, both, tolerance)):
            self.layout = "flat"
            log.warning(
                "%s does not give equal log-probabilities under a branching attention mask: rows are laid out flat, "
                "so a prefix is computed once a candidate",
                type(self.model).__name__,
            )

    def _require_causal(self, row: Row, flat: Batch, expected: Tensor, tolerance: float) -> None:
        """Refuse a model whose log-probabilities change with a later token: it would be trained to copy.

        Raises:
            ValueError: naming the class.
        """
        before, last = row.segments[0], row.segments[1].tokens
        other = Tokens([*last.tolist()[:-1], (last[-1] + 1) % embedding_rows(self.model)])
        altered = Group((Row((before, Segment(other, trained=True))),))
        batch = collate([altered], max_tokens=1 << 30, layout="flat")[0].to(self.device)
        ours, theirs = self._score(batch, False).logprobs[:-1], expected[flat.row == 0][:-1]
        if not torch.allclose(ours.float(), theirs.float(), atol=tolerance, rtol=0):
            raise ValueError(f"{type(self.model).__name__} reads later tokens: it is no causal language model")

    @staticmethod
    def _agrees(compute: Callable[[], Tensor], expected: Tensor, tolerance: float) -> bool:
        try:
            return bool(torch.allclose(compute().float(), expected.float(), atol=tolerance, rtol=0))
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            log.info("probe refused: %s", error)
            return False
