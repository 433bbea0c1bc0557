"""The nearest name to one that is not there."""

from tutelage.config.errors import nearest


def test_a_path_that_ends_in_the_name_is_nearer_than_one_that_looks_like_it():
    known = ["until.count", "cuts", "stream.cuts.count", "phases.0.stream.cuts.count"]
    assert nearest("cuts.count", known) == "stream.cuts.count"
    assert nearest("until.cout", known) == "until.count"
    assert nearest("zzz", known) is None
