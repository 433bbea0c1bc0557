"""Chat models in this process: any Hugging Face causal language model that answers prompts with text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LogitsProcessor

from tutelage import rng
from tutelage.folders import is_missing
from tutelage.labels import sequence_logprobs
from tutelage.limits import context_length
from tutelage.prompts import chat_text, plain_text
from tutelage.protocols import Answered, Prompt
from tutelage.sampler import pick
from tutelage.types import Absent
from tutelage.weights import require_safetensors

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class LocalChat:
    """A chat model from a local Hugging Face folder; no code from there is run.

    The defaults of temperature and top-p are the paper's for its tuned judge [P B.1].

    Example:
        >>> LocalChat("models/judge", temperature=0).name
        'judge'
    """

    path: str
    """Folder of the model and its tokenizer, or a hub name."""
    temperature: float = 1.0
    """0 answers greedily."""
    top_p: float = 0.6
    """Mass of the nucleus that is sampled from [P]."""
    max_batch: int = 16
    """Most prompts that go through the model together."""
    dtype: Dtype = "auto"
    """``auto`` takes the type that the weights were saved in."""
    device: str = "auto"
    """``auto`` takes the first GPU where there is one."""
    plain_prompt: bool = False
    """Ask by plain text instead of the chat template: for models without one."""
    thinking: bool = False
    """What a template that knows ``enable_thinking`` is told; never with a forced start of the answer."""

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.max_batch < 1:
            raise ValueError(
                "LocalChat needs temperature of at least 0, top_p in (0, 1] and max_batch of at least 1; got "
                f"{self.temperature}, {self.top_p} and {self.max_batch}"
            )

    @property
    def name(self) -> str:
        """The folder's name."""
        return Path(self.path).name

    def build(self) -> "HFChat":
        """The working model; all specs of one path, dtype and device share its weights.

        Raises:
            ValueError: no such folder, no causal language model in it, or no chat template.
        """
        weights = load_weights(self.path, self.dtype, self.device)
        if not self.plain_prompt and not weights.tokenizer.chat_template:
            raise ValueError(
                f"{self.path}: its tokenizer has no chat template, so it cannot be asked as a chat model; "
                "choose an instruction-tuned model, or set plain_prompt: true to ask it by plain text"
            )
        return HFChat(self, weights)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Weights:
    """A loaded model and tokenizer."""

    model: Any
    tokenizer: Any
    context: int | None
    """Most tokens of prompt and answer together; ``None`` where the configuration states no limit."""
    stops: frozenset[int]
    """Ids that end an answer."""
    special: tuple[str, ...] = field(repr=False)
    """Spellings of control tokens, which untrusted text must not be able to produce."""


_loaded: WeakValueDictionary[tuple[str, str, str], Weights] = WeakValueDictionary()


def load_weights(path: str, dtype: Dtype, device: str) -> Weights:
    """The model at ``path``, loaded once a process for as long as anybody holds it.

    Raises:
        ValueError: nothing loadable is there.
    """
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    key = (path, dtype, place)
    weights = _loaded.get(key)
    if weights is None:
        weights = _loaded[key] = _load(path, dtype, place)
    return weights


def _load(path: str, dtype: Dtype, device: str) -> Weights:
    folder = Path(path).expanduser()
    if is_missing(path):
        raise ValueError(f"{path}: there is no such folder; name that of a Hugging Face model with tokenizer")
    source = str(folder) if folder.is_dir() else path
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        require_safetensors(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=dtype, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: no causal language model could be loaded from there: {error}") from error
    model = model.to(device).eval().requires_grad_(False)
    configured = model.generation_config.eos_token_id
    stops = configured if isinstance(configured, list) else [configured]
    model.generation_config = GenerationConfig()  # a folder's own penalties would change the keyed draws
    return Weights(
        model=model,
        tokenizer=tokenizer,
        context=context_length(model.config),
        stops=frozenset(int(stop) for stop in (*stops, tokenizer.eos_token_id) if stop is not None),
        special=tuple(t.content for t in tokenizer.added_tokens_decoder.values() if t.special),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A prompt on its way through the model."""

    index: int
    ids: tuple[int, ...]
    room: int
    """Most tokens that its answer may have."""
    seed: int


class HFChat:
    """Answers prompts by sampling from a causal language model, each prompt with a seed of its own.

    A seed fixes its answer whatever else is in the batch (up to rounding of the logits in the last bit).
    """

    def __init__(self, spec: LocalChat, weights: Weights) -> None:
        self._spec = spec
        self._weights = weights
        self.tokens_read = self.tokens_written = 0
        """Of all prompts and answers so far."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._spec.name

    def answer(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[str | Absent]:
        """One answer a prompt; ``Absent`` where it leaves no room in the context, or the logits are not finite."""
        return [one if isinstance(one, Absent) else one.text for one in self.answered(prompts, seeds)]

    def answered(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Answered | Absent]:
        """As ``answer``, and of each whether it had no room to end."""
        limit = self._weights.context
        answers: list[Answered | Absent] = []
        asked: list[_Asked] = []
        for i, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            ids = self._encode(prompt)
            room = prompt.max_new_tokens if limit is None else min(prompt.max_new_tokens, limit - len(ids))
            answers.append(self._too_long(ids))
            if room > 0:
                asked.append(_Asked(i, ids, room, seed))
        for batch in self._batches(asked):
            for one, text in zip(batch, self._generate(batch), strict=True):
                answers[one.index] = text
        return answers

    def label_logprobs(
        self, prompts: Sequence[Prompt], labels: Sequence[str], seeds: Sequence[int] | None = None
    ) -> list[tuple[float, ...] | Absent]:
        """Log-probability (nats) that the answer begins with each label, which may be several tokens long.

        Nothing is drawn: temperature, top-p and seeds play no part.
        """
        contexts = [self._encode(prompt) for prompt in prompts]
        spelt = [[self._label(ids, label) for label in labels] for ids in contexts]
        found: list[tuple[float, ...] | Absent] = []
        fits: list[int] = []
        for i, (ids, mine) in enumerate(zip(contexts, spelt, strict=True)):
            found.append(self._too_long(ids))
            if self._weights.context is None or len(ids) + max(map(len, mine)) <= self._weights.context:
                fits.append(i)
                self.tokens_read += len(ids)
        scored = sequence_logprobs(
            self._weights.model, [contexts[i] for i in fits], [spelt[i] for i in fits], max_batch=self._spec.max_batch
        )
        for i, logprobs in zip(fits, scored, strict=True):
            sound = all(math.isfinite(value) for value in logprobs)
            found[i] = logprobs if sound else Absent(self.name, "the model gave non-finite logits")
        return found

    def _label(self, context: Sequence[int], label: str) -> tuple[int, ...]:
        """Ids of ``label`` as it follows ``context``: behind a space, but after a control token or white space."""
        tokenizer, last = self._weights.tokenizer, context[-1]
        joins = last in tokenizer.all_special_ids or tokenizer.decode([last])[-1:].isspace()
        return tuple(tokenizer(label if joins else f" {label}", add_special_tokens=False)["input_ids"])

    def _too_long(self, ids: Sequence[int]) -> Absent:
        return Absent(self.name, f"prompt of {len(ids)} tokens exceeds the context of {self._weights.context}")

    def _encode(self, prompt: Prompt) -> tuple[int, ...]:
        tokenizer, special = self._weights.tokenizer, self._weights.special
        if not self._spec.plain_prompt:
            text = chat_text(tokenizer, prompt, special, thinking=self._spec.thinking)
            return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        ids: list[int] = tokenizer(plain_text(prompt, special))["input_ids"]
        while len(ids) > 1 and ids[-1] in self._weights.stops:  # some tokenizers close every text
            ids.pop()
        return tuple(ids)

    def _batches(self, asked: Sequence[_Asked]) -> list[list[_Asked]]:
        """Prompts that may write equally much, neighbours in length, at most ``max_batch`` together."""
        most = self._spec.max_batch
        batches: list[list[_Asked]] = []
        ordered = sorted(asked, key=lambda one: (one.room, len(one.ids)))
        for _, group in groupby(ordered, key=lambda one: one.room):
            alike = list(group)
            batches += [alike[i : i + most] for i in range(0, len(alike), most)]
        return batches

    @torch.inference_mode()
    def _generate(self, batch: Sequence[_Asked]) -> list[Answered | Absent]:
        """Left-padded generation in which keyed draws take the place of the model's own sampling."""
        device, room, stops = self._weights.model.device, batch[0].room, sorted(self._weights.stops)
        width = max(len(one.ids) for one in batch)
        pad = stops[0] if stops else 0
        ids = [[pad] * (width - len(one.ids)) + list(one.ids) for one in batch]
        real = [[0] * (width - len(one.ids)) + [1] * len(one.ids) for one in batch]
        uniforms = torch.from_numpy(rng.uniforms(tuple(one.seed for one in batch), room)).to(device)
        draws = KeyedDraws(uniforms, self._spec.temperature, self._spec.top_p)
        out = self._weights.model.generate(
            torch.tensor(ids, device=device),
            attention_mask=torch.tensor(real, device=device),
            generation_config=GenerationConfig(
                do_sample=False, max_new_tokens=room, eos_token_id=stops or None, pad_token_id=pad
            ),
            logits_processor=[draws],
        )
        self.tokens_read += sum(len(one.ids) for one in batch)
        broken = Absent(self.name, "the model gave non-finite logits")
        return [
            self._text(one.ids, row) if sound else broken
            for one, row, sound in zip(batch, out[:, width:].tolist(), draws.finite.tolist(), strict=True)
        ]

    def _text(self, prompt: Sequence[int], written: Sequence[int]) -> Answered:
        """Text of ``written`` up to its end, decoded behind the prompt's last tokens: no space is lost."""
        end = next((i for i, token in enumerate(written) if token in self._weights.stops), len(written))
        self.tokens_written += end
        before = list(prompt[-8:])
        decode = self._weights.tokenizer.decode
        options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
        text = decode(before + list(written[:end]), **options)[len(decode(before, **options)) :]
        return Answered(text, cut=end == len(written))


class KeyedDraws(LogitsProcessor):
    """Leaves one token a row possible: the one that the row's own uniform number picks."""

    def __init__(self, uniforms: Float[Tensor, "R S"], temperature: float, top_p: float) -> None:
        self._uniforms = uniforms
        self._temperature = temperature
        self._top_p = top_p
        self._step = 0
        self.finite: Bool[Tensor, " R"] = torch.ones(len(uniforms), dtype=torch.bool, device=uniforms.device)
        """Whether all that was drawn so far had finite logits to be drawn from."""

    def __call__(self, input_ids: Int[Tensor, "R T"], scores: Float[Tensor, "R V"]) -> Float[Tensor, "R V"]:
        """Scores of 0 for the drawn token of every row and minus infinity for the rest."""
        drawn, logprob = pick(scores, self._uniforms[:, self._step], self._temperature, self._top_p)
        self.finite &= logprob.isfinite()
        self._step += 1
        return torch.full_like(scores, float("-inf")).scatter_(1, drawn[:, None], 0.0)
