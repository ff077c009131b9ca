"""Problem set 5: attention on feature maps."""

from attncourse.problem_sets.ps5_feature_maps.average_pixels import AveragePixels
from attncourse.problem_sets.ps5_feature_maps.channel_attention import ChannelAttention
from attncourse.problem_sets.ps5_feature_maps.heads_as_kernel import HeadsAsKernel
from attncourse.problem_sets.ps5_feature_maps.multiplications import Multiplications
from attncourse.problem_sets.ps5_feature_maps.non_local_block import NonLocalBlock
from attncourse.problem_sets.ps5_feature_maps.one_by_one_convolution import OneByOneConvolution
from attncourse.problem_sets.ps5_feature_maps.position_attention import PositionAttention
from attncourse.problem_sets.ps5_feature_maps.sagan_attention import SAGANAttention

ITEMS = (
    OneByOneConvolution,
    HeadsAsKernel,
    AveragePixels,
    NonLocalBlock,
    SAGANAttention,
    PositionAttention,
    ChannelAttention,
    Multiplications,
)
