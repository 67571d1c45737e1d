"""The twin: a simulated SGLang server. Real HTTP, SGLang's wire format, authored replies,
simulated time.

    request → its checks → an answer → its token script → engine → response

process           starts one, here or in a process of its own
inside            one in this process, without a socket: in a browser's page
shared            one for all of a user's processes that want the same
holders           who holds it, and when it ends
connection        one connection: limits on heads, silence and slowness
access            who may ask: programs of this machine, no page from elsewhere
body              a request's body: its size, its JSON
app               its paths; models, metrics, health
server            one twin: a profile, an engine, a fault
engine            the scheduler of `kit.scheduler` against the clock
request           checks of a request's body
protocol          its fields, as pydantic models with SGLang's names
errors            error responses, in SGLang's words
chat_completions  /v1/chat/completions
completions       /v1/completions and /generate
chat_format       a conversation as the text that Qwen3.5 reads, by the chat template
media             images and videos of a request, opened and counted
authored          replies written for this course, found by the user's question
pocket_questions  which of all others the pocket model is asked
llama_cpp         the pocket model
token_script      an answer as tokens, and what each adds to the response
fetch             images by address, from the public internet alone
workers           threads for long texts, images and addresses
tokenizer         Qwen3.5's vocabulary
byte_pairs        the same without tiktoken
sse               responses that the engine writes: server-sent events, or one JSON body
counters          counts and times of the requests
metrics           /metrics, by prometheus_client
server_info       /v1/models, /model_info, /server_info
faults            faults on purpose: refused keys, rate limits, broken streams
event_forms       an answer's events in another form: split, joined, one more or less
faulty_response   what a fault does to a response
"""
