"""Every method once more after one and the same fine-tune: on more of the corpus, or on hostile text."""

from collections.abc import Iterator
from dataclasses import replace

from tutelage.evidence.arms import Arm, Book
from tutelage.evidence.better import BEST, CONTROL, better
from tutelage.evidence.settings import Method
from tutelage.objectives import NTP
from tutelage.phases import TrainedTokens
from tutelage.worlds.facts import Corruption, FactsStream

HOSTILE = Corruption(wrong_facts=0.6, abusive_documents=1.0, abusive_sentences=0.5)
"""The text of an adversarial fine-tune: abuse in every document, most facts wrong."""
TOKENS = 40_000
RATE = 1e-3
GENTLE_RATE = 3e-4
SURVIVORS = ("base", "ntp", "sft", "rf_nll", "online_dpo", "grpo")
"""Whose survival is claimed."""
OTHER_SURVIVORS = ("ntp_compute", "ntp_filtered", "sft_compute", "sft_teacher", "judge_free", "grpo_compute", "after")
"""Whose survival is told beside."""
RECIPE = (CONTROL, better(BEST, 30, 0))
"""The better recipe and its control, on their own seeds."""
KINDS = ("benign", "hostile")


def survival(book: Book) -> Iterator[Arm]:
    """``NAME.benign`` and ``NAME.hostile``; at the lower rate ``NAME.benign-gentle``."""
    hostile = replace(book.setting.world, corruption=HOSTILE)
    texts = {"benign": book.corpus("tuned"), "hostile": FactsStream(hostile, corpus="facts-hostile")}
    runs = [(name, "", RATE) for name in (*SURVIVORS, *OTHER_SURVIVORS, *RECIPE)]
    for name, ending, rate in (*runs, *((name, "-gentle", GENTLE_RATE) for name in SURVIVORS)):
        for kind in KINDS:
            method, until = Method(NTP(), rate), TrainedTokens(TOKENS)
            tuned = book.arm(f"{name}.{kind}{ending}", method, until=until, stream=texts[kind], effort=3)
            yield replace(tuned, start=name)
