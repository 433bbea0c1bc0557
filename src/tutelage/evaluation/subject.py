"""A model under evaluation: what it writes, and how likely it finds what others wrote. Nothing is computed twice."""

from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tutelage.codec import Tokenizer
from tutelage.collate import collate
from tutelage.evaluation.items import Beginning, Choice, Continuation
from tutelage.evaluation.kept import Kept, key_of
from tutelage.policy import Policy
from tutelage.protocols import SampleRequest
from tutelage.sampler import InProcessSampler
from tutelage.types import Group, Row, Segment, Tokens
from tutelage.weights import Precision, Pretrained, is_mixed, load_model

BLOCK = 64
"""Items that are computed and written down together: what a kill costs at most."""
BATCH_TOKENS = 8192
"""Most tokens that go through the model together when answers are weighed."""
Weighed = tuple[float, int]
"""Log-probability of an answer in nats, and its tokens."""


class Subject:
    """A Hugging Face folder that is evaluated. Its weights are loaded when something is not known yet."""

    def __init__(
        self, name: str, folder: str, kept: Kept, *, tokenizer: str | None, precision: Precision, max_length: int
    ) -> None:
        self.name = name
        self.folder = folder
        self.codec = Tokenizer(tokenizer or folder).build()
        self._kept = kept
        self._precision: Precision = precision
        self._max_length = max_length

    @cached_property
    def digest(self) -> str:
        """Of the weights, the configuration and the tokenizer: what decides all that it says."""
        found = blake2b(self.codec.fingerprint.encode(), digest_size=16)
        path = Path(self.folder).expanduser()
        if not path.is_dir():
            found.update(self.folder.encode())
        for file in sorted([*path.glob("*.safetensors"), *path.glob("config.json")]):
            found.update(file.name.encode())
            with file.open("rb") as content:
                while block := content.read(1 << 24):
                    found.update(block)
        return found.hexdigest()

    @cached_property
    def _policy(self) -> Policy:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = load_model(Pretrained(self.folder, self._precision), self.codec, seed=0, device=device)
        return Policy(model.requires_grad_(False), mixed=is_mixed(self._precision, device))

    @cached_property
    def _sampler(self) -> InProcessSampler:
        return InProcessSampler(self._policy, eos=self.codec.eos)

    def write(self, beginnings: Sequence[Beginning], length: int) -> list[Continuation]:
        """The greedy continuation of each, ``length`` tokens at most [P]; beginnings lose what exceeds the context.

        Raises:
            ValueError: the context leaves no room for so many tokens.
        """
        settings = ("greedy", self.digest, self._precision, self._max_length, length)
        keys = [key_of(*settings, beginning.text) for beginning in beginnings]

        def make(block: Sequence[Beginning]) -> list[Any]:
            return [[one.text, one.tokens, one.ended] for one in self._continue([b.text for b in block], length)]

        return [Continuation(*one) for one in self._kept.filled(keys, beginnings, make, block=BLOCK)]

    def weigh(self, choices: Sequence[Choice]) -> list[tuple[Weighed, ...]]:
        """How likely each answer of each question is."""
        settings = ("weigh", self.digest, self._precision, self._max_length)
        keys = [key_of(*settings, choice.text, choice.answers) for choice in choices]

        def make(block: Sequence[Choice]) -> list[list[Weighed]]:
            return self._weighed([self._rows(choice) for choice in block])

        kept = self._kept.filled(keys, choices, make, block=BLOCK)
        return [tuple((float(nats), int(count)) for nats, count in one) for one in kept]

    def release(self) -> None:
        """Let go of the weights; they are loaded again should they be needed."""
        for name in ("_policy", "_sampler"):
            self.__dict__.pop(name, None)

    def _room(self, length: int) -> int:
        """Most tokens before ``length`` others."""
        limit = min(self._max_length, self._policy.context_length or self._max_length)
        if limit - length < 1:
            raise ValueError(
                f"{self.folder}: a context of {limit} tokens leaves no room before {length} new ones: lower "
                "--suffix-length or raise --max-length"
            )
        return limit - length

    def _before(self, text: str, length: int) -> Tokens:
        tokens = self.codec.encode(text)
        room = self._room(length)
        return tokens[max(0, len(tokens) - room) :] if len(tokens) else Tokens([self.codec.eos])

    def _continue(self, texts: Sequence[str], length: int) -> list[Continuation]:
        prefixes = [self._before(text, length) for text in texts]
        requests = [SampleRequest(prefix, (0,), length, temperature=0.0) for prefix in prefixes]
        written = [sampled[0] for sampled in self._sampler.sample(requests)]
        return [
            Continuation(self._behind(prefix, one.tokens), len(one.tokens), one.finish == "stop")
            for prefix, one in zip(prefixes, written, strict=True)
        ]

    def _behind(self, prefix: Tokens, tokens: Tokens) -> str:
        """Text of ``tokens`` as it follows ``prefix``: a space that only joins the two is not lost."""
        before, both = self.codec.decode(prefix), self.codec.decode(Tokens.join([prefix, tokens]))
        return both[len(before) :] if both.startswith(before) else self.codec.decode(tokens)

    def _rows(self, choice: Choice) -> list[Row]:
        whole = self.codec.encode(choice.text)
        rows: list[Row] = []
        for answer in choice.answers:
            behind = self.codec.encode_after(whole, answer)
            target = self.codec.encode(answer) if behind is None else behind
            if not len(target):
                raise ValueError(f"{choice.key}: an answer has no token in the tokenizer of {self.folder}")
            room = self._room(len(target))
            before = whole[max(0, len(whole) - room) :] if len(whole) else Tokens([self.codec.eos])
            rows.append(Row((Segment(before), Segment(target, trained=True))))
        return rows

    @torch.no_grad()
    def _weighed(self, groups: Sequence[Sequence[Row]]) -> list[list[Weighed]]:
        """Sums over the answers' tokens; a question is one tree where its answers share what stands before them."""
        policy = self._policy
        found: list[list[Weighed]] = [[] for _ in groups]
        items = [Group(tuple(rows)) for rows in groups]
        for batch in collate(items, max_tokens=BATCH_TOKENS, layout=policy.layout, tree_limit=policy.tree_limit):
            logprobs = policy.score(batch).logprobs.double().cpu().numpy()
            row = batch.row.numpy()
            sums = np.bincount(row, weights=logprobs, minlength=batch.num_rows).tolist()
            counts = np.bincount(row, minlength=batch.num_rows).tolist()
            pairs = iter(zip(sums, counts, strict=True))
            for number in batch.items:
                found[number] = [(float(nats), int(count)) for nats, count in (next(pairs) for _ in groups[number])]
        return found
