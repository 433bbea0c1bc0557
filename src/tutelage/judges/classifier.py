"""A sequence classifier as judge: the probability of one of its labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tutelage.folders import is_missing
from tutelage.limits import context_length
from tutelage.protocols import Codec, Judge, Resources
from tutelage.types import Abstained, Judgement, Pool, Scored, Verdict
from tutelage.weights import require_safetensors

NO_LIMIT = 10**9
"""Tokenizers that state no limit state a number far above this."""


@dataclass(frozen=True, slots=True)
class ClassifierJudge:
    """Probability of ``label`` by a Hugging Face sequence classifier, ``[0, 1]``; no code from its folder is run.

    Softmax over the labels, or the sigmoid of the label where the classifier is a multi-label one or has a single
    output.
    """

    path: str
    """Folder of the classifier and its tokenizer, or a hub name."""
    label: str
    """The label that is good, as the classifier's configuration spells it."""
    axis: str
    """What it judges: ``safety``, ``quality`` or a name of yours."""
    sees: Literal["candidate", "prefix and candidate"] = "candidate"
    """With ``prefix and candidate``, a text too long for the classifier loses its beginning."""
    weight: float = 1.0
    """Factor in the sum over axes."""
    max_batch: int = 32
    """Most texts that go through the classifier together."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the weights; ``auto`` takes what the folder says."""
    device: str = "auto"
    """``auto`` takes the first GPU where there is one."""

    def build(self, resources: Resources) -> Judge:
        """The working judge, its classifier loaded.

        Raises:
            ValueError: nothing loadable at ``path``, or a label that the classifier does not have.
        """
        place = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        folder = Path(self.path).expanduser()
        if is_missing(self.path):
            raise ValueError(f"{self.path}: there is no such folder; name that of a sequence classifier")
        source = str(folder) if folder.is_dir() else self.path
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            require_safetensors(folder, "AutoModelForSequenceClassification")
            model: Any = AutoModelForSequenceClassification.from_pretrained(
                source, dtype=self.dtype, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{self.path}: no sequence classifier could be loaded from there: {error}") from error
        return Classifier(self, model.to(place).eval().requires_grad_(False), tokenizer, resources.codec)


class Classifier:
    """``ClassifierJudge`` at work."""

    def __init__(self, spec: ClassifierJudge, model: Any, tokenizer: Any, codec: Codec) -> None:
        labels: dict[int, str] = {int(i): str(name) for i, name in model.config.id2label.items()}
        found = [i for i, name in labels.items() if name == spec.label]
        if not found:
            known = ", ".join(map(repr, labels.values()))
            raise ValueError(f"{spec.path}: the classifier has no label {spec.label!r}; it has {known}")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if model.config.pad_token_id is None:
            model.config.pad_token_id = tokenizer.pad_token_id
        tokenizer.truncation_side = "left"
        self._spec = spec
        self._model = model
        self._tokenizer = tokenizer
        self._codec = codec
        self._label = found[0]
        self._independent = model.config.num_labels == 1 or (model.config.problem_type == "multi_label_classification")

    def judge(self, pools: Sequence[Pool]) -> list[tuple[Judgement, ...]]:
        """One judgement a pool; all texts go through by length."""
        texts = [[self._text(pool, i) for i in range(len(pool.candidates))] for pool in pools]
        scores = self._scores(list(dict.fromkeys(t for mine in texts for t in mine if t.strip())))
        blank = Abstained("the candidate has no text")
        return [
            (
                Judgement(
                    axis=self._spec.axis,
                    verdicts=tuple(scores.get(text, blank) for text in mine),
                    weight=self._spec.weight,
                    calls=len({text for text in mine if text in scores}),
                ),
            )
            for mine in texts
        ]

    def _text(self, pool: Pool, index: int) -> str:
        candidate = self._codec.decode(pool.candidates[index].tokens)
        match self._spec.sees:
            case "candidate":
                return candidate
            case "prefix and candidate":
                return self._codec.decode(pool.chunk.prefix) + candidate if candidate.strip() else ""

    def _scores(self, texts: Sequence[str]) -> dict[str, Verdict]:
        scores: dict[str, Verdict] = {}
        ordered = sorted(texts, key=len)
        for i in range(0, len(ordered), self._spec.max_batch):
            batch = ordered[i : i + self._spec.max_batch]
            for text, value in zip(batch, self._probabilities(batch), strict=True):
                scores[text] = Scored(value) if value == value else Abstained("the classifier gave NaN")
        return scores

    @torch.inference_mode()
    def _probabilities(self, texts: Sequence[str]) -> list[float]:
        positions = context_length(self._model.config) or NO_LIMIT
        limit = min(positions, int(self._tokenizer.model_max_length))  # some count positions from 2
        options = {"truncation": True, "max_length": limit} if limit < NO_LIMIT else {}
        encoded = self._tokenizer(list(texts), padding=True, return_tensors="pt", **options)
        logits = self._model(**encoded.to(self._model.device)).logits.float()
        chances = logits.sigmoid() if self._independent else logits.softmax(-1)
        return chances[:, self._label].tolist()
