"""`ps3.train_cycle`: the matrices of a head that is trained on a circle of three classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attncourse import circuits
from attncourse.attention import attend
from attncourse.checking.comparing import structure_problem
from attncourse.checking.item import Case, Finding, case, item, wrong
from attncourse.checking.random_inputs import Draw
from attncourse.checking.values import Foreign
from attncourse.problem_sets.steps import scores_of


class _Sequences(NamedTuple):
    """Sequences of three tokens, one of each class in random order, each with a payload.

    Every class hunts one other, in a circle. A token is the code of its class plus the code of
    its payload, and is asked for the payload of its prey.
    """

    tokens: Tensor  # [N, 3, D]
    targets: Tensor  # [N, 3]: the payload of each token's prey
    sought: Tensor  # [N, 3]: which of the three tokens is the prey
    payloads: Tensor  # [N, 3]: each token's own


_D, _PAYLOADS, _MAX_ROWS = 24, 10, 8


def _draw_sequences(draw: Draw, *counts: int) -> list[_Sequences]:
    """Sets of so many sequences each; their codes and their circle are drawn once for all sets."""
    classes, codes = draw(3, _D), draw(_PAYLOADS, _D)
    forwards = bool(draw(1) > 0)
    sets = []
    for count in counts:
        kinds = draw(count, 3).argsort(-1)
        payloads = draw(count, 3, _PAYLOADS).argmax(-1)
        prey = (kinds + (1 if forwards else 2)) % 3
        sought = (prey[:, :, None] == kinds[:, None, :]).int().argmax(-1)
        tokens = classes[kinds] + codes[payloads]
        sets.append(_Sequences(tokens, payloads.gather(1, sought), sought, payloads))
    return sets


class _Evaluation:
    """How trained weights do on sequences that they were not trained on."""

    def __init__(self, result: tuple[Tensor, Tensor, Tensor], fresh: _Sequences) -> None:
        _require_fit(result)
        tokens = fresh.tokens.double()
        W_q, W_k, W_v = (W.double() for W in result)
        scores, values = scores_of(tokens @ W_q.mT, tokens @ W_k.mT), tokens @ W_v.mT
        looked_at, itself = scores.argmax(-1), torch.arange(3)
        missed = looked_at != fresh.sought
        self.right = _share((scores.softmax(-1) @ values).argmax(-1) == fresh.targets)
        self.looks = _share(~missed)
        self.looks_the_other_way = _share(missed & (looked_at != itself))
        self.reads = _share(values.argmax(-1) == fresh.payloads)
        self.spread = scores.std().item()
        self.is_symmetric = circuits.symmetry(W_q, W_k).item() > 0.999


def _share(hits: Tensor) -> float:
    return hits.double().mean().item()


def _right(
    result: tuple[Tensor, Tensor, Tensor], tokens: Tensor, targets: Tensor, *, masked: bool = False
) -> float:
    """How many payloads the head finds in these sequences, as a share; maybe never its own."""
    _require_fit(result)
    query, key, value = (tokens.double() @ W.double().mT for W in result)
    mask = ~torch.eye(3, dtype=torch.bool) if masked else None
    return _share(attend(query, key, value, mask=mask).argmax(-1) == targets)


@item("ps3.train_cycle", points=5, minutes=40, difficulty="hard")
class TrainCycle:
    """Train one head, d_k at most 8, on [N, 3, D] tokens and [N, 3] targets; return its weights."""

    @staticmethod
    def reference(tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _train(tokens, targets)

    @staticmethod
    def cases(draw: Draw) -> Iterator[Case]:
        given, fresh = _draw_sequences(draw, 512, 500)
        yield case("training ends", given.tokens, given.targets, withheld=fresh, basic=True)

    @staticmethod
    def examine(result: Any, case: Case) -> Iterator[Finding]:
        misfit = _misfit(result)
        yield Finding("three matrices that fit one another", misfit, basic=True, weight=0.5)
        if misfit:
            return
        right = _right(result, case.withheld.tokens, case.withheld.targets)
        found = (
            f"it finds {100 * right:.1f} % of the payloads; a guess finds {100 / _PAYLOADS:.0f} %"
        )
        for wanted, basic, weight in ((0.25, True, 0.5), (0.6, False, 1), (0.9, False, 1)):
            enough = right >= wanted
            name = f"{100 * wanted:.0f} % of the payloads of fresh sequences"
            yield Finding(name, None if enough else found, basic=basic, weight=weight)
        yield Finding(
            "99 % of the payloads of fresh sequences", None if right >= 0.99 else found, weight=3
        )

    misconceptions = (
        wrong(
            "the layers instead of their weights",
            lambda tokens, targets: tuple(nn.Linear(_D, rows) for rows in (8, 8, _PAYLOADS)),
            "You return layers. What is asked for are their matrices, three tensors: the `.weight` "
            "of each nn.Linear.",
            variants=[lambda tokens, targets: nn.Linear(_D, 8)],
            matches=lambda result, case: any(
                isinstance(part, Foreign)
                and "." in part.type_name
                and not part.type_name.startswith("numpy.")
                for part in (result if isinstance(result, tuple) else (result,))
            ),
        ),
        wrong(
            "the matrices lie on their side",
            lambda tokens, targets: tuple(W.mT for W in _train(tokens, targets, steps=1)),
            "Your matrices are [D, d]. The head computes x @ W.mT, as nn.Linear does, so they have "
            "to be [d, D]: transpose them.",
            matches=lambda result, case: _misfit(tuple(W.mT for W in result)) is None,
        ),
        wrong(
            "too many rows",
            lambda tokens, targets: _train(tokens, targets, d_k=_D, steps=1),
            "Your W_q and W_k have more than 8 rows. Choose d_k from 1 to 8: for three classes "
            "that is plenty.",
            matches=lambda result, case: (
                len(result[0]) > _MAX_ROWS
                and result[0].shape == result[1].shape
                and _misfit((result[0][:1], result[1][:1], result[2])) is None
            ),
        ),
        wrong(
            "the numbers ran away",
            lambda tokens, targets: _train(
                *(tokens, targets),
                make_optimiser=lambda weights: torch.optim.SGD(weights, lr=1e3),
                loss=lambda logits, wanted: (
                    -logits.softmax(-1).log().gather(1, wanted[:, None]).mean()
                ),
            ),
            "There is NaN or infinity in your weights. A step was too large, or a logarithm met a "
            "0: lower the learning rate, and give the logits to torch.nn.functional.cross_entropy, "
            "which needs no softmax before it.",
            matches=lambda result, case: not all(bool(W.isfinite().all()) for W in result),
        ),
        wrong(
            "one matrix for query and key",
            lambda tokens, targets: _train(tokens, targets, shared=True),
            "Your W_q and W_k make symmetric scores, as one shared matrix does: a looks at b as "
            "hard as b at a. Round a circle of three such scores grant two wishes at most. Train "
            "two matrices, and start them from different numbers.",
            variants=[lambda tokens, targets: _train(tokens, targets, shared=True, steps=0)],
            matches=lambda result, case: _Evaluation(result, case.withheld).is_symmetric,
        ),
        wrong(
            "query and key swapped",
            lambda tokens, targets: _swapped(*_train(tokens, targets)),
            "Your head goes round the circle the wrong way: it looks at the hunter, not at the "
            "prey. Return W_q first, then W_k. In training the rows of the scores belong to the "
            "queries: q @ k.mT, and the softmax over the last axis.",
            variants=[lambda tokens, targets: _train(tokens, targets, scores=lambda s: s.mT)],
            matches=lambda result, case: (
                _Evaluation(result, case.withheld).looks_the_other_way > 0.8
            ),
        ),
        wrong(
            "one row is too few",
            lambda tokens, targets: _train(tokens, targets, d_k=1),
            "All rows of your W_q, or all of your W_k, point the same way, so the keys lie on one "
            "line: a query can prefer its one end or its other end, and three classes want three "
            "different keys. Take two rows or more, and start from random numbers that differ.",
            variants=[
                lambda tokens, targets: tuple(
                    W if len(W) > 1 else W.repeat(4, 1) for W in _train(tokens, targets, d_k=1)
                ),
            ],
            matches=lambda result, case: (
                (_misfit(result) is None)
                and any(
                    len(sizes := torch.linalg.svdvals(W)) == 1 or bool(sizes[1] < 1e-4 * sizes[0])
                    for W in result[:2]
                )
            ),
        ),
        wrong(
            "the diagonal was masked in training",
            lambda tokens, targets: _train(
                *(tokens, targets),
                start=3.0,
                scores=lambda s: s.masked_fill(torch.eye(3, dtype=torch.bool), -math.inf),
            ),
            "With every token forbidden to look at itself, your head is right; without, as it is "
            "tried here, some look at themselves. Leave the mask out of your loop, and the head "
            "learns that too.",
            matches=lambda result, case: _right(result, *case.withheld[:2], masked=True) >= 0.99,
        ),
        wrong(
            "trained on the first sequences alone",
            lambda tokens, targets: _train(tokens[:8], targets[:8], steps=300),
            "Your head knows the first few sequences by heart and does badly with any other. It "
            "has to learn from all of them: does a `break`, a `return` inside the loop or a slice "
            "leave the rest out?",
            matches=lambda result, case: (
                (known := _right(result, case.args[0][:8], case.args[1][:8])) > 0.75
                and known - _Evaluation(result, case.withheld).right > 0.25
            ),
        ),
        wrong(
            "the numbers are too large",
            lambda tokens, targets: _train(tokens, targets, start=30.0),
            "Your scores are enormous. Every weight is then 0 or 1, and a softmax that is so sure "
            "has no gradient: what it looks at first, it looks at for ever. Start from smaller "
            "numbers, as nn.Linear does, or lower the learning rate.",
            variants=[
                lambda tokens, targets: _train(
                    tokens, targets, make_optimiser=lambda weights: torch.optim.Adam(weights, lr=10)
                )
            ],
            matches=lambda result, case: _Evaluation(result, case.withheld).spread > 40,
        ),
        wrong(
            "the value has learned nothing",
            lambda tokens, targets: _train(tokens, targets, trained=(True, True, False)),
            "Your W_v reads no payload: even from a single token it cannot tell which one that "
            "token has. Is W_v among what the optimiser was given? And do logits and targets stay "
            "side by side when you flatten them?",
            variants=[
                lambda tokens, targets: _train(tokens, targets.T.reshape(targets.shape)),
                lambda tokens, targets: _train(tokens, targets.roll(1, 0)),
            ],
            matches=lambda result, case: (
                (found := _Evaluation(result, case.withheld)).reads < 0.4 and found.spread > 3
            ),
        ),
        wrong(
            "nobody learned where to look",
            lambda tokens, targets: _train(tokens, targets, trained=(False, False, True)),
            "Your W_v reads the payloads, but the head looks at the wrong tokens. Are W_q and W_k "
            "among what the optimiser was given, do they start from random numbers, and does the "
            "gradient reach them? Zeros, a .detach() or an argmax on the way stop it.",
            variants=[
                lambda tokens, targets: _train(tokens, targets, scores=lambda s: s.detach()),
                lambda tokens, targets: _train(tokens, targets, scores=lambda s: 0 * s),
            ],
            matches=lambda result, case: (
                (found := _Evaluation(result, case.withheld)).reads > 0.6 and found.looks < 0.6
            ),
        ),
        wrong(
            "stopped too early",
            lambda tokens, targets: _train(tokens, targets, steps=5),
            "Your head is on its way: it has begun to look at the prey and to read payloads. Give "
            "it more steps, or larger ones. Print the loss, and go on until it is near 0.",
            matches=lambda result, case: (
                (found := _Evaluation(result, case.withheld)).looks > 0.6 and found.reads > 0.4
            ),
        ),
        wrong(
            "training has hardly begun",
            lambda tokens, targets: _train(tokens, targets, steps=0),
            "Your weights are hardly better than those that training starts from. Print the loss: "
            "a guess has log 10 = 2.30, and it should fall to almost 0. If it stands still: was "
            "`.backward()` called, then the optimiser's step(), and with these very matrices?",
            variants=[
                lambda tokens, targets: tuple(0 * W for W in _train(tokens, targets, steps=0)),
                lambda tokens, targets: _train(
                    tokens,
                    targets,
                    make_optimiser=lambda weights: torch.optim.Adam(weights, lr=1e-6),
                ),
            ],
            matches=lambda result, case: (
                (found := _Evaluation(result, case.withheld)).reads < 0.4 and found.spread < 1.5
            ),
        ),
    )


def _misfit(result: Any) -> str | None:
    """Why these are not the weights of such a head, if they are not."""
    fits = isinstance(result, tuple) and result and isinstance(result[0], Tensor)
    d_k = result[0].shape[0] if fits and result[0].ndim else _MAX_ROWS
    wanted = (torch.empty(d_k, _D), torch.empty(d_k, _D), torch.empty(_PAYLOADS, _D))
    if problem := structure_problem(result, wanted, ("W_q", "W_k", "W_v")):
        return problem
    if not 1 <= d_k <= _MAX_ROWS:
        return f"its W_q has {d_k} rows; d_k is to be 1 to {_MAX_ROWS}"
    if not all(bool(W.isfinite().all()) for W in result):
        return "there is NaN or infinity in the weights"
    return None


def _require_fit(result: Any) -> None:
    # Millions of rows would fill the memory, and of complex weights any comparison misleads.
    if misfit := _misfit(result):
        raise ValueError(misfit)


def _swapped(W_q: Tensor, W_k: Tensor, W_v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return W_k, W_q, W_v


def _train(
    tokens: Tensor,
    targets: Tensor,
    *,
    steps: int = 100,
    d_k: int = _MAX_ROWS,
    start: float = 1.0,
    shared: bool = False,
    trained: tuple[bool, bool, bool] = (True, True, True),
    make_optimiser: Callable[[list[Tensor]], torch.optim.Optimizer] = (
        lambda weights: torch.optim.Adam(weights, lr=0.02)
    ),
    scores: Callable[[Tensor], Tensor] = lambda s: s,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
) -> tuple[Tensor, Tensor, Tensor]:
    """One head, trained well unless told otherwise."""
    W_q, W_k, W_v = (
        (start * nn.Linear(_D, rows).weight.detach()).requires_grad_()
        for rows in (d_k, d_k, _PAYLOADS)
    )
    if shared:
        W_k = W_q
    learned = [W for W, is_learned in zip((W_q, W_k, W_v), trained, strict=True) if is_learned]
    optimiser = make_optimiser(list(dict.fromkeys(learned)))
    for _ in range(steps):
        weights = scores(scores_of(tokens @ W_q.mT, tokens @ W_k.mT)).softmax(-1)
        logits = weights @ (tokens @ W_v.mT)  # [N, 3, payloads]
        optimiser.zero_grad()
        loss(logits.flatten(0, 1), targets.flatten()).backward()
        optimiser.step()
    return W_q.detach(), W_k.detach(), W_v.detach()
