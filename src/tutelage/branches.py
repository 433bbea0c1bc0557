"""Many continuations of one trunk, with the trunk's keys and values held once.

The trunk's cache is read in place by all of its branches; each branch has a buffer of its own of fixed length. So
memory grows as P + K·N instead of K·(P + N), and no step copies what earlier steps wrote. Branches may leave the trunk
at different columns: cuts of one document share it too.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import Cache


class Branches(Cache):
    """Stands where a model expects its cache while branches are decoded, one token a branch at a time.

    Letters: B trunks · K branches of each · H heads of keys and values · G query heads that share one · P columns of
    the trunk · S steps · D width of a head.
    """

    def __init__(self, trunk: DynamicCache, first: Int[Tensor, " B"], fork: Int[Tensor, "B K"], steps: int) -> None:
        """Branch ``(b, k)`` sees the trunk's columns from ``first[b]``, before which is padding, to ``fork[b, k]``."""
        super().__init__(layers=[])
        self._trunk: list[tuple[Float[Tensor, "B H P D"], Float[Tensor, "B H P D"]]] = []
        self._own: list[tuple[Float[Tensor, "B H K S D"], Float[Tensor, "B H K S D"]]] = []
        for layer in trunk.layers:
            keys, values = _both(layer)
            self._trunk.append((keys, values))
            b, h, _, d = keys.shape
            # Keys and values may differ in width.
            own = keys.new_empty(b, h, fork.shape[1], steps, d)
            self._own.append((own, values.new_empty(b, h, fork.shape[1], steps, values.shape[-1])))
        self._prefix = int(trunk.get_seq_length())
        self._hidden = _hidden(first, fork, self._prefix)
        self._ahead: Bool[Tensor, " S"] | None = None
        """Columns of the buffers that are not written yet, where attention reads them all."""
        self.step = 0

    def go_to(self, step: int) -> None:
        """The next tokens are the branches' ``step``-th ones."""
        self.step = step

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write this step's keys and values; attention reads the buffers, not what is returned."""
        for own, new in zip(self._own[layer_idx], (key_states, value_states), strict=True):
            b, h, k, _, d = own.shape
            own[:, :, :, self.step] = new.view(b, k, h, d).transpose(1, 2)
        return key_states, value_states

    def _written(self, layer: int) -> tuple[Float[Tensor, "B H K S D"], Float[Tensor, "B H K S D"]]:
        keys, values = self._own[layer]
        return keys[:, :, :, : self.step + 1], values[:, :, :, : self.step + 1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Columns so far."""
        return self._prefix + self.step

    def attend(
        self,
        query: Float[Tensor, "R Q 1 D"],
        key: Float[Tensor, "R H 1 D"],
        value: Float[Tensor, "R H 1 E"],
        *,
        layer: int,
        scale: float,
    ) -> Float[Tensor, "R 1 Q E"]:
        """One softmax over the trunk and the branch's own tokens; R = B·K rows, Q = H·G query heads."""
        (trunk_keys, trunk_values), (own_keys, own_values) = self._trunk[layer], self._written(layer)
        b, h, k, _, d = own_keys.shape
        rows, heads = query.shape[0], query.shape[1]
        grouped = query.reshape(b, k, h, heads // h, d).transpose(1, 2) * scale  # B H K G D
        above = (grouped.reshape(b, h, -1, d) @ trunk_keys.transpose(-1, -2)).view(b, h, k, heads // h, -1)
        if self._hidden is not None:
            above = above.masked_fill(self._hidden, float("-inf"))
        beside = grouped @ own_keys.transpose(-1, -2)  # B H K G S
        if self._ahead is not None:
            beside = beside.masked_fill(self._ahead, float("-inf"))
        scores = torch.cat([above, beside], dim=-1)
        weights = scores.float().softmax(-1).to(query.dtype) if scores.dtype != torch.float64 else scores.softmax(-1)
        width = above.shape[-1]
        mixed = weights[..., :width].reshape(b, h, -1, width) @ trunk_values
        mixed = mixed.view(b, h, k, heads // h, -1) + weights[..., width:] @ own_values
        return mixed.transpose(1, 2).reshape(rows, 1, heads, -1)


class FixedBranches(Branches):
    """Branches whose steps all have the same shapes, so that a GPU can record one and play it again.

    Attention reads the whole of each buffer and hides what is not written yet; the step is a tensor.
    """

    def __init__(self, trunk: DynamicCache, first: Int[Tensor, " B"], fork: Int[Tensor, "B K"], steps: int) -> None:
        super().__init__(trunk, first, fork, steps)
        for keys, values in self._own:
            keys.zero_()
            values.zero_()
        self._at = torch.zeros(1, dtype=torch.int64, device=fork.device)
        self._ahead = torch.ones(steps, dtype=torch.bool, device=fork.device)

    def go_to(self, step: int) -> None:
        """The next tokens are the branches' ``step``-th ones."""
        assert self._ahead is not None
        self._at.fill_(step)
        self._ahead[: step + 1] = False
        self._ahead[step + 1 :] = True

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write this step's keys and values."""
        for own, new in zip(self._own[layer_idx], (key_states, value_states), strict=True):
            b, h, k, _, d = own.shape
            own.index_copy_(3, self._at, new.view(b, k, h, 1, d).transpose(1, 2))
        return key_states, value_states

    def _written(self, layer: int) -> tuple[Float[Tensor, "B H K S D"], Float[Tensor, "B H K S D"]]:
        return self._own[layer]


def _hidden(first: Int[Tensor, " B"], fork: Int[Tensor, "B K"], width: int) -> Bool[Tensor, "B 1 K 1 P"] | None:
    """What of the trunk a branch does not see: padding, and what stands behind its fork; ``None`` if it sees all."""
    columns = torch.arange(width, device=fork.device)
    hidden = (columns < first[:, None, None]) | (columns >= fork[:, :, None])
    return hidden[:, None, :, None] if bool(hidden.any()) else None


def _both(layer: Any) -> tuple[Tensor, Tensor]:
    return layer.keys, layer.values
