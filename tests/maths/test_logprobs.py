import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tutelage.maths.logprobs import from_logits, sum_by_row, target_logprobs

N, D, V = 11, 5, 7


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    hidden, weight, bias = (torch.randn(*s, generator=generator, dtype=dtype) for s in ((N, D), (V, D), (V,)))
    return hidden, weight, bias, torch.randint(V, (N,), generator=generator)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("chunk", [1, 4, 1024])
def test_values_and_entropies_are_those_of_log_softmax(chunk: int, temperature: float) -> None:
    hidden, weight, bias, targets = inputs()
    logprobs, entropies = target_logprobs(hidden, weight, targets, bias=bias, chunk=chunk, temperature=temperature)
    plain = ((hidden @ weight.T + bias) / temperature).log_softmax(-1)
    torch.testing.assert_close(logprobs, plain.gather(1, targets[:, None])[:, 0])
    torch.testing.assert_close(entropies, -(plain.exp() * plain).sum(-1))


@pytest.mark.parametrize("chunk", [1, 4, 1024])
def test_gradients_are_those_of_finite_differences(chunk: int) -> None:
    hidden, weight, bias, targets = inputs()
    leaves = [tensor.requires_grad_() for tensor in (hidden, weight, bias)]
    assert torch.autograd.gradcheck(
        lambda h, w, b: target_logprobs(h, w, targets, bias=b, chunk=chunk, temperature=0.7)[0], leaves
    )


def test_gradients_do_not_depend_on_the_chunk() -> None:
    _, _, _, targets = inputs()
    upstream = torch.linspace(-1, 1, N, dtype=torch.float64)

    def gradients(chunk: int) -> tuple[Tensor, ...]:
        hidden, weight, bias, _ = (t.requires_grad_() if t.is_floating_point() else t for t in inputs())
        logprobs, _ = target_logprobs(hidden, weight, targets, bias=bias, chunk=chunk)
        return torch.autograd.grad(logprobs, (hidden, weight, bias), upstream)

    for one, other in zip(gradients(1024), gradients(3), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-14)


def test_entropies_carry_no_gradient() -> None:
    hidden, weight, _, targets = inputs()
    _, chunked = target_logprobs(hidden.requires_grad_(), weight, targets)
    _, plain = from_logits(hidden @ weight.T, targets)
    assert not chunked.requires_grad
    assert not plain.requires_grad


def test_half_precision_is_normalised_and_summed_in_float32() -> None:
    hidden, weight, _, targets = inputs(torch.bfloat16)
    hidden, weight = hidden.requires_grad_(), weight.requires_grad_()
    logprobs, entropies = target_logprobs(hidden, weight, targets, chunk=4)
    assert logprobs.dtype == entropies.dtype == torch.float32
    plain = (hidden @ weight.T).float().log_softmax(-1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(logprobs, plain)
    ours = torch.autograd.grad(logprobs.sum(), (hidden, weight))
    theirs = torch.autograd.grad(plain.sum(), (hidden, weight))
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)


def test_the_gradient_of_a_half_precision_head_does_not_stall_over_many_chunks() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.rand(600, D, generator=generator).bfloat16()
    weight = torch.zeros(V, D, dtype=torch.bfloat16, requires_grad=True)
    targets = torch.zeros(600, dtype=torch.long)
    logprobs, _ = target_logprobs(hidden, weight, targets, chunk=1)
    (found,) = torch.autograd.grad(logprobs.sum(), weight)
    slope = -torch.full((V,), 1 / V).double()
    slope[0] += 1
    expected = slope[:, None] * hidden.double().sum(0)
    # 2⁻⁸ for the result and as much for each summand; sums kept in bfloat16 would be off by a factor
    torch.testing.assert_close(found.double(), expected, rtol=2**-6, atol=0)


def test_a_head_held_in_float32_is_multiplied_as_its_states_and_learns_in_its_own_type() -> None:
    hidden, weight, bias, targets = inputs(torch.float32)
    held = (weight.requires_grad_(), bias.requires_grad_())
    logprobs, _ = target_logprobs(hidden.bfloat16(), weight, targets, bias=bias, chunk=4)
    rounded, _ = target_logprobs(hidden.bfloat16(), weight.bfloat16(), targets, bias=bias.bfloat16(), chunk=4)
    assert torch.equal(logprobs, rounded)
    exact, _ = target_logprobs(hidden, weight, targets, bias=bias)
    found, expected = (torch.autograd.grad(x.sum(), held) for x in (logprobs, exact))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)
    assert not torch.equal(found[0], found[0].bfloat16().float()), "the sum over chunks was rounded to bfloat16"


def test_autocast_does_not_reach_inside() -> None:
    hidden, weight, _, targets = inputs(torch.float32)
    expected, _ = target_logprobs(hidden, weight, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = target_logprobs(hidden, weight, targets)
    assert torch.equal(found, expected)


def test_a_frozen_head_gets_no_gradient_and_the_states_still_do() -> None:
    hidden, weight, _, targets = inputs()
    logprobs, _ = target_logprobs(hidden.requires_grad_(), weight, targets)
    logprobs.sum().backward()
    assert weight.grad is None
    assert hidden.grad is not None
    assert hidden.grad.abs().sum() > 0


def test_no_tensor_of_all_logits_is_ever_made(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.nn.functional as functional

    largest: list[int] = []
    plain = functional.linear

    def spy(*args: Tensor) -> Tensor:
        logits = plain(*args)
        largest.append(logits.shape[0])
        return logits

    monkeypatch.setattr(functional, "linear", spy)
    hidden, weight, _, targets = inputs()
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (saved.append(t.numel()), t)[1], lambda t: t):
        logprobs, _ = target_logprobs(hidden.requires_grad_(), weight, targets, chunk=4)
    logprobs.sum().backward()
    assert largest == [4, 4, 3, 4, 4, 3]
    assert max(saved) <= max(N * D, V * D) < N * V


def test_an_empty_batch_has_no_values_and_zero_gradients() -> None:
    hidden, weight, bias, targets = inputs()
    weight.requires_grad_()
    logprobs, entropies = target_logprobs(hidden[:0].requires_grad_(), weight, targets[:0], bias=bias)
    assert logprobs.shape == entropies.shape == (0,)
    logprobs.sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.zeros_like(weight))


def test_from_logits_agrees_with_cross_entropy_in_value_and_gradient() -> None:
    hidden, weight, _, targets = inputs()
    logits = (hidden @ weight.T).requires_grad_()
    logprobs, _ = from_logits(logits, targets)
    expected = -cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(logprobs, expected)
    upstream = torch.linspace(-1, 1, N, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(logprobs, logits, upstream), torch.autograd.grad(expected, logits, upstream)
    )


def test_forbidden_tokens_do_not_spoil_the_entropy() -> None:
    logits = torch.tensor([[0.0, 0.0, -torch.inf]])
    logprobs, entropies = from_logits(logits, torch.tensor([1]))
    torch.testing.assert_close(entropies, torch.tensor([2.0]).log())
    torch.testing.assert_close(logprobs, torch.tensor([0.5]).log())


@pytest.mark.parametrize("settings", [{"chunk": 0}, {"temperature": 0.0}, {"temperature": float("nan")}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    hidden, weight, _, targets = inputs()
    with pytest.raises(ValueError, match=next(iter(settings))):
        target_logprobs(hidden, weight, targets, **settings)  # type: ignore[arg-type]


def test_sums_are_by_row_whatever_the_order_and_an_empty_row_is_zero() -> None:
    values = torch.tensor([1.0, 2.0, 4.0, 8.0], requires_grad=True)
    sums = sum_by_row(values, torch.tensor([2, 0, 2, 0]), 4)
    assert sums.tolist() == [10.0, 0.0, 5.0, 0.0]
    (gradient,) = torch.autograd.grad(sums @ torch.tensor([3.0, 5.0, 7.0, 9.0]), values)
    assert gradient.tolist() == [7.0, 3.0, 7.0, 3.0]
