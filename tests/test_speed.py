"""Step times follow from bytes, FLOPs and a few constants; checked by hand arithmetic."""

from dataclasses import replace

import pytest

from kit.errors import InvalidValue, KitError
from kit.hardware import profile
from kit.models import model
from kit.speed import Constants, ConstantSource, SpeedModel

H200 = profile("h200x8")
B200 = profile("b200x8")
BARE = Constants(  # a machine that reaches its data sheet and has no overheads
    bandwidth_efficiency=1.0,
    flop_efficiency=1.0,
    decode_floor_us_per_layer=0.0,
    prefill_floor_us_per_layer=0.0,
    request_overhead_ms=0.0,
)


def test_a_decode_step_reads_the_experts_that_its_tokens_choose():
    """By hand: 512·(1 − (502/512)^t) experts of 3·4096·1024 bf16 weights in 60 layers."""
    bare = SpeedModel.of(replace(B200, mtp=None), constants=BARE)
    expert_bytes = 3 * 4096 * 1024 * 2 * 60
    bandwidth = 8 * B200.gpu.bandwidth_gb_s * 1e9

    def touched(t):
        return 512 * (1 - (502 / 512) ** t)

    assert touched(4) == pytest.approx(38.8, abs=0.1)
    expert_s = (touched(64) - touched(1)) * expert_bytes / bandwidth
    state_s = 63 * 2 * 183.2 * 2**20 / bandwidth  # read once, written once
    step = bare.decode_s(64, 0) - bare.decode_s(1, 0)
    exchange_s = 63 * bare._shape.exchange_s_per_token
    assert step - exchange_s == pytest.approx(expert_s + state_s, rel=0.005)


def test_one_token_reads_the_active_weights():
    """17.35 B active parameters without the embedding's 1.02 B, at 4.8 TB/s on eight GPUs; the
    routers (512 × 4096 in 60 layers) are whole on each, and so is each of the two KV heads (four
    times what an eighth would be: 2 × 512 × 4096 in 15 layers)."""
    bare = SpeedModel.of(replace(H200, mtp=None), constants=BARE)
    routers, kv = 60 * 512 * 4096, 15 * 2 * 512 * 4096
    split = 17.35e9 - 1.017e9 - routers - kv
    weights_s = (split / 8 + routers + kv / 2) * 2 / 4800e9
    assert bare.decode_s(1, 0) == pytest.approx(weights_s, rel=0.03)


def test_kv_is_read_once_a_step():
    """15,360 bytes per token and rank at TP 8: two KV heads do not shard further."""
    bare = SpeedModel.of(replace(H200, mtp=None), constants=BARE)
    added_s = bare.decode_s(8, 1_000_000) - bare.decode_s(8, 0)
    assert added_s == pytest.approx(1_000_000 * 15_360 / 4800e9, rel=1e-6)


def test_a_long_prefill_is_bound_by_flops():
    bare = SpeedModel.of(replace(B200, mtp=None), constants=BARE)
    weights = 2 * 16.33e9 * 65_536
    attention = 4 * 15 * 32 * 256 * 65_536**2 / 2
    peak = 8 * B200.gpu.flops["bf16"] * 1e12
    assert bare.prefill_s(65_536) > (weights + attention) / peak
    assert bare.prefill_s(65_536) < 2 * (weights + attention) / peak


@pytest.mark.parametrize(
    ("name", "layers", "heads"), [("397b", 45, 64), ("35b", 30, 32), ("235b", 0, 0)]
)
def test_the_scan_of_a_gdn_layer_takes_as_long_on_every_gpu(name, layers, heads):
    """5 ns a token, layer and value head; the eight ranks share the heads."""
    for machine in (H200, B200):
        one = replace(machine, model=model(name), mtp=None)
        scanning = replace(BARE, scan_ns_per_head=5.0)
        with_scan, bare = (SpeedModel.of(one, constants=c) for c in (scanning, BARE))
        added_s = with_scan.prefill_s(8000) - bare.prefill_s(8000)
        assert added_s == pytest.approx(layers * heads / 8 * 8000 * 5e-9)


def test_a_chunk_attends_to_what_came_before():
    speed = SpeedModel.of(H200)
    assert speed.prefill_s(8192, 1, context_tokens=100_000) > speed.prefill_s(8192, 1)


def test_a_short_prefill_is_bound_by_weights():
    speed = SpeedModel.of(H200)
    assert speed.prefill_s(600) == pytest.approx(speed.prefill_s(500), rel=0.02)


def test_verify_costs_more_than_decode_and_less_than_four():
    speed = SpeedModel.of(H200)
    plain = speed.decode_s(1, 1000)
    assert plain < speed.verify_s(1, 1000) < 4 * plain


def test_mtp_helps_most_alone_and_least_where_its_tokens_touch_new_experts():
    """Alone, floors are shared by four tokens; at eight requests the drafts touch experts that
    plain decode leaves alone; at 64 nearly all are touched either way."""
    speed = SpeedModel.of(H200)
    alone, middle, full = (
        speed.decode_s(n, n * 500) / speed.verify_s(n, n * 500) for n in (1, 8, 64)
    )
    assert alone > full > middle


def test_more_of_anything_is_never_faster():
    speed = SpeedModel.of(H200)
    for step in (speed.decode_s, speed.verify_s):
        times = [step(n, n * 700) for n in range(1, 128)]
        assert times == sorted(times)
    prefills = [speed.prefill_s(n) for n in (1, 10, 100, 1000, 10_000)]
    assert prefills == sorted(prefills)


def test_verify_needs_mtp():
    with pytest.raises(ValueError, match="does not speculate"):
        SpeedModel.of(B200).verify_s(1, 10)


def test_only_a_fitted_machine_is_not_extrapolated():
    """B200 × 8 was fitted to for February's SGLang, and has no cell of today's."""
    assert "extrapolated" not in str(SpeedModel.of(H200).provenance)
    assert "extrapolated" not in str(SpeedModel.of(B200, "0.5.9").provenance)
    for other in (
        B200,
        profile("h100x16"),
        replace(H200, tp_size=4),
        replace(H200, model=model("35b")),
        replace(H200, precision="nvfp4"),
    ):
        assert str(SpeedModel.of(other).provenance).startswith("simulated · extrapolated")


@pytest.mark.parametrize("name", ["397b", "122b", "35b", "27b", "9b", "4b", "2b", "0.8b"])
def test_every_size_has_a_time(name):
    """Dense models (no experts) and tied embeddings included: never faster than its bytes."""
    spec = model(name)
    one = SpeedModel.of(replace(H200, model=spec, tp_size=1))
    assert one.decode_s(1, 1000) < one.verify_s(1, 1000) < one.prefill_s(4096)
    rows = spec.parameters().embeddings if spec.parameters().head else 0
    assert one.decode_s(1, 0) > 2 * (spec.active_params - rows) / 4800e9


def test_the_vision_tower_computes_what_its_config_says():
    """By hand for 397B (27 layers, 1152 wide, 4304 between): 880 tokens are 3520 patches; a patch
    is multiplied with 4·1152² + 2·1152·4304 weights per layer and attends to all 3520, and four of
    them with the merger's 4608² + 4608·4096."""
    bare = SpeedModel.of(replace(H200, tp_size=1, model=model("397b")), constants=BARE)
    patches = 880 * 4
    layer = 4 * 1152**2 + 2 * 1152 * 4304
    products = 2 * patches * (27 * layer + 3 * 2 * 16**2 * 1152)
    merger = 2 * 880 * (4608**2 + 4608 * 4096)
    attention = 27 * 4 * 1152 * patches**2
    flops_s = H200.gpu.flops["bf16"] * 1e12
    assert bare.vision_s(880) == pytest.approx((products + merger + attention) / flops_s, rel=1e-9)


def test_two_images_attend_to_themselves_only():
    speed = SpeedModel.of(H200)
    assert speed.vision_s(1760, 2) == pytest.approx(2 * speed.vision_s(880))
    assert speed.vision_s(1760, 1) > speed.vision_s(1760, 2)
    assert speed.vision_s(0) == 0


def test_a_thumbnail_takes_as_long_as_reading_the_towers_weights():
    bare = SpeedModel.of(replace(H200, tp_size=1), constants=BARE)
    assert bare.vision_s(1) == pytest.approx(2 * 456_010_480 / 4800e9)


def test_the_tower_is_bf16_whatever_the_checkpoint_is():
    fp8 = SpeedModel.of(replace(H200, precision="fp8"))
    assert fp8.vision_s(8000) == SpeedModel.of(H200).vision_s(8000)


def in_one_box(machine):
    """The same GPUs, had they a node that holds them all."""
    return replace(machine, nodes=1, gpu=replace(machine.gpu, gpus_per_node=machine.tp_size))


def test_a_second_node_adds_the_network_to_every_step():
    """By hand: the all-reduce over 2 nodes sends each token's 8 KiB once more, in eight parts,
    over ports of 50 GB/s, 120 times per token; and 120 times per step up and down, 5 µs each."""
    two = replace(profile("h100x16"), mtp=None)
    one = in_one_box(two)
    bare_two, bare_one = (SpeedModel.of(p, constants=BARE) for p in (two, one))
    inside = 2 * (7 / 8 - 15 / 16) * 8192 / (two.gpu.link_gb_s * 1e9)
    between = 2 * (1 / 2) * 8192 / 8 / 50e9
    added_s = 64 * 120 * (inside + between) + 120 * 2 * 5e-6
    assert bare_two.decode_s(64, 0) - bare_one.decode_s(64, 0) == pytest.approx(added_s)


@pytest.mark.parametrize("step", ["prefill_s", "decode_s"])
def test_sixteen_h100_on_two_nodes_are_slower_than_on_one(step):
    two = SpeedModel.of(profile("h100x16"))
    one = SpeedModel.of(in_one_box(profile("h100x16")))
    assert getattr(two, step)(64, 1) > getattr(one, step)(64, 1)


def test_constants_come_back_from_the_file_they_were_written_to(tmp_path):
    origin = ConstantSource(
        ("mine.jsonl", 'a "run"'), "measured, SGLang 0.5.23", ("35b bf16 h200x1",)
    )
    mine = Constants.fitted().changed(flop_efficiency=0.7).learnt(origin)
    mine.write(tmp_path / "mine.toml")
    read = Constants.read(tmp_path / "mine.toml")
    assert read == mine
    assert read.origin == origin
    own = replace(H200, model=model("35b"), tp_size=1)
    label = str(SpeedModel.of(own, constants=read).provenance)
    assert "extrapolated" not in label
    assert "mine.jsonl" in label
    assert "measured, SGLang 0.5.23" in label
    assert "extrapolated" in str(SpeedModel.of(H200, constants=read).provenance)


def test_constants_set_by_hand_say_so():
    by_hand = Constants.fitted().changed(flop_efficiency=0.7)
    assert "by hand" in str(SpeedModel.of(H200, constants=by_hand).provenance)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (None, KitError, "No such file"),
        ("{}", InvalidValue, "not TOML"),
        ("a = 1", InvalidValue, "no table"),
        ("[constants]\nflop_efficiency = 0.5", InvalidValue, "bandwidth_efficiency"),
    ],
)
def test_a_file_that_holds_no_constants_is_named(tmp_path, text, error, said):
    path = tmp_path / "c.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=said):
        Constants.read(path)


def test_constants_below_zero_are_refused(tmp_path):
    path = tmp_path / "c.toml"
    Constants.fitted().write(path)
    path.write_text(path.read_text().replace("request_overhead_ms = ", "request_overhead_ms = -"))
    with pytest.raises(InvalidValue, match="above 0"):
        Constants.read(path)
