"""Arms that begin with random weights, at equal steps, as in the paper's Table 2; some for twice as long too."""

from collections.abc import Iterator

from tutelage.evidence.arms import Arm, Book
from tutelage.evidence.settings import Method
from tutelage.objectives import RFNLL, SFT
from tutelage.phases import Steps
from tutelage.protocols import SourceSpec
from tutelage.sources import RolloutSource, SuffixSource

RATE = 4e-3
LONG = ("long_sft", "long_rollout_rewrite", "long_all")


def scratch(book: Book) -> Iterator[Arm]:
    """The paper's four, and every source from the first step."""
    yield from _arms(book, "scratch", book.setting.scratch_steps)


def long(book: Book) -> Iterator[Arm]:
    """Twice as long."""
    yield from (arm for arm in _arms(book, "long", 2 * book.setting.scratch_steps) if arm.name in LONG)


def _arms(book: Book, prefix: str, steps: int) -> Iterator[Arm]:
    s, until = book.setting, Steps(steps)
    filtered = Method(RFNLL(ntp_weight=1.0), RATE)
    one = RolloutSource(num_rollouts=1)
    many = (SuffixSource(), book.rewrite(), RolloutSource(num_rollouts=4))
    kinds: tuple[tuple[str, Method, tuple[SourceSpec, ...], float], ...] = (
        ("ntp", Method(s.ntp.objective, RATE), (), 38),
        ("sft", Method(SFT("rewrite", ntp_weight=1.0), RATE), (book.rewrite(),), 40),
        ("suffix_rewrite", filtered, (SuffixSource(), book.rewrite()), 50),
        ("rollout_rewrite", filtered, (one, book.rewrite()), 80),
        ("all", filtered, many, 110),
    )
    for name, method, sources, effort in kinds:
        judges = () if name in ("ntp", "sft") else (book.judge,)
        phases = (book.phase(method, until, sources, judges),)
        yield Arm(f"{prefix}_{name}", phases, book.corpus("base"), start="", effort=effort)
