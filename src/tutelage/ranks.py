"""One process or many, behind one face. Collectives happen here and nowhere else.

Every collective is called by every rank in the same order, whatever a rank holds: a rank without a pair still sums its
zeros. That is what keeps uneven data from hanging a run.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor


@runtime_checkable
class Ranks(Protocol):
    """The processes that train together."""

    @property
    def rank(self) -> int:
        """This process's number."""
        ...

    @property
    def size(self) -> int:
        """Number of processes."""
        ...

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Sum every tensor over the ranks, in place."""
        ...

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Sum every number over the ranks, in float64."""
        ...

    def maximum(self, numbers: Sequence[float]) -> list[float]:
        """The largest of every number over the ranks."""
        ...

    def gather(self, text: str) -> list[str]:
        """Everyone's ``text``, by rank."""
        ...

    def barrier(self) -> None:
        """Wait for all."""
        ...

    def close(self) -> None:
        """Leave the group."""
        ...


@dataclass(frozen=True, slots=True)
class OneRank:
    """A single process: every collective is the identity."""

    rank: int = 0
    size: int = 1

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Nothing to add."""

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """The numbers themselves."""
        return [float(x) for x in numbers]

    def maximum(self, numbers: Sequence[float]) -> list[float]:
        """The numbers themselves."""
        return [float(x) for x in numbers]

    def gather(self, text: str) -> list[str]:
        """The text itself."""
        return [text]

    def barrier(self) -> None:
        """Nobody to wait for."""

    def close(self) -> None:
        """Nothing to leave."""


@dataclass(frozen=True, slots=True)
class TorchRanks:
    """Processes started by torchrun: NCCL where there is a GPU for each, gloo otherwise."""

    rank: int
    size: int

    @classmethod
    def join(cls, timeout_seconds: float = 600.0) -> "TorchRanks":
        """Join the group that the environment describes (``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR``).

        A collective that waits longer than ``timeout_seconds`` raises instead of hanging.
        """
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        if not dist.is_initialized():
            dist.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
        return cls(dist.get_rank(), dist.get_world_size())

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Sum in place; tensors of one type travel as one flat buffer."""
        by_type: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for tensor in tensors:
            by_type.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        for same in by_type.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            dist.all_reduce(flat)
            for tensor, part in zip(same, flat.split([t.numel() for t in same]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Sum in float64, so that counts stay exact."""
        return self._reduce(numbers, dist.ReduceOp.SUM)

    def maximum(self, numbers: Sequence[float]) -> list[float]:
        """The largest over the ranks."""
        return self._reduce(numbers, dist.ReduceOp.MAX)

    def _reduce(self, numbers: Sequence[float], operation: "dist.ReduceOp.RedOpType") -> list[float]:
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        values = torch.tensor(list(numbers), dtype=torch.float64, device=device)
        dist.all_reduce(values, op=operation)
        return values.tolist()

    def gather(self, text: str) -> list[str]:
        """Everyone's text as bytes of equal length: nothing is unpickled."""
        raw = torch.frombuffer(bytearray(text.encode() or b"\0"), dtype=torch.uint8)
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        lengths = [int(n) for n in self._lengths(len(text.encode()))]
        mine = torch.zeros(max(*lengths, 1), dtype=torch.uint8, device=device)
        mine[: lengths[self.rank]] = raw[: lengths[self.rank]].to(device)
        everyone = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(everyone, mine)
        return [bytes(e[:n].tolist()).decode() for e, n in zip(everyone, lengths, strict=True)]

    def _lengths(self, own: int) -> list[float]:
        return self.maximum([float(own) if r == self.rank else 0.0 for r in range(self.size)])

    def barrier(self) -> None:
        """Wait for all."""
        dist.barrier()

    def close(self) -> None:
        """Leave the group."""
        if dist.is_initialized():
            dist.destroy_process_group()


def from_environment() -> Ranks:
    """``TorchRanks`` under torchrun, else ``OneRank``."""
    return TorchRanks.join() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else OneRank()
