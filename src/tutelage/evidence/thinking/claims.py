"""What is asked, and when the answer is yes: T1-T5, written before the runs.

``before`` and ``after`` are mean@16 before and after RL with verifiable reward; ``match`` is how often a continuation
behind a thought of this kind is the author's.
"""

from tutelage.evidence.claims import Claim, more

CLAIMS = (
    Claim(
        "T1",
        "SFT on text with thoughts finds more results than SFT on the same text as it is, at equal tokens",
        ".0999 → .2221 (Table 8)",
        (
            more("before", "thought_sft", "raw_sft"),
            more("before", "thought_sft", "paraphrase_sft"),
            more("before", "raw_sft", "base", also=True),
        ),
    ),
    Claim(
        "T2",
        "Practising thoughts by RL finds more than imitating them, at equal tokens and at equal compute",
        ".2221 → .3390 (Table 8)",
        (
            more("before", "thought_sft_rl", "thought_sft"),
            more("before", "thought_sft_rl", "compute_matched_sft"),
            more("thought_tokens", "thought_sft_rl", "thought_sft", also=True),
        ),
    ),
    Claim(
        "T3",
        "The gain survives RL with verifiable reward",
        ".1645 → .3480 → .3837 (Table 9)",
        (
            more("after", "thought_sft_rl", "thought_sft"),
            more("after", "thought_sft", "raw_sft"),
            # Here practice and RL with verifiable reward pay for one and the same thing, a right result: practice must
            # be worth more than as many tokens of the latter.
            more("after", "thought_sft_rl", "rlvr_instead"),
            more("after", "thought_sft_rl", "compute_matched_sft", also=True),
            more("after", "thought_sft", "paraphrase_sft", also=True),
            more("after", "thought_sft_rl", "base", also=True),
        ),
    ),
    Claim(
        "T4",
        "A base that already reasons is hurt by SFT mid-training",
        "Qwen3-8B: .5897 → .4737 on raw text, .4287 with thoughts (Table 10, means of its columns)",
        (
            more("before", "reasoner_raw_sft", "reasoner", expect="below"),
            more("before", "reasoner_thought_sft", "reasoner", expect="below"),
            more("after", "reasoner_raw_sft", "reasoner", expect="below", also=True),
            more("after", "reasoner_thought_sft", "reasoner", expect="below", also=True),
        ),
    ),
    Claim(
        "T5",
        "Its own thought serves a policy better than another document's, a blank or a generic one",
        "own .11, another's .016, but blank and generic .18 to .20 (public replication)",
        (more("match", "own", "swapped"), more("match", "own", "blank"), more("match", "own", "generic")),
    ),
)
