"""Problem set 3: what separate queries, keys and values are for."""

from attncourse.problem_sets.ps3_query_key_value.attend import Attend
from attncourse.problem_sets.ps3_query_key_value.cannot_carry import CannotCarry
from attncourse.problem_sets.ps3_query_key_value.factor import Factor
from attncourse.problem_sets.ps3_query_key_value.qk_circuit import QKCircuit
from attncourse.problem_sets.ps3_query_key_value.regauge import Regauge
from attncourse.problem_sets.ps3_query_key_value.self_attention import SelfAttention
from attncourse.problem_sets.ps3_query_key_value.symmetry import Symmetry
from attncourse.problem_sets.ps3_query_key_value.train_cycle import TrainCycle

ITEMS = (
    Attend,
    QKCircuit,
    Factor,
    Regauge,
    Symmetry,
    SelfAttention,
    TrainCycle,
    CannotCarry,
)
