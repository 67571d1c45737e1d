import pytest

from kit.provenance import Author, AuthorKind, Kind, Provenance, simulated


def test_a_figure_without_a_source_is_refused():
    with pytest.raises(ValueError, match="source"):
        Provenance(Kind.MEASURED, "")


def test_the_label_starts_with_the_kind():
    label = simulated("twin of h200x8")
    assert str(label) == "simulated · twin of h200x8"
    assert label.to_json() == {"kind": "simulated", "source": "twin of h200x8"}


def test_no_author_but_a_model_claims_to_be_one():
    for kind in (AuthorKind.AUTHORED, AuthorKind.NOTICE):
        assert "no model ran" in str(Author(kind))
    assert str(Author(AuthorKind.MODEL, "Qwen/Qwen3.5-397B-A17B")).endswith(
        "Qwen/Qwen3.5-397B-A17B"
    )
    pocket = Author(AuthorKind.POCKET, "pocket model (4 M parameters)")
    assert str(pocket).startswith("written by pocket model (4 M parameters), ")
    assert str(pocket).endswith("not Qwen3.5's quality")
    assert pocket.to_json()["name"] == "pocket model (4 M parameters)"
