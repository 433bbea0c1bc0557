"""What every arm is trained on, and from where it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tutelage.correction import Correction, Plain
from tutelage.evidence.thinking.settings import ThinkingSetting
from tutelage.objectives import NTP
from tutelage.optimizer import LearningRate
from tutelage.phases import Phase, Steps, TrainedTokens, Until
from tutelage.practice import dr_grpo, practise
from tutelage.protocols import StreamSpec
from tutelage.stream import ThoughtStream
from tutelage.worlds.steps import TAGS, Results, StepsProblems, StepsStream, StepsTeacher

PRACTISED = "thought_sft_rl"
"""The arm that practises thoughts of its own."""
RLVR = "_rlvr"
"""What the name of an arm after RL with verifiable reward ends with."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train."""

    name: str
    start: str | None
    """The arm that it continues; none begins from random weights."""
    phases: tuple[Phase, ...]
    effort: float
    """Seconds on one core, about."""
    probed: bool = False
    """Whether its thoughts are exchanged."""
    as_costly_as: str | None = None
    """The arm whose operations it takes, in place of its own number of tokens."""


def all_arms(setting: ThinkingSetting) -> Mapping[str, Arm]:
    """Every arm, in order of dependence."""
    teacher, whole = setting.teacher, replace(setting.teacher, skipped=0.0)
    raw, thoughts = _raw(setting), _imitated(setting, teacher)
    paraphrases = _imitated(setting, replace(teacher, writes="paraphrase"))
    mid = {
        "raw_sft": _sft(setting, raw),
        "thought_sft": _sft(setting, thoughts),
        "paraphrase_sft": _sft(setting, paraphrases),
    }
    count = round(setting.tokens * setting.sft_share)
    begun, rest = _sft(setting, thoughts, count), TrainedTokens(setting.tokens - count)
    reasoner = _sft(setting, _imitated(setting, whole), setting.reasoner_tokens)
    found = [
        Arm("base", None, (_base(setting),), 30),
        *(Arm(name, "base", (phase,), 60) for name, phase in mid.items()),
        Arm(PRACTISED, "base", (begun, _practised(setting, rest)), 80, probed=True),
        Arm("compute_matched_sft", "base", (mid["thought_sft"],), 120, as_costly_as=PRACTISED),
        Arm("rlvr_instead", "base", (begun, _verified(setting, rest)), 80),
        Arm("reasoner", "base", (reasoner,), 70),
        Arm("reasoner_raw_sft", "reasoner", (mid["raw_sft"],), 60),
        Arm("reasoner_thought_sft", "reasoner", (mid["thought_sft"],), 60),
    ]
    found += [Arm(f"{arm.name}{RLVR}", arm.name, (_verified(setting, Steps(setting.rlvr_steps)),), 40) for arm in found]
    return {arm.name: arm for arm in found}


def _base(setting: ThinkingSetting) -> Phase:
    short = replace(setting.world, fewest=1, most=2)
    return _supervised(setting, StepsStream(short, corpus="short"), Steps(setting.base_steps))


def _sft(setting: ThinkingSetting, stream: StreamSpec, tokens: int | None = None) -> Phase:
    return _supervised(setting, stream, TrainedTokens(tokens or setting.tokens))


def _supervised(setting: ThinkingSetting, stream: StreamSpec, until: Steps | TrainedTokens) -> Phase:
    """Next-token prediction of content and thoughts. The definitions are random, so that nothing is learnt of them."""
    rate = LearningRate(setting.learning_rate, warmup_steps=20)
    return Phase(NTP(on="suffix"), until, rate, documents_per_step=setting.documents_per_step, stream=stream)


def _raw(setting: ThinkingSetting) -> StreamSpec:
    return StepsStream(setting.world)


def _imitated(setting: ThinkingSetting, teacher: StepsTeacher) -> ThoughtStream:
    """The half that is for imitation."""
    world = setting.world
    return ThoughtStream(
        StepsStream(world, teacher),
        "sft",
        TAGS,
        after=world.result_length,
        thought_length=world.thought_length,
        max_length=2 * world.text_length,
    )


def _practised(setting: ThinkingSetting, until: Until) -> Phase:
    """The other half: the policy's own thoughts, rewarded by the author's result."""
    return practise(
        replace(_imitated(setting, setting.teacher), use="rl"),
        until=until,
        learning_rate=LearningRate(setting.rl_learning_rate, warmup_steps=5),
        group=setting.group,
        documents=setting.groups_per_step,
    )


def _verified(setting: ThinkingSetting, until: Until) -> Phase:
    """RL with verifiable reward on questions of the world."""
    world = setting.world
    length = world.thought_length + world.result_length + 1
    task = Correction(
        StepsProblems(world, "train"),
        Results(),
        Plain("{question}", ""),
        episodes=setting.group,
        turns=1,
        max_new_tokens=length,
        cut_off="checked",
    )
    rate = LearningRate(setting.rl_learning_rate, warmup_steps=5)
    documents = setting.groups_per_step
    return Phase(dr_grpo(length), until, rate, documents_per_step=documents, task=task)
