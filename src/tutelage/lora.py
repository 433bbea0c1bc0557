"""Low-rank adapters: few numbers beside frozen weights are trained; a model fits where its optimiser does not.

The adapters come from peft, which is installed by ``pip install 'tutelage[lora]'``; what is saved has them merged in.
"""

import copy
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from transformers import PreTrainedModel

from tutelage import rng
from tutelage.maths.ranges import require


@dataclass(frozen=True, slots=True)
class LoRA:
    """Adapters of low rank on linear layers (arXiv 2106.09685), without dropout; all other weights stay."""

    rank: int = 32
    """Of every adapter."""
    alpha: float = 64.0
    """What an adapter adds is multiplied by this, over the rank."""
    targets: tuple[str, ...] = ()
    """Names of the layers that get one, as ``q_proj``; all linear ones but the head where none is named."""

    def __post_init__(self) -> None:
        require(self, "rank", at_least=1)
        require(self, "alpha", above=0)


def adapted(model: PreTrainedModel, lora: LoRA, seed: int) -> PreTrainedModel:
    """The model with adapters in place, which change nothing yet; only they are trainable.

    Raises:
        ValueError: peft is not installed, or no layer has such a name.
    """
    peft: Any = _peft()
    targets: Any = list(lora.targets) or "all-linear"
    settings = peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=targets, lora_dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.seed(seed, "adapters"))
        found: PreTrainedModel = peft.inject_adapter_in_model(settings, model)
    for name, parameter in found.named_parameters():
        parameter.requires_grad_("lora_" in name)
    return found


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of the model without adapters, what they learnt added to its weights; a model without any is itself."""
    if not any(_is_adapted(module) for module in model.modules()):
        return model
    whole = copy.deepcopy(model)
    names = [name for name, module in whole.named_modules() if _is_adapted(module)]
    for name in names:
        layer: Any = whole.get_submodule(name)
        layer.merge()
        parent, _, own = name.rpartition(".")
        setattr(whole.get_submodule(parent), own, layer.get_base_layer())
    return whole


def _is_adapted(module: object) -> bool:
    return hasattr(module, "lora_A") and hasattr(module, "get_base_layer")


def _peft() -> Any:
    try:
        return import_module("peft")
    except ImportError as error:
        raise ValueError(
            "model.lora needs peft, which is not installed: pip install 'tutelage[lora]', or leave model.lora out to "
            "train all weights"
        ) from error
