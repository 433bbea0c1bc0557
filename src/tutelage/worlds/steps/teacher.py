"""The teacher of the world: it knows every value, and writes down some of them."""

from dataclasses import dataclass
from typing import Literal, assert_never

from tutelage.maths.ranges import require
from tutelage.worlds.dice import Dice
from tutelage.worlds.steps.language import TAGS, Chain


@dataclass(frozen=True, slots=True)
class StepsTeacher:
    """Writes a thought between a chain's definitions and its result. All that it says is true.

    Example:
        >>> StepsTeacher(skipped=0.0).thought(Chain(("a", "b", "c"), 3, ("+4", "*2"), 7), Dice("d"))
        ' b 0 c 0'
    """

    writes: Literal["thought", "paraphrase"] = "thought"
    """``thought``: the values of names. ``paraphrase``: the definitions of the same names once more, in as many words;
    they help nobody."""
    skipped: float = 0.5
    """Share of the names before the last that are left out: a large model takes several steps at once, a small one that
    is to imitate it cannot."""

    def __post_init__(self) -> None:
        require(self, "skipped", at_least=0, at_most=1)

    def thought(self, chain: Chain, dice: Dice) -> str:
        """The thought, without tags."""
        match self.writes:
            case "thought":
                said = [str(value) for value in chain.values[1:]]
            case "paraphrase":
                said = list(chain.operations)
            case _:
                assert_never(self.writes)
        lines = list(zip(chain.names[1:], said, strict=True))
        kept = [line for line in lines[:-1] if not dice.chance(self.skipped)] + lines[-1:]
        return "".join(f" {name} {word}" for name, word in kept)

    def text(self, chain: Chain, dice: Dice) -> str:
        """The chain's text with the thought in it."""
        return TAGS.insert(chain.text, {len(chain.question): self.thought(chain, dice)})
