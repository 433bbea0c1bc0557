"""What was sampled, said and chosen, as Parquet within a budget."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.objectives.pools import CANDIDATES, chunk, judged, rollout

from tutelage.codec import HFCodec
from tutelage.objectives import GRPO, NTP, RFNLL, OnlineDPO
from tutelage.record import WriteFailed
from tutelage.samples import Recording, SampleWriter, TornSamples, read_samples
from tutelage.types import JudgedPool, Judgement, Rewrite, Scored, Suffix, Tokens

POOL = judged(CANDIDATES, [0.4, 0.9, "refused", 0.1])


def writer(folder: Path, codec: HFCodec, rank: int = 0, **settings: Any) -> SampleWriter:
    return SampleWriter(folder, Recording(**settings), codec, rank)


def test_every_candidate_is_a_row_with_its_verdicts_and_its_role(tiny_codec: HFCodec, tmp_path: Path):
    words = Judgement("safety", tuple(Scored(1.0) for _ in CANDIDATES), words=("a", "b", "c", "d"))
    more = Judgement("style", tuple(Scored(0.0) for _ in CANDIDATES), words=("", "", "e", ""))
    pool = JudgedPool(POOL.pool, (*POOL.judgements, words, more))
    samples = writer(tmp_path, tiny_codec)
    samples.add(3, [pool], [OnlineDPO().lesson(pool).item])
    samples.flush()
    rows = read_samples(tmp_path)
    assert [row["role"] for row in rows] == ["", "chosen", "", "rejected"]
    assert [row["source"] for row in rows] == ["suffix", "rewrite", "rollout", "rollout"]
    assert [row["total"] for row in rows] == [1.4, 1.9, None, 1.1]
    assert [row["words"] for row in rows] == ["a", "b", "c\ne", "d"] and [row["length"] for row in rows] == [2, 3, 2, 1]
    assert json.loads(rows[2]["verdicts"]) == {"quality": {"abstained": "refused"}, "safety": 1.0, "style": 0.0}
    assert [row["text"] for row in rows] == [tiny_codec.decode(c.tokens) for c in CANDIDATES]
    assert [row["prefix"] for row in rows] == [tiny_codec.decode(chunk().prefix), None, None, None]
    assert {(row["step"], row["document"], row["corpus"], row["cut"]) for row in rows} == {(3, "d", "c", 3)}
    assert [row["author"] for row in rows] == ["", "w", "", ""]
    assert [row["policy_version"] for row in rows] == [None, None, 0, 0]


@pytest.mark.parametrize(
    ("objective", "roles"),
    [
        (RFNLL(), ["", "trained", "", ""]),
        (NTP(), ["trained", "", "", ""]),
        (GRPO(), ["", "", "", ""]),
    ],
)
def test_what_a_group_trains_is_marked(objective: Any, roles: list[str], tiny_codec: HFCodec, tmp_path: Path):
    samples = writer(tmp_path, tiny_codec)
    samples.add(1, [POOL], [objective.lesson(POOL).item])
    samples.flush()
    assert [row["role"] for row in read_samples(tmp_path)] == roles


def test_text_is_kept_every_so_many_steps_until_the_budget_is_spent(tiny_codec: HFCodec, tmp_path: Path):
    size = len(tiny_codec.decode(chunk().prefix).encode()) + sum(
        len(tiny_codec.decode(c.tokens).encode()) for c in CANDIDATES
    )
    samples = writer(tmp_path, tiny_codec, text_every=2, text_bytes=size + 1)
    for step in range(1, 9):
        samples.add(step, [POOL], [None])
    samples.flush()
    kept = [row["step"] for row in read_samples(tmp_path) if row["text"] is not None]
    assert kept == [2] * 4 + [4] * 4 and samples.text_bytes == 2 * size
    assert len(read_samples(tmp_path)) == 32


def test_steps_are_found_and_a_missing_one_is_named(tiny_codec: HFCodec, tmp_path: Path):
    with pytest.raises(ValueError, match="holds no samples: none yet"):
        read_samples(tmp_path)
    samples = writer(tmp_path, tiny_codec)
    for step in (3, 4):
        samples.add(step, [POOL], [None])
    samples.flush()
    samples.add(5, [POOL], [None])
    samples.flush()
    assert {row["step"] for row in read_samples(tmp_path, 4)} == {4} and len(read_samples(tmp_path, 4)) == 4
    with pytest.raises(ValueError, match="no samples of step 9: steps 3 to 5 are there"):
        read_samples(tmp_path, 9)


def test_rewinding_drops_the_later_files_of_all_ranks(tiny_codec: HFCodec, tmp_path: Path):
    for rank in (0, 1):
        samples = writer(tmp_path, tiny_codec, rank)
        for first in (1, 3, 5):
            for step in (first, first + 1):
                samples.add(step, [POOL], [None])
            samples.flush()
    writer(tmp_path, tiny_codec).rewind(6)
    assert sorted({row["step"] for row in read_samples(tmp_path)}) == [1, 2, 3, 4]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_file_ends_when_it_is_large_enough(tiny_codec: HFCodec, tmp_path: Path):
    samples = writer(tmp_path, tiny_codec, rows_per_file=8)
    for step in range(1, 6):
        samples.add(step, [POOL], [None])
    samples.flush()
    samples.flush()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:22] for name in names] == [
        "step-00000001-00000002",
        "step-00000003-00000004",
        "step-00000005-00000005",
    ]


def test_of_equal_candidates_the_first_has_the_role(tiny_codec: HFCodec, tmp_path: Path):
    twins = judged([Suffix(CANDIDATES[0].tokens), *CANDIDATES], [1.0, 1.0, 0.5, 0.2, 0.1])
    samples = writer(tmp_path, tiny_codec)
    samples.add(1, [twins], [OnlineDPO().lesson(twins).item])
    samples.flush()
    assert [row["role"] for row in read_samples(tmp_path)] == ["chosen", "", "", "", "rejected"]


def test_every_rollout_that_is_trained_has_its_role_and_no_candidate_that_reads_like_it(
    tiny_codec: HFCodec, tmp_path: Path
):
    same = judged([Rewrite(Tokens([9]), "w"), rollout(9), rollout(9, draw=1), rollout(8)], [1.0, 0.5, 0.5, 0.1])
    samples = writer(tmp_path, tiny_codec)
    samples.add(1, [same], [GRPO().lesson(same).item])
    samples.flush()
    assert [row["role"] for row in read_samples(tmp_path)] == ["", "trained", "trained", "trained"]


def test_a_folder_that_takes_no_samples_is_named_with_the_way_on(tiny_codec: HFCodec, tmp_path: Path):
    (tmp_path / "samples").write_text("in the way")
    samples = writer(tmp_path / "samples", tiny_codec)
    samples.add(3, [POOL], [None])
    with pytest.raises(WriteFailed, match=r"samples/step-00000003-00000003\S* .*then resume with the same command"):
        samples.flush()


def test_a_torn_file_of_samples_is_named(tiny_codec: HFCodec, tmp_path: Path):
    (tmp_path / "step-00000001-00000002.rank-0000.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(TornSamples, match=r"step-00000001-00000002\.rank-0000\.parquet cannot be read"):
        read_samples(tmp_path)


@pytest.mark.parametrize(("field", "least"), [("text_every", 1), ("rows_per_file", 1), ("text_bytes", 0)])
def test_a_budget_that_cannot_be_kept_is_refused(field: str, least: int):
    with pytest.raises(ValueError, match=f"^{field} must be at least {least}, not {least - 1}$"):
        Recording(**{field: least - 1})
