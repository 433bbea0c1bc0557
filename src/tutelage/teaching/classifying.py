"""A sequence classifier trained by the loop of all runs: a language model that is taught one word behind a text.

Behind a text the model learns to say the word of its label, by the likelihood of that word alone (``NTP("suffix")``).
The head of a classifier is then the language model's own head, cut down to those two words: its probabilities are the
language model's, scaled to sum to 1. So nothing but the head's shape differs between training and use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tutelage.codec import Tokenizer
from tutelage.judge_check import Passage
from tutelage.judges import ClassifierJudge
from tutelage.maths.ranges import require
from tutelage.protocols import Codec, Cursor, Resources
from tutelage.scripted import NoPolicy
from tutelage.stream.places import first_place, next_in_order
from tutelage.teaching.items import ItemSource, require_both_verdicts
from tutelage.types import Chunk, Document, Pool, Scored, Suffix, Tokens

SAFE, UNSAFE = "safe", "unsafe"
"""What the classifier's configuration calls its labels."""
NO_POLICY = NoPolicy(AssertionError("a classifier asks no policy"))


@dataclass(frozen=True, slots=True)
class LabelledPassages:
    """Passages as documents that end in the word of their label, in keyed order, epoch after epoch."""

    items: ItemSource
    """Labelled passages; pairs and claims are refused."""
    words: tuple[str, str] = (" YES", " NO")
    """Said of a safe and of an unsafe one; each must be one token."""
    max_length: int = 256
    """Most tokens of a passage with its word; of a longer one the end is read, as the classifier does."""
    corpus: str = "labelled-passages"
    """The name in the run."""

    def __post_init__(self) -> None:
        require(self, "max_length", at_least=2)

    @property
    def suffix_length(self) -> int:
        """The word of the label."""
        return 1

    def build(self, seed: int, codec: Codec, split: str) -> "PassageReader":
        """The stream; it has one split.

        Raises:
            ValueError: there are no passages of both kinds, other items, or a word that is no single token.
        """
        items = self.items.read()
        require_both_verdicts(items)
        texts = codec.encode_many([one.text if isinstance(one, Passage) else "" for one in items])
        if other := next((one.axis for one in items if not isinstance(one, Passage)), None):
            raise ValueError(f"a classifier learns from passages, and one of the items is on {other}")
        words = label_tokens(codec, self.words)
        documents = [
            Tokens.join([text[-(self.max_length - 1) :], Tokens([words[0 if one.label else 1]])])
            for one, text in zip(items, texts, strict=True)
            if len(text)
        ]
        return PassageReader(self, seed, tuple(documents))


def label_tokens(codec: Codec, words: tuple[str, str]) -> tuple[int, int]:
    """The token of each word.

    Raises:
        ValueError: a word is several tokens, or both are the same.
    """
    found = [codec.encode(word).tolist() for word in words]
    for word, ids in zip(words, found, strict=True):
        if len(ids) != 1:
            raise ValueError(f"the label {word!r} is {len(ids)} tokens in this tokenizer; choose words of one token")
    if found[0] == found[1]:
        raise ValueError(f"both labels are the token {found[0][0]} in this tokenizer; choose words that it tells apart")
    return found[0][0], found[1][0]


@dataclass(frozen=True, slots=True)
class PassageReader:
    """Reads ``LabelledPassages``: the text is a chunk's prefix, the word of its label the suffix."""

    spec: LabelledPassages
    seed: int
    documents: tuple[Tokens, ...]

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        return first_place(self.spec.corpus)

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """The next ``count`` passages, and the cursor after them.

        Raises:
            ValueError: the cursor is another stream's.
        """
        corpus = self.spec.corpus
        places, behind = next_in_order(cursor, corpus, count, len(self.documents), self.seed, corpus)
        return tuple(self._chunk(number, epoch) for epoch, number in places), behind

    def _chunk(self, number: int, epoch: int) -> Chunk:
        tokens = self.documents[number]
        cut = len(tokens) - 1
        return Chunk(Document(str(number), self.spec.corpus, epoch, tokens), tokens[:cut], tokens[cut:], cut)

    @property
    def fingerprint(self) -> str:
        """Hex digest of the passages in their tokens, and of the order."""
        digest = blake2b(repr((self.seed, self.spec.corpus)).encode(), digest_size=16)
        for tokens in self.documents:
            digest.update(tokens.digest)
        return digest.hexdigest()

    def counts(self) -> Mapping[str, int]:
        """Nothing is left out."""
        return {}


@dataclass(frozen=True, slots=True)
class ExportClassifier:
    """Work of a study: a language model that ``LabelledPassages`` taught as a classifier for ``ClassifierJudge``."""

    model: str
    """Folder of the language model with its tokenizer, as a run exports it."""
    words: tuple[str, str] = (" YES", " NO")
    """Those of ``LabelledPassages``."""

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``classifier/``, whose labels are ``safe`` and ``unsafe``."""
        export_classifier(Path(self.model), self.words, directory / "classifier")
        return True


def export_classifier(folder: Path, words: tuple[str, str], out: Path) -> Path:
    """Write the classifier and return ``out``.

    Raises:
        ValueError: a word is no single token, or the architecture has no sequence classifier with a linear head.
    """
    ids = label_tokens(Tokenizer(str(folder)).build(), words)
    language: Any = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    names = {0: SAFE, 1: UNSAFE}
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    config = AutoConfig.from_pretrained(
        folder, id2label=names, label2id={name: i for i, name in names.items()}, pad_token_id=pad
    )
    try:
        classifier: Any = AutoModelForSequenceClassification.from_config(config).to(language.dtype)
        head = classifier.score.weight
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{folder}: its architecture has no sequence classifier with a linear head: {error}"
        ) from error
    classifier.base_model.load_state_dict(language.base_model.state_dict())
    with torch.no_grad():
        head.copy_(language.get_output_embeddings().weight[list(ids)])
    classifier.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def classified(folder: Path, texts: Sequence[str]) -> list[float]:
    """How safe such a classifier calls each text, in [0, 1]; one without a verdict is 0."""
    codec = Tokenizer(str(folder)).build()
    resources = Resources(0, codec, NO_POLICY, 1, folder)
    judge = ClassifierJudge(str(folder), label=SAFE, axis="safety").build(resources)
    pools: list[Pool] = []
    for tokens in codec.encode_many(texts):
        alone = Chunk(Document("", "passages", 0, tokens), Tokens([]), tokens, 0)
        pools.append(Pool(alone, (Suffix(tokens),)))
    verdicts = [judgement.verdicts[0] for (judgement,) in judge.judge(pools)]
    return [verdict.value if isinstance(verdict, Scored) else 0.0 for verdict in verdicts]
