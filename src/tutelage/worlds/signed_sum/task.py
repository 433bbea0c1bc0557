"""The correction task in this world: whoever trains, examines or watches a policy here asks it alike."""

from tutelage.correction import Correction, Plain
from tutelage.worlds.signed_sum.language import REVISE
from tutelage.worlds.signed_sum.problems import SignedSumProblems
from tutelage.worlds.signed_sum.verifier import SignedSums
from tutelage.worlds.signed_sum.world import SignedSumWorld, Split


def sums_task(world: SignedSumWorld, split: Split = "train", episodes: int = 8) -> Correction:
    """Two attempts at the problems of a split, ``revise`` between them; no attempt is longer than it need be."""
    return Correction(
        problems=SignedSumProblems(world, split),
        verifier=SignedSums(),
        format=Plain("{question}", REVISE),
        episodes=episodes,
        max_new_tokens=world.attempt_length,
        max_prompt_tokens=world.prompt_length,
    )
