"""The data sets are what they claim: targets by brute force, chance measured, bounds searched."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.datasets import load_digits

from attncourse.experiments.models import Reader
from attncourse.experiments.tasks import FULL, IGNORED, QUICK, fetch_bound, find_tasks
from attncourse.experiments.tasks.language import reference_text
from attncourse.experiments.tasks.scenes import COLOURS, CellEncoder, paint
from attncourse.experiments.training import evaluate

CLASS, PAYLOAD = 0, 1
SUCCESSOR = {0: 1, 1: 2, 2: 0, 3: 4, 4: 5, 5: 3, 6: 7, 7: 8, 8: 6, 9: 10, 10: 11, 11: 9}
PARTNER = {0: 1, 1: 0, 2: 3, 3: 2, 4: 5, 5: 4, 6: 7, 7: 6, 8: 9, 9: 8, 10: 11, 11: 10}
VERB, SUBJECT, SUBJECTS_DETERMINER = 0, 1, 4


def draw(name, count=40, seed=0, split="train"):
    return QUICK[name].sample(count, torch.Generator().manual_seed(seed), split)


# ---------------------------------------------------------------- targets, by brute force


@pytest.mark.parametrize(
    ("name", "asks"),
    [
        ("relation/cycle", SUCCESSOR),
        ("rescue/one-head", SUCCESSOR),
        ("rescue/two-heads", SUCCESSOR),
        ("relation/mutual", PARTNER),
        ("relation/chain", {i: i + 1 for i in range(11)}),
        ("agreement", {VERB: SUBJECT, SUBJECT: SUBJECTS_DETERMINER}),
    ],
)
def test_each_token_is_asked_for_the_payload_of_the_class_it_is_related_to(name, asks):
    tokens, answers = draw(name)
    for sample, wanted in zip(tokens.tolist(), answers.tolist(), strict=True):
        carried = {token[CLASS]: token[PAYLOAD] for token in sample}
        assert len(carried) == len(sample), "each class is there once"
        for token, answer in zip(sample, wanted, strict=True):
            asked = asks.get(token[CLASS])
            assert answer == (IGNORED if asked is None else carried[asked])


def test_of_a_couple_of_one_class_each_is_asked_for_the_payload_of_the_other():
    tokens, answers = draw("relation/same-class")
    for sample, wanted in zip(tokens.tolist(), answers.tolist(), strict=True):
        for i, token in enumerate(sample):
            [other] = [t for j, t in enumerate(sample) if t[CLASS] == token[CLASS] and j != i]
            assert wanted[i] == other[PAYLOAD]


@pytest.mark.parametrize("name", ["previous/causal", "previous/bidirectional"])
def test_each_token_is_asked_for_the_symbol_before_it_and_the_first_for_nothing(name):
    tokens, answers = draw(name)
    for sample, wanted in zip(tokens[..., 0].tolist(), answers.tolist(), strict=True):
        assert wanted == [IGNORED, *sample[:-1]]


@pytest.mark.parametrize("name", ["match/4", "match/8", "match/16"])
def test_the_last_token_is_asked_for_the_shape_of_the_one_item_of_its_colour(name):
    tokens, answers = draw(name)
    for sample, wanted in zip(tokens.tolist(), answers.tolist(), strict=True):
        *items, (colour, shape) = sample
        assert shape == QUICK[name].num_shapes, "the asking token shows no shape"
        assert wanted == [IGNORED] * len(items) + [s for c, s in items if c == colour]


def read_cells(scene):
    """What is painted in each cell, read off the pixels: [(label of the digit, colour), ...]."""
    pictures, labels = load_digits(return_X_y=True)
    pictures = torch.tensor(pictures, dtype=torch.float32).view(-1, 8, 8) / 16
    cells = []
    for row in range(3):
        for column in range(3):
            cell = scene[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            brightest = cell.amax((1, 2))
            colour = COLOURS.index(tuple(1.0 if c == brightest.max() else 0.1 for c in brightest))
            same = (pictures == cell.amax(0)).all(-1).all(-1)
            [digit] = {int(label) for label in labels[same.numpy()]}
            cells.append((digit, colour))
    return cells


def test_a_cell_is_asked_for_the_colour_of_the_digit_it_points_to():
    points_to = {1: 2, 2: 3, 3: 1, 4: 5, 5: 6, 6: 4, 7: 8, 8: 9, 9: 7}
    scenes, answers = draw("scenes/directed", 6)
    for scene, wanted in zip(scenes, answers.tolist(), strict=True):
        cells = read_cells(scene)
        colours = dict(cells)
        assert wanted == [colours[points_to[digit]] for digit, _ in cells]


def test_a_cell_is_asked_for_the_colour_of_the_other_image_of_its_digit():
    scenes, answers = draw("scenes/same-digit", 6)
    for scene, wanted in zip(scenes, answers.tolist(), strict=True):
        cells = read_cells(scene)
        for i, (digit, _) in enumerate(cells):
            others = [colour for j, (d, colour) in enumerate(cells) if d == digit and j != i]
            assert [wanted[i]] == (others or [IGNORED])
        assert wanted.count(IGNORED) == 1


def test_pretraining_asks_a_cell_for_its_digit_or_its_colour():
    task = QUICK["scenes/directed"].pretraining
    scenes, answers = task.sample(8, torch.Generator().manual_seed(0))
    asked = {"digit": 0, "colour": 0}
    for scene, wanted in zip(scenes, answers.tolist(), strict=True):
        for (digit, colour), answer in zip(read_cells(scene), wanted, strict=True):
            assert answer in (digit - 1, 9 + colour)
            asked["digit" if answer < 9 else "colour"] += 1
    assert min(asked.values()) > 20, asked


def test_test_scenes_show_no_image_that_was_trained_on():
    images = {}
    for split in ("train", "validation", "test"):
        scenes, _ = draw("scenes/directed", 150, split=split)
        cells = scenes.amax(1).unflatten(1, (3, 8)).unflatten(3, (3, 8))  # [B, row, 8, column, 8]
        images[split] = {tuple(c.tolist()) for c in cells.transpose(2, 3).reshape(-1, 64)}
    assert len(images["train"]) > 600
    assert not images["train"] & images["test"]
    assert not images["validation"] & images["test"]
    assert not images["validation"] & images["train"]


def test_a_scene_of_other_height_and_width_has_its_cells_row_by_row():
    digits = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8]])
    colours = torch.tensor([[0, 1, 2, 3, 4, 5, 0, 1]])
    generator = torch.Generator().manual_seed(0)
    [scene] = paint(digits, colours, generator, "test", columns=4)
    assert scene.shape == (3, 16, 32)
    cells = scene.unflatten(1, (2, 8)).unflatten(3, (4, 8)).permute(1, 3, 0, 2, 4).flatten(0, 1)
    for cell, colour in zip(cells, colours[0], strict=True):
        brightest = cell.flatten(1).amax(1)
        torch.testing.assert_close(brightest / brightest.max(), torch.tensor(COLOURS[colour]))


def test_a_cell_of_the_feature_map_sees_its_own_pixels_only():
    torch.manual_seed(0)
    encoder = CellEncoder(d_model=5)
    scene = torch.rand(1, 3, 24, 24)
    changed = scene.clone()
    changed[:, :, 8:16, 16:24] = 0  # row 1, column 2: token 1·3 + 2
    moved = (encoder(scene) != encoder(changed)).any(-1)[0]
    assert moved.tolist() == [i == 5 for i in range(9)]


def test_each_character_is_asked_for_the_one_that_follows_in_the_text():
    text = reference_text()
    alphabet = sorted(set(text))
    windows, answers = draw("language", 20)
    for window, wanted in zip(windows[..., 0].tolist(), answers.tolist(), strict=True):
        passage = "".join(alphabet[i] for i in [*window, wanted[-1]])
        assert passage in text
        assert wanted[:-1] == window[1:]


def test_no_paragraph_of_the_text_comes_twice():
    paragraphs = [" ".join(p.split()) for p in reference_text().split("\n\n")]
    long = [p for p in paragraphs if len(p) > 60]
    assert len(long) > 500
    assert len(set(long)) == len(long)


def test_test_windows_come_from_behind_the_training_text():
    text = reference_text()
    alphabet = sorted(set(text))
    latest = {}
    for split in ("train", "validation", "test"):
        windows, _ = draw("language", 30, split=split)
        passages = ["".join(alphabet[i] for i in w) for w in windows[..., 0].tolist()]
        places = [(text.find(p), text.rfind(p)) for p in passages]
        latest[split] = [first / len(text) for first, last in places if first == last]
    assert max(latest["train"]) < 0.8 <= min(latest["validation"])
    assert max(latest["validation"]) < 0.9 <= min(latest["test"])


# ---------------------------------------------------------------- chance


@pytest.mark.parametrize("name", QUICK)
def test_chance_is_what_the_best_constant_answer_reaches(name):
    task = QUICK[name]
    _, answers = draw(name, 300 if name.startswith("scenes") else 2000, split="test")
    asked = answers[answers != IGNORED]
    constant = asked.bincount().max().item() / len(asked)
    # The most frequent of up to 16 equal answers lies a little above their share.
    tolerance = 4 * math.sqrt(task.chance * (1 - task.chance) / len(asked))
    assert abs(constant - task.chance) < tolerance


# ---------------------------------------------------------------- the bound of tied scores


def cycle(length):
    return tuple((i + 1) % length for i in range(length))


def hits(scores, target, mask_diagonal):
    """How many tokens score their target strictly highest, for each matrix ``[N, T, T]``."""
    if mask_diagonal:
        scores = scores.clone()
        scores.diagonal(dim1=-2, dim2=-1).fill_(-torch.inf)
    asked = [i for i, t in enumerate(target) if t >= 0]
    best, second = scores[:, asked].topk(2, -1).values.unbind(-1)
    at_target = scores[:, asked, [target[i] for i in asked]]
    return ((at_target == best) & (best > second)).sum(-1)


def random_tied_scores(tokens, generator):
    """Q Qᵀ for many Q of varied rank and varied norms: what query and key of one matrix give."""
    # Each token shares a direction with the next, and is longer than the one before.
    chained = torch.eye(tokens, tokens + 1) + torch.eye(tokens, tokens + 1).roll(1, 1)
    chained = chained * 3.0 ** torch.arange(tokens)[:, None]
    matrices = [(chained @ chained.mT)[None]]
    for d_k in (1, 2, tokens, 2 * tokens):
        q = torch.randn(8_000, tokens, d_k, generator=generator)
        q = q * (1.5 * torch.randn(8_000, tokens, 1, generator=generator)).exp()
        matrices.append(q @ q.mT)
    return torch.cat(matrices)


CYCLES_AND_CHAINS = {
    "couple": cycle(2),
    "cycle of 3": cycle(3),
    "cycle of 4": cycle(4),
    "couple and cycle of 3": (1, 0, 3, 4, 2),
    "chain that ends in a cycle": (1, 2, 0, 0),
    "chain": (1, 2, 3, -1),
    "star": (3, 3, 3, -1),
    "chain that ends in itself": (1, 2, 2),
}


@pytest.mark.parametrize("mask_diagonal", [False, True])
@pytest.mark.parametrize("shape", CYCLES_AND_CHAINS)
def test_no_tied_scores_exceed_the_bound_and_some_reach_it(shape, mask_diagonal):
    target = CYCLES_AND_CHAINS[shape]
    asked = sum(t >= 0 for t in target)
    found = hits(
        random_tied_scores(len(target), torch.Generator().manual_seed(0)), target, mask_diagonal
    )
    most = found.max().item()
    for answers in (2, 8):
        best = (most + (asked - most) / answers) / asked
        bound = fetch_bound(target, answers, mask_diagonal=mask_diagonal)
        assert best == pytest.approx(1 if bound is None else bound)


@pytest.mark.parametrize("mask_diagonal", [False, True])
def test_a_target_that_is_no_token_is_named(mask_diagonal):
    with pytest.raises(ValueError, match=r"must be below 3, the number of tokens.*got 5"):
        fetch_bound((1, 0, 5), 8, mask_diagonal=mask_diagonal)


def test_a_softmax_that_mixes_several_answers_exceeds_the_bound_of_fetching_one():
    # One head, tied, class-only scores, diagonal masked. Round each circle A → B → C → A the scores
    # rise a little from AB to BC; C prefers B to its target A, but looks at the other C's as well.
    task = QUICK["relation/cycle"]
    scores = torch.full((4, 3, 4, 3), -30.0, dtype=torch.float64)
    for c in range(4):
        for i, j, score in ((0, 1, 0.05), (1, 2, 0.1), (2, 0, 0.0)):
            scores[c, i, c, j] = scores[c, j, c, i] = score
    scores[:, 2, :, 2] = 0
    scores = scores.view(12, 12)
    assert hits(scores[None], task.target, mask_diagonal=True) == 8, "two of three, as proven"
    values, vectors = torch.linalg.eigh(scores)
    root = (values - values[0]).clamp(min=0).sqrt()[:, None] * vectors.mT  # but for the diagonal
    torch.testing.assert_close(root.mT @ root, scores - values[0] * torch.eye(12).double())

    model = Reader(task, "tied_qk", mask_diagonal=True)
    [attention] = model.attention
    classes, payloads = slice(12), slice(12, 20)  # features of a token
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for embedding, features in zip(model.encoder.features, (classes, payloads), strict=True):
            embedding.weight[:, features] = torch.eye(embedding.num_embeddings)
        attention.W_q[0, :12, classes] = root * attention.W_q.shape[1] ** 0.25
        attention.W_v[0, :8, payloads] = torch.eye(8)
        attention.W_o[0, payloads, :8] = torch.eye(8)
        model.readout.weight[:, payloads] = torch.eye(8)
    accuracy, _ = evaluate(model, *task.sample(4000, torch.Generator().manual_seed(0), "test"))
    assert task.fetch_bound(mask_diagonal=True) == pytest.approx(0.708, abs=1e-3)
    assert accuracy == pytest.approx(0.78, abs=0.01)


def test_indefinite_symmetric_scores_do_not_pass_the_cycle_of_three_either():
    scores = torch.randn(50_000, 3, 3, generator=torch.Generator().manual_seed(0))
    assert hits(scores + scores.mT, cycle(3), mask_diagonal=False).max() == 2
    assert hits(scores, cycle(3), mask_diagonal=False).max() == 3, "asymmetric scores do"


def test_the_four_cycles_of_three_have_the_bound_17_in_24():
    for mask_diagonal in (False, True):
        bound = QUICK["relation/cycle"].fetch_bound(mask_diagonal=mask_diagonal)
        assert bound == pytest.approx((8 + 4 / 8) / 12) == pytest.approx(0.7083, abs=1e-4)


def test_a_large_cycle_is_a_poor_demonstration():
    assert fetch_bound(cycle(12), 8, mask_diagonal=True) == pytest.approx((11 + 1 / 8) / 12)


@pytest.mark.parametrize(
    ("name", "visible", "masked"),
    [
        ("relation/mutual", 9 / 16, None),
        ("relation/same-class", 9 / 16, None),
        ("relation/chain", None, None),
        ("agreement", None, None),
        ("rescue/one-head", None, None),
        ("rescue/two-heads", None, None),
        ("scenes/directed", (6 + 3 / 6) / 9, (6 + 3 / 6) / 9),
        ("scenes/same-digit", (4 + 4 / 6) / 8, None),
        ("previous/causal", None, None),
        ("match/8", None, None),
        ("language", None, None),
    ],
)
def test_bounds_of_the_other_tasks(name, visible, masked):
    task = QUICK[name]
    for mask_diagonal, wanted in ((False, visible), (True, masked)):
        bound = task.fetch_bound(mask_diagonal=mask_diagonal)
        assert bound == (wanted if wanted is None else pytest.approx(wanted))


# ---------------------------------------------------------------- names


def test_a_group_names_its_tasks_and_no_name_names_all():
    assert [t.name for t in find_tasks("match")] == ["match/4", "match/8", "match/16"]
    assert [t.name for t in find_tasks("language", "relation/chain")] == [
        "relation/chain",
        "language",
    ]
    assert find_tasks() == list(QUICK.values())
    assert find_tasks(full=True) == list(FULL.values())


def test_an_unknown_task_is_named_beside_those_that_exist():
    with pytest.raises(ValueError, match=r"'relation/circle', 'match/5'.*relation/cycle.*language"):
        find_tasks("agreement", "relation/circle", "match/5")


@pytest.mark.parametrize("name", QUICK)
def test_equal_generators_draw_equal_samples_and_others_draw_others(name):
    a, b, c = draw(name, 3, seed=1), draw(name, 3, seed=1), draw(name, 3, seed=2)
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])
    assert not torch.equal(a[0], c[0])
