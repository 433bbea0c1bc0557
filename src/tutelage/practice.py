"""Phases in which a policy practises its own thoughts, and the gate that stops them where nothing can be learnt.

The neighbours of the method are the same phase with another judge: RPT (2506.08007) asks for the exact next token, RLPT
(2509.19249) for a semantic prefix of what the author wrote, RLP (2510.01265) for how much likelier a thought makes it.
"""

from tutelage.judges import ExactMatch, LikelihoodGain, SemanticMatch
from tutelage.objectives import GRPO
from tutelage.optimizer import LearningRate
from tutelage.phases import Limit, Phase, Until
from tutelage.prompts import MatchPrompt
from tutelage.protocols import JudgeSpec, TextModelSpec
from tutelage.stream import ThoughtStream
from tutelage.thinking import ThinkingSource


def dr_grpo(longest: int) -> GRPO:
    """Dr. GRPO as Part 2 of 2601.21343 trains by it: no KL, ratios truncated at 2 [C].

    Args:
        longest: most tokens of what is sampled; the constant that sums over tokens are divided by.
    """
    return GRPO(std=False, length="constant", constant_length=longest, kl_weight=0.0, ratio="truncated")


def practise(
    stream: ThoughtStream,
    *,
    until: Until,
    learning_rate: LearningRate,
    judge: JudgeSpec | None = None,
    goes_on: bool = True,
    group: int = 16,
    documents: int = 64,
) -> Phase:
    """RL mid-training: the policy thinks and goes on where a teacher would have thought; the judge compares.

    Group, documents and learning rate are not reported in the paper [I].

    Args:
        stream: documents up to an opening tag (``use="rl"``).
        until: when it ends.
        learning_rate: over the length of the phase.
        judge: whether predicted and true continuation match; by default whether their tokens are the same.
        goes_on: whether the policy writes behind its thought; not where the judge reads the thought alone.
        group: rollouts of a document.
        documents: of an update.

    Raises:
        ValueError: the stream is for imitation.
    """
    if stream.use != "rl":
        raise ValueError(f"practice needs documents that end at an opening tag: set use to 'rl', not {stream.use!r}")
    return Phase(
        dr_grpo(stream.suffix_length),
        until,
        learning_rate,
        sources=(ThinkingSource(group, stream.after if goes_on else 0, stream.tags),),
        judges=(judge or ExactMatch(stream.after, stream.tags),),
        documents_per_step=documents,
        stream=stream,
    )


def next_token(stream: ThoughtStream) -> ExactMatch:
    """The judge of RPT: the first token behind the thought is the author's. Give the stream ``after=1``."""
    return ExactMatch(1, stream.tags)


def semantic_prefix(stream: ThoughtStream, model: TextModelSpec, samples: int = 1) -> SemanticMatch:
    """The judge of RLPT: what stands behind the thought says what the author's text begins by saying."""
    return SemanticMatch(model, samples, length=stream.after, tags=stream.tags, prompt=MatchPrompt(covers="beginning"))


def likelihood_gain(stream: ThoughtStream, reference: str) -> LikelihoodGain:
    """The judge of RLP, for ``goes_on=False``: how much likelier the thought makes what the author wrote.

    Deviation: by a frozen ``reference`` with the thought and without it. The paper takes the policy itself with the
    thought and its moving average without; the authors of 2601.21343 tried a frozen model, too [C].
    """
    return LikelihoodGain(reference, length=stream.after, tags=stream.tags)


def variance_gate(share: float = 0.5, window: int = 20) -> Limit:
    """Stops a run where more than ``share`` of the groups have one and the same reward: they teach nothing [3]."""
    why = (
        "so many of the groups have rewards without variance and teach nothing. Where all are 0 the task is too hard: "
        "imitate thoughts for longer first, shorten what is compared (after), or enlarge the group. Where all are 1 it "
        "is learnt: end the phase (until)"
    )
    return Limit("pool/tie", above=share, window=window, why=why)
