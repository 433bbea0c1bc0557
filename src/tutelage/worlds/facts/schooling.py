"""The school of a teacher: its lessons as a stream, and its tokenizer, with a template for conversations."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, assert_never

from tokenizers import Regex, normalizers

from tutelage.endpoints.wire import Style, payload
from tutelage.protocols import Codec, Cursor, Prompt
from tutelage.stream.places import first_place, next_places
from tutelage.types import Chunk, Document, Tokens
from tutelage.worlds.facts.lessons import TASKS, Lesson, Prompts, Task, lesson
from tutelage.worlds.facts.lexicon import END_OF_TEXT, UNKNOWN
from tutelage.worlds.facts.world import FactsWorld
from tutelage.worlds.words import save_tokenizer

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)
"""The space at its end parts it from an answer whose beginning is forced; the tokenizer drops it where none is."""
CODE = "#"
"""What stands for the code of a fence: a small model tells codes from texts, and not one code from another."""
SAMPLE = 400
"""Lessons whose words the tokenizer knows, besides those of the world."""
_ASKED = Style("teacher", "chat", 1.0, 1.0, "ask", "none")


@dataclass(frozen=True, slots=True)
class FactsLessons:
    """The oracle's verdicts and rewrites as conversations; trained on the answers, a small model becomes a teacher."""

    world: FactsWorld = field(default_factory=FactsWorld)
    prompts: Prompts = field(default_factory=Prompts)
    """How the teacher will be asked."""
    corpus: str = "facts-lessons"
    """The name in the run, and of the documents that lessons are about."""
    tasks: tuple[Task, ...] = TASKS
    """What is taught, in turn."""
    asked: Literal["server", "process"] = "server"
    """Who will ask: an ``Endpoint``, which can only ask for the words that a rewrite is to begin with; or
    ``LocalChat``, which puts them before the answer, so that a copy only has to be gone on with."""

    @property
    def suffix_length(self) -> int:
        """Most tokens of an answer."""
        return 2 * self.world.suffix_length + 64

    def ask(self, prompt: Prompt) -> str:
        """What the teacher's model reads."""
        match self.asked:
            case "server":
                return conversation(prompt)
            case "process":
                told = f"system : {prompt.system}\nuser : {prompt.user}\nassistant :"
                return f"{told} {prompt.answer_start}" if prompt.answer_start else told
            case _:
                assert_never(self.asked)

    def build(self, seed: int, codec: Codec, split: str) -> "School":
        """The lessons of one split; seeds and splits share no document.

        Raises:
            ValueError: the tokenizer lacks words of the lessons.
        """
        school = School(self, seed, codec, split)
        first = "".join(f" {word}" for word in self.world.lexicon.words[2:])
        if codec.encode(first).tolist().count(codec.encode(UNKNOWN)[0]):
            raise ValueError(
                "the teacher's tokenizer lacks words of this world: write it by write_tokenizer of these lessons"
            )
        return school

    def write_tokenizer(self, folder: Path) -> Path:
        """Write a tokenizer of whole words that knows the world and the prompts, and return ``folder``."""
        world = self.world
        texts = [f"{self.ask(one.prompt)} {one.answer}" for one in _lessons(self, "tokenizer", range(SAMPLE))]
        spaces = [normalizers.Replace(Regex(r"\s+$"), ""), normalizers.Replace(Regex(r"\s+"), " ")]
        normalizer = normalizers.Sequence([normalizers.Replace(Regex("[0-9a-f]{16}"), CODE), *spaces])
        words = [w for text in texts for w in normalizer.normalize_str(text).split()]
        counts = [str(number) for number in range(world.suffix_length)]
        known = list(dict.fromkeys([*world.lexicon.words[2:], *counts, *words]))
        return save_tokenizer([END_OF_TEXT, UNKNOWN, *known], folder, before=normalizer, chat_template=TEMPLATE)


@dataclass(frozen=True, slots=True)
class WriteLessonsTokenizer:
    """Work of a study: write the tokenizer of a school, so that its teachers load the same folder."""

    lessons: FactsLessons

    def execute(self, directory: Path, study: Path) -> bool:
        """Write ``tokenizer/``."""
        self.lessons.write_tokenizer(directory / "tokenizer")
        return True


@dataclass(frozen=True, slots=True)
class School:
    """Reads ``FactsLessons``: the question is a chunk's prefix, the answer its suffix."""

    spec: FactsLessons
    seed: int
    codec: Codec
    split: str

    def start(self) -> Cursor:
        """The cursor of a fresh run."""
        return first_place(self.spec.corpus)

    def read(self, cursor: Cursor, count: int) -> tuple[tuple[Chunk, ...], Cursor]:
        """The next ``count`` lessons, and the cursor after them.

        Raises:
            ValueError: the cursor is another stream's.
        """
        places, behind = next_places(cursor, self.spec.corpus, count)
        rows = [row for _, row in places]
        lessons = _lessons(self.spec, f"{self.split}-{self.seed}", rows)
        return tuple(self._chunk(number, one) for number, one in zip(rows, lessons, strict=True)), behind

    def _chunk(self, number: int, one: Lesson) -> Chunk:
        asked = self.codec.encode(self.spec.ask(one.prompt))
        answer = Tokens.join([self.codec.encode(one.answer), Tokens([self.codec.eos])])[: self.spec.suffix_length]
        name = f"{self.split}-{self.seed}-{number}"
        document = Document(name, self.spec.corpus, 0, Tokens.join([asked, answer]))
        return Chunk(document, document.tokens[: len(asked)], document.tokens[len(asked) :], len(asked))

    @property
    def fingerprint(self) -> str:
        """Hex digest of the lessons, the split and the tokenizer."""
        told = repr((self.spec, self.seed, self.split, self.codec.fingerprint))
        return blake2b(told.encode(), digest_size=16).hexdigest()

    def counts(self) -> Mapping[str, int]:
        """Nothing can go wrong with text that is written to order."""
        return {}


def conversation(prompt: Prompt) -> str:
    """What the teacher's model reads where a server is asked ``prompt``: the endpoint's messages in its template."""
    messages: list[dict[str, Any]] = json.loads(payload(_ASKED, prompt, 0))["messages"]
    return "".join([*(f"{one['role']} : {one['content']}\n" for one in messages), "assistant :"])


def _lessons(spec: FactsLessons, split: str, rows: Sequence[int]) -> list[Lesson]:
    """The lessons of these rows, the tasks in turn."""
    world = spec.world
    chunks = [world.cut(world.document(spec.corpus, f"{split}-{row}")) for row in rows]
    return [
        lesson(world, spec.prompts, chunk, spec.tasks[row % len(spec.tasks)])
        for row, chunk in zip(rows, chunks, strict=True)
    ]
