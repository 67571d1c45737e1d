"""The pocket model's text is parsed as SGLang parses it; its weights are checked before use."""

import hashlib
import json
import re
import sys

import pytest

from kit.pocket import SUMS
from kit.provenance import AuthorKind
from kit.twin.authored import FunctionCall
from kit.twin.llama_cpp import (
    NEEDS,
    PocketModel,
    PocketUnavailable,
    Weights,
    check_processor,
    parse,
)

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "convert",
            "parameters": {
                "type": "object",
                "properties": {
                    "amount": {"type": "number"},
                    "unit": {"type": "string"},
                    "parts": {"type": "array"},
                },
            },
        },
    }
]
CALL = """<tool_call>
<function=convert>
<parameter=amount>
12.5
</parameter>
<parameter=unit>
100
</parameter>
</function>
</tool_call>"""


def test_thinking_ends_where_the_tag_is():
    said = parse("Ten percent is 24.\n</think>\n\n36", thinking=True)
    assert (said.thinking, said.answer) == ("Ten percent is 24.", "36")
    assert said.author.kind is AuthorKind.POCKET
    assert not said.still_thinking


def test_thinking_that_never_ends_has_no_answer():
    said = parse("Ten percent is", thinking=True)
    assert (said.thinking, said.answer) == ("Ten percent is", "")
    assert said.still_thinking


def test_without_thinking_all_of_it_is_the_answer():
    said = parse("36", thinking=False)
    assert (said.thinking, said.answer) == (None, "36")


def test_values_of_a_call_are_what_its_schema_says():
    said = parse(f"Converting.\n{CALL}", thinking=False, tools=TOOLS)
    assert said.calls == (FunctionCall("convert", (("amount", 12.5), ("unit", "100"))),)
    assert said.answer == "Converting."


@pytest.mark.parametrize(
    ("written", "read"), [("True", True), ("false", False), ("yes", False), ("null", None)]
)
def test_yes_and_no_are_read_as_sglang_reads_them(written, read):
    schema = {"name": "convert", "parameters": {"properties": {"amount": {"type": "boolean"}}}}
    said = parse(CALL.replace("12.5", written), thinking=False, tools=[{"function": schema}])
    assert said.calls[0].arguments[0] == ("amount", read)


def test_a_value_that_is_no_json_stays_text_for_the_check_to_refuse():
    said = parse(CALL.replace("12.5", "a dozen"), thinking=False, tools=TOOLS)
    assert said.calls[0].arguments[0] == ("amount", "a dozen")


def test_two_calls_of_one_turn_are_both_read():
    assert len(parse(f"{CALL}\n{CALL}", thinking=False, tools=TOOLS).calls) == 2


def test_where_no_tools_are_offered_a_call_stays_text():
    said = parse(CALL, thinking=False)
    assert said.calls == ()
    assert said.answer == CALL


def test_a_call_of_another_function_is_passed_on_as_sglang_does():
    """Its qwen3_coder parser warns, and leaves it to the client to refuse."""
    said = parse(CALL.replace("convert", "invert"), thinking=False, tools=TOOLS)
    assert [call.name for call in said.calls] == ["invert"]
    assert said.calls[0].arguments[0] == ("amount", "12.5")


def test_a_call_that_was_cut_is_not_closed():
    said = parse(CALL.partition("100\n")[0], thinking=False, tools=TOOLS, cut=True)
    assert said.calls == (FunctionCall("convert", (("amount", 12.5),), closed=False),)
    assert said.cut


@pytest.mark.parametrize("broken", [[{}], [{"function": 3}], [{"function": {"parameters": "no"}}]])
def test_tools_of_no_shape_break_nothing(broken):
    assert parse("36", thinking=False, tools=broken).answer == "36"


@pytest.fixture
def folder(tmp_path):
    """Weights as they are released, but for the weights."""
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    about = {
        "gguf": "a.gguf",
        "name": "pocket model",
        "parameters": 4,
        "context_tokens": 64,
    }
    (tmp_path / "pocket.json").write_text(json.dumps(about))
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}" for f in tmp_path.iterdir()]
    (tmp_path / SUMS).write_text("\n".join(sums))
    return tmp_path


def test_released_weights_are_taken(folder):
    assert Weights.read(folder).parameters == 4


def test_altered_weights_are_refused(folder):
    (folder / "a.gguf").write_bytes(b"GGUF2")
    with pytest.raises(PocketUnavailable, match="another checksum"):
        Weights.read(folder)


def test_missing_weights_are_told_in_one_line(tmp_path):
    with pytest.raises(PocketUnavailable, match="cannot be read") as told:
        Weights.read(tmp_path)
    assert "git checkout" in told.value.hint


def test_without_llama_cpp_it_says_so(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(PocketUnavailable, match="not installed"):
        PocketModel.load(Weights.read(folder))


def test_a_processor_without_an_instruction_is_never_tried(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu sse4_2 avx fma f16c bmi2\n")
    with pytest.raises(PocketUnavailable, match="a processor with avx2") as told:
        check_processor(cpuinfo)
    assert "kit.connect(" in told.value.hint
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu {' '.join(NEEDS)}\n")
    check_processor(cpuinfo)


def test_the_instructions_asked_for_are_those_that_the_wheel_was_built_with():
    told = pytest.importorskip("xllamacpp").get_system_info()
    built = {name.lower() for name in re.findall(r"(\w+) = 1", told)}
    beyond_avx = {name for name in built if re.match(r"avx\w|fma|f16c|bmi|amx", name)}
    assert beyond_avx == set(NEEDS)


def test_a_file_that_is_no_model_is_told_in_one_line(folder, capfd):
    pytest.importorskip("xllamacpp")
    with pytest.raises(PocketUnavailable, match="does not run here"):
        PocketModel.load(Weights.read(folder))
