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

from tutelage.tree_attention import attend_on_cpu


class Branches(Cache):
    """Stands where a model expects its cache while branches are decoded, one token a branch at a time.

    Letters: B trunks · K branches of each · R = B·K rows · H heads of keys and values · G query heads that share one ·
    Q = H·G · P columns of the trunk · S steps · D, E widths of a head.
    """

    def __init__(self, trunk: DynamicCache, first: Int[Tensor, " B"], fork: Int[Tensor, "B K"], steps: int) -> None:
        """Branch ``(b, k)`` sees the trunk's columns from ``first[b]``, before which is padding, to ``fork[b, k]``."""
        super().__init__(layers=[])
        self._shape = fork.shape
        layers: list[Any] = list(trunk.layers)
        self._trunk: list[tuple[Float[Tensor, "B H P D"], Float[Tensor, "B H P E"]]] = [
            (_multiplied(x.keys), _multiplied(x.values)) for x in layers
        ]
        self._own: list[tuple[Float[Tensor, "R H S D"], Float[Tensor, "R H S E"]]] = [
            (_buffer(keys, fork.numel(), steps), _buffer(values, fork.numel(), steps)) for keys, values in self._trunk
        ]
        self._prefix = int(trunk.get_seq_length())
        self._hidden = _hidden(first, fork, self._prefix)
        self._biases: dict[int, Float[Tensor, "B 1 KG P"]] = {}
        self.step = 0

    def go_to(self, step: int) -> None:
        """The next tokens are the branches' ``step``-th ones."""
        self.step = step

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write this step's keys and values; attention reads the buffers, not what is returned."""
        keys, values = self._own[layer_idx]
        keys[:, :, self.step : self.step + 1] = key_states
        values[:, :, self.step : self.step + 1] = value_states
        return key_states, value_states

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
        """The trunk and the branch's own tokens, each by itself, joined by their normalisers."""
        (trunk_keys, trunk_values), (keys, values) = self._trunk[layer], self._own[layer]
        now = slice(0, self.step + 1)
        grouped = _grouped(query.to(keys.dtype), keys.shape[1])
        hidden = self._bias(grouped.shape[2])
        above, their = attend_on_cpu(self._by_trunk(grouped), trunk_keys, trunk_values, hidden=hidden, scale=scale)
        beside, own = attend_on_cpu(grouped, keys[:, :, now], values[:, :, now], hidden=None, scale=scale)
        share = torch.sigmoid(self._by_row(their[..., None]) - own[..., None]).to(above.dtype)
        return torch.lerp(beside, self._by_row(above), share).flatten(1, 2)[:, None]

    def _bias(self, group: int) -> Float[Tensor, "B 1 KG P"] | None:
        """What hides columns of the trunk from ``group`` query heads a branch: one for all steps, and layers alike."""
        if self._hidden is None:
            return None
        if group not in self._biases:
            zero = torch.zeros((), dtype=self._trunk[0][0].dtype, device=self._hidden.device)
            hidden = self._hidden.repeat_interleave(group, 1)[:, None]
            self._biases[group] = torch.where(hidden, float("-inf"), zero)
        return self._biases[group]

    def _by_trunk(self, grouped: Float[Tensor, "R H G D"]) -> Float[Tensor, "B H KG D"]:
        """Queries of all branches of a trunk side by side."""
        return grouped.unflatten(0, self._shape).transpose(1, 2).flatten(2, 3)

    def _by_row(self, read: Float[Tensor, "B H KG E"]) -> Float[Tensor, "R H G E"]:
        """The inverse of ``_by_trunk``."""
        return read.unflatten(2, (self._shape[1], -1)).transpose(1, 2).flatten(0, 1)


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
        self._ahead: Bool[Tensor, " S"] = torch.ones(steps, dtype=torch.bool, device=fork.device)

    def go_to(self, step: int) -> None:
        """The next tokens are the branches' ``step``-th ones."""
        self._at.fill_(step)
        self._ahead[: step + 1] = False
        self._ahead[step + 1 :] = True

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write this step's keys and values."""
        for own, new in zip(self._own[layer_idx], (key_states, value_states), strict=True):
            own.index_copy_(2, self._at, new.to(own.dtype))
        return key_states, value_states

    def attend(
        self,
        query: Float[Tensor, "R Q 1 D"],
        key: Float[Tensor, "R H 1 D"],
        value: Float[Tensor, "R H 1 E"],
        *,
        layer: int,
        scale: float,
    ) -> Float[Tensor, "R 1 Q E"]:
        """One softmax over the trunk and the branch's own tokens."""
        (trunk_keys, trunk_values), (keys, values) = self._trunk[layer], self._own[layer]
        grouped = _grouped(query.to(keys.dtype), keys.shape[1]) * scale
        above = self._by_trunk(grouped) @ trunk_keys.transpose(-1, -2)
        bias = self._bias(grouped.shape[2])
        if bias is not None:
            above = above + bias
        beside = (grouped @ keys.transpose(-1, -2)).masked_fill(self._ahead, float("-inf"))
        scores = torch.cat([self._by_row(above), beside], dim=-1)
        weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(keys.dtype)
        width = above.shape[-1]
        mixed = self._by_row(self._by_trunk(weights[..., :width]) @ trunk_values) + weights[..., width:] @ values
        return mixed.flatten(1, 2)[:, None]


def _buffer(like: Float[Tensor, "B H P D"], rows: int, steps: int) -> Float[Tensor, "R H S D"]:
    return like.new_empty(rows, like.shape[1], steps, like.shape[3])


def _multiplied(cached: Tensor) -> Tensor:
    """In the type that products are taken in: under autocast rotated keys, and so the cache, are in float32."""
    kind = cached.device.type
    return cached.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else cached


def _grouped(query: Float[Tensor, "R Q 1 D"], heads: int) -> Float[Tensor, "R H G D"]:
    """Queries by the head of keys and values that they share."""
    return query.reshape(query.shape[0], heads, -1, query.shape[-1])


def _hidden(first: Int[Tensor, " B"], fork: Int[Tensor, "B K"], width: int) -> Bool[Tensor, "B K P"] | None:
    """What of the trunk a branch does not see: padding, and what stands behind its fork; ``None`` if it sees all."""
    columns = torch.arange(width, device=fork.device)
    hidden = (columns < first[:, None, None]) | (columns >= fork[:, :, None])
    return hidden if bool(hidden.any()) else None
