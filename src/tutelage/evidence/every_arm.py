"""Every arm of the evidence by name."""

from tutelage.evidence.arms import (
    Arm,
    Book,
    base,
    causes,
    data,
    equal_compute,
    judging,
    methods,
    pools,
    terms,
    timing,
    world_map,
)
from tutelage.evidence.from_nothing import long, scratch
from tutelage.evidence.in_all import after, in_all
from tutelage.evidence.recipes import better_arms
from tutelage.evidence.settings import Setting
from tutelage.evidence.survival import survival

GROUPS = (
    *(methods, equal_compute, pools, judging, timing, after, terms, data, scratch),
    *(survival, world_map, causes, long, in_all, better_arms),
)


def every_arm(setting: Setting) -> dict[str, Arm]:
    """In an order in which each comes after what it starts from."""
    book = Book(setting)
    found = [base(book), *(arm for group in GROUPS for arm in group(book))]
    return {arm.name: arm for arm in found}
