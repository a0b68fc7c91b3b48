"""Building blocks: dense stacks, the recurrent cell, convolutional encoder and decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fosp.models.distributions import TWO_HOT_BINS, TwoHot, two_hot_bins

IMAGE_SIZE = 64
_LEVELS = 4  # halvings from 64 x 64 to 4 x 4
_GRAY = 0.5  # the middle of the range of pixels, where an untrained decoder starts
_EPS = 1e-3


class Norm(nn.LayerNorm):
    """LayerNorm, computed in float32 whatever its input is (PyTorch's own way, also under autocast)."""

    def __init__(self, size: int) -> None:
        super().__init__(size, eps=_EPS)


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, rate: float) -> None:
    """Move the parameters of `slow`, a copy of `fast`, towards its own by `rate`."""
    torch._foreach_lerp_(list(slow.parameters()), list(fast.parameters()), rate)


def dense(inputs: int, units: int) -> nn.Sequential:
    """Linear, LayerNorm, SiLU. The linear has no bias: the norm has one."""
    linear = nn.Linear(inputs, units, bias=False)
    _truncated_normal_(linear.weight, inputs)
    return nn.Sequential(linear, Norm(units), nn.SiLU())


def mlp(inputs: int, units: int, layers: int, outputs: int, output_scale: float = 1.0) -> nn.Sequential:
    """`layers` dense blocks and a linear output; `output_scale` scales its initial weights (0: starts at its bias)."""
    blocks = [dense(inputs if i == 0 else units, units) for i in range(layers)]
    output = nn.Linear(units if layers else inputs, outputs)
    _truncated_normal_(output.weight, output.in_features, output_scale)
    nn.init.zeros_(output.bias)
    return nn.Sequential(*blocks, output)


def _truncated_normal_(weight: Tensor, fan_in: int, scale: float = 1.0) -> None:
    # The constant undoes the loss of variance by the truncation at two standard deviations.
    std = scale * fan_in**-0.5 / 0.87962566103423978
    with torch.no_grad():
        nn.init.trunc_normal_(weight, std=max(std, 1e-12), a=-2 * max(std, 1e-12), b=2 * max(std, 1e-12))
        if scale == 0:
            weight.zero_()


class TwoHotHead(nn.Module):
    """A scalar prediction, (..., inputs) -> `TwoHot` of (...); starts at exactly 0."""

    bins: Tensor

    def __init__(self, inputs: int, units: int, layers: int) -> None:
        super().__init__()
        self.net = mlp(inputs, units, layers, TWO_HOT_BINS, output_scale=0)
        self.register_buffer("bins", two_hot_bins(), persistent=False)

    def forward(self, x: Tensor) -> TwoHot:
        return TwoHot(self.net(x), self.bins)


class GRUCell(nn.Module):
    """Gated recurrent unit with a layer norm on its joint input, as in DreamerV2 and V3; (N, I), (N, D) -> (N, D)."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs + size, 3 * size, bias=False)
        _truncated_normal_(self.linear.weight, inputs + size)
        self.norm = Norm(3 * size)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        gates = self.norm(self.linear(torch.cat([x, h], -1)).float())  # h is kept in float32
        reset, candidate, update = gates.chunk(3, -1)
        candidate = torch.tanh(torch.sigmoid(reset) * candidate)
        update = torch.sigmoid(update - 1)  # starts by keeping the state
        return torch.lerp(h, candidate, update)


class _ChannelNorm(Norm):
    """LayerNorm over channels of (N, C, H, W) in channels-last memory, where the permutation costs nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def to_patches(image: Tensor, side: int) -> Tensor:
    """Cut pictures into squares of `side` pixels, (..., 64, 64, C) -> (..., 64 / side, 64 / side, side * side * C)."""
    if side == 1:
        return image
    grid = IMAGE_SIZE // side
    squares = image.unflatten(-3, (grid, side)).unflatten(-2, (grid, side)).transpose(-4, -3)
    return squares.flatten(-3)


def from_patches(patches: Tensor, side: int) -> Tensor:
    """Inverse of `to_patches`."""
    if side == 1:
        return patches
    squares = patches.unflatten(-1, (side, side, -1)).transpose(-4, -3)
    return squares.flatten(-5, -4).flatten(-3, -2)


def _widths(depth: int, patch: int) -> tuple[list[int], int]:
    """Channels after each halving from 64 to 4 pixels, and how many of the halvings the patches stand for."""
    return [depth * 2**level for level in range(_LEVELS)], patch.bit_length() - 1


class ImageEncoder(nn.Module):
    """Patches of a picture (see `to_patches`) in [0, 1] -> (N, outputs).

    DreamerV3's four stride-2 convolutions where patches are single pixels. Larger patches replace the first levels by
    one dense layer per patch: the levels with few channels are bound by memory and cost most of the time on a CPU.
    """

    def __init__(self, channels: int, depth: int, patch: int) -> None:
        super().__init__()
        widths, skipped = _widths(depth, patch)
        self.stem: nn.Module = nn.Identity()
        if skipped:
            self.stem = dense(channels * patch**2, widths[skipped - 1])
            channels = widths[skipped - 1]
        layers: list[nn.Module] = []
        for width in widths[skipped:]:
            layers += [nn.Conv2d(channels, width, 4, 2, 1, bias=False), _ChannelNorm(width), nn.SiLU()]
            _truncated_normal_(layers[-3].weight, channels * 16)  # type: ignore[arg-type]
            channels = width
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.outputs = channels * (IMAGE_SIZE >> _LEVELS) ** 2

    def forward(self, patches: Tensor) -> Tensor:
        return self.layers(self.stem(patches).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).flatten(1)


class ImageDecoder(nn.Module):
    """Mirror image of `ImageEncoder`, (N, inputs) -> patches of a picture in [0, 1] units (not clipped)."""

    def __init__(self, inputs: int, channels: int, depth: int, patch: int) -> None:
        super().__init__()
        widths, skipped = _widths(depth, patch)
        self.side = IMAGE_SIZE >> _LEVELS
        width = widths[-1]
        self.project = nn.Linear(inputs, self.side**2 * width, bias=False)
        _truncated_normal_(self.project.weight, inputs)
        self.norm = Norm(width)
        layers: list[nn.Module] = []
        for level in reversed(range(skipped, _LEVELS)):
            last = level == 0
            outputs = channels if last else widths[level - 1]
            layers.append(nn.ConvTranspose2d(width, outputs, 4, 2, 1, bias=last))
            _truncated_normal_(layers[-1].weight, width * 4)  # type: ignore[arg-type]
            if last:
                nn.init.constant_(layers[-1].get_parameter("bias"), _GRAY)
            else:
                layers += [_ChannelNorm(outputs), nn.SiLU()]
            width = outputs
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head: nn.Module = nn.Identity()
        if skipped:
            self.head = nn.Linear(width, channels * patch**2)
            _truncated_normal_(self.head.weight, width)
            nn.init.constant_(self.head.bias, _GRAY)

    def forward(self, features: Tensor) -> Tensor:
        x = self.project(features).unflatten(-1, (self.side, self.side, -1))
        x = F.silu(self.norm(x)).permute(0, 3, 1, 2)
        return self.head(self.layers(x).permute(0, 2, 3, 1)).float()
