"""How gradients become updates: AdamW, or Muon on matrices with AdamW on the rest; and the learning rate over time."""

from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from torch import Tensor, nn

from tutelage.maths.learning_rate import warmup_cosine
from tutelage.maths.ranges import require


@dataclass(frozen=True, slots=True)
class AdamW:
    """AdamW on everything; no weight decay on vectors (norms, biases) [I]."""

    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of the two moments [C]."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    weight_decay: float = 0.1
    """Decoupled, on matrices only [C]."""

    def __post_init__(self) -> None:
        require(self, "betas", at_least=0, below=1)
        require(self, "eps", above=0)
        require(self, "weight_decay", at_least=0)

    def build(self, model: nn.Module) -> tuple[torch.optim.Optimizer, ...]:
        """One optimiser; its groups carry ``scale``, the factor on the schedule's rate."""
        matrices, vectors = _split(model)
        groups = [
            {"params": matrices, "weight_decay": self.weight_decay, "scale": 1.0},
            {"params": vectors, "weight_decay": 0.0, "scale": 1.0},
        ]
        kept = [group for group in groups if group["params"]]
        return (torch.optim.AdamW(kept, lr=0.0, betas=self.betas, eps=self.eps, fused=True),)


@dataclass(frozen=True, slots=True)
class Muon:
    """``torch.optim.Muon`` on hidden matrices, AdamW on embeddings, head, norms and biases."""

    momentum: float = 0.95
    """Of the matrices' gradients."""
    weight_decay: float = 0.1
    """Decoupled, on the hidden matrices."""
    adamw: AdamW = AdamW()
    """For everything that is no hidden matrix."""
    adamw_scale: float = 0.2
    """Learning rate of the AdamW part over the schedule's."""

    def __post_init__(self) -> None:
        require(self, "momentum", at_least=0, below=1)
        require(self, "weight_decay", at_least=0)
        require(self, "adamw_scale", above=0)

    def build(self, model: nn.Module) -> tuple[torch.optim.Optimizer, ...]:
        """Two optimisers, both driven by the schedule."""
        embedding = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        head = getattr(model, "get_output_embeddings", lambda: None)()
        embedding |= {id(p) for p in head.parameters()} if isinstance(head, nn.Module) else set()
        matrices, vectors = _split(model)
        hidden = [p for p in matrices if id(p) not in embedding and p.ndim == 2]
        taken = {id(p) for p in hidden}
        rest = [p for p in matrices if id(p) not in taken]
        a = self.adamw
        groups = [
            {"params": rest, "weight_decay": a.weight_decay, "scale": self.adamw_scale},
            {"params": vectors, "weight_decay": 0.0, "scale": self.adamw_scale},
        ]
        muon = torch.optim.Muon(
            [{"params": hidden, "scale": 1.0}], lr=0.0, momentum=self.momentum, weight_decay=self.weight_decay
        )
        kept = [group for group in groups if group["params"]]
        return (muon, torch.optim.AdamW(kept, lr=0.0, betas=a.betas, eps=a.eps, fused=True))


OptimizerSpec = AdamW | Muon


@dataclass(frozen=True, slots=True)
class LearningRate:
    """Warm-up, then a constant or a cosine down to a floor, over the length of the phase."""

    peak: float
    """Highest rate."""
    warmup_steps: int = 100
    """[P] B.1, continued training; 2,000 from scratch."""
    shape: Literal["cosine", "constant"] = "cosine"
    """What follows the warm-up."""
    floor_ratio: float = 0.1
    """Last rate over the peak [P]."""

    def __post_init__(self) -> None:
        require(self, "peak", above=0)
        require(self, "warmup_steps", at_least=0)
        require(self, "floor_ratio", at_least=0, at_most=1)

    def at(self, step: int, progress: float) -> float:
        """Rate of a phase's ``step``-th update, when ``progress`` of the phase, in [0, 1], is done."""
        match self.shape:
            case "cosine":
                # Exact where the phase ends by steps; where it ends by tokens, its length is what it looks like now.
                total = max(1, round(step / progress)) if progress > 0 else 1_000_000_000
                warmup = min(self.warmup_steps, total)
                return warmup_cosine(step, peak=self.peak, warmup=warmup, total=total, floor_ratio=self.floor_ratio)
            case "constant":
                return self.peak * min(1.0, (step + 1) / max(self.warmup_steps, 1))
            case _:
                assert_never(self.shape)


def _split(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Trainable parameters with two dimensions or more, and the rest; a tied one counts once."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [p for p in parameters if p.ndim >= 2], [p for p in parameters if p.ndim < 2]
