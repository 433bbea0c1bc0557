"""Episodes of any policy: an attempt, the instruction to revise, another attempt, in exact tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tutelage import rng
from tutelage.episodes import Episode, EpisodeGroup, Problem, Turn
from tutelage.protocols import Sampled, Sampler, SampleRequest
from tutelage.types import Scored, Tokens
from tutelage.worlds.signed_sum.verifier import SumChecker
from tutelage.worlds.signed_sum.world import SignedSumWorld


@dataclass(frozen=True, slots=True)
class _Played:
    """An episode in progress."""

    number: int
    """Which of the problems it is about."""
    draw: int
    text: Tokens
    """All tokens so far."""
    turns: tuple[Turn, ...] = ()


def play(
    world: SignedSumWorld,
    sampler: Sampler,
    problems: Sequence[Problem],
    *,
    seed: int,
    draws: Sequence[int] = (0,),
    turns: int = 2,
    temperature: float = 1.0,
) -> tuple[EpisodeGroup, ...]:
    """One episode a problem and draw, ``turns`` attempts each; a temperature of 0 decodes greedily.

    What is sampled depends on ``seed``, the problem and its place among ``problems``, the draw and the turn, on nothing
    else: episodes of fewer turns are beginnings of longer ones.
    """
    episodes = [
        _Played(number, draw, world.prompt(problem)) for number, problem in enumerate(problems) for draw in draws
    ]
    for turn in range(turns):
        said = [world.instruction if episode.turns else episode.text for episode in episodes]
        before = [Tokens.join([e.text, world.instruction]) if e.turns else e.text for e in episodes]
        seeds = [
            rng.seed(seed, "signed sums", "attempt", problems[e.number].id, e.number, e.draw, turn) for e in episodes
        ]
        requests = [
            SampleRequest(prefix, (own,), world.attempt_length, temperature)
            for prefix, own in zip(before, seeds, strict=True)
        ]
        written = [sampled[0] for sampled in sampler.sample(requests)]
        rewards = _rewards(world, [problems[episode.number] for episode in episodes], written)
        episodes = [
            replace(
                episode,
                text=Tokens.join([prefix, sampled.tokens]),
                turns=(*episode.turns, Turn(prompt, sampled.tokens, sampled.logprobs, sampled.finish, reward)),
            )
            for episode, prefix, prompt, sampled, reward in zip(episodes, before, said, written, rewards, strict=True)
        ]
    version, each = sampler.version, len(draws)
    finished = [Episode(episode.turns, episode.draw, version) for episode in episodes]
    return tuple(
        EpisodeGroup(problem, tuple(finished[number * each : (number + 1) * each]))
        for number, problem in enumerate(problems)
    )


def _rewards(world: SignedSumWorld, problems: Sequence[Problem], written: Sequence[Sampled]) -> list[Scored]:
    """The verifier's verdicts; an attempt that was cut off is wrong, whatever it would have come to."""
    verdicts = SumChecker().check(problems, [world.text(sampled.tokens) for sampled in written])
    right = [isinstance(verdict, Scored) and verdict.value == 1.0 for verdict in verdicts]
    return [Scored(float(ok and one.finish == "stop")) for ok, one in zip(right, written, strict=True)]


def answers_of(world: SignedSumWorld, problems: Sequence[Problem], attempts: Sequence[Turn]) -> list[str | None]:
    """The chain of every attempt, ``None`` where it is malformed."""
    return SumChecker().answers(problems, [world.text(attempt.completion) for attempt in attempts])


def is_right(attempt: Turn) -> bool:
    """Whether the verifier found it right; where it abstained, it did not."""
    return isinstance(attempt.reward, Scored) and attempt.reward.value == 1.0
