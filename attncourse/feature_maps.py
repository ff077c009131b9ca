"""Attention on feature maps ``[B, C, H, W]``: pixels are the tokens, channels their features.

A 1×1 convolution is one linear map applied to every pixel, so nothing here is a second kind of
attention. The blocks of the vision papers differ in what they project, and to how many features:

======================  ============  ===========  =========  ===========================
block                   query, key    value        output     starts at
======================  ============  ===========  =========  ===========================
`NonLocalBlock`         C/2 or none   C/2          C/2 to C   ``x``, for W_z is zero
`SAGANAttention`        C/8           C/8          C/8 to C   ``x``, for γ is zero
`PositionAttention`     C/8           C            none       ``x``, for α is zero
`ChannelAttention`      none          none         none       ``x``, for β is zero
======================  ============  ===========  =========  ===========================

None of the papers divides its scores by √d_k, and neither do these blocks. Three of them are not in
their published code what they are in their paper, and take ``form="code"`` for what the code
computes: pooled keys and values, a scale, a width, a sign. What weights that were trained with that
code take besides, biases or a norm, each class says.

:class:`FeatureMapAttention` is :class:`attncourse.attention.SelfAttention` on pixels: it does
divide, and adds no ``x``.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from attncourse.arguments import (
    check_features,
    check_like_weight,
    check_size,
    own_weight,
    shape_of,
    type_name,
)
from attncourse.attention import Projections, SelfAttention, attend, cosine_affinity, dot_affinity

NonLocalAffinity = Literal["embedded_gaussian", "gaussian", "dot_product"]

Form = Literal["paper", "code"]  #: a block as its paper writes it, or as the published code has it

# ---------------------------------------------------------------- pixels and tokens


def pixels_as_tokens(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` -> ``[B, H·W, C]``: one token for each pixel, row by row.

    Pixel (h, w) becomes token ``h·W + w``. The result is a view where that is possible.

    Raises:
        TypeError: ``x`` is not a tensor.
        ValueError: ``x`` does not have four dimensions.
    """
    _check_dimensions("x", x, "[B, C, H, W]", 4)
    return x.flatten(2).transpose(1, 2)


def tokens_as_pixels(tokens: Tensor, height: int, width: int) -> Tensor:
    """``[B, H·W, C]`` -> ``[B, C, H, W]``: the inverse of :func:`pixels_as_tokens`.

    Args:
        tokens: ``[B, H·W, C]``.
        height, width: H and W in pixels.

    Raises:
        TypeError: ``tokens`` is not a tensor, ``height`` or ``width`` not a whole number.
        ValueError: ``tokens`` does not have three dimensions and ``height × width`` tokens.
    """
    _check_dimensions("tokens", tokens, "[B, H·W, C]", 3)
    for name, size in (("height", height), ("width", width)):
        check_size(name, size)
    if tokens.shape[1] != height * width:
        raise ValueError(
            f"tokens must have height × width = {height} × {width} = {height * width} tokens, "
            f"got {list(tokens.shape)}"
        )
    return tokens.transpose(1, 2).unflatten(2, (height, width))


def pixel_affinity(x: Tensor, *, affinity: Literal["cosine", "dot"] = "cosine") -> Tensor:
    """How alike every two pixels of a feature map are, before anything is learned.

    Args:
        x: ``[B, C, H, W]``, floating point.
        affinity: ``"cosine"`` or ``"dot"``.

    Returns:
        ``[B, H·W, H·W]``; row ``h·W + w`` belongs to pixel (h, w).

    Raises:
        TypeError, ValueError: as :func:`pixels_as_tokens` and
            :func:`attncourse.attention.cosine_affinity`; or an unknown affinity.
    """
    try:
        compare = {"cosine": cosine_affinity, "dot": dot_affinity}[affinity]
    except (KeyError, TypeError):
        raise ValueError(f"affinity must be 'cosine' or 'dot', got {affinity!r}") from None
    return compare(pixels_as_tokens(x))


# ---------------------------------------------------------------- modules


class FeatureMapAttention(nn.Module):
    """Self-attention between all pixels of a feature map, in five projection modes.

    The projections are the linear maps of ``attention``, a
    :class:`attncourse.attention.SelfAttention`: ``attention.W_q`` and the others, one for each
    head. Put ``[:, :, None, None]`` behind such a matrix and it is the kernel of the 1×1
    convolution that does the same.

    Args:
        channels: C, the features of a pixel; d_model to the projections.
        projections, num_heads, d_k, d_v, bias, mask_diagonal: as in
            :class:`attncourse.attention.SelfAttention`.

    Raises:
        TypeError, ValueError: as there.
    """

    def __init__(
        self,
        channels: int,
        *,
        projections: Projections = "separate",
        num_heads: int = 1,
        d_k: int | None = None,
        d_v: int | None = None,
        bias: bool = False,
        mask_diagonal: bool = False,
    ) -> None:
        check_size("channels", channels)
        super().__init__()
        self.channels = channels
        self.attention = SelfAttention(
            channels,
            projections=projections,
            num_heads=num_heads,
            d_k=d_k,
            d_v=d_v,
            bias=bias,
            mask_diagonal=mask_diagonal,
        )

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend from every pixel of ``x`` to every pixel of ``x``.

        Args:
            x: ``[B, C, H, W]``.
            mask: boolean, True = may attend; broadcasts to ``[B, H·W, H·W]``, or with four
                dimensions to ``[B, h, H·W, H·W]``. Pixel (h, w) is row and column ``h·W + w``.
            return_weights: also return the weights of each head.

        Returns:
            ``[B, C, H, W]``, or that and the weights ``[B, h, H·W, H·W]``.

        Raises:
            TypeError, ValueError: ``x`` is not a feature map of C channels, or as
                :meth:`attncourse.attention.SelfAttention.forward`.
        """
        _check_channels(x, self.channels)
        attended = self.attention(pixels_as_tokens(x), mask=mask, return_weights=return_weights)
        output, weights = _output_and_weights(attended)
        return _output(tokens_as_pixels(output, *x.shape[2:]), weights)


class NonLocalBlock(nn.Module):
    """The non-local block: ``z = W_z y + x``, where y_i averages g(x_j) over all pixels j.

    =====================  ==================================================================
    affinity               ``y_i``
    =====================  ==================================================================
    ``embedded_gaussian``  ``Σ_j softmax_j(θ(x_i)·φ(x_j)) g(x_j)``
    ``gaussian``           ``Σ_j softmax_j(x_i·x_j) g(x_j)``: the affinity is not projected
    ``dot_product``        ``Σ_j θ(x_i)·φ(x_j) g(x_j) / N``, with N = H·W: weights of any sign
    =====================  ==================================================================

    θ is the query, φ the key, g the value and W_z the output projection of other papers.

    Args:
        channels: number of channels, C.
        inner_channels: what θ, φ and g project to; C/2 when left out.
        affinity: one of the three names above.
        bias: add a bias to the four convolutions, as the published code does.
        form: ``"code"`` for the published code: φ and g read ``x`` after a 2×2 maximum, so that
            there are a quarter as many keys, which is the N of the dot product too; and scores that
            go into a softmax are divided by the root of ``inner_channels``. It has no ``gaussian``.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is not positive, C is odd and ``inner_channels`` left out, an unknown
            affinity or form, or ``gaussian`` with ``form="code"``.

    Source: Wang et al. 2018, "Non-local Neural Networks" (arXiv 1711.07971): affinities, section
    3.2; the block, equation 6; C/2, section 3.3. The block starts as the identity because W_z is
    zero, which section 3.3 proposes; in the paper's training a batch normalisation behind W_z
    does it, its scale starting at zero: fold a trained one into W_z and its bias. The blocks that
    the paper measured pool what comes out of φ and g (section 3.3), which is left out here; the
    published code pools their input.
    """

    def __init__(
        self,
        channels: int,
        *,
        inner_channels: int | None = None,
        affinity: NonLocalAffinity = "embedded_gaussian",
        bias: bool = False,
        form: Form = "paper",
    ) -> None:
        if affinity not in get_args(NonLocalAffinity):
            names = ", ".join(repr(name) for name in get_args(NonLocalAffinity))
            raise ValueError(f"affinity must be one of {names}; got {affinity!r}")
        _check_form(form)
        if form == "code" and affinity == "gaussian":
            raise ValueError(
                "the published code has no affinity 'gaussian': its θ and φ are always there; "
                "take form='paper'"
            )
        check_size("channels", channels)
        if inner_channels is None:
            inner_channels = _part(channels, 2, "give inner_channels")
        check_size("inner_channels", inner_channels)
        super().__init__()
        self.channels, self.affinity, self.form = channels, affinity, form
        self.scale = inner_channels**-0.5 if form == "code" else 1.0
        if affinity != "gaussian":
            self.theta = nn.Conv2d(channels, inner_channels, 1, bias=bias)
            self.phi = nn.Conv2d(channels, inner_channels, 1, bias=bias)
        self.g = nn.Conv2d(channels, inner_channels, 1, bias=bias)
        self.W_z = nn.Conv2d(inner_channels, channels, 1, bias=bias)
        for parameter in self.W_z.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, *, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """``[B, C, H, W]`` -> the same shape, and the weights ``[B, H·W, H·W]`` if asked for.

        In the code's form the weights are ``[B, H·W, ⌊H/2⌋·⌊W/2⌋]``.

        Raises:
            TypeError, ValueError: ``x`` is not a feature map of C channels, has no pixels (in the
                code, fewer than two rows or columns), or is not finite.
        """
        _check_map(x, self.channels, own_weight(self.g))
        source = _pooled(x) if self.form == "code" else x
        if self.affinity == "gaussian":
            y, weights = _softmax_attention(x, x, self.g(x), return_weights)
        elif self.affinity == "embedded_gaussian":
            y, weights = _softmax_attention(
                self.theta(x), self.phi(source), self.g(source), return_weights, self.scale
            )
        else:
            y, weights = _mean_attention(
                self.theta(x), self.phi(source), self.g(source), return_weights
            )
        return _output(self.W_z(y) + x, weights)

    def extra_repr(self) -> str:
        return f"channels={self.channels}, affinity={self.affinity!r}, form={self.form!r}"


class SAGANAttention(nn.Module):
    """Self-attention of SAGAN: ``y_j = γ v(Σ_i softmax_i(f(x_i)·g(x_j)) h(x_i)) + x_j``.

    Mind the letters: pixel j asks and pixel i answers, so g makes the **query**, f the **key**, h
    the value, and v is the output projection.

    Args:
        channels: C; divisible by ``reduction``.
        reduction: f, g and h project to ``C / reduction`` features.
        bias: add a bias to the four convolutions; the published code has none.
        form: ``"code"`` for the published code: h projects to C/2, and a 2×2 maximum is taken of
            what f and h give, so that there are a quarter as many keys and values.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is not positive, C not divisible by ``reduction`` (as in the code also by
            2), or an unknown form.

    Source: Zhang et al. 2019, "Self-Attention Generative Adversarial Networks" (ICML; arXiv
    1805.08318, version 2), section 3: f, g and h to C/8, v back to C, γ from 0. The first version
    had no v and an h of C features. The published code also divides every matrix by its largest
    singular value (``torch.nn.utils.parametrizations.spectral_norm`` on the convolutions does that
    here).
    """

    def __init__(
        self, channels: int, *, reduction: int = 8, bias: bool = False, form: Form = "paper"
    ) -> None:
        inner = _reduced(channels, reduction)
        _check_form(form)
        handed_over = inner
        if form == "code":
            handed_over = _part(channels, 2, "form='paper'")
        super().__init__()
        self.channels, self.form = channels, form
        self.f = nn.Conv2d(channels, inner, 1, bias=bias)
        self.g = nn.Conv2d(channels, inner, 1, bias=bias)
        self.h = nn.Conv2d(channels, handed_over, 1, bias=bias)
        self.v = nn.Conv2d(handed_over, channels, 1, bias=bias)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, *, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """``[B, C, H, W]`` -> the same shape, and the weights ``[B, H·W, H·W]`` if asked for.

        Row j of the weights belongs to the pixel that asks. In the code's form a row has
        ``⌊H/2⌋·⌊W/2⌋`` of them.

        Raises:
            TypeError, ValueError: ``x`` is not a feature map of C channels, has no pixels (in the
                code, fewer than two rows or columns), or is not finite.
        """
        _check_map(x, self.channels, self.gamma)
        key, value = self.f(x), self.h(x)
        if self.form == "code":
            key, value = _pooled(key), _pooled(value)
        attended, weights = _softmax_attention(self.g(x), key, value, return_weights)
        return _output(self.gamma * self.v(attended) + x, weights)

    def extra_repr(self) -> str:
        return f"channels={self.channels}, form={self.form!r}"


class PositionAttention(nn.Module):
    """DANet's position attention: ``E_j = α Σ_i softmax_i(B_i·C_j) D_i + A_j``.

    Pixel j of the feature map A asks: C is its query, B the key and D the value. D keeps all the
    channels, so there is no output projection.

    Args:
        channels: number of channels of A; divisible by ``reduction``.
        reduction: query and key have ``channels / reduction`` features.
        bias: add a bias to the three convolutions, as the published code does.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is not positive, or ``channels`` not divisible by ``reduction``.

    Source: Fu et al. 2019, "Dual Attention Network for Scene Segmentation" (arXiv 1809.02983),
    section 3.2, equations 1 and 2, α from 0. There query and key keep all the channels, as with
    ``reduction=1`` here; an eighth is what the published code does.
    """

    def __init__(self, channels: int, *, reduction: int = 8, bias: bool = False) -> None:
        inner = _reduced(channels, reduction)
        super().__init__()
        self.channels = channels
        self.query = nn.Conv2d(channels, inner, 1, bias=bias)
        self.key = nn.Conv2d(channels, inner, 1, bias=bias)
        self.value = nn.Conv2d(channels, channels, 1, bias=bias)
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, *, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """``[B, C, H, W]`` -> the same shape, and the weights ``[B, H·W, H·W]`` if asked for.

        Raises:
            TypeError, ValueError: ``x`` is not a feature map of C channels, has no pixels, or is
                not finite.
        """
        _check_map(x, self.channels, self.alpha)
        attended, weights = _softmax_attention(
            self.query(x), self.key(x), self.value(x), return_weights
        )
        return _output(self.alpha * attended + x, weights)


class ChannelAttention(nn.Module):
    """DANet's channel attention: ``E_j = β Σ_i softmax_i(A_i·A_j) A_i + A_j``.

    Here the channels are the tokens and the pixels their features. Nothing is projected, so it
    takes any number of channels, and β is all that it learns.

    Args:
        form: ``"code"`` for the published code, which takes the softmax of
            ``max(scores) - scores``: there a channel attends to those that are **least** like it.

    Raises:
        ValueError: an unknown form.

    Source: Fu et al. 2019 (arXiv 1809.02983), section 3.3, equations 3 and 4, β from 0.
    """

    def __init__(self, *, form: Form = "paper") -> None:
        _check_form(form)
        super().__init__()
        self.form = form
        self.beta = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, *, return_weights: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """``[B, C, H, W]`` -> the same shape, and the weights ``[B, C, C]`` if asked for.

        Raises:
            TypeError, ValueError: ``x`` is not a feature map, has no pixels, or is not finite.
        """
        _check_map(x, None, self.beta)
        channels = x.flatten(2)  # [B, C, H·W]
        # max(scores) is the same for a whole row, so the softmax does not see it: a sign is left.
        query = -channels if self.form == "code" else channels
        attended = attend(query, channels, channels, scale=1.0, return_weights=return_weights)
        output, weights = _output_and_weights(attended)
        return _output(self.beta * output.view_as(x) + x, weights)

    def extra_repr(self) -> str:
        return f"form={self.form!r}"


# ---------------------------------------------------------------- what the modules share


def _softmax_attention(
    query: Tensor, key: Tensor, value: Tensor, return_weights: bool, scale: float = 1.0
) -> tuple[Tensor, Tensor | None]:
    """``softmax(scale · query·key) value`` between all pixels; each argument ``[B, ·, H, W]``.

    Key and value may have another height and width than the query.
    """
    tokens = (pixels_as_tokens(part) for part in (query, key, value))
    attended = attend(*tokens, scale=scale, return_weights=return_weights)
    output, weights = _output_and_weights(attended)
    return tokens_as_pixels(output, *query.shape[2:]), weights


def _mean_attention(
    query: Tensor, key: Tensor, value: Tensor, return_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """``query·key value / N`` over all N pixels of the keys; each argument ``[B, ·, H, W]``."""
    height, width = query.shape[2:]
    asked = key.shape[2] * key.shape[3]
    query, key, value = (pixels_as_tokens(part) for part in (query, key / asked, value))
    # Without a softmax the product is associative: N × N numbers need never exist.
    output = query @ (key.mT @ value)
    weights = query @ key.mT if return_weights else None
    return tokens_as_pixels(output, height, width), weights


def _pooled(x: Tensor) -> Tensor:
    """The largest of each 2×2 pixels: ``[B, C, H, W]`` -> ``[B, C, ⌊H/2⌋, ⌊W/2⌋]``."""
    if min(x.shape[2:]) < 2:
        raise ValueError(
            "x must have at least two rows and two columns, since the published code pools 2×2; "
            f"got {shape_of(x)} as [B, C, H, W]"
        )
    return max_pool2d(x, 2)


def _output_and_weights(
    attended: Tensor | tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor | None]:
    return attended if isinstance(attended, tuple) else (attended, None)


def _output(output: Tensor, weights: Tensor | None) -> Tensor | tuple[Tensor, Tensor]:
    return output if weights is None else (output, weights)


# ---------------------------------------------------------------- checks of arguments


def _check_form(form: str) -> None:
    if form not in get_args(Form):
        raise ValueError(f"form must be 'paper' or 'code', got {form!r}")


def _check_dimensions(name: str, x: Tensor, shape: str, dimensions: int) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of shape {shape}, got {type_name(x)}")
    if x.ndim != dimensions:
        raise ValueError(f"{name} must have shape {shape}, got {shape_of(x)}")


def _check_channels(x: Tensor, channels: int | None) -> None:
    _check_dimensions("x", x, "[B, C, H, W]", 4)
    if channels is not None and x.shape[1] != channels:
        raise ValueError(
            f"x must have C = {channels} channels in its second dimension, got {shape_of(x)}"
        )


def _check_map(x: Tensor, channels: int | None, weight: Tensor | None) -> None:
    _check_channels(x, channels)
    if 0 in x.shape[2:]:
        raise ValueError(f"x must have at least one pixel, got {shape_of(x)} as [B, C, H, W]")
    check_features("x", x, "[B, C, H, W]")
    check_like_weight("x", x, weight)


def _part(channels: int, divisor: int, otherwise: str) -> int:
    if channels % divisor:
        raise ValueError(
            f"channels must be divisible by {divisor}, got {channels}; "
            f"choose another number of channels or {otherwise}"
        )
    return channels // divisor


def _reduced(channels: int, reduction: int) -> int:
    check_size("channels", channels)
    check_size("reduction", reduction)
    return _part(channels, reduction, "another reduction")
