"""The twin: a simulated SGLang server. Real HTTP, SGLang's wire, authored words, simulated time.

tokens       Qwen3.5's vocabulary
chat_format  a conversation as the text that the model reads
replies      what people wrote for the twin to say
pocket       a small model, for what nobody wrote a reply for
writer       asks it beside the event loop; where it cannot answer, the notice and why
script       a reply as tokens, and what each adds to the wire
engine       the scheduler of `kit.scheduler` against the clock
meter        what passed through
refusals     errors, in SGLang's shapes
asks         a request's JSON, checked
sse          responses that the engine feeds
chat, text   the wires of chat completions, of completions and /generate
metrics      /metrics
info         /v1/models, /model_info, /server_info
faults       a server that misbehaves, on purpose
server       one twin: a profile, an engine, a fault
app          its paths
loop         an event loop that wakes on time
process      starting one, here or in a process of its own
"""
