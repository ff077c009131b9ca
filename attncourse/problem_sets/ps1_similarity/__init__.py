"""Problem set 1: similarity, and attention that uses nothing else."""

from attncourse.problem_sets.ps1_similarity.attention_weights import AttentionWeights
from attncourse.problem_sets.ps1_similarity.cosine_affinity import CosineAffinity
from attncourse.problem_sets.ps1_similarity.max_cosine_weight import MaxCosineWeight
from attncourse.problem_sets.ps1_similarity.pixel_affinity import PixelAffinity
from attncourse.problem_sets.ps1_similarity.pixels_as_tokens import PixelsAsTokens
from attncourse.problem_sets.ps1_similarity.raw_attention import RawAttention

ITEMS = (
    CosineAffinity,
    PixelsAsTokens,
    PixelAffinity,
    AttentionWeights,
    RawAttention,
    MaxCosineWeight,
)
