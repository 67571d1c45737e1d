"""Benchmarks: what to send, what came back, what others published.

workload   how many requests, how long, when: drawn as sglang.bench_serving draws them
drive      a workload on the scheduler, in virtual time
live       a run while it goes, five samples per second
race       a workload on the wire: sent, stamped, kept
aside      questions to the server beside it
accepted   the accept length over questions of one's own
gate       connections read in a thread of their own
client     a workload against a server, timestamps taken as bytes arrive
metrics    records of requests → a report, by the field's definitions
goodput    how many of the requests kept an SLO
table      a report as bench_serving prints it
lines      result files: ours, bench_serving's, vLLM's
theirs     the benchmarks of SGLang and vLLM, run on the same server
published  runs and cells that others published
"""

from kit.bench.client import run as measure
from kit.bench.goodput import Slo
from kit.bench.published import published, published_cells, published_runs
from kit.bench.record import Record
from kit.bench.report import Report, Stats
from kit.bench.result_file import read
from kit.bench.sampler import Sample
from kit.bench.server_stats import accept_length
from kit.bench.simulated import predict, simulate
from kit.bench.workload import Workload

__all__ = [
    "Record",
    "Report",
    "Sample",
    "Slo",
    "Stats",
    "Workload",
    "accept_length",
    "measure",
    "predict",
    "published",
    "published_cells",
    "published_runs",
    "read",
    "simulate",
]
