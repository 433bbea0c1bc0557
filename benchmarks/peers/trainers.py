"""transformers' Trainer and TRL's trainers, held at the end of every optimiser step until the next is asked for."""
# pyright: reportMissingImports=false
# TRL is in an environment of its own.

import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

from benchmarks.model import BETA, BETAS, CLIP, LEARNING_RATE, WEIGHT_DECAY, Job, documents, prompts, reward, words
from benchmarks.peers.training import load
from benchmarks.worker import Pipe

WARM = 1
"""Steps before the first that is timed."""


class Held(TrainerCallback):
    """Ends one step and begins the next on command: a step is all that a trainer does from one update to the next."""

    def __init__(self, pipe: Pipe, amount: float, notes: dict[str, Any]) -> None:
        self._pipe, self._amount, self._notes, self._steps = pipe, amount, notes, 0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._pipe.loaded()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._steps += 1
        if self._steps < WARM:
            return
        if self._steps == WARM:
            self._pipe.ready(**self._notes)
        else:
            self._pipe.done(self._amount)
        self._pipe.begin()


def arguments(job: Job, micro: int, rows: int) -> dict[str, Any]:
    """Settings of every trainer: the shared optimiser, nothing logged, saved or evaluated.

    Raises:
        ValueError: micro-batches do not make up the step, so that it would be less than was asked for.
    """
    if rows % micro:
        raise ValueError(f"a step of {rows} rows is no whole number of micro-batches of {micro}: set another rows=")
    return {
        "output_dir": tempfile.mkdtemp(),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": rows // micro,
        "max_steps": job.steps + WARM + 1,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "adam_beta1": BETAS[0],
        "adam_beta2": BETAS[1],
        "weight_decay": WEIGHT_DECAY,
        "max_grad_norm": CLIP,
        "optim": job.setting("optim", "adamw_torch_fused"),
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": job.device == "cpu",
        "bf16": job.device == "cuda",
        "gradient_checkpointing": False,
        "dataloader_num_workers": 0,
        "seed": 0,
    }


def free_reward(new: int) -> Callable[..., list[float]]:
    """The reward in the form that TRL calls; it sees every completion, and so whether each has ``new`` tokens.

    Raises:
        RuntimeError: one has not, so that the sides would not have done the same work.
    """

    def free(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        if any(len(ids) != new for ids in completion_ids):
            raise RuntimeError(f"TRL wrote {sorted({len(ids) for ids in completion_ids})} tokens, not {new}")
        return [reward(list(ids)) for ids in completion_ids]

    return free


def texts(job: Job) -> Dataset:
    """The prompts of every step, as text that the tokenizer turns into the same ids."""
    return Dataset.from_dict(
        {"prompt": [words(ids.tolist()) for n in range(job.steps + WARM + 2) for ids in prompts(job, n)]}
    )


def trl_notes(micro: int, job: Job) -> dict[str, Any]:
    """What is kept with the result."""
    import transformers
    import trl

    versions = {"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
    return {**versions, "rows": micro, "optim": job.setting("optim", "adamw_torch_fused")}


def trl_grpo(job: Job, pipe: Pipe) -> None:
    """GRPO with its reference: all rows generated in one batch, trained in micro-batches of ``rows``."""
    from trl import GRPOConfig, GRPOTrainer

    _, new, count = job.shape
    micro = job.setting("rows", 2)
    config = GRPOConfig(
        **arguments(job, micro, count * job.prompts),
        num_generations=count,
        max_completion_length=new,
        beta=BETA,
        temperature=1.0,
        shuffle_dataset=False,
        generation_kwargs={"min_new_tokens": new},
        model_init_kwargs={"attn_implementation": "sdpa", "dtype": "float32"},
    )
    trainer = GRPOTrainer(
        model=job.folder,
        reward_funcs=free_reward(new),
        args=config,
        train_dataset=texts(job),
        processing_class=AutoTokenizer.from_pretrained(job.folder),
        callbacks=[Held(pipe, float(job.prompts), trl_notes(micro, job))],
    )
    trainer.train()


def trl_online_dpo(job: Job, pipe: Pipe) -> None:
    """Online DPO with its reference; two completions a prompt are its only form.

    Raises:
        ValueError: another K than 2.
    """
    from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

    length, new, count = job.shape
    if count != 2:
        raise ValueError("TRL's online DPO samples two completions a prompt, so K is 2")
    micro = job.setting("rows", job.prompts)
    config = OnlineDPOConfig(
        **arguments(job, micro, job.prompts),
        max_new_tokens=new,
        max_length=length + new,
        beta=BETA,
        temperature=1.0,
        generation_kwargs={"min_new_tokens": new},
    )
    trainer = OnlineDPOTrainer(
        model=load(job),
        ref_model=load(job),
        reward_funcs=free_reward(new),
        args=config,
        train_dataset=texts(job),
        processing_class=AutoTokenizer.from_pretrained(job.folder),
        callbacks=[Held(pipe, float(job.prompts), trl_notes(micro, job))],
    )
    trainer.train()


class Sequential(Trainer):
    """A trainer that takes documents in the order in which they stand."""

    def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
        return None


def hf_trainer(job: Job, pipe: Pipe) -> None:
    """Plain next-token prediction on documents of P + N tokens; the amount is tokens."""
    ids = [row for n in range(job.steps + WARM + 2) for row in documents(job, n)]
    micro = job.setting("rows", 1)
    trainer = Trainer(
        model=load(job),
        args=TrainingArguments(**arguments(job, micro, job.prompts)),
        train_dataset=Dataset.from_dict({"input_ids": ids, "labels": ids}).with_format("torch"),
        callbacks=[Held(pipe, float(job.prompts * sum(job.shape[:2])), {"rows": micro, "torch": torch.__version__})],
    )
    trainer.train()
