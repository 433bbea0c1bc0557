"""What readers are shown in the place of names."""

LABELS = {
    "base": "Base",
    "ntp": "NTP control",
    "sft_rewrite": "SFT on rewrites",
    "rf_nll": "RF-NLL",
    "online_dpo": "Online DPO",
    "grpo": "GRPO",
    "scratch_ntp": "NTP, from scratch",
    "scratch_rf_nll": "RF-NLL, from scratch",
    "scratch_online_dpo": "Online DPO, from scratch",
    "self_refine": "Self-Refine (base, 3 revisions)",
    "star": "STaR",
    "star_plus": "STaR⁺",
    "pair_sft": "Pair-SFT",
    "pair_sft_plus": "Pair-SFT⁺",
    "single_turn": "single-turn RL",
    "naive_multi_turn": "naive multi-turn RL",
    "naive_multi_turn_kl_0.1": "naive multi-turn RL, KL .1",
    "naive_multi_turn_both": "naive multi-turn RL, both attempts",
    "score": "SCoRe",
    "score_kl_0.1": "SCoRe, KL .1",
    "no_stage_1": "SCoRe without Stage I",
    "no_shaping": "SCoRe without shaping",
    "offline_only": "SCoRe, offline first attempts",
    "star_in_stage_2": "SCoRe, STaR in Stage II",
    "corpus": "the corpus's own suffixes",
    "honest": "an author who knows the truth",
    "suffix": "original suffix",
    "rewrite": "rewrite",
    "rollout": "rollout",
    "policy": "update",
    "judge": "judge",
    "rewriter": "rewriter",
    "stream": "stream",
}


def label(name: str) -> str:
    """The label of an arm, source or role; a name of the user's stands for itself."""
    return LABELS.get(name, name.replace("_", " "))
