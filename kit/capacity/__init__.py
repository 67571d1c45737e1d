"""From a target to the machines that hold it: which profiles, how many, what they cost.

target      what is promised to whom: users or requests per second, lengths, TTFT and TPOT
trace       lengths and arrivals from a file: Mooncake's, or bench_serving's
replica     one replica under a share of the load, in virtual time
candidates  the profiles that are worth a simulation
judge       holds, marginal, does not hold: the pessimistic end of the prediction's band
limits      what a replica runs out of first
prices      what a choice costs, at prices that the reader types
plan        all of it together, ranked
report      a plan as text, as JSON, in sentences
export      the launch plans of a choice, its router included
"""

from kit.capacity.export import export
from kit.capacity.judge import Option
from kit.capacity.plan import CapacityPlan, capacity_plan
from kit.capacity.target import Target
from kit.capacity.trace import Trace, read_trace

__all__ = ["CapacityPlan", "Option", "Target", "Trace", "capacity_plan", "export", "read_trace"]
