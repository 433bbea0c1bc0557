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
