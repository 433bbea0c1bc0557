"""vLLM with prefix caching: sampling alone, and the paper's step as the strongest assembly around it."""
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# vLLM is in an environment of its own.

import os
from typing import Any

from benchmarks.model import Job, prompts, reward
from benchmarks.worker import Pipe


def engine(job: Job) -> Any:
    """The engine inside this process, so that weights are handed over by a copy and no other process takes a core."""
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    import torch
    from vllm import LLM

    length, new, _ = job.shape
    made = LLM(
        model=job.folder,
        dtype="bfloat16" if job.device == "cuda" else "float32",
        max_model_len=length + new,
        max_num_batched_tokens=job.setting("batched_tokens", 4096),
        max_num_seqs=job.setting("sequences", 256),
        enable_prefix_caching=True,
        enforce_eager=job.setting("eager", False),
        disable_log_stats=True,
        seed=0,
    )
    torch.set_num_threads(job.threads)
    return made


def samples(llm: Any, job: Job, number: int) -> list[list[list[int]]]:
    """K continuations of every prompt, N tokens each.

    Raises:
        RuntimeError: a continuation has another length.
    """
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    _, new, count = job.shape
    how = SamplingParams(n=count, temperature=1.0, max_tokens=new, ignore_eos=True, detokenize=False, seed=None)
    asked = [TokensPrompt(prompt_token_ids=ids.tolist()) for ids in prompts(job, number)]
    said = [[list(o.token_ids) for o in answer.outputs] for answer in llm.generate(asked, how, use_tqdm=False)]
    if any(len(ids) != new for group in said for ids in group):
        raise RuntimeError(f"vLLM wrote a continuation that does not have {new} tokens")
    return said


def notes(job: Job) -> dict[str, Any]:
    """What is kept with the result."""
    import vllm

    return {
        "vllm": vllm.__version__,
        "eager": job.setting("eager", False),
        "batched_tokens": job.setting("batched_tokens", 4096),
    }


def sampling(job: Job, pipe: Pipe) -> None:
    """K continuations of every prompt."""
    llm = engine(job)

    def step(number: int) -> float:
        return float(sum(len(ids) for group in samples(llm, job, number) for ids in group))

    pipe.serve(step, **notes(job))


def hand_over(llm: Any, model: Any) -> None:
    """Put the trained weights into the engine, and forget prefixes that were computed with the old ones."""
    weights = [(name, parameter.detach()) for name, parameter in model.named_parameters()]
    llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
    llm.reset_prefix_cache()


def require_same(llm: Any, model: Any, job: Job) -> None:
    """Compare what both make of a prompt: the engine's packed weights must be the trained ones.

    Raises:
        RuntimeError: the greedy token's log-probabilities differ.
    """
    import torch
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    ids = prompts(job, 20_000)[0].tolist()
    how = SamplingParams(temperature=0, max_tokens=1, ignore_eos=True, logprobs=1)
    (answer,) = llm.generate([TokensPrompt(prompt_token_ids=ids)], how, use_tqdm=False)
    theirs = next(iter(answer.outputs[0].logprobs[0].values())).logprob
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids], device=job.device), logits_to_keep=1).logits[0, -1]
    ours = float(logits.float().log_softmax(-1).max())
    if abs(ours - theirs) > (0.05 if job.device == "cuda" else 1e-4):
        raise RuntimeError(f"vLLM says {theirs} where the trained weights say {ours}: they were not handed over")


def assembly(job: Job, pipe: Pipe) -> None:
    """vLLM's rollouts, then DPO on best and worst in plain transformers with a reference, then the weights handed over.

    The pass takes logits of the completion alone; both rows of a pair, of one length and so without padding, are one
    batch, as in the twin of the pass.
    """
    import torch

    from benchmarks.peers.training import adamw, apply, frozen, load
    from benchmarks.peers.twin import train_pairs

    llm = engine(job)
    model, rows = load(job), job.setting("rows", 2 * job.prompts)
    reference, optimizer, new = frozen(model), adamw(model), job.shape[1]

    def step(number: int) -> float:
        pairs: list[list[int]] = []
        for ids, group in zip(prompts(job, number), samples(llm, job, number), strict=True):
            ordered = sorted(group, key=reward)
            pairs += [[*ids.tolist(), *ordered[-1]], [*ids.tolist(), *ordered[0]]]
        train_pairs(job, model, reference, torch.tensor(pairs, device=job.device), new, rows)
        apply(model, optimizer)
        hand_over(llm, model)
        return float(job.prompts)

    step(20_001)
    require_same(llm, model, job)
    pipe.serve(step, rows=rows, handed_over=True, **notes(job))
