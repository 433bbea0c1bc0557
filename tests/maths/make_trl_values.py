"""Write ``trl_values.json``: what TRL's own losses give on fixed tensors. Tests read the file, not TRL.

Run it in an environment of its own, on a CPU, from the root of the checkout::

    python -m venv /tmp/trl && /tmp/trl/bin/pip install torch==2.13.0 transformers==5.23.0 trl==1.16.0
    /tmp/trl/bin/python tests/maths/make_trl_values.py

No formula of TRL is typed again here. Its trainers are built on a two-layer model of 32 words, and these of
their methods run:

* ``dpo``: ``DPOTrainer._compute_loss``, one pair a call, on a model that answers with fixed
  log-probabilities. ``sigmoid`` is DPO's loss, which ignores label smoothing there; ``aot_unpaired`` is the
  same loss with label smoothing once a batch holds a single pair, because it then has nothing to sort.
  Margins are the metric ``rewards/margins``.
* ``grpo``: ``GRPOTrainer._compute_loss``, likewise on fixed log-probabilities, for ``loss_type`` ``grpo``,
  ``dr_grpo`` and ``dapo``. ``kl`` is the metric of that name; ``corrected`` is the option
  ``use_bias_correction_kl``, which multiplies the KL term by π/μ and is on in TRL unless turned off.
  ``leash`` is the KL term alone, on policy.
* ``advantages``: ``GRPOTrainer._generate_and_score_completions``, on text that the small model really
  samples, with rewards that are fixed; ``None`` is a completion that could not be scored.
* ``head``: ``GRPOTrainer._get_per_token_logps_and_entropies`` (TRL's fused head) on the small model, with the
  hidden states that went in and the weight of the head.

Gradients are of the loss with respect to the log-probabilities.
"""

import json
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.update(CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1")

import torch
import transformers
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

WORDS = [f"w{i}" for i in range(29)] + ["<unk>", "<pad>", "<eos>"]
PROMPT, LENGTH, ROWS, PAIRS, LONGEST = 3, 6, 4, 4, 8


class Fixed(torch.nn.Module):
    """A model that answers every batch with the same log-probabilities, in the shape of TRL's fused head."""

    def __init__(self, log_probs: Tensor) -> None:
        super().__init__()
        self.log_probs = log_probs

    def forward(self, **_: Any) -> SimpleNamespace:
        flat = torch.zeros_like(self.log_probs)
        return SimpleNamespace(
            log_probs=self.log_probs, entropy=flat, mean_logits=flat, is_top1=flat.bool(), aux_loss=None
        )


def small_model(folder: str) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64, pad_token_id=30,
        eos_token_id=31, bos_token_id=None,
    )  # fmt: skip
    # from a folder, as the trainers load the reference by its name
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return transformers.LlamaForCausalLM.from_pretrained(folder)


def small_tokenizer() -> transformers.PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", pad_token="<pad>", eos_token="<eos>"
    )


def dpo_trainer(folder: str) -> trl.DPOTrainer:
    data = Dataset.from_list([{"prompt": "w1 w2", "chosen": " w3", "rejected": " w4"}] * 2)
    args = trl.DPOConfig(output_dir=folder, use_cpu=True, bf16=False, report_to=[])
    return trl.DPOTrainer(small_model(folder), args=args, train_dataset=data, processing_class=small_tokenizer())


def grpo_trainer(folder: str, rewards: list[float | None], group: int = ROWS) -> trl.GRPOTrainer:
    def fixed_rewards(prompts: list[str], **_: Any) -> list[float | None]:
        return rewards[: len(prompts)]

    args = trl.GRPOConfig(
        output_dir=folder, use_cpu=True, bf16=False, report_to=[], num_generations=group, temperature=0.7,
        per_device_train_batch_size=len(rewards), max_completion_length=LONGEST, beta=0.04,
    )  # fmt: skip
    data = Dataset.from_list([{"prompt": "w1 w2 w3"}, {"prompt": "w4 w5"}])
    return trl.GRPOTrainer(
        small_model(folder), fixed_rewards, args=args, train_dataset=data, processing_class=small_tokenizer()
    )


def draw(*shape: int, scale: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * scale


def mask_of(lengths: list[int], width: int) -> Tensor:
    return (torch.arange(width) < torch.tensor(lengths)[:, None]).long()


def dpo_values(folder: str) -> dict[str, Any]:
    trainer = dpo_trainer(folder)
    trainer.precompute_ref_logps = True
    mask = mask_of([6, 2, 4, 5, 3, 6, 1, 4], LENGTH)
    tokens = -draw(2 * PAIRS, LENGTH, scale=2.0, seed=1).abs() * mask
    reference = tokens.sum(1) + draw(2 * PAIRS, scale=4.0, seed=2)
    cases = [
        dpo_case(trainer, tokens, mask, reference, loss, beta, smoothing)
        for loss, beta, smoothing in [
            ("sigmoid", 0.01, 0.0), ("sigmoid", 0.1, 0.0), ("sigmoid", 1.0, 0.0),
            ("aot_unpaired", 0.1, 0.0), ("aot_unpaired", 0.1, 0.1), ("aot_unpaired", 0.5, 0.3),
        ]
    ]  # fmt: skip
    return {"tokens": tokens, "mask": mask, "reference": reference, "cases": cases}


def dpo_case(
    trainer: trl.DPOTrainer,
    tokens: Tensor,
    mask: Tensor,
    reference: Tensor,
    loss: str,
    beta: float,
    smoothing: float,
) -> dict[str, Any]:
    trainer.loss_types, trainer.loss_weights = [loss], [1.0]
    trainer.beta, trainer.label_smoothing = beta, smoothing
    losses, margins, gradient = [], [], torch.zeros_like(tokens)
    for pair in range(PAIRS):
        both = torch.tensor([pair, pair + PAIRS])
        leaf = tokens[both].clone().requires_grad_()
        completion = torch.cat([torch.zeros(2, 1).long(), mask[both]], dim=1)
        inputs = {
            "input_ids": torch.zeros_like(completion),
            "attention_mask": torch.ones_like(completion),
            "completion_mask": completion,
            "ref_chosen_logps": reference[both[:1]],
            "ref_rejected_logps": reference[both[1:]],
        }
        value = trainer._compute_loss(Fixed(leaf), inputs, False)
        (gradient[both],) = torch.autograd.grad(value, leaf)
        losses.append(value.item())
        margins.append(trainer._metrics["train" if trainer.model.training else "eval"]["rewards/margins"][-1])
    return {"loss_type": loss, "beta": beta, "label_smoothing": smoothing, "losses": losses,
            "margins": margins, "gradient": gradient}  # fmt: skip


def grpo_values(folder: str) -> dict[str, Any]:
    trainer = grpo_trainer(folder, [0.0] * ROWS)
    trainer.model.eval()  # no gradient accumulation: the divisors are those of one batch
    mask = mask_of([6, 2, 4, 5], LENGTH)
    tokens = -draw(ROWS, LENGTH, scale=1.0, seed=3).abs()
    inputs = {
        "prompt_ids": torch.zeros(ROWS, PROMPT).long(),
        "prompt_mask": torch.ones(ROWS, PROMPT).long(),
        "completion_ids": torch.zeros(ROWS, LENGTH).long(),
        "completion_mask": mask,
        "advantages": draw(ROWS, scale=1.0, seed=4),
        "old_per_token_logps": tokens + draw(ROWS, LENGTH, scale=0.4, seed=5),
        "ref_per_token_logps": tokens + draw(ROWS, LENGTH, scale=0.5, seed=6),
        "num_items_in_batch": mask.sum(),
    }
    settings = [
        *((loss, 0.2, high, 0.0, False) for loss in ("grpo", "dr_grpo", "dapo") for high in (0.2, 0.28)),
        *((loss, 0.1, 0.4, beta, False) for loss in ("grpo", "dr_grpo", "dapo") for beta in (0.04, 0.5)),
        *(("dapo", 0.1, 0.4, beta, True) for beta in (0.04, 0.5)),
    ]
    cases = [grpo_case(trainer, tokens, inputs, *chosen) for chosen in settings]
    on_policy = {key: value for key, value in inputs.items() if key != "old_per_token_logps"}
    on_policy["advantages"] = torch.zeros(ROWS)  # the leash alone
    leash = [grpo_case(trainer, tokens, on_policy, "dapo", 0.2, 0.2, 1.0, c) for c in (False, True)]
    kept = ("advantages", "old_per_token_logps", "ref_per_token_logps")
    return {"tokens": tokens, "mask": mask, "longest": LONGEST, "cases": cases, "leash": leash} | {
        k: inputs[k] for k in kept
    }


def grpo_case(
    trainer: trl.GRPOTrainer,
    tokens: Tensor,
    inputs: dict[str, Any],
    loss: str,
    low: float,
    high: float,
    beta: float,
    corrected: bool,
) -> dict[str, Any]:
    trainer.args.use_bias_correction_kl = corrected
    trainer.loss_type, trainer.epsilon_low, trainer.epsilon_high, trainer.beta = loss, low, high, beta
    leaf = tokens.clone().requires_grad_()
    value = trainer._compute_loss(Fixed(leaf), inputs)
    (gradient,) = torch.autograd.grad(value, leaf)
    kl = trainer._metrics["eval"]["kl"][-1] if beta else None
    return {"loss_type": loss, "clip_low": low, "clip_high": high, "beta": beta, "corrected": corrected,
            "loss": value, "gradient": gradient, "kl": kl}  # fmt: skip


def advantage_values(folder: str) -> list[dict[str, Any]]:
    cases = []
    for rewards in ([0.0, 1.0, 1.0, 0.0, 0.5, 2.0, -1.0, 0.25], [1.0, 1.0, 1.0, 1.0, 0.0, None, 1.0, 0.5]):
        for scale in ("group", "none"):
            trainer = grpo_trainer(folder, rewards)
            trainer.scale_rewards = scale
            prompts = [{"prompt": "w1 w2 w3"}] * ROWS + [{"prompt": "w4 w5"}] * ROWS
            scored = trainer._generate_and_score_completions(prompts)
            cases.append({"rewards": rewards, "scale": scale, "group": ROWS, "advantages": scored["advantages"]})
    return cases


def head_values(folder: str) -> dict[str, Any]:
    trainer = grpo_trainer(folder, [0.0] * ROWS)
    torch.manual_seed(7)
    tokens = torch.randint(29, (ROWS, PROMPT + LENGTH))
    with torch.no_grad():
        trainer.model.lm_head.weight.mul_(40.0)  # far from uniform
        logprobs, entropies, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, tokens, torch.ones_like(tokens), LENGTH, compute_entropy=True
        )
        hidden = trainer.model.model(tokens).last_hidden_state[:, PROMPT - 1 : -1]
    return {
        "hidden": hidden, "weight": trainer.model.lm_head.weight, "targets": tokens[:, PROMPT:],
        "temperature": trainer.temperature, "logprobs": logprobs, "entropies": entropies,
    }  # fmt: skip


def plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().tolist()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        values = {
            "versions": {
                "trl": trl.__version__,
                "transformers": transformers.__version__,
                "torch": torch.__version__,
            },
            "dpo": dpo_values(folder),
            "grpo": grpo_values(folder),
            "advantages": advantage_values(folder),
            "head": head_values(folder),
        }
    target = Path(__file__).with_name("trl_values.json")
    target.write_text(json.dumps(plain(values), indent=None, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
