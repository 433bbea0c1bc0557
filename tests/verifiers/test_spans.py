"""Where the final answer stands in a text, and how it is handed on."""

import pytest

from tutelage.verifiers.spans import answer_span, as_latex, boxed


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Final Answer: The final answer is $\\frac{1}{2}$. I hope it is correct.", "$\\frac{1}{2}$"),
        ("Final Answer: 42", "42"),
        ("Final Answer: 42.", "42"),
        ("Final Answer: 4.5. I hope it is correct.", "4.5"),
        ("**Final Answer:** **42**\nThank you.", "42"),
        ("Final Answer:\n\n\\[\n x^2\n\\]\n\nDone.", "\\[\n x^2\n\\]"),
        ("Final Answer: 1\nNo, wait.\nFinal Answer: 2", "2"),
        ("\\boxed{3}\nFinal Answer: 4", "4"),
        ("Final Answer: \nThe answer is \\boxed{3}", "\\boxed{3}"),
        ("Final Answer:", None),
        ("so \\boxed{5}. Final Answer:", "5"),
        ("16 - 3 = <<16-3=13>>13\n#### 13", "13"),
        ("We get $\\boxed{\\frac{a}{b}}$ and then \\boxed{\\left\\{1, 2\\right\\}}.", "\\left\\{1, 2\\right\\}"),
        ("so \\boxed 7$.", "7"),
        ("\\boxed{1} and an open \\boxed{2", "1"),
        ("The answer is 12.", None),
        ("", None),
        ("Final Answer: " + "1" * 501, None),
        ("\\boxed{" + "1" * 501 + "}", None),
    ],
)
def test_the_answer_stands_behind_the_last_marker_else_in_the_last_box(text: str, span: str | None):
    assert answer_span(text) == span


def test_markers_are_a_choice():
    assert answer_span("Answer = 7\nFinal Answer: 8", ("Answer =",)) == "7"
    assert answer_span("Final Answer: 8 \\boxed{9}", ()) == "9"


@pytest.mark.parametrize("text", ["\\boxed", "\\boxed{", "\\boxed{{}", "\\boxed{\\}", "boxed{1}"])
def test_a_box_that_is_not_closed_is_none(text: str):
    assert boxed(text) is None


@pytest.mark.parametrize(
    ("span", "latex"),
    [
        ("42", "$42$"),
        ("$42$", "$42$"),
        ("$42", "$42$"),
        ("\\$42", "$42$"),
        ("-1,234.50", "$-1234.50$"),
        ("$1,080", "$1080$"),
        ("72 clips", "$72$"),
        ("15%", "$15$"),
        ("15\\%", "$15$"),
        (".5", "$0.5$"),
        ("3 x", "$3 x$"),
        ("2 pi", "$2 pi$"),
        ("1/2", "$1/2$"),
        ("x = 5", "$x = 5$"),
        ("$x$ and $y$", "$x$ and $y$"),
        ("\\boxed{5}", "$5$"),
        ("1,2,3", "$1,2,3$"),
        ("\\frac{1}{2}", "$\\frac{1}{2}$"),
    ],
)
def test_a_span_is_handed_on_as_latex(span: str, latex: str):
    assert as_latex(span) == latex
