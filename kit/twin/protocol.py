"""The JSON that SGLang accepts, as pydantic models.

Fields, types and defaults are those of SGLang 0.5.23; the long class names too, because its error
messages contain them. Fields that change nothing in the twin are listed where clients often set
them; all others are ignored.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    field_validator,
    model_validator,
)

DEFAULT_MODEL = "default"  # echoed where a request names no model
GENERATE_TOKENS = 128  # /generate's default for max_new_tokens
COMPLETION_TOKENS = 16  # /v1/completions' default for max_tokens

Role = Literal["system", "assistant", "tool", "function", "developer", "latest_reminder", "root"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max"]
Number = int | float


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class ImageURL(BaseModel):
    url: str
    detail: Literal["auto", "low", "high", "default"] | None = "auto"


class ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: ImageURL


class VideoURL(BaseModel):
    url: str


class VideoPart(BaseModel):
    type: Literal["video_url"]
    video_url: VideoURL


class AudioPart(BaseModel):
    type: Literal["audio_url", "input_audio"]


Content = str | list[TextPart | ImagePart | VideoPart | AudioPart]


class FunctionResponse(BaseModel):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCall(BaseModel):
    id: str | None = None
    type: Literal["function"] = "function"
    function: FunctionResponse


class ChatCompletionMessageGenericParam(BaseModel):
    role: Role
    content: Content | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None

    @field_validator("role", mode="before")
    @classmethod
    def lower_case(cls, value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError("'role' must be a string")
        if value.lower() not in get_args(Role):
            allowed = ", ".join(map(repr, get_args(Role)))
            raise ValueError(f"'role' must be one of {allowed} (case-insensitive).")
        return value.lower()


class ChatCompletionMessageUserParam(BaseModel):
    role: Literal["user"]
    content: Content


class Function(BaseModel):
    description: str | None = None
    name: str
    parameters: Any = None
    strict: bool | None = None


class Tool(BaseModel):
    type: str = "function"
    function: Function
    _given: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def keep(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """The prompt shows a tool as the client wrote it."""
        tool = handler(value)
        tool._given = value
        return tool


class ToolChoiceFuncName(BaseModel):
    name: str | None = None


class ToolChoice(BaseModel):
    function: ToolChoiceFuncName
    type: Literal["function"] = "function"


class StreamOptions(BaseModel):
    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False


class ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema", "structural_tag"]


class ChatCompletionRequest(BaseModel):
    """/v1/chat/completions"""

    messages: list[ChatCompletionMessageGenericParam | ChatCompletionMessageUserParam]
    model: str = DEFAULT_MODEL
    frequency_penalty: float = 0.0
    logit_bias: dict[str, float] | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int = 1
    presence_penalty: float = 0.0
    response_format: ResponseFormat | None = None
    seed: int | None = None
    stop: list[str] | str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | Literal["auto", "required", "none"] = "auto"
    parallel_tool_calls: bool = True
    reasoning_effort: (
        Effort | Annotated[float, Field(ge=0.0, le=0.99, allow_inf_nan=False)] | None
    ) = None
    top_k: int | None = None
    min_p: float | None = None
    min_tokens: int = 0
    regex: str | None = None
    repetition_penalty: float | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    separate_reasoning: bool = True
    stream_reasoning: bool = True
    chat_template_kwargs: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def depending_defaults(cls, values: Any) -> Any:
        """The tool choice depends on whether there are tools, thinking on the effort."""
        if not isinstance(values, dict):
            return values
        if values.get("tool_choice") is None:
            values["tool_choice"] = "none" if values.get("tools") is None else "auto"
        effort, options = values.get("reasoning_effort"), values.get("chat_template_kwargs")
        if effort is not None:
            options = options if isinstance(options, dict) else {}
            values["chat_template_kwargs"] = {"enable_thinking": effort != "none", **options}
        return values

    @property
    def limit(self) -> int | None:
        """The most tokens of the answer; None where the request does not say."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def must_call(self) -> str | bool:
        """The function that must be called; True where any will do."""
        if isinstance(self.tool_choice, ToolChoice):
            return str(self.tool_choice.function.name)
        return self.tool_choice == "required"

    @cached_property
    def callable_tools(self) -> tuple[dict[str, Any], ...]:
        """The tools that may be called, as the client wrote them."""
        tools = () if self.tool_choice == "none" else self.tools or ()
        return tuple(tool._given for tool in tools)

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def continuous_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.continuous_usage_stats)

    def thinking(self, default: bool) -> bool:
        """Whether to think; `default` is for requests that do not say."""
        switch = (self.chat_template_kwargs or {}).get("enable_thinking")
        return default if switch is None else bool(switch)


class CompletionRequest(BaseModel, defer_build=True):
    """/v1/completions"""

    model: str = DEFAULT_MODEL
    prompt: list[int] | list[list[int]] | str | list[str]
    frequency_penalty: float = 0.0
    logprobs: int | None = None
    max_tokens: int = COMPLETION_TOKENS
    n: int = 1
    presence_penalty: float = 0.0
    seed: int | None = None
    stop: list[str] | str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    min_tokens: int = 0
    repetition_penalty: float = 1.0
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False

    @field_validator("max_tokens")
    @classmethod
    def positive(cls, value: int) -> int:
        if value <= 0:
            raise ValueError("max_tokens must be positive")
        return value

    @property
    def limit(self) -> int:
        return self.max_tokens

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class GenerateReqInput(BaseModel, defer_build=True):
    """/generate"""

    rid: str | list[str] | None = None
    text: str | list[str] | None = None
    input_ids: list[int] | list[list[int]] | None = None
    image_data: Any = None
    sampling_params: list[dict[str, Any]] | dict[str, Any] | None = None
    return_logprob: list[bool] | bool | None = None
    stream: bool = False


class GenerateSamplingParams(BaseModel, defer_build=True):
    """`sampling_params` of /generate: no value is converted, and no other key is allowed."""

    model_config = ConfigDict(strict=True, extra="forbid")

    max_new_tokens: int | None = GENERATE_TOKENS
    stop: list[str] | str | None = None
    stop_token_ids: list[int | None] | None = None
    stop_regex: list[str] | str | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: int | None = None
    min_p: Number | None = None
    frequency_penalty: Number | None = None
    presence_penalty: Number | None = None
    repetition_penalty: Number | None = None
    min_new_tokens: int | None = None
    n: int | None = None
    json_schema: Any = None
    regex: str | None = None
    ebnf: str | None = None
    structural_tag: Any = None
    ignore_eos: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    no_stop_trim: bool | None = None
    stream_interval: int | None = None
    logit_bias: dict[str, Number] | None = None
    sampling_seed: int | None = None
    custom_params: Any = None
    beam_width: int | None = None
    watermark: Any = None
    choice: Any = None

    @property
    def limit(self) -> int | None:
        return self.max_new_tokens

    @property
    def min_tokens(self) -> int:
        return self.min_new_tokens or 0


class TokenizeRequest(BaseModel):
    """/tokenize"""

    prompt: list[str] | str


class AbortReq(BaseModel):
    """/abort_request"""

    rid: str = ""
    abort_all: bool = False
