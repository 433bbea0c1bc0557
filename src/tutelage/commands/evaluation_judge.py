"""Which judge reads what models wrote: a chat model here or on servers, or the judges of a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from tutelage.chat import LocalChat
from tutelage.commands.evaluate_words import Evaluate
from tutelage.commands.failing import UsageError
from tutelage.commands.judge_models import Asks, changed, in_form, run_of, text_judges
from tutelage.config import ConfigError, load_yaml, to_plain
from tutelage.endpoints import Endpoint, deciding
from tutelage.evaluation import Comparer, Draws, Kept, Panel, PoolJudge, Rater, TextComparer, TextRater, key_of
from tutelage.judges import PairwiseQuality, PointwiseFactuality, PointwiseSafety
from tutelage.prompts import FactualityPrompt, FaithfulnessPrompt, Form, QualityPrompt, RepetitionPrompt, SafetyPrompt
from tutelage.protocols import Codec, JudgeSpec, Resources
from tutelage.run import load_run
from tutelage.scripted import NoPolicy

ROLE = "judge.evaluation"
WARMTH: Mapping[str, float] = {"quality": 0.7, "repetition": 0.7, "faithfulness": 0.7, "safety": 1.0, "factuality": 0.7}
"""Temperature by kind of question [P §1.2.3]."""


Asked = Asks[QualityPrompt | RepetitionPrompt | FaithfulnessPrompt | SafetyPrompt | FactualityPrompt]
"""Who is asked about one kind of part, and how."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A judge before its models are loaded."""

    name: str
    asks: Mapping[str, Asked]
    """By kind."""
    others: Mapping[str, JudgeSpec]
    """Judges that are no text models, by kind: they read tokens."""
    known_as: frozenset[str]
    """By what its models would be recognised in another run."""

    def plain(self) -> dict[str, Any]:
        """For the file of results."""
        asks = {kind: {"model": _plain(one.model), "prompt": to_plain(one.prompt)} for kind, one in self.asks.items()}
        return {"name": self.name, "kinds": asks | {kind: _plain(spec) for kind, spec in self.others.items()}}


def chosen_judge(asked: Evaluate, words: Sequence[str]) -> Chosen | None:
    """The judge that the command names, if any; ``words`` are settings of its model.

    Raises:
        UsageError: settings of a model that is not named, or that a run brings with it.
    """
    if asked.judge is None:
        if words or asked.server or asked.form:
            raise UsageError("--server, --form and --model. are about a judge: name it by --judge")
        return None
    run = run_of(asked.judge, asked.server, words)
    found = _of_model(asked.judge, asked.server, words) if run is None else _of_run(run, asked.imports)
    return replace(found, asks=in_form(found.asks, asked.form))


def _of_model(name: str, servers: tuple[str, ...], words: Sequence[str]) -> Chosen:
    """One model with the project's prompts, as warm as the paper has it unless ``words`` say otherwise."""
    asks: dict[str, Asked] = {}
    for kind, prompt in _prompts().items():
        spec: LocalChat | Endpoint
        if servers:
            spec = Endpoint(name, servers, role=ROLE, temperature=WARMTH[kind], top_p=1.0)
        else:
            spec = LocalChat(name, temperature=WARMTH[kind], top_p=1.0)
        asks[kind] = Asks(changed(spec, words), prompt)
    return Chosen(Path(name).name, asks, {}, frozenset({Path(name).name.lower()}))


def _prompts() -> dict[str, Any]:
    return {
        "quality": QualityPrompt(),
        "repetition": RepetitionPrompt(),
        "faithfulness": FaithfulnessPrompt(),
        "safety": SafetyPrompt(),
        "factuality": FactualityPrompt(),
    }


def _of_run(path: Path, imports: tuple[str, ...]) -> Chosen:
    """The first judge of each kind. The model that compares quality is also asked what only evaluation asks."""
    asks: dict[str, Asked] = {}
    others: dict[str, JudgeSpec] = {}
    for judge in (judge for phase in load_run(path, imports).phases for judge in phase.judges):
        inner = list(text_judges(judge))
        for one in inner:
            match one:
                case PairwiseQuality():
                    asks.setdefault("quality", Asks(one.model, one.prompt))
                    form: Form = one.prompt.form
                    asks.setdefault("repetition", Asks(one.model, RepetitionPrompt(form=form)))
                    asks.setdefault("faithfulness", Asks(one.model, FaithfulnessPrompt(form=form)))
                case PointwiseSafety():
                    asks.setdefault("safety", Asks(one.model, one.prompt))
                case PointwiseFactuality():
                    asks.setdefault("factuality", Asks(one.model, one.prompt))
        for axis in () if inner else _axes(judge):
            if axis in ("quality", "safety", "factuality"):
                others.setdefault(axis, judge)
    others = {kind: judge for kind, judge in others.items() if kind not in asks}
    if not asks and not others:
        raise ValueError(f"{path} has no judge of quality, safety or factuality: there is nobody to read")
    plain: Any = load_yaml(path)
    return Chosen(str(path), asks, others, frozenset(_known_as([phase["judges"] for phase in plain["phases"]])))


def _axes(judge: Any) -> tuple[str, ...]:
    """What a judge says that it judges, itself or the one inside it."""
    axes = getattr(judge, "axes", None)
    if isinstance(axes, tuple):
        return tuple(str(axis) for axis in axes)
    axis = getattr(judge, "axis", None)
    if isinstance(axis, str):
        return (axis,)
    inner = [getattr(judge, field.name) for field in fields(judge)] if is_dataclass(judge) else []
    return tuple(axis for part in inner if isinstance(part, JudgeSpec) for axis in _axes(part))


# --------------------------------------------------------------------------- put to work


@dataclass(frozen=True, slots=True)
class Place:
    """What judges are built with."""

    codec: Codec
    suffix_length: int
    draws: Draws
    kept: Kept
    directory: Path


def seated(chosen: Chosen, place: Place) -> Panel:
    """The judge at work, its models loaded.

    Raises:
        ValueError: a model cannot be loaded, has no chat template, or a judge reads another language.
    """
    comparers: dict[str, Comparer] = {}
    raters: dict[str, Rater] = {}
    for kind, one in chosen.asks.items():
        model, digest = one.model.build(), key_of(deciding(_plain(one.model)))
        if isinstance(one.prompt, SafetyPrompt | FactualityPrompt):
            raters[kind] = TextRater(model, one.prompt, digest, place.draws, place.kept)
        else:
            comparers[kind] = TextComparer(model, one.prompt, digest, place.draws, place.kept)
    nobody = NoPolicy(AssertionError("a judge sampled"))
    resources = Resources(place.draws.seed, place.codec, nobody, place.suffix_length, place.directory)
    for kind, spec in chosen.others.items():
        digest = key_of(_plain(spec), place.draws.seed)
        judge = PoolJudge(spec.build(resources), kind, place.codec, digest, place.kept)
        if kind == "quality":
            comparers[kind] = judge
        else:
            raters[kind] = judge
    return Panel(comparers, raters)


def _plain(spec: Any) -> Any:
    """Its settings, its class among them; of one that cannot stand in a file, the name."""
    try:
        return to_plain(spec, object)
    except ConfigError:
        return str(getattr(spec, "name", type(spec).__name__))


# --------------------------------------------------------------------------- who trained whom


def trained_by(folder: str) -> frozenset[str]:
    """The judges of the run that this model is of, by what they are recognised by; empty where no run is known."""
    path = Path(folder).expanduser().absolute()
    for place in list(path.parents)[:3] if path.is_dir() else ():
        if (place / "run.yaml").is_file():
            try:
                plain: Any = load_yaml(place / "run.yaml")
                return frozenset(_known_as([phase["judges"] for phase in plain["phases"]]))
            except (ValueError, KeyError, TypeError):
                return frozenset()
    return frozenset()


def _known_as(plain: Any, inside: bool = False) -> Iterator[str]:
    """The last part of a model's name or path; of a judge without a model the name of its class."""
    if isinstance(plain, list):
        for one in plain:
            yield from _known_as(one, inside)
    elif isinstance(plain, dict):
        named = plain.get("model") if "servers" in plain else plain.get("path")
        if isinstance(named, str):
            yield Path(named).name.lower()
        deeper = [name for key, value in plain.items() if key != "class" for name in _known_as(value, True)]
        yield from deeper
        if not inside and not isinstance(named, str) and not deeper and isinstance(plain.get("class"), str):
            yield plain["class"].rpartition(".")[2].lower()
