"""Benchmarks: what to send, what came back, what others published.

A module imports those above it, never those below:

    without_numpy  random numbers and percentiles as numpy's
    workload       how many requests, how long, when, as sglang.bench_serving draws them; images
    record         one request as its client saw it
    goodput        how many of the requests kept an SLO
    metric_list    the metrics of a report: key, label, unit, meaning
    report         what a run gave: result line and printed table
    metrics        records of requests → a report, by the field's definitions
    result_file    result files of bench_serving, vLLM and `kit bench`, read
    epoll_reader   connections read in a thread of their own
    transport      HTTP connections that record bytes and the time they came
    pools          those connections, and what a browser's page has in their place
    progress       ends answers that stall, or that never end
    request_writer what the requests of a workload say
    answer_reader  what a recorded answer means
    twin_clock     a twin's own times: when a run is due, what came when, how late this computer was
    sampler        a run while it is going, five samples per second
    server_stats   what the server says of itself: its queue, its accept length
    runner         requests sent at the pace of a workload, responses recorded
    client         a workload against a server
    external_tools the benchmarks of SGLang and vLLM, run on the same server
    published      runs and cells that others published
    simulated      a workload on the scheduler, in virtual time
    prefix_reuse   chats whose prompts begin alike, in virtual time
    replay         a run's schedule kept, its times worked out for other constants
    fit            constants of the speed model from runs
    fit_published  the kit's constants from the published cells
    compare        a prediction against a published or measured report
    measured       rehearsals that ran: one rank of a plan, measured beside predicted
    user_runs      a reader's result files and rehearsals, as runs to fit
    rehearse       a rehearsal carried out: started, measured, ended
"""

from kit.bench.client import run as measure
from kit.bench.goodput import Slo
from kit.bench.published import published, published_cells, published_runs
from kit.bench.record import Record
from kit.bench.report import Report
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
