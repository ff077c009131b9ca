"""Items whose right answers differ from one another: tuples, invariants, examined results."""

import random

import numpy as np
import pytest
import torch

from attncourse.checking.item import Finding, case, item, wrong
from attncourse.grading import check
from attncourse.problem_sets import ITEMS


@pytest.fixture
def add(monkeypatch):
    """`add(item)`: it is one of the course's for the time of the test."""
    return lambda made: monkeypatch.setitem(ITEMS, made.id, made)


def nothing_wrong(result, case):
    return False


@pytest.fixture
def factors(add):
    """Two factors of a matrix of rank 2: any that multiply to it."""

    def factor(M):
        U, S, Vh = torch.linalg.svd(M)
        return U[:, :2] * S[:2], Vh[:2]

    class Factors:
        """Two factors of M, [4, 3] -> [4, 2], [2, 3]."""

        reference = staticmethod(factor)
        returns = ("left", "right")

        @staticmethod
        def cases(draw):
            yield case("float32", draw(4, 2) @ draw(2, 3), basic=True)
            yield case("float64", (draw(4, 2) @ draw(2, 3)).double())

        @staticmethod
        def invariant(result, M):
            """left · right"""
            left, right = result
            return left @ right

        misconceptions = (
            wrong(
                "singular values on both sides",
                lambda M: (factor(M)[0], torch.linalg.svd(M).S[:2, None] * factor(M)[1]),
                "They stand on both sides.",
            ),
        )

    add(item("test.factors", points=1, minutes=1, difficulty="easy")(Factors))


def a_right_factorisation(M):
    U, S, Vh = torch.linalg.svd(M)
    return U[:, :2], S[:2, None] * Vh[:2]


@pytest.mark.usefixtures("factors")
class TestReading:
    @pytest.mark.parametrize("kind", [tuple, list])
    def test_another_answer_with_the_same_reading_is_right(self, kind):
        change = torch.tensor([[2.0, 1.0], [0.5, 3.0]])

        def answer(M):
            left, right = a_right_factorisation(M)
            A = change.to(M.dtype)
            return kind([left @ A, torch.linalg.solve(A, right)])

        verdict = check("test.factors", answer)
        assert verdict.passed, verdict

    def test_another_reading_is_wrong_and_named_by_what_is_read(self):
        def answer(M):
            left, right = a_right_factorisation(M)
            return 2 * left, right

        verdict = check("test.factors", answer)
        assert verdict.score == 0
        assert "left · right differs most at" in verdict.hint

    def test_a_misconception_is_recognised_in_another_gauge(self):
        def answer(M):
            left, right = a_right_factorisation(M)
            return 4 * left * torch.linalg.svd(M).S[:2], right / 4

        verdict = check("test.factors", answer)
        assert verdict.misconception == "singular values on both sides"
        assert verdict.hint == "They stand on both sides."

    @pytest.mark.parametrize(
        ("result", "words"),
        [
            (torch.ones(4, 3), "it returned a tensor of shape [4, 3]; the 2 tensors left, right"),
            ((torch.ones(4, 2),), "it returned 1 things; the 2 tensors left, right are wanted"),
            ((torch.ones(4, 2), 3.0), "its right is a float; a torch.Tensor is wanted"),
            ((torch.ones(4, 2), None), "its right is None; a torch.Tensor is wanted"),
            ((torch.ones(4, 2), torch.ones(3, 2)), "its right has the shape [3, 2]; [2, 3] is"),
            ([[torch.ones(4, 2)], torch.ones(2, 3)], "it returned a list; the 2 tensors"),
            ([torch.ones(1)] * 17, "it returned a list; the 2 tensors"),
            ((torch.ones(4, 2), torch.full((2, 3), torch.nan)), "left · right has nan at"),
            (torch.linalg.svd(torch.ones(4, 3)), "it returned 3 things"),
        ],
    )
    def test_what_has_not_the_structure_is_not_read(self, result, words):
        verdict = check("test.factors", lambda M: result)
        assert verdict.score == 0
        assert words in verdict.hint

    def test_each_tensor_of_a_tuple_keeps_the_dtype(self):
        verdict = check(
            "test.factors", lambda M: tuple(map(torch.Tensor.float, a_right_factorisation(M)))
        )
        assert 0 < verdict.fraction < 1
        failed = [case.name for case in verdict.cases if not case.passed]
        assert failed == ["float64", "gives back the dtype it was given"]


def test_the_tensors_of_a_tuple_are_compared_one_by_one_and_named(add):
    class Halves:
        """The two halves of x, [4] -> [2], [2]."""

        returns = ("first", "second")
        misconceptions = ()

        @staticmethod
        def reference(x):
            return x[:2], x[2:]

        @staticmethod
        def cases(draw):
            yield case("four numbers", draw(4), basic=True)

    add(item("test.halves", points=1, minutes=1, difficulty="easy")(Halves))
    assert check("test.halves", lambda x: x.split(2)).passed
    assert (
        "second differs most at [1]"
        in check("test.halves", lambda x: (x[:2], x[2:] + torch.tensor([0, 1]))).hint
    )


class TestJudge:
    """An item whose results are examined: any number that is even and above what was withheld."""

    @pytest.fixture(autouse=True)
    def even_number(self, add):
        class EvenNumber:
            """An even number above 4."""

            @staticmethod
            def reference(seed):
                return 6

            @staticmethod
            def cases(draw):
                yield case("a seed", 1, withheld=4, basic=True)

            @staticmethod
            def examine(result, case):
                if not isinstance(result, int):
                    yield Finding("a whole number", "it is none", basic=True)
                    return
                yield Finding("a whole number", None, basic=True)
                yield Finding("even", "it is odd" if result % 2 else None)
                low = f"{result} is not above" if result <= case.withheld else None
                yield Finding("above", low, weight=2)

            misconceptions = (
                wrong("odd", lambda seed: 7, "Seven is odd.", matches=lambda r, c: r % 2 == 1),
                wrong("too low", lambda seed: 2, "Too low.", matches=lambda r, c: r <= c.withheld),
            )

        add(item("test.even", points=4, minutes=1, difficulty="easy")(EvenNumber))

    @pytest.mark.parametrize("answer", [6, 8, 1000])
    def test_every_result_that_the_judge_accepts_is_right(self, answer):
        verdict = check("test.even", lambda seed: answer)
        assert verdict.passed
        names = [case.name for case in verdict.cases]
        assert names == ["a whole number", "even", "above", "leaves its input as it was"]

    def test_findings_have_their_shares_of_the_points(self):
        assert check("test.even", lambda seed: 7).fraction == pytest.approx(4 / 5)
        assert check("test.even", lambda seed: 2).fraction == pytest.approx(3 / 5)
        assert check("test.even", lambda seed: 1).fraction == pytest.approx(2 / 5)

    def test_a_misconception_is_named_by_what_shows_in_the_result(self):
        assert check("test.even", lambda seed: 7).hint == "Seven is odd."
        assert check("test.even", lambda seed: 2).hint == "Too low."
        assert check("test.even", lambda seed: 1).misconception == "odd"  # the first in the list

    @pytest.mark.parametrize("result", ["six", torch.ones(2), 6.5, (1, 2)])
    def test_a_result_of_the_wrong_kind_shows_nothing_and_scores_nothing(self, result):
        verdict = check("test.even", lambda seed: result)
        assert (verdict.score, verdict.misconception) == (0, None)
        assert verdict.hint == "“a whole number”: it is none."

    def test_a_function_that_stops_is_told_where(self):
        def stops(seed):
            raise ValueError("boom")

        verdict = check("test.even", stops)
        assert verdict.score == 0
        assert "“a seed”: it stopped with ValueError: boom" in verdict.hint

    def test_what_is_withheld_does_not_reach_the_function(self):
        seen = []
        check("test.even", lambda *args, **kwargs: seen.append((args, kwargs)))
        assert seen == [((1,), {})]


@pytest.mark.parametrize("judged", [True, False])
def test_what_shows_a_misconception_goes_with_a_judge_and_only_with_one(judged):
    class Wrong:
        """Something."""

        reference = staticmethod(lambda x: x)
        cases = staticmethod(lambda draw: iter(()))
        misconceptions = (
            wrong("m", lambda x: x, "Sentence.", matches=None if judged else nothing_wrong),
        )

    if judged:
        Wrong.examine = staticmethod(lambda result, case: iter(()))
    with pytest.raises(ValueError, match="`matches` goes with `examine`"):
        item("test.wrong", points=1, minutes=1, difficulty="easy")(Wrong)


def test_an_answer_that_draws_random_numbers_draws_the_same_at_every_check():
    drawn = []

    def draws(n, temperature=1.0):
        drawn.append((torch.rand(()).item(), np.random.rand(), random.random()))
        return 0.0

    check("ps1.max_cosine_weight", draws)
    first, drawn[:] = list(drawn), []
    torch.manual_seed(1)
    check("ps1.max_cosine_weight", draws)
    assert drawn == first
    assert len(first) > 1


def test_the_notebooks_random_numbers_go_on_where_they_were():
    def draws(n, temperature=1.0):
        torch.rand(3), np.random.rand(3), random.random()

    def next_numbers():
        return torch.rand(()).item(), np.random.rand(), random.random()

    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    expected = next_numbers()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    check("ps1.max_cosine_weight", draws)
    assert next_numbers() == expected
