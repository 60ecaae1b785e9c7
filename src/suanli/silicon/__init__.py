"""Silicon: the time of any operator on any chip."""

from suanli.silicon._attention import attention_time
from suanli.silicon._calibrate import Machine, Sample, chip_of, measure_machine, predicted, this_machine
from suanli.silicon._conv import convolution_time
from suanli.silicon._formats import rate_of
from suanli.silicon._gemm import gemm_time
from suanli.silicon._memory import elementwise_time, embedding_time
from suanli.silicon._mla import mla_time
from suanli.silicon._moe import moe_time
from suanli.silicon._ops import OpsTime, ops_time
from suanli.silicon._sigma import sigma

__all__ = [
    "Machine",
    "OpsTime",
    "Sample",
    "attention_time",
    "chip_of",
    "convolution_time",
    "elementwise_time",
    "embedding_time",
    "gemm_time",
    "measure_machine",
    "mla_time",
    "moe_time",
    "ops_time",
    "predicted",
    "rate_of",
    "sigma",
    "this_machine",
]
