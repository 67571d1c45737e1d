"""What recorded bytes mean."""

from __future__ import annotations

import json

import pytest

from kit.bench.answer_reader import Shortener, events, record
from kit.bench.metrics import report as report_of
from kit.bench.transport import Response
from kit.provenance import measured


def response(parts: list[tuple[float, bytes]], sent: float) -> Response:
    out = Response()
    out.sent, out.status, out.parts = sent, 200, parts
    return out


DONE = b"data: [DONE]\n\n"


def meta(total: int, finish: bytes = b"null") -> bytes:
    about = b'"finish_reason":%s,"prompt_tokens":9,"completion_tokens":%d' % (finish, total)
    return b'data: {"text":"x","meta_info":{%s}}\n\n' % about


def test_with_three_tokens_a_chunk_both_itls_are_exact():
    parts = [(10.5, meta(1)), (10.8, meta(4)), (11.1, meta(7, b'"length"')), (11.1, DONE)]
    one = record(response(parts, 10.0), "native", (9, 7), start_s=9.0)
    assert (one.sent_s, one.ttft_s) == pytest.approx((1.0, 0.5))
    assert one.tokens == [1, 3, 3]
    assert one.tpot_s == pytest.approx(0.1)
    r = report_of([one], 2.1, measured("a test"))
    assert r.itl.mean == pytest.approx(100)
    assert r.itl_per_chunk.mean == pytest.approx(300)


def test_kept_parts_say_what_the_whole_ones_said():
    """A text may hold anything, the very keys of the protocol too."""
    text = 'an "meta_info":{"completion_tokens":99} and a blank line\n\n and data: {'
    whole = []
    for i in range(1, 5):
        about = {"finish_reason": "length", "prompt_tokens": 3, "completion_tokens": i}
        answer = {"text": text * i, "meta_info": about}
        text_line = json.dumps(answer, separators=(",", ":"))  # as SGLang writes it
        whole.append(b"data: " + text_line.encode() + b"\n\n")
    inside = whole[1].rindex(b"data: {")  # of its text: a read that looks like a new event
    reads = [whole[0], whole[1][:inside], whole[1][inside:], whole[2] + whole[3] + DONE]
    shorten = Shortener()
    kept = [(float(i), shorten(part)) for i, part in enumerate(reads)]
    assert len(kept[0][1]) < len(reads[0])
    one = record(response(kept, 0.0), "native", (3, 4), 0.0)
    assert one.tokens == [1, 1, 1, 1]
    assert list(one.times_s) == [0.0, 2.0, 3.0, 3.0]


def test_what_the_last_event_tells_is_kept_however_it_came():
    """The last event often shares its read with `[DONE]`; then it is kept whole."""
    spec = '"spec_verify_ct":2,"spec_num_correct_drafts":3,'
    last = meta(7, b'{"type":"length"}').replace(b'"meta_info":{', b'"meta_info":{' + spec.encode())
    for ending in ([last + DONE], [last, DONE], [last[:30], last[30:] + DONE]):
        shorten = Shortener()
        reads = [meta(1), meta(4), *ending]
        parts = [(10.5 + i, shorten(read)) for i, read in enumerate(reads)]
        one = record(response(parts, 10.0), "native", (9, 7), 9.0)
        assert (one.verify_steps, one.correct_drafts) == (2, 3)
        assert (one.input_tokens, one.tokens, one.output_tokens) == (9, [1, 3, 3], 7)


def test_events_end_in_any_newline():
    parts = [(1.0, b"data: a\r\n\r\ndata: b\n\nda"), (2.0, b"ta: c\r\n"), (3.0, b"\r\n")]
    parts += [(4.0, b"data: d\r"), (5.0, b"\rdata: e\n\nd"), (6.0, b"ata: f")]
    found = [(1.0, b"a"), (1.0, b"b"), (3.0, b"c"), (5.0, b"d"), (5.0, b"e")]
    assert list(events(parts)) == found
