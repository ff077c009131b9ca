"""Problem set 2: one shared projection, and what its symmetric scores cannot do."""

from attncourse.problem_sets.ps2_shared.attends_to_itself import AttendsToItself
from attncourse.problem_sets.ps2_shared.cycle_bound import CycleBound
from attncourse.problem_sets.ps2_shared.learned_distance import LearnedDistance
from attncourse.problem_sets.ps2_shared.shared_scores import SharedScores
from attncourse.problem_sets.ps2_shared.stationary import Stationary
from attncourse.problem_sets.ps2_shared.violations import Violations

ITEMS = (
    SharedScores,
    LearnedDistance,
    Violations,
    Stationary,
    AttendsToItself,
    CycleBound,
)
