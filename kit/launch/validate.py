"""What a launch is refused for, and what it is warned of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from kit import load_data
from kit.errors import InvalidValue, UnknownName, check_name
from kit.hardware import Profile
from kit.launch.plan_flags import LOOPBACK, LaunchOptions
from kit.sizing import plan
from kit.sizing.mem_fraction import aiter_share

THINKING_FLOOR = 131_072
_HOST = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:-]*")
MEDIA_ROOM = 0.05  # of the GPU's memory, left to image features beside the static share


def resolved(profile: Profile, sglang: str, options: LaunchOptions) -> Profile:
    """The profile with what this version and these options change in it."""
    if plan(profile, sglang=sglang).refused and profile.mamba_radix_cache_strategy == "auto":
        profile = replace(profile, mamba_radix_cache_strategy="extra_buffer")
    if options.large_media and profile.mem_fraction_static is not None:
        less = round(profile.mem_fraction_static - MEDIA_ROOM, 3)
        profile = replace(profile, mem_fraction_static=less)
    return profile


def options_go_together(p: Profile, options: LaunchOptions) -> None:
    """Raise InvalidValue for what would end the start, or worse, would not."""
    _can_be_written(p, options)
    if options.host not in LOOPBACK and not options.api_key:
        raise InvalidValue(
            f"a server on {options.host} without a key answers anyone who reaches this machine",
            "api_key=True, and set KIT_API_KEY; or stay on 127.0.0.1 and use an SSH tunnel",
        )
    if options.port == options.dist_port and p.nodes > 1:
        raise InvalidValue(
            f"port {options.port} for HTTP and for the ranks to meet", "choose another dist_port"
        )
    if (backend := options.mm_attention_backend) is not None:
        _vision_backend(backend, p)
    if p.mtp is not None and p.gpu.is_cpu:
        raise InvalidValue("no MTP on a CPU: the cookbook has none", "mtp=None, or --no-mtp")
    strategy = p.mamba_radix_cache_strategy
    if strategy == "no_buffer" and (p.overlap or p.mtp is not None):
        raise InvalidValue(
            "no_buffer goes neither with MTP nor with the overlap scheduler",
            "leave the strategy at auto, or radix_cache=False",
        )
    if strategy.startswith("extra_buffer") and not p.radix_cache:
        raise InvalidValue(
            "extra_buffer keeps snapshots for a prefix cache that is off",
            "radix_cache=True, or the strategy at auto",
        )


def _can_be_written(p: Profile, options: LaunchOptions) -> None:
    """Raise InvalidValue for a name, host or port that no form of the command can hold."""
    for kind, name in (
        ("checkpoint", p.checkpoint),
        ("model's name", p.model.name),
        ("profile's name", p.name),
        ("served model's name", options.served_model_name),
        ("reasoning parser", options.reasoning_parser),
        ("tool call parser", options.tool_call_parser),
    ):
        check_name(kind, name or "")
    address(options.host, options.port)
    address(options.host, options.dist_port)


def address(host: str, port: int) -> None:
    """Raise InvalidValue for what is no host, or no port."""
    if not _HOST.fullmatch(host):
        raise InvalidValue(
            f"{host[:80]!r} is no host", "give an address, such as 127.0.0.1 or 0.0.0.0"
        )
    if not isinstance(port, int) or not 0 < port < 2**16:
        raise InvalidValue(f"{str(port)[:80]!r} is no port", "give one from 1 to 65535")


def _vision_backend(backend: str, p: Profile) -> None:
    known = load_data.toml("flag_rules.toml")["vision_backends"]
    if backend not in known:
        raise UnknownName("vision attention backend", backend, known)
    if p.gpu.arch not in known[backend]:
        raise InvalidValue(
            f"{backend} is not for {p.gpu.name} ({p.gpu.arch})",
            f"it is for {', '.join(known[backend])}; leave it out: SGLang takes the GPU's own",
        )


def warnings(p: Profile, options: LaunchOptions) -> Iterator[str]:
    if (share := aiter_share(p)) < 1:
        yield (
            f"on AMD, SGLang takes {share:g} of the fraction for a context this long, and the plan "
            "counts that; SGLANG_AITER_HONOR_EXPLICIT_MEM_FRACTION=1 takes it whole, from 0.5.23 on"
        )
    if p.context_length is not None and p.context_length < THINKING_FLOOR:
        yield f"a context below {THINKING_FLOOR:,} tokens cuts long thinking short"
    if p.model.name == "80b":
        yield (
            "the parsers are Qwen3.5's: Qwen3-Next's model card names its own; YaRN is not written "
            "for it either"
        )
    if p.precision == "fp8" and p.kv_dtype == "fp8":
        yield "FP8 checkpoints bring no scales for an FP8 KV cache: reasoning loses accuracy"
    if options.host not in LOOPBACK:
        yield f"{options.host} is open to the network: only the key and a firewall protect it"
    if options.trust_remote_code:
        yield "the checkpoint's own Python runs with your rights: read it first"
    if p.nodes > 1:
        yield (
            "both nodes need the same version, the same command but for --node-rank, and an open "
            "way to the first one's port; NCCL_SOCKET_IFNAME names the interface"
        )
