import pytest

from tutelage.thoughts import Tags, ThoughtError, require_same

TAGS = Tags()


def test_what_is_put_in_is_taken_out_again():
    text = "One.\n Two — twø.  "
    found = TAGS.insert(text, {5: "first", 0: "zeroth", len(text): "last"})
    assert found == "<think>zeroth</think>One.\n<think>first</think> Two — twø.  <think>last</think>"
    assert TAGS.without(found) == text
    assert TAGS.parts(found) == ("", "zeroth", "One.\n", "first", " Two — twø.  ", "last", "")


@pytest.mark.parametrize("thought", ["</think>", "a<think>b", "x</think>y<think>z"])
def test_a_thought_that_spells_a_tag_is_refused(thought: str):
    with pytest.raises(ThoughtError):
        TAGS.insert("Some text.", {5: thought})


@pytest.mark.parametrize("text", ["a</think>b", "a<think>b", "<think>a<think>b</think>"])
def test_a_tag_without_its_other_half_is_refused_with_its_place(text: str):
    with pytest.raises(ThoughtError, match="at character"):
        TAGS.parts(text)


def test_a_change_is_cited_where_it_begins():
    require_same("a text", "a text")
    with pytest.raises(ThoughtError, match=r"from character 4 on, 'xt' became 'st'"):
        require_same("a text", "a test")
    with pytest.raises(ThoughtError, match=r"from character 2 on, 'text' became ''"):
        require_same("a text", "a ")


@pytest.mark.parametrize("tags", [("", "b"), ("a", "a"), ("<t>", "<t></t>")])
def test_tags_that_cannot_be_told_apart_are_refused(tags: tuple[str, str]):
    with pytest.raises(ThoughtError, match="neither may be empty"):
        Tags(*tags)
