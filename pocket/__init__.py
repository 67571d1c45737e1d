"""The pocket model: a Qwen3.5 of a few million parameters, made for this course.

python -m pocket.data        look at the dialogues that it learns from
python -m pocket.tokenizer   its vocabulary
python -m pocket.train       the language model
python -m pocket.mtp         the layer that guesses ahead, on the finished model
python -m pocket.export      safetensors and GGUF
python -m pocket.evaluate    what it can do, on questions it never saw
python -m pocket.card        the model card, from the evaluation
"""
