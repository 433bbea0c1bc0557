"""The policy, its frozen reference, and how either scores a packed batch.

Any Hugging Face causal language model will do; what it can take is found out when it is loaded.
"""

import copy
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from transformers import PreTrainedModel

from tutelage.collate import Batch, Layout
from tutelage.limits import attention_window, context_length
from tutelage.lora import merged
from tutelage.probing import find_ways
from tutelage.scoring import Masks, Scores, score


class Policy:
    """A causal language model that scores packed batches."""

    def __init__(
        self, model: PreTrainedModel, *, version: int = 0, mixed: bool = False, save_memory: bool = False
    ) -> None:
        # A model from a config is in training mode, where dropout makes another model of every pass.
        self.model = model.eval()
        self.mixed = mixed
        self.version = version
        self.save_memory = save_memory
        """Whether activations are computed again in the backward pass instead of kept."""
        self.device = next(model.parameters()).device
        self.tree_limit: int | None = attention_window(model.config)
        """Longest tree that the model's attention window allows: a window counts columns, a branch needs positions."""
        self.ways = find_ways(model, mixed=mixed)
        self._masks = Masks()

    @property
    def layout(self) -> Layout:
        """How rows are packed for this model."""
        return self.ways.layout

    def score(self, batch: Batch) -> Scores:
        """Log-probability and entropy of every target; gradients flow where the caller lets them."""
        with self.computing():
            moved = batch.to(self.device)
            return score(self.model, moved, self.ways, self._masks, save_memory=self.save_memory)

    def computing(self) -> AbstractContextManager[object]:
        """Matrix products in bfloat16 where the policy is of mixed precision; every use of ``model`` belongs in it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed)

    def frozen_copy(self) -> "Policy":
        """A copy of the weights as they are, without gradients: the reference. It shares masks with this one."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model).requires_grad_(False)
        return twin

    def copy_weights(self, other: "Policy") -> None:
        """Take over the other's weights in place."""
        self.model.load_state_dict(other.model.state_dict())
        self.version = other.version

    def save_hf(self, folder: Path) -> None:
        """Write a folder that ``AutoModelForCausalLM.from_pretrained`` loads, adapters merged into the weights."""
        merged(self.model).save_pretrained(folder, safe_serialization=True)

    @property
    def context_length(self) -> int | None:
        """Most positions that the configuration names, if it names any."""
        return context_length(self.model.config)
