"""One loop trains everything: the same twice, no longer than needed, and on record."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

import pytest
import torch
from experiments.tiny import tiny

from attncourse.experiments import training
from attncourse.experiments.models import MODES
from attncourse.experiments.tasks import FULL, QUICK, language
from attncourse.experiments.training import design_of, evaluate, train

CLOCK = ("seconds", "finished")


def outcome(run):
    return {name: value for name, value in asdict(run).items() if name not in CLOCK}


@pytest.mark.parametrize("name", QUICK)
def test_every_task_trains_in_every_mode(name):
    for i, mode in enumerate(MODES):
        _, run = train(tiny(name), mode, mask_diagonal=bool(i % 2), device="cpu")
        assert (run.task, run.mode, run.steps) == (name, mode, 3)
        assert 0 <= run.accuracy <= 1
        assert run.loss > 0


@pytest.mark.parametrize("name", FULL)
def test_the_full_settings_make_a_step(name):
    _, run = train(tiny(name, full=True, steps=1, batch_size=2), "tied_qk", device="cpu")
    assert run.steps == 1
    assert run.parameters >= train(tiny(name, steps=1), "tied_qk", device="cpu")[1].parameters


def test_full_means_more_seeds_longer_training_and_a_language_model_until_nothing_is_gained():
    for name, quick in QUICK.items():
        full = FULL[name].settings
        assert full.seeds > quick.settings.seeds
        assert full.steps * full.batch_size > 8 * quick.settings.steps * quick.settings.batch_size
    assert FULL["language"].settings.patience is not None


@pytest.mark.parametrize("name", ["relation/cycle", "scenes/directed", "language"])
def test_training_twice_gives_the_same_weights_bit_by_bit(name, monkeypatch):
    first_model, first = train(tiny(name), "separate", seed=1, device="cpu")
    monkeypatch.setattr(training, "_encoders", {})  # a pretrained encoder is trained again, too
    torch.manual_seed(123)  # what the process drew before must not matter
    again_model, again = train(tiny(name), "separate", seed=1, device="cpu")
    assert outcome(first) == outcome(again)
    for a, b in zip(first_model.parameters(), again_model.parameters(), strict=True):
        assert torch.equal(a, b)
    other_model, _ = train(tiny(name), "separate", seed=2, device="cpu")
    assert not torch.equal(first_model.readout.weight, other_model.readout.weight)


def test_training_leaves_the_global_generators_and_the_number_of_threads_alone(monkeypatch):
    torch.manual_seed(5)
    wanted, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeds the GPU's"))
    train(tiny("scenes/directed"), "shared", device="cpu")
    assert torch.equal(torch.rand(3), wanted)
    assert torch.get_num_threads() == threads


def test_modes_of_one_seed_see_the_same_training_samples():
    samples = {}
    for mode in ("raw", "separate"):
        task = tiny("agreement")
        draws = []

        class Watched(type(task)):
            def sample(self, count, generator, split="train", draws=draws):
                inputs, targets = super().sample(count, generator, split)
                if split == "train":
                    draws.append(inputs)
                return inputs, targets

        train(Watched(**{f: getattr(task, f) for f in task.__dataclass_fields__}), mode)
        samples[mode] = torch.cat(draws)
    assert torch.equal(samples["raw"], samples["separate"])


def test_a_solved_task_stops_early():
    task = tiny("agreement", steps=400, batch_size=64, evaluate_every=25, validation_size=100)
    _, run = train(task, "separate", mask_diagonal=True, device="cpu")
    assert run.stopped == "solved"
    assert run.steps < 400
    assert run.steps % 25 == 0
    assert run.accuracy == 1


def test_a_task_without_progress_stops_when_its_patience_runs_out():
    # At a learning rate of 0 the first look is the best there will be.
    task = tiny("agreement", steps=100, evaluate_every=5, patience=2, learning_rate=0)
    _, run = train(task, "separate", device="cpu")
    assert (run.stopped, run.steps) == ("no progress", 15)


def test_without_patience_all_steps_are_taken():
    task = tiny("agreement", steps=7, learning_rate=0)
    _, run = train(task, "separate", device="cpu")
    assert (run.stopped, run.steps) == ("all steps", 7)


def test_the_weights_with_the_best_validation_loss_are_kept(monkeypatch):
    # So high a rate that the loss jumps up and down.
    task = tiny("agreement", steps=30, evaluate_every=1, learning_rate=1)
    losses = []

    def watched(model, inputs, targets):
        accuracy, loss = evaluate(model, inputs, targets)
        losses.append((len(inputs), loss))
        return accuracy, loss

    monkeypatch.setattr(training, "evaluate", watched)
    model, _ = train(task, "separate", device="cpu")
    validation_losses = [loss for count, loss in losses if count == task.settings.validation_size]
    assert len(validation_losses) == 30
    assert validation_losses[-1] > min(validation_losses), "else the last weights would do"
    validation = training._fixed_samples(task, "validation", torch.device("cpu"))
    assert evaluate(model, *validation)[1] == pytest.approx(min(validation_losses))
    assert not model.training


def test_accuracy_and_loss_count_only_tokens_that_are_asked():
    class Model(torch.nn.Module):
        def forward(self, logits):
            return logits

    # 300 samples, more than are evaluated at once. Right with p = 1/2; wrong; not asked.
    logits = torch.tensor([[[0.0, 0, -1e9], [0, 20, 0], [20, 0, 0]]]).repeat(300, 1, 1)
    targets = torch.tensor([[0, 0, -100]]).repeat(300, 1)
    accuracy, bits = evaluate(Model(), logits, targets)
    assert accuracy == 0.5
    assert bits == pytest.approx((1 + 20 / 0.6931472) / 2, rel=1e-4)


def test_the_record_is_complete_and_survives_json():
    task = tiny("relation/mutual")
    _, run = train(task, "tied_qk", seed=2, device="cpu", command="how it was called")
    record = asdict(run)
    assert json.loads(json.dumps(record)) == record
    assert None not in record.values()
    assert record["fetch_bound"] == 0.5625
    assert record["chance"] == 0.125
    assert record["command"] == "how it was called"
    assert record["device"].startswith("CPU")
    assert record["device"].endswith("1 thread)")
    assert record["versions"]["torch"] == torch.__version__
    assert set(record["versions"]) == {"attncourse", "python", "torch", "scikit-learn"}
    assert datetime.fromisoformat(record["finished"]).utcoffset().total_seconds() == 0
    assert record["seconds"] > 0
    assert record["design"]["target"] == list(task.target)
    assert record["design"]["settings"]["steps"] == 3
    assert (record["d_k"], record["d_v"]) == (24, 12)
    assert record["projection_parameters"] == 32 * (24 + 12) + 12 * 32
    assert record["parameters"] == record["projection_parameters"] + 32 * (12 + 8) + 33 * 8


@pytest.mark.parametrize("mode", MODES)
def test_the_bound_is_recorded_for_the_modes_whose_scores_it_binds(mode):
    _, run = train(tiny("relation/cycle"), mode, device="cpu")
    assert (run.fetch_bound is None) == (mode in ("tied_kv", "separate"))


def test_an_unknown_mode_is_named_beside_those_that_exist():
    with pytest.raises(ValueError, match=r"one of 'cosine', 'raw'.*'separate'; got 'tied_qkv'"):
        train(tiny("agreement"), "tied_qkv")


def test_a_loss_that_is_no_longer_finite_is_an_error_that_names_the_task():
    task = tiny("agreement", steps=20, learning_rate=1e30)
    with pytest.raises(
        FloatingPointError,
        match=r"the loss is .* at step .* of agreement; try a learning_rate below",
    ):
        train(task, "separate", device="cpu")


def test_weights_that_are_no_longer_finite_at_the_last_look_are_the_same_error():
    # One step: its loss is finite, what it leaves behind is not.
    task = tiny("agreement", steps=1, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"the loss is .* at step 1 of agreement"):
        train(task, "separate", device="cpu")


def test_the_text_that_is_learned_is_part_of_the_design(monkeypatch):
    before = design_of(QUICK["language"])
    assert "data" not in design_of(QUICK["agreement"])
    text = language.reference_text()
    monkeypatch.setattr(language, "reference_text", lambda: text.replace("the", "THE"))
    assert design_of(QUICK["language"])["data"] != before["data"]


def test_every_step_is_reported_those_of_the_encoder_too():
    steps = []
    task = tiny("scenes/same-digit", d_model=24)  # a size of its own: an encoder is trained
    train(task, "raw", device="cpu", on_step=lambda t, step: steps.append((t.name, step)))
    own = [(task.name, 1), (task.name, 2), (task.name, 3)]
    assert steps == [("cells", 1), ("cells", 2), *own]
    train(task, "shared", device="cpu", on_step=lambda t, step: steps.append((t.name, step)))
    assert steps[5:] == own, "the encoder of a seed is trained once"
