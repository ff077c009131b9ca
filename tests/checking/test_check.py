"""What `check` does with whatever a student hands in."""

import gc
import logging
import math
import re
import sys
import warnings

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import attncourse.attention
import attncourse.circuits
import attncourse.feature_maps
from attncourse.attention import cosine_affinity
from attncourse.checking.engine import check_function
from attncourse.checking.item import Finding, case, item, wrong
from attncourse.grading import check, items

ITEM = "ps1.cosine_affinity"


def quantized(x):
    with warnings.catch_warnings(action="ignore"):
        return torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)


def right(x, y=None):
    y = x if y is None else y
    unit = torch.nn.functional.normalize
    return unit(x, dim=-1) @ unit(y, dim=-1).mT


# ------------------------------------------------------------------ how it is called


def test_an_unknown_item_is_named_with_what_was_probably_meant():
    with pytest.raises(ValueError, match=r"no item 'ps1\.cosine_afinity'.*'ps1\.cosine_affinity'"):
        check("ps1.cosine_afinity", right)


def test_an_item_that_resembles_none_gets_the_list():
    with pytest.raises(ValueError, match=r"the items are ps1\.cosine_affinity, ps1\.pixels"):
        check("zzz", right)


def test_arguments_in_the_wrong_order_are_explained():
    with pytest.raises(TypeError, match=r"item's name first.*first argument is a function"):
        check(right, ITEM)


@pytest.mark.parametrize("given", [None, 3, torch.ones(2, 2), "cosine_affinity"])
def test_what_cannot_be_called_gets_a_hint(given):
    verdict = check(ITEM, given)
    assert verdict.score == 0
    assert "wants a function" in verdict.hint
    assert "check('ps1.cosine_affinity', cosine_affinity)" in verdict.hint


def test_a_module_instance_may_be_an_answer():
    class Cosine(torch.nn.Module):
        def forward(self, x, y=None):
            return right(x, y)

    assert check(ITEM, Cosine()).passed


def test_a_check_can_be_repeated():
    def careless(x, y=None):
        return right(x, y) + 0.1

    assert repr(check(ITEM, careless)) == repr(check(ITEM, careless))


def test_a_students_seed_is_left_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    check(ITEM, lambda x, y=None: x)
    assert torch.equal(before, torch.random.get_rng_state())


# ------------------------------------------------------------------ what comes back


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "returns None"),
        ([[1.0]], "returned a list; a torch.Tensor is wanted"),
        (1.0, "returned a float; a torch.Tensor is wanted"),
        (np.eye(2), "returned a numpy.ndarray; a torch.Tensor is wanted"),
        (torch.ones(3), r"has the shape [3]; [2, 2] is wanted"),
        (torch.eye(2).to_sparse(), "returned a tensor in the layout sparse_coo"),
        (torch.eye(2, dtype=torch.complex64), "returned complex numbers; float32 is wanted"),
        (torch.eye(2, device="meta"), "whose values cannot be read"),
        (quantized(torch.eye(2)), "whose values cannot be read"),
        (FakeTensorMode().from_tensor(torch.eye(2)), "whose values cannot be read"),
    ],
)
def test_a_wrong_kind_of_result_is_named(result, words):
    verdict = check(ITEM, lambda x, y=None: result)
    assert verdict.score == 0
    assert words in verdict.hint


@pytest.mark.parametrize("result", ["7 %", None, torch.ones(2), [0.07], 0.07j])
def test_a_number_is_wanted_where_a_number_is_wanted(result):
    verdict = check("ps1.max_cosine_weight", lambda n, temperature=1.0: result)
    assert verdict.score == 0
    assert "None" in verdict.hint if result is None else "a number is wanted" in verdict.hint


@pytest.mark.parametrize("result", [10**400, -(10**400)])
def test_a_number_beyond_every_float_is_a_wrong_number(result):
    verdict = check("ps1.max_cosine_weight", lambda n, temperature=1.0: result)
    assert verdict.score == 0
    assert re.search(r"inf; 0\.\d+ is wanted", verdict.hint)


def test_a_coroutine_is_named_and_leaves_no_warning_behind():
    async def later(x, y=None):
        return right(x, y)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        verdict = check(ITEM, later)
        gc.collect()
    assert "returned a coroutine; a torch.Tensor is wanted" in verdict.hint
    assert warned == []


def test_two_numbers_that_differ_never_read_the_same():
    def nearly(x, y=None):
        return right(x, y) * (1 + 1e-7 if x.dtype == torch.float64 else 1)

    hint = check(ITEM, nearly).hint
    got, wanted = re.search(r": (\S+) where (\S+) is wanted", hint).groups()
    assert got != wanted
    assert "Only the first digits are right: something on the way is float32" in hint

    def nearly_the_number(n, temperature=1.0):
        return 1.0001 / (1 + (n - 1) * math.exp(-2 / temperature)) if n == 1 else 1 / n

    problems = {c.name: c.problem for c in check("ps1.max_cosine_weight", nearly_the_number).cases}
    got = problems["one key: it gets everything"]
    assert got == "your result is 1.0001; 1 is wanted"


def test_an_unrecognised_wrong_value_is_shown_where_it_is_furthest_off():
    def off(x, y=None):
        result = right(x, y).clone()
        result[..., 1, 0] = 0.25
        return result

    verdict = check(ITEM, off)
    assert verdict.misconception is None
    assert (
        "differs most at [1, 0]: 0.25 where 0.8 is wanted (1 of 4 entries are off)" in verdict.hint
    )


def test_nan_is_shown_as_nan():
    verdict = check(
        ITEM, lambda x, y=None: right(x, y).fill_diagonal_(torch.nan) if x.ndim < 3 else 0
    )
    assert "has nan at [0, 0], where 1 is wanted" in verdict.hint


def test_a_result_of_another_dtype_costs_that_habit_alone():
    verdict = check(ITEM, lambda x, y=None: right(x, y).double())
    failed = [case.name for case in verdict.cases if not case.passed]
    assert failed == ["gives back the dtype it was given"]
    assert "float64 where float32 is wanted" in verdict.hint
    assert 0.8 < verdict.fraction < 1


def test_a_detour_through_float32_shows_in_float64():
    def detour(x, y=None):
        return right(x.float(), None if y is None else y.float()).to(x.dtype)

    failed = [case.name for case in check(ITEM, detour).cases if not case.passed]
    assert failed == ["float64"]


def test_an_input_made_complex_is_an_input_changed():
    def turns(x, y=None):
        result = right(x, y)
        with torch.no_grad():
            x.data = x.data.to(torch.complex64)
        return result

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        verdict = check(ITEM, turns)
    assert "leaves its input as it was" in [c.name for c in verdict.cases if not c.passed]
    assert warned == []


def test_an_input_that_is_changed_is_noticed_even_when_the_result_is_right():
    def scribbles(x, y=None):
        result = right(x, y)
        x.detach()[..., 0, 0] = 9
        return result

    verdict = check(ITEM, scribbles)
    assert "leaves its input as it was" in [c.name for c in verdict.cases if not c.passed]
    assert 0 < verdict.score < 3


def test_a_subclass_that_overrides_torch_is_seen_as_the_values_it_holds():
    class Evasive(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            if function is torch.isclose:
                return torch.tensor(True)
            raise RuntimeError("nobody reads me")

    def lie(x, y=None):
        rows = (x if y is None else y).shape[-2]
        return torch.zeros(*x.shape[:-1], rows).as_subclass(Evasive)

    verdict = check(ITEM, lie)
    assert verdict.score == 0
    assert "0 where 1 is wanted" in verdict.hint
    verdict = check(ITEM, lambda x, y=None: right(x, y).as_subclass(Evasive))
    assert verdict.passed, verdict


def test_an_object_that_lies_about_its_class_is_no_tensor():
    class Liar:
        __class__ = torch.Tensor

        def __getattr__(self, name):
            return lambda *args, **kwargs: self

    verdict = check(ITEM, lambda x, y=None: Liar())
    assert verdict.score == 0
    assert "Liar; a torch.Tensor is wanted" in verdict.hint


def test_a_parameter_counts_as_a_tensor():
    assert check(ITEM, lambda x, y=None: torch.nn.Parameter(right(x, y))).fraction > 0.8


# ------------------------------------------------------------------ what goes wrong inside


def test_an_error_is_shown_as_the_students_own():
    def broken(x, y=None):
        scores = x @ x
        return scores

    verdict = check(ITEM, broken)
    line = broken.__code__.co_firstlineno + 1
    assert verdict.score == 0
    assert "it stopped with RuntimeError: mat1 and mat2" in verdict.hint
    assert f"line {line}: `scores = x @ x`" in verdict.hint
    assert "attncourse" not in repr(verdict)


def test_an_error_deep_in_torch_points_at_the_students_line():
    def broken(x, y=None):
        return torch.nn.functional.normalize(x, dim=17)

    assert "`return torch.nn.functional.normalize(x, dim=17)`" in check(ITEM, broken).hint


def test_a_function_that_takes_other_arguments_is_told_so():
    verdict = check(ITEM, lambda: 0)
    assert "TypeError" in verdict.hint
    assert "takes 0 positional arguments but 1 was given" in verdict.hint


@pytest.mark.parametrize("error", [SystemExit, RecursionError, MemoryError, GeneratorExit])
def test_leaving_the_program_ends_in_a_hint(error):
    def leave(x, y=None):
        raise error

    assert f"it stopped with {error.__name__}" in check(ITEM, leave).hint


def test_endless_recursion_ends_in_a_hint():
    def again(x, y=None):
        return again(x, y)

    assert "RecursionError" in check(ITEM, again).hint


def test_the_interrupt_button_works():
    def slow(x, y=None):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(ITEM, slow)
    assert cosine_affinity(torch.eye(2)).shape == (2, 2)  # the course is within reach again


def test_an_exception_that_cannot_be_printed_is_still_named():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def broken(x, y=None):
        raise Mute

    assert "it stopped with Mute" in check(ITEM, broken).hint


@pytest.mark.parametrize("error", [SystemExit, RuntimeError])
def test_an_exception_that_raises_when_it_is_read_is_still_named(error):
    class Trap(Exception):
        def __str__(self):
            raise error

    def broken(x, y=None):
        raise Trap

    assert "it stopped with Trap" in check(ITEM, broken).hint


def test_a_long_error_message_is_cut_and_told_once():
    def broken(x, y=None):
        raise ValueError("y" * 10_000)

    verdict = check(ITEM, broken)
    assert len(repr(verdict)) < 2_000
    problems = [case.problem for case in verdict.cases[:-2]]
    assert problems[0].startswith("it stopped with ValueError: yyy")
    assert set(problems[1:]) == {"the same"}


@pytest.mark.parametrize(
    "changes", [lambda x: x.div_(2), lambda x: (2 * x).exp().div_(2), lambda x: x.mT.mul_(2).mT]
)
def test_overwriting_what_the_gradient_needs_is_explained(changes):
    def careless(x, y=None):
        if y is not None and x.shape == (2, 3, 5):
            y = changes(x).sum() + y  # a value that backward needs is written over
        return right(x, y)

    assert "use the form that makes a new tensor" in check(ITEM, careless).hint


def test_an_argument_of_another_name_is_told_the_name_to_keep():
    hint = check("ps1.max_cosine_weight", lambda n, tau=1.0: 1 / n).hint
    problems = " ".join(
        c.problem for c in check("ps1.max_cosine_weight", lambda n, tau=1.0: 0.07).cases
    )
    assert "Keep the argument's name `temperature`" in hint + problems

    def calls_torch_wrongly(x, y=None):
        return torch.nn.functional.softmax(x, axes=-1)

    verdict = check(ITEM, calls_torch_wrongly)
    assert "unexpected keyword argument 'axes'" in verdict.hint
    assert "Keep the argument" not in repr(verdict)


def test_closing_stdout_loses_nothing():
    def closes(x, y=None):
        print("before")
        sys.stdout.close()
        return right(x, y)

    verdict = check(ITEM, closes)
    assert verdict.passed
    assert "before" in verdict.output


def test_a_helper_without_an_answer_is_named_as_the_one():
    def pixels_as_tokens(x):
        raise NotImplementedError("write your answer here, in place of this line")

    def pixel_affinity(x):
        return pixels_as_tokens(x) @ x

    verdict = check("ps1.pixel_affinity", pixel_affinity)
    assert "`pixels_as_tokens`, which your function calls, has no answer yet" in verdict.hint


def test_an_unanswered_item_is_called_unanswered():
    def cosine_affinity(x, y=None):
        raise NotImplementedError("write your answer here")

    verdict = check(ITEM, cosine_affinity)
    assert verdict.score == 0
    assert "There is no answer here yet" in verdict.hint


def test_an_error_of_torch_is_not_taken_for_an_unanswered_item():
    def broken(x, y=None):
        return torch.ops.aten.bincount(x.sum())

    assert "no answer" not in check(ITEM, broken).hint


# ------------------------------------------------------------------ what is not an answer


@pytest.mark.parametrize(
    "answer",
    [
        cosine_affinity,
        lambda x, y=None: cosine_affinity(x, y),
        lambda x, y=None: attncourse.attention.cosine_affinity(x, y),
        lambda x, y=None: (
            attncourse.attention._directions(x) @ attncourse.attention._directions(x).mT
        ),
        lambda x, y=None: attncourse.circuits.qk_circuit(x.mT, (x if y is None else y).mT),
        lambda x, y=None: attncourse.feature_maps.pixel_affinity(x[None, None]),
    ],
)
def test_the_courses_own_function_is_no_answer(answer):
    verdict = check(ITEM, answer)
    assert verdict.score == 0
    assert "That is the answer, not an answer" in verdict.hint


@pytest.mark.parametrize("item_id", items())
def test_the_reference_of_an_item_is_no_answer(item_id):
    verdict = check(item_id, items()[item_id].reference)
    assert verdict.score == 0
    assert "That is the answer, not an answer" in verdict.hint


def test_catching_the_refusal_does_not_help():
    def sly(x, y=None):
        try:
            return cosine_affinity(x, y)
        except BaseException:
            return right(x, y)

    verdict = check(ITEM, sly)
    assert verdict.score == 0
    assert "That is the answer" in verdict.hint


def test_the_course_is_within_reach_again_after_a_check():
    before = cosine_affinity.__code__
    check(ITEM, lambda x, y=None: cosine_affinity(x, y))
    check(ITEM, lambda x, y=None: 1 / 0)
    assert cosine_affinity.__code__ is before
    assert torch.equal(cosine_affinity(torch.eye(3)), torch.eye(3))


def test_a_module_of_the_course_is_no_answer_either():
    attention = attncourse.attention.SelfAttention(5, projections="raw")
    verdict = check("ps1.raw_attention", lambda x: attention(x))
    assert "That is the answer" in verdict.hint


# ------------------------------------------------------------------ what it says on the way


def test_a_warning_costs_nothing_and_stays_off_the_cells_stderr(capfd):
    def chatty(x, y=None):
        print("shape", list(x.shape))
        print("careful", file=sys.stderr)
        warnings.warn("this is slow", stacklevel=1)
        return right(x, y)

    verdict = check(ITEM, chatty)
    assert verdict.score == 3
    assert capfd.readouterr() == ("", "")
    for words in ("shape [2, 3]", "careful", "UserWarning: this is slow"):
        assert words in verdict.output
        assert words in repr(verdict)


def test_logging_set_up_earlier_stays_off_the_cells_stderr(capsys):
    log = logging.getLogger("student")
    handler = logging.StreamHandler(sys.stderr)
    log.addHandler(handler)
    try:

        def logs(x, y=None):
            log.warning("on my way")
            return right(x, y)

        assert check(ITEM, logs).passed
        assert capsys.readouterr().err == ""
        log.warning("afterwards it speaks again")
        assert "afterwards" in capsys.readouterr().err
    finally:
        log.removeHandler(handler)


def test_endless_printing_is_cut():
    def verbose(x, y=None):
        for _ in range(100):
            print("x" * 10_000)
        return right(x, y)

    verdict = check(ITEM, verbose)
    assert verdict.passed
    assert len(verdict.output) < 3_000


# ------------------------------------------------------------------ what it earns


def test_special_cases_earn_nothing_while_a_basic_case_fails():
    verdict = check(
        ITEM, lambda x, y=None: torch.zeros(*x.shape[:-1], (x if y is None else y).shape[-2])
    )
    assert verdict.score == 0
    assert verdict.fraction == 0


def test_a_slip_in_a_special_case_costs_its_share():
    def slip(scores, mask=None):
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)

    verdict = check("ps1.attention_weights", slip)
    assert [c.name for c in verdict.cases if not c.passed] == [
        "a row that may attend to nothing: zeros"
    ]
    assert verdict.score == pytest.approx(4 * 12 / 13, abs=0.01)
    assert not verdict.passed


def test_an_answer_that_is_finished_in_part_earns_that_part():
    def unmasked_only(scores, mask=None):
        if mask is not None:
            raise NotImplementedError("masks come tomorrow")
        return scores.softmax(-1)

    verdict = check("ps1.attention_weights", unmasked_only)
    assert 0 < verdict.score < 4
    assert "not for every case" in verdict.hint


def test_two_mistakes_are_named_as_the_one_that_explains_most_and_the_rest_is_shown():
    def two(scores, mask=None):
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-2) + (0.5 if scores.ndim == 2 else 0)

    verdict = check("ps1.attention_weights", two)
    assert verdict.misconception == "softmax over the queries"
    assert "There is more than that: “three rows that can be done by hand”" in verdict.hint


def test_masking_after_the_softmax_fails_where_a_forbidden_score_is_huge():
    def renormalised(scores, mask=None):
        weights = scores.softmax(-1)
        if mask is None:
            return weights
        weights = weights * mask
        total = weights.sum(-1, keepdim=True)
        return weights / torch.where(total == 0, 1, total)

    verdict = check("ps1.attention_weights", renormalised)
    assert 0 < verdict.score < 4
    assert verdict.misconception == "renormalised after the softmax"


@pytest.mark.parametrize("filling", [-20, -100, -500])
def test_a_filling_that_is_not_low_enough_fails(filling):
    def filled(scores, mask=None):
        if mask is None:
            return scores.softmax(-1)
        return scores.masked_fill(~mask, filling).softmax(-1).masked_fill(~mask, 0)

    assert 0 < check("ps1.attention_weights", filled).score < 4


def test_the_score_is_a_plain_float_that_nbgrader_can_read():
    for answer in (right, None, lambda x, y=None: x, lambda x, y=None: right(x)):
        score = check(ITEM, answer).score
        assert type(score) is float
        assert float(repr(score)) == score
        assert 0 <= score <= 3


def test_a_gradient_that_is_cut_is_explained():
    verdict = check(ITEM, lambda x, y=None: right(x.detach(), y))
    assert "no gradient flows back to the input" in verdict.hint


class Pairs:
    """A pair, of which the first learns and the second is looked at."""

    returns = ("double", "square")

    @staticmethod
    def reference(x):
        return 2 * x, x * x

    @staticmethod
    def cases(draw):
        yield case("gradients", draw(3), gradient=True, basic=True)

    misconceptions = (wrong("swapped", lambda x: (x * x, 2 * x), "They are swapped."),)


@pytest.mark.parametrize("kind", [tuple, list])
def test_of_a_tuple_the_first_tensor_learns(kind):
    pairs = item("ps0.pairs", points=1, minutes=1, difficulty="easy")(Pairs)
    assert check_function(pairs, lambda x: kind((2 * x, (x * x).detach())), seed=0).passed
    cut = check_function(pairs, lambda x: kind((2 * x.detach(), x * x)), seed=0)
    assert "no gradient flows back to the input" in cut.hint
    other = check_function(pairs, lambda x: kind((x + x.detach(), x * x)), seed=0)
    assert "the values are right, but the gradient" in other.hint
    for broken in (kind(), kind([None, torch.ones(3)])):
        assert not check_function(pairs, lambda x, broken=broken: broken, seed=0).passed


class Counted:
    """A whole number."""

    @staticmethod
    def reference(n):
        return 1_000_000 * n

    @staticmethod
    def cases(draw):
        yield case("one count", draw.whole(3, 9), basic=True)

    misconceptions = (wrong("one by one", lambda n: n, "Count in millions."),)


def test_a_count_is_compared_exactly_and_shown_whole():
    counted = item("ps0.counted", points=1, minutes=1, difficulty="easy")(Counted)
    million = 1_000_000
    for fair in (int, float, torch.tensor, lambda count: torch.tensor(float(count))):
        assert check_function(counted, lambda n, fair=fair: fair(million * n), seed=0).passed
    for off in (1, -1, 0.5):
        verdict = check_function(counted, lambda n, off=off: million * n + off, seed=0)
        got, wanted = re.search(r"your result is (\S+); (\S+) is wanted", verdict.hint).groups()
        assert wanted in {str(million * n) for n in range(3, 10)}
        assert got == str(int(wanted) + off)


def test_grad_mode_switched_off_in_the_notebook_changes_no_verdict():
    with torch.no_grad():
        assert check(ITEM, right).passed
        assert not check(ITEM, lambda x, y=None: right(x.detach(), y)).passed


def test_a_mistake_that_would_show_elsewhere_too_is_not_the_diagnosis():
    def only_the_first_mask_fails(scores, mask=None):
        if mask is not None and mask.shape == scores.shape and scores.dtype == torch.float32:
            return scores.softmax(-1)  # as if the mask were forgotten, but in these cases alone
        weights = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
        weights = weights.softmax(-1)
        return weights if mask is None else weights.masked_fill(~mask, 0)

    verdict = check("ps1.attention_weights", only_the_first_mask_fails)
    failed = [case.name for case in verdict.cases if not case.passed]
    assert failed == ["a mask for each image", "scores in the thousands, all negative", "gradients"]
    assert verdict.misconception is None
    assert "a mask for each image" in verdict.hint


@pytest.mark.parametrize(
    "context", [lambda: torch.autocast("cpu"), torch.inference_mode, torch.no_grad]
)
def test_what_surrounds_a_check_changes_neither_it_nor_the_next_one(context):
    """References are kept for the next check, so the first one must not taint them."""

    def answer(x, W):
        return (x @ W.mT) @ (x @ W.mT).mT / W.shape[0] ** 0.5

    seed = context  # none that another test has used: nothing is kept for it yet
    with context():
        assert check("ps2.shared_scores", answer, seed=seed).passed
    assert check("ps2.shared_scores", answer, seed=seed).passed


def _squared(result):
    squared = result[:, None] * result
    if not squared.isfinite().all():
        raise ValueError("not finite")
    return squared


def _item_whose_judging(fails):
    @item("ps9.judged", points=1, minutes=1, difficulty="easy")
    class Judged:
        """Twice the input."""

        @staticmethod
        def reference(x):
            return 2 * x

        @staticmethod
        def cases(draw):
            yield case("a vector", draw(3), basic=True)

        if fails == "invariant":

            @staticmethod
            def invariant(result, x):
                """its square"""
                return _squared(result)

        else:

            @staticmethod
            def examine(result, case):
                right = _squared(result).allclose(4 * _squared(case.args[0]))
                yield Finding("squared", None if right else "it is not twice", basic=True)

        misconceptions = (
            wrong(
                "not twice",
                lambda x: x,
                "Twice.",
                matches=(lambda value, case: False) if fails == "examine" else None,
            ),
        )

    return Judged


@pytest.mark.parametrize("fails", ["invariant", "examine"])
@pytest.mark.parametrize("size", [1e200, 1e308])
def test_finite_numbers_with_which_nothing_can_be_computed_get_a_hint(fails, size):
    enormous = lambda x: torch.full_like(x, size, dtype=torch.float64)  # noqa: E731
    verdict = check_function(_item_whose_judging(fails), enormous, seed=0)
    assert verdict.score == 0
    assert f"its numbers go up to {size:.3g}" in verdict.hint


def test_a_failure_of_the_judge_over_ordinary_numbers_is_not_blamed_on_the_answer():
    with pytest.raises(IndexError):
        check_function(_item_whose_judging("examine"), lambda x: x.sum(), seed=0)


def test_trained_weights_of_1e308_get_a_hint():
    def train_cycle(tokens, targets):
        drawn = (torch.randn(rows, 24, dtype=torch.float64) for rows in (8, 8, 10))
        return tuple(1e308 * each.sign() for each in drawn)

    verdict = check("ps3.train_cycle", train_cycle)
    assert verdict.score == 0
    assert "its numbers go up to 1e+308" in verdict.hint
