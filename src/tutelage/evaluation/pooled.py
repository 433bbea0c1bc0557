"""Any other judge than a text model, as a run has it: what models wrote becomes the candidates of pools."""

from collections.abc import Sequence

from tutelage.evaluation.items import Beginning, Continuation
from tutelage.evaluation.kept import Kept, key_of
from tutelage.evaluation.opinions import Duel, Opinion, opinion
from tutelage.protocols import Codec, Judge
from tutelage.types import Chunk, Document, Pool, Rewrite, Scored, Tokens

BLOCK = 256
"""Pools that are judged and written down together: what a kill costs at most."""


class PoolJudge:
    """A judge of a run on one axis, shown what models wrote as candidates of a pool; it reads tokens of ``codec``."""

    def __init__(self, judge: Judge, axis: str, codec: Codec, digest: str, kept: Kept) -> None:
        self._judge = judge
        self._axis = axis
        self._codec = codec
        self._digest = digest
        self._kept = kept

    def compare(self, duels: Sequence[Duel]) -> list[Opinion]:
        """1 where ours got more on the axis, 0 where less, half where equal; the mean of both orders."""
        shown = [(d.beginning, pair) for d in duels for pair in ((d.ours, d.theirs), (d.theirs, d.ours))]
        won = [_won(values) for values in self._values(shown)]
        turned = [None if value is None else 1 - value for value in won]
        return [opinion([(won[i], ""), (turned[i + 1], "")]) for i in range(0, len(shown), 2)]

    def rate(self, beginnings: Sequence[Beginning], texts: Sequence[Continuation]) -> list[Opinion]:
        """What each got on the axis."""
        shown = [(beginning, (text,)) for beginning, text in zip(beginnings, texts, strict=True)]
        return [opinion([(values[0], "")]) for values in self._values(shown)]

    def _values(self, shown: Sequence[tuple[Beginning, tuple[Continuation, ...]]]) -> list[list[float | None]]:
        """Of every pool's candidates on the axis."""
        keys = [self._key(*one) for one in shown]

        def make(block: Sequence[tuple[Beginning, tuple[Continuation, ...]]]) -> list[list[float | None]]:
            return self._verdicts([self._pool(*one) for one in block])

        return self._kept.filled(keys, shown, make, block=BLOCK)

    def _key(self, beginning: Beginning, texts: tuple[Continuation, ...]) -> str:
        told = [[text.text, text.ended] for text in texts]
        about = (beginning.key, beginning.text, beginning.reference, beginning.ends)
        return key_of("pool", self._digest, self._axis, self._codec.fingerprint, about, told)

    def _pool(self, beginning: Beginning, texts: tuple[Continuation, ...]) -> Pool:
        prefix = self._codec.encode(beginning.text)
        suffix = self._tokens(prefix, beginning.reference, beginning.ends)
        document = Document(beginning.key, "evaluation", 0, Tokens.join([prefix, suffix]))
        candidates = (Rewrite(self._tokens(prefix, text.text, text.ended), str(i)) for i, text in enumerate(texts))
        return Pool(Chunk(document, prefix, suffix, len(prefix)), tuple(candidates))

    def _tokens(self, prefix: Tokens, text: str, ended: bool) -> Tokens:
        behind = self._codec.encode_after(prefix, text) if text else Tokens([])
        tokens = self._codec.encode(text) if behind is None else behind
        return Tokens.join([tokens, Tokens([self._codec.eos])]) if ended else tokens

    def _verdicts(self, pools: Sequence[Pool]) -> list[list[float | None]]:
        found: list[list[float | None]] = []
        for judgements in self._judge.judge(pools):
            mine = [judgement for judgement in judgements if judgement.axis == self._axis]
            if not mine:
                raise ValueError(f"{type(self._judge).__name__} gives no judgement of {self._axis}")
            found.append([v.value if isinstance(v, Scored) else None for v in mine[0].verdicts])
        return found


def _won(pair: Sequence[float | None]) -> float | None:
    first, second = pair
    if first is None or second is None:
        return None
    return 0.5 if first == second else float(first > second)
