"""Problem set 4: several heads, and two sequences."""

from attncourse.problem_sets.ps4_heads.cache_bytes import CacheBytes
from attncourse.problem_sets.ps4_heads.causal_mask import CausalMask
from attncourse.problem_sets.ps4_heads.cross_attention import CrossAttention
from attncourse.problem_sets.ps4_heads.grouped_query_attention import GroupedQueryAttention
from attncourse.problem_sets.ps4_heads.merge_heads import MergeHeads
from attncourse.problem_sets.ps4_heads.multi_head_attention import MultiHeadAttention
from attncourse.problem_sets.ps4_heads.parameter_count import ParameterCount
from attncourse.problem_sets.ps4_heads.split_heads import SplitHeads

ITEMS = (
    SplitHeads,
    MergeHeads,
    MultiHeadAttention,
    CausalMask,
    CrossAttention,
    GroupedQueryAttention,
    ParameterCount,
    CacheBytes,
)
