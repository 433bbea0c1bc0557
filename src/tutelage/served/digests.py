"""Whether a server holds the weights that it was sent, parameter by parameter, by their digests."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

FUSED: Mapping[str, tuple[str, ...]] = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}
"""Parameters that vLLM joins, by rows, from several of a checkpoint."""
PADDED_TO = 64
"""vLLM pads the rows of embeddings by zeros to a multiple of this."""
EMPTY = hashlib.sha256(b"").hexdigest()
"""Of a parameter that a server keeps in a form of its own: on a CPU, packed for its matrix product."""
TYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class Compared:
    """A server's parameters beside the policy's."""

    same: int
    unseen: int
    """Kept in a form that cannot be compared: packed, sharded, or joined in a way that is not known here."""
    wrong: tuple[str, ...]


def compare(told: Mapping[str, str], state: Mapping[str, Tensor]) -> Compared:
    """The SHA-256 that a server tells of each of its parameters, beside those of ``state``.

    Names are the server's: behind a colon where it says which of its parts holds them.
    """
    names = {key.rpartition(":")[2]: digest for key, digest in told.items()}
    if len(names) < len(told):  # several parts hold a share of each
        return Compared(0, len(told), ())
    same = unseen = 0
    wrong: list[str] = []
    for name, digest in names.items():
        tensor = None if digest == EMPTY else _joined(name, state)
        if tensor is None:
            unseen += 1
        elif digest in _digests(tensor):
            same += 1
        else:
            wrong.append(name)
    return Compared(same, unseen, tuple(wrong))


def digest(tensor: Tensor) -> str:
    """SHA-256 of a tensor's bytes."""
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(flat.numpy().tobytes()).hexdigest()


def _joined(name: str, state: Mapping[str, Tensor]) -> Tensor | None:
    """The parameter of the server's name ``name`` out of a checkpoint's; ``None`` where that is not known."""
    if name in state:
        return state[name]
    for joined, parts in FUSED.items():
        names = [name.replace(f".{joined}.", f".{part}.") for part in parts]
        if f".{joined}." in name and all(part in state for part in names):
            return torch.cat([state[part] for part in names])
    return None


def _digests(tensor: Tensor) -> Iterator[str]:
    """Of the tensor in every type that servers compute in, padded and not."""
    for kind in TYPES:
        cast = tensor.detach().to(kind)
        yield digest(cast)
        missing = -len(cast) % PADDED_TO
        if cast.ndim == 2 and missing:
            yield digest(torch.cat([cast, cast.new_zeros(missing, cast.shape[1])]))
