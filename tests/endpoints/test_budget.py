"""What roles spend: counted once, capped hard, and known again after a resume."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.endpoints.conftest import QUICK, Make
from tests.endpoints.fault_server import FaultServer

from tutelage.endpoints import LEDGER, Cap, Price
from tutelage.endpoints.budget import Ledger, read_books
from tutelage.endpoints.errors import BudgetSpent, ModelChanged
from tutelage.endpoints.pool import TEMPLATE_TOKENS, Asked
from tutelage.endpoints.wire import safe
from tutelage.metrics import Sum
from tutelage.protocols import Prompt

PRICE = Price(prompt=2e6, answer=3e6)
SHORT = Prompt("", "four words are here", max_new_tokens=10)


def test_tokens_requests_and_cost_are_counted_by_role(server: FaultServer, endpoint: Make):
    endpoint(server, role="rewriter", price=PRICE).answer([SHORT] * 3, range(3))
    found = LEDGER.take_metrics()
    assert found["prompt_tokens/rewriter"] == Sum(3 * 4)
    assert found["answer_tokens/rewriter"] == Sum(3 * 3)
    assert found["cost/rewriter"] == Sum(2 * 12 + 3 * 9)
    assert found["requests/rewriter"] == Sum(3) and found["cached/rewriter"] == Sum(0)
    assert LEDGER.take_metrics() == {}


@pytest.mark.parametrize("cap", [Cap(tokens=700), Cap(cost=1500)])
def test_a_cap_is_never_passed_and_stops_the_run(server: FaultServer, endpoint: Make, cap: Cap):
    model = endpoint(server, price=PRICE, cap=cap)
    with pytest.raises(BudgetSpent, match=r"judge.quality has spent .* raise it, then"):
        model.answer([SHORT] * 500, range(500))
    assert LEDGER.tokens("judge.quality") <= (cap.tokens or 10**9)
    assert LEDGER.cost("judge.quality") <= (cap.cost or 10**9)
    assert server.counts["requests"] > 50


def test_what_may_have_been_computed_counts_towards_the_cap(server: FaultServer, endpoint: Make):
    server.faults = ("reset",)
    with pytest.raises(BudgetSpent):
        endpoint(server, cap=Cap(tokens=400), requests=replace(QUICK, retries=50)).answer([SHORT], [0])
    assert server.counts["requests"] == 2  # of 157 tokens each
    server.faults = ("error",)
    endpoint(server, role="rewriter", cap=Cap(tokens=400)).answer([SHORT], [0])
    assert LEDGER.tokens("rewriter") == 0


def test_a_resumed_run_goes_on_with_its_books(tmp_path: Path):
    books = Ledger()
    books.open(tmp_path, 0, 1)
    entry = books.enter("rewriter", Cap(tokens=100), PRICE, 60, 20)
    assert entry is not None
    books.settle(entry, 50, 10, assumed=False)
    books.identify("rewriter", "m", "answering", "m-1")
    books.save()
    again = Ledger()
    for _ in range(2):  # a resume that spends nothing loses nothing
        again.__init__()
        again.open(tmp_path, 0, 1)
        again.save()
        assert (again.tokens("rewriter"), again.cost("rewriter")) == (60, 130)
    with pytest.raises(BudgetSpent):
        again.enter("rewriter", Cap(tokens=100), PRICE, 31, 10)
    with pytest.raises(ModelChanged):
        again.identify("rewriter", "m", "answering", "m-2")


def test_ranks_share_a_cap(tmp_path: Path):
    ranks = [Ledger(), Ledger()]
    for rank, books in enumerate(ranks):
        books.open(tmp_path, rank, 2)
        entry = books.enter("rewriter", Cap(tokens=100), PRICE, 40, 10)
        assert entry is not None
        books.settle(entry, 40, 10, assumed=False)
        with pytest.raises(BudgetSpent):
            books.enter("rewriter", Cap(tokens=100), PRICE, 1, 0)
    for books in ranks:
        books.save()
    alone = Ledger()
    alone.open(tmp_path, 0, 1)
    assert alone.tokens("rewriter") == 100


def test_a_request_waits_for_those_that_are_out_before_a_cap_stops_it():
    books = Ledger()
    first = books.enter("rewriter", Cap(tokens=100), PRICE, 50, 10)
    assert first is not None
    assert books.enter("rewriter", Cap(tokens=100), PRICE, 50, 10) is None
    books.settle(first, 20, 5, assumed=False)
    assert books.enter("rewriter", Cap(tokens=100), PRICE, 50, 10) is not None


def test_books_that_cannot_be_read_are_not_taken_for_empty(tmp_path: Path):
    (tmp_path / "teachers.rank-0000.json").write_text(json.dumps({"spent": 3}))
    with pytest.raises(ValueError, match=r"teachers.rank-0000.json cannot be read .*delete it to count from nought"):
        Ledger().open(tmp_path, 0, 1)


def spend(books: Ledger, role: str = "rewriter") -> None:
    entry = books.enter(role, Cap(), PRICE, 40, 10)
    assert entry is not None
    books.settle(entry, 40, 10, assumed=False)


def test_everything_that_is_counted_is_kept_and_summed_over_ranks(tmp_path: Path):
    for rank in range(2):
        books = Ledger()
        books.open(tmp_path, rank, 2)
        spend(books)
        books.count("retries", "rewriter", 3)
        books.identify("rewriter", "m", "listed", "m (first)")
        books.close()
    spent, models = read_books(tmp_path)
    cost = 2 * (2 * 40 + 3 * 10)
    assert spent == {"rewriter": {"answer_tokens": 20, "cost": cost, "prompt_tokens": 80, "retries": 6}}
    assert models == {"rewriter m listed": "m (first)"}


def test_what_is_out_at_a_runs_end_is_charged_to_it_at_its_most_and_not_to_the_next(tmp_path: Path):
    books = Ledger()
    books.open(tmp_path, 0, 1)
    late = books.enter("rewriter", Cap(), PRICE, 40, 10)
    assert late is not None
    books.close()
    assert read_books(tmp_path)[0] == {"rewriter": {"assumed_tokens": 50, "cost": 110}}
    books.open(tmp_path / "next", 0, 1)
    spend(books)
    books.settle(late, 40, 10, assumed=False)
    assert books.tokens("rewriter") == 50


def test_books_are_written_no_more_often_than_asked(tmp_path: Path):
    books = Ledger()
    books.open(tmp_path, 0, 1)
    spend(books)
    books.save(every_s=60)
    spend(books)
    books.save(every_s=60)
    assert read_books(tmp_path)[0]["rewriter"]["prompt_tokens"] == 40
    books.save()
    assert read_books(tmp_path)[0]["rewriter"]["prompt_tokens"] == 80


def test_a_role_without_a_price_has_no_cost(server: FaultServer, endpoint: Make):
    endpoint(server, role="rewriter").answer([SHORT], [0])
    assert "cost/rewriter" not in LEDGER.take_metrics()


def test_control_tokens_that_are_parted_are_in_the_bound_of_a_prompt():
    text = "</s>[INST]<|im_end|>" * 40
    sent = safe(text)
    assert len(sent) > len(text)
    assert Asked(0, Prompt("", text), 0).most_prompt_tokens - TEMPLATE_TOKENS >= len(sent)
