"""The mathematics beside torch's transforms: no number is read back, no tensor is left on the CPU.

The meta device has shapes and no numbers, and ``torch.vmap`` refuses whoever looks at one: what
passes both does not read a number back from a GPU itself. (Some of torch's decompositions do.) So
every function and module of the mathematics runs on the one and under the other, forwards and,
where it has a gradient, backwards.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NamedTuple

import pytest
import strategies
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from attncourse import attention, circuits, feature_maps
from attncourse.attention import (
    CrossAttention,
    SelfAttention,
    attend,
    attention_weights,
    cosine_affinity,
    dot_affinity,
)
from attncourse.feature_maps import (
    ChannelAttention,
    FeatureMapAttention,
    NonLocalBlock,
    PositionAttention,
    SAGANAttention,
)

# vmap has no rule of its own for torch's fused kernel on the CPU, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


def normal(seed: int, *shape: int) -> Tensor:
    return strategies.normal(seed, *shape, dtype=torch.float32)


class Case(NamedTuple):
    compute: Callable[..., object]
    shapes: tuple[tuple[int, ...], ...]  # of one example
    has_gradient: bool = True


MASK = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])


def masked(function: Callable[..., object], **settings: object) -> Callable[..., object]:
    return lambda *x: function(*x, mask=MASK.to(x[0].device), **settings)


ROWS = ((2, 3, 7), (2, 3, 7))  # W_q and W_k of two heads
FUNCTIONS = {
    "cosine_affinity": Case(cosine_affinity, ((5, 4), (3, 4))),
    "cosine_affinity of one": Case(cosine_affinity, ((5, 4),)),
    "dot_affinity": Case(dot_affinity, ((5, 4), (3, 4))),
    "attention_weights": Case(attention_weights, ((5, 3),)),
    "attention_weights masked": Case(masked(attention_weights), ((3, 3),)),
    "attend": Case(attend, ((5, 4), (3, 4), (3, 6))),
    "attend masked": Case(masked(attend), ((2, 3, 4), (2, 3, 4), (2, 3, 4))),
    "attend with weights": Case(masked(attend, return_weights=True), ((3, 4), (3, 4), (3, 6))),
    "qk_circuit": Case(circuits.qk_circuit, ((2, 3, 7), (2, 3, 5))),
    "ov_circuit": Case(circuits.ov_circuit, ((2, 7, 3), (2, 3, 5))),
    "regauge": Case(circuits.regauge, ((2, 3, 7), (2, 3, 7), (3, 3))),
    "factor_bilinear": Case(lambda M: circuits.factor_bilinear(M, 3), ((5, 4),)),
    "symmetry": Case(circuits.symmetry, ROWS, has_gradient=False),
    "balanced_cosine": Case(circuits.balanced_cosine, ROWS, has_gradient=False),
    "positive_energy": Case(circuits.positive_energy, ROWS, has_gradient=False),
    "directionality": Case(circuits.directionality, ROWS, has_gradient=False),
    "subspace_overlap": Case(circuits.subspace_overlap, ((2, 3, 9), (2, 4, 9)), False),
    "principal_angles": Case(circuits.principal_angles, ((2, 3, 9), (2, 4, 9)), False),
    "compress": Case(circuits.compress, ROWS, has_gradient=False),
    "pixels_as_tokens": Case(feature_maps.pixels_as_tokens, ((2, 3, 4, 5),)),
    "tokens_as_pixels": Case(lambda x: feature_maps.tokens_as_pixels(x, 4, 5), ((2, 20, 3),)),
    "pixel_affinity": Case(feature_maps.pixel_affinity, ((2, 3, 4, 5),)),
}
IMAGE = ((2, 8, 3, 4),)
MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    **{
        f"SelfAttention {mode}": (
            lambda mode=mode: SelfAttention(12, projections=mode, num_heads=3), ((5, 12),),
        )
        for mode in ("raw", "shared", "tied_qk", "tied_kv", "separate")
    },
    "SelfAttention without itself": (lambda: SelfAttention(12, mask_diagonal=True), ((5, 12),)),
    "CrossAttention": (lambda: CrossAttention(12, 6, num_heads=3), ((5, 12), (4, 6))),
    "FeatureMapAttention": (lambda: FeatureMapAttention(8, num_heads=2), IMAGE),
    "NonLocalBlock": (lambda: NonLocalBlock(8), IMAGE),
    "NonLocalBlock gaussian": (lambda: NonLocalBlock(8, affinity="gaussian"), IMAGE),
    "NonLocalBlock dot_product": (lambda: NonLocalBlock(8, affinity="dot_product"), IMAGE),
    "SAGANAttention": (lambda: SAGANAttention(8), IMAGE),
    "PositionAttention": (lambda: PositionAttention(8), IMAGE),
    "ChannelAttention": (ChannelAttention, IMAGE),
}  # fmt: skip


def tensors(result: object) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def test_every_public_function_and_module_of_the_mathematics_is_tried_here():
    public = {
        name
        for room in (attention, circuits, feature_maps)
        for name, member in inspect.getmembers(room)
        if (inspect.isfunction(member) or inspect.isclass(member))
        and member.__module__ == room.__name__
        and not name.startswith("_")
    }
    assert {name.split()[0] for name in (*FUNCTIONS, *MODULES)} == public


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_runs_on_the_meta_device_forwards_and_backwards(name):
    compute, shapes, has_gradient = FUNCTIONS[name]
    arguments = [torch.empty(shape, device="meta", requires_grad=has_gradient) for shape in shapes]
    expected = tensors(compute(*(normal(i, *shape) for i, shape in enumerate(shapes))))
    results = tensors(compute(*arguments))
    assert [(x.device.type, x.shape) for x in results] == [("meta", x.shape) for x in expected]
    if has_gradient:
        sum(x.sum() for x in results).backward()
        assert [x.grad.shape for x in arguments] == [x.shape for x in arguments]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_over_a_function_gives_what_a_loop_gives_and_so_do_gradients(name):
    compute, shapes, has_gradient = FUNCTIONS[name]
    batch = [normal(i, 4, *shape) for i, shape in enumerate(shapes)]

    def loss(*x: Tensor) -> Tensor:
        return sum(y.square().sum() for y in tensors(compute(*x)))

    for transformed in [compute, grad(loss)] if has_gradient else [compute]:
        one_by_one = [tensors(transformed(*x)) for x in zip(*batch, strict=True)]
        at_once = tensors(vmap(transformed)(*batch))
        for i, found in enumerate(at_once):
            expected = torch.stack([results[i] for results in one_by_one])
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_made_on_the_meta_device_runs_there_forwards_and_backwards(name):
    make, shapes = MODULES[name]
    with torch.device("meta"):
        module = make()
        arguments = [torch.empty(shape, requires_grad=True) for shape in shapes]
    output, weights = module(*arguments, return_weights=True)
    assert output.shape == module(*arguments).shape == shapes[0]
    assert output.device.type == weights.device.type == "meta"
    (module(*arguments).sum() + output.sum()).backward()
    for x in (*arguments, *module.parameters()):
        assert x.grad.shape == x.shape


@pytest.mark.parametrize("name", MODULES)
def test_gradients_of_each_example_at_once_are_those_of_one_example_after_another(name):
    make, shapes = MODULES[name]
    torch.manual_seed(0)
    module = make()
    parameters = {
        name: parameter.detach() + 0.1 for name, parameter in module.named_parameters()
    }  # not at the zeros at which the blocks of the vision papers start
    batch = [normal(i, 4, *shape) for i, shape in enumerate(shapes)]

    def loss(parameters: dict[str, Tensor], *x: Tensor) -> Tensor:
        return functional_call(module, parameters, x).square().sum()

    by_parameters_and_first = grad(loss, argnums=(0, 1))
    in_dims = (None, *[0] * len(batch))
    of_parameters, of_first = vmap(by_parameters_and_first, in_dims=in_dims)(parameters, *batch)
    for i, x in enumerate(zip(*batch, strict=True)):
        expected, expected_first = by_parameters_and_first(parameters, *x)
        torch.testing.assert_close(of_first[i], expected_first, atol=1e-4, rtol=1e-4)
        for name, gradient in expected.items():
            torch.testing.assert_close(of_parameters[name][i], gradient, atol=1e-4, rtol=1e-4)


def test_a_row_of_minus_infinity_has_weights_and_gradients_of_zero():
    scores = torch.tensor([[-torch.inf, -torch.inf], [0.5, -torch.inf]], requires_grad=True)
    for weights in (attention_weights(scores), vmap(attention_weights)(scores)):
        assert weights.tolist() == [[0, 0], [1, 0]]
        (gradient,) = torch.autograd.grad(weights.square().sum(), scores)
        assert gradient.tolist() == [[0, 0], [0, 0]]


def test_numbers_that_are_not_finite_are_refused_on_the_cpu_where_a_person_calls():
    x = torch.full((3, 4), torch.nan)
    for function in (cosine_affinity, dot_affinity, lambda x: attend(x, x, x), attention_weights):
        with pytest.raises(ValueError, match="must not contain NaN"):
            function(x)


@pytest.mark.parametrize("reading", ["vmap", "compile"])
def test_numbers_that_are_not_finite_pass_where_reading_one_would_stop_the_program(reading):
    x = torch.full((2, 3, 4), torch.nan)
    if reading == "vmap":
        output = vmap(lambda x: attend(x, x, x))(x)
    else:
        output = torch.compile(lambda x: attend(x, x, x), backend="eager", fullgraph=True)(x)
    assert output.isnan().all()


AUTOCAST = {name: MODULES[name] for name in MODULES if MODULES[name][1] == IMAGE}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", AUTOCAST)
def test_a_block_behind_a_convolution_runs_under_autocast_close_to_float32(name, dtype):
    make, ((_, C, H, W),) = AUTOCAST[name]
    torch.manual_seed(0)
    block = make()
    for parameter in block.parameters():  # away from the zeros at which the papers' blocks start
        nn.init.normal_(parameter, std=0.3)
    net, x = nn.Sequential(nn.Conv2d(C, C, 1), block), normal(0, 2, C, H, W)
    exact = net(x)
    with torch.autocast("cpu", dtype=dtype):
        outputs = [net(x), block(net[0](x), return_weights=True)[0]]
        block(x)  # and in front of it, in float32
        with pytest.raises(TypeError, match="same dtype"):  # which autocast leaves alone
            block(x.double())
    for output in outputs:
        assert output.dtype in (dtype, torch.float32)
        assert (output.float() - exact).norm() < 0.03 * exact.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scores_too_large_for_half_precision_are_computed_in_single_precision(dtype):
    x = 300 * normal(0, 7, 4).to(dtype)  # squares of 90,000, and float16 ends at 65,504
    expected = attend(x.float(), x.float(), x.float(), return_weights=True)[1]
    for within_autocast in (False, True):
        with torch.autocast("cpu", dtype=dtype, enabled=within_autocast):
            weights = attend(x, x, x, return_weights=True)[1]
        torch.testing.assert_close(weights.float(), expected, atol=0.01, rtol=0.01)


@pytest.mark.parametrize("return_weights", [False, True])
def test_attend_takes_mixed_dtypes_within_autocast_and_refuses_them_outside(return_weights):
    x = normal(0, 5, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = attend(x.bfloat16(), x, x, return_weights=return_weights)
        exact = attend(x, x, x)
        with pytest.raises(TypeError, match="same dtype"):  # autocast leaves double precision alone
            attend(x.double(), x, x)
    output = tensors(output)[0]
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), exact.float(), atol=0.02, rtol=0.02)
    with pytest.raises(TypeError, match="same dtype"):
        attend(x.bfloat16(), x, x, return_weights=return_weights)


@pytest.mark.parametrize("return_weights", [False, True])
def test_leading_dimensions_of_value_and_mask_alone_give_the_answer_of_all_given(return_weights):
    query, key = normal(0, 1, 5, 4), normal(1, 1, 3, 4)
    value, mask = normal(2, 6, 3, 4), normal(3, 6, 5, 3) > 0
    with sdpa_kernel(SDPBackend.MATH):
        expected = attend(query.expand(6, -1, -1), key.expand(6, -1, -1), value, mask=mask)
    output = tensors(attend(query, key, value, mask=mask, return_weights=return_weights))[0]
    torch.testing.assert_close(output, expected)
