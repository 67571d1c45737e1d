"""A stand-in for the `datasets` package (250 MB), which `sglang.bench_serving` imports in any case.

Its `random-ids` and `image` workloads, made on the spot, need no data set.
"""


def load_dataset(*names: str, **options: object) -> None:
    raise ImportError(f"{names}: this environment has no data sets: --dataset-name random-ids")
