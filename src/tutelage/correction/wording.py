"""How problems of maths and of code are asked, in our words; the meaning is that of 2409.12917 App. C [P]."""

from tutelage.correction.formats import QUESTION

MATHS = (
    f"Solve this problem step by step.\n\n{QUESTION}\n\nEnd with one line that gives the answer alone, in this form: "
    "Final Answer: $...$"
)
"""``Final Answer:`` is a marker of ``verifiers.Maths``."""
CODE = (
    f"Here is a task for a Python programmer.\n\n{QUESTION}\n\nAnswer with one whole program in a fenced block of "
    "Python; state every function in full."
)
REFINE = (
    "Say step by step what is wrong with the answer above, or could be better. Then write the whole answer once more, "
    "improved, in the form that the question asks for."
)
"""Self-Refine in one message: feedback and a new answer, asked again and again [I: the paper prints no prompt]."""
NEUTRAL = "Please write out the whole answer to the question once more."
"""A second instruction that asks for no correction: the control with the same decoding budget."""
