"""What holds for the items of all problem sets together."""

from problem_sets import answers

from attncourse.checking.random_inputs import Draw
from attncourse.grading import items

ITEMS = items()


def test_every_item_has_five_correct_styles():
    assert answers.RIGHT.keys() == ITEMS.keys()
    assert min(map(len, answers.RIGHT.values())) >= 5


def test_cases_depend_on_the_seed_alone():
    item = ITEMS["ps1.cosine_affinity"]
    one, same, other = (
        [case.args[0] for case in item.cases(Draw("ps1", seed))] for seed in (1, 1, 2)
    )
    assert all(a.equal(b) for a, b in zip(one, same, strict=True))
    assert not one[1].equal(other[1])


def test_a_drawn_mask_allows_and_forbids_something_in_every_row():
    mask = Draw(5).mask(40, 3, 4)
    assert mask.any(-1).all()
    assert not mask.all(-1).any()


def test_sizes_of_a_batch_all_differ():
    """Two equal sizes would hide a swapped axis."""
    maps = {"ps2.violations", "ps2.stationary", "ps2.attends_to_itself"}  # [..., T, T] by nature
    without = {"ps1.max_cosine_weight", "ps2.cycle_bound", "ps3.train_cycle"}
    without |= {"ps4.causal_mask", "ps4.parameter_count", "ps4.cache_bytes"}  # numbers alone
    without |= {"ps5.heads_as_kernel", "ps5.multiplications"}  # no batch of anything
    looked_at = set()
    for item in ITEMS.values():
        for case in item.cases(Draw(0)):
            if "a batch" in case.name:
                looked_at.add(item.id)
                sizes = case.args[0].shape[: -1 if item.id in maps else None]
                assert len(set(sizes)) == len(sizes), (item.id, case.name, sizes)
    assert ITEMS.keys() - looked_at == without & ITEMS.keys()
