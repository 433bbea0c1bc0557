from tutelage.report.marks import marked, prefix_pieces
from tutelage.types import Tokens
from tutelage.worlds.facts import GAMES, FactsWorld, honest, score_all


def test_an_honest_text_is_marked_right_and_a_lie_wrong(world: FactsWorld):
    chunk = world.evaluation_chunks("clean", 1)[0]
    truth = {piece.mark for piece in marked(world, chunk, "us", honest(world, chunk)).pieces}
    lies = {piece.mark for piece in marked(world, chunk, "us", GAMES["wrong_facts"](world, chunk)).pieces}
    assert truth <= {"right", "plain"} and "right" in truth
    assert "wrong" in lies and "right" not in lies


def test_abuse_and_broken_sentences_stand_out(world: FactsWorld):
    chunk = world.evaluation_chunks("clean", 1)[0]
    assert "abuse" in {p.mark for p in marked(world, chunk, "us", GAMES["abuse_with_facts"](world, chunk)).pieces}
    assert {p.mark for p in marked(world, chunk, "us", world.tokens("the the the . of .")).pieces} == {"broken"}


def test_nothing_of_the_text_is_lost_and_the_verdict_is_the_oracles(world: FactsWorld):
    for chunk in world.evaluation_chunks("natural", 20):
        told = marked(world, chunk, "author", chunk.suffix)
        written = chunk.suffix[: len(chunk.suffix) - told.ended]
        assert " ".join(piece.text for piece in told.pieces) == world.text(written)
        assert " ".join(piece.text for piece in prefix_pieces(world, chunk)) == world.text(chunk.prefix)
        assert told.total == score_all(world, chunk, [chunk.suffix])[0].total


def test_an_empty_continuation_has_no_pieces(world: FactsWorld):
    chunk = world.evaluation_chunks("natural", 1)[0]
    assert marked(world, chunk, "us", Tokens([])).pieces == ()
