"""How attention is computed where neither a causal nor a padding mask says it all.

A Hugging Face model hands a mask of four dimensions to each of its layers as it is. So what stands there may say how to
attend, not only to what: over a tree, or over a trunk that branches share. All else goes to PyTorch's own kernels.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "tutelage"


@runtime_checkable
class Attend(Protocol):
    """A way to attend. Letters: R rows · Q query heads · H heads of keys and values · T tokens · D, E widths."""

    def __call__(
        self,
        query: Float[Tensor, "R Q T D"],
        key: Float[Tensor, "R H T D"],
        value: Float[Tensor, "R H T E"],
        *,
        layer: int,
        scale: float,
    ) -> Float[Tensor, "R T Q E"]:
        """What the queries of a layer read."""
        ...


class Given(Tensor):
    """Stands where a model expects a mask and says how to attend; made by ``given``."""

    attend: Attend


def given(attend: Attend, device: torch.device) -> Given:
    """A mask that has a model's layers attend by ``attend``.

    Copies and slices of it forget ``attend``: a model that makes them fails, which the probe of ``Policy`` notices.
    """
    mask: Given = torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=device).as_subclass(Given)
    mask.attend = attend
    return mask


def use(model: PreTrainedModel) -> bool:
    """Have a model's layers ask here, where it uses PyTorch's attention; whether it does."""
    config: Any = model.config
    if config._attn_implementation == "sdpa":
        config._attn_implementation = NAME
    return config._attn_implementation == NAME


def leave(model: PreTrainedModel) -> None:
    """Have the layers of a model that was told to ask here call PyTorch's attention again."""
    config: Any = model.config
    if config._attn_implementation == NAME:
        config._attn_implementation = "sdpa"


def product_type(x: Tensor) -> torch.dtype:
    """The type in which matrix products of ``x`` are taken: autocast's where it is on, else its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **settings: Any
) -> tuple[Tensor, Any]:
    """What transformers calls in every layer.

    Under autocast rotated queries and keys come in float32 and values do not. PyTorch's own attention then casts all
    three; the kernels that ``Given`` calls are not on autocast's list, so they are cast here.

    Raises:
        ValueError: the model wants something of attention (capped scores, sinks) that is not computed for ``Given``.
    """
    if not isinstance(attention_mask, Given):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    unknown = [name for name in ("softcap", "s_aux", "position_bias") if settings.get(name) is not None]
    if unknown:
        raise ValueError(f"attention with {unknown[0]} is not computed over trees and branches")
    scaling = settings.get("scaling")
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    layer: Any = module.layer_idx
    query, key, value = (x.to(product_type(x)) for x in (query, key, value))
    return attention_mask.attend(query, key, value, layer=int(layer), scale=scale), None


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
