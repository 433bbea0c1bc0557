"""What the commands that ask a judge share: who it is, by their words or by a run, and how it is asked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from tutelage.chat import LocalChat
from tutelage.commands.failing import UsageError
from tutelage.config import ConfigError, parse_arguments, with_settings
from tutelage.config.mapping import parts_of
from tutelage.endpoints import Endpoint
from tutelage.judges import PairwiseQuality, PointwiseFactuality, PointwiseSafety
from tutelage.prompts import FactualityPrompt, FaithfulnessPrompt, Form, QualityPrompt, RepetitionPrompt, SafetyPrompt
from tutelage.protocols import TextModelSpec

TextJudge = PairwiseQuality | PointwiseSafety | PointwiseFactuality
P = TypeVar(
    "P", bound=QualityPrompt | RepetitionPrompt | FaithfulnessPrompt | SafetyPrompt | FactualityPrompt, covariant=True
)
K = TypeVar("K", bound=str)


@dataclass(frozen=True, slots=True)
class Asks(Generic[P]):
    """A text model before it is loaded, and the prompt by which it judges."""

    model: TextModelSpec
    prompt: P


def in_form(asks: Mapping[K, Asks[P]], form: Form | None) -> dict[K, Asks[P]]:
    """The same with ``form`` as that of their prompts; as they are where none is named."""
    if form is None:
        return dict(asks)
    return {kind: replace(one, prompt=replace(one.prompt, form=form)) for kind, one in asks.items()}


def run_of(judge: str, servers: Sequence[str], words: Sequence[str]) -> Path | None:
    """The run whose judges are meant by ``judge``; ``None`` where it names a model.

    Raises:
        UsageError: a run, and servers or settings of a model besides.
    """
    path = Path(judge)
    if path.suffix not in (".yaml", ".yml"):
        return None
    if servers or words:
        raise UsageError("the judges of a run are asked as the run says; give no --server and no --model settings")
    return path


def text_judges(part: object) -> Iterator[TextJudge]:
    """The judges that ask a text model, those inside other judges too."""
    for _, judge in parts_of(part, object):
        if isinstance(judge, TextJudge):
            yield judge


def changed(spec: LocalChat | Endpoint, words: Sequence[str]) -> LocalChat | Endpoint:
    """The model with ``--model.path.to.field value`` applied.

    Raises:
        UsageError: a word that is no setting of it.
    """
    try:
        pairs = parse_arguments(words)
        for path, _ in pairs:
            if not path.startswith("model."):
                raise UsageError(f"unknown here: --{path}; settings of the model begin with --model.")
        inner = [(path.removeprefix("model."), value) for path, value in pairs]
        return with_settings(spec, inner)
    except ConfigError as error:
        raise UsageError(str(error)) from error
