"""Speculative decoding behind Transformers' own generate: one argument more, the same tokens."""

import torch

import speclight

target = speclight.load()  # here for its model and tokenizer; yours may come from Transformers
model, tokenizer = target.model, target.tokenizer
messages = [{"role": "user", "content": "Repeat three times: the quick brown fox jumps over the lazy dog."}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
options = {"max_new_tokens": 40, "do_sample": False}

calls = []
plain = model.generate(**inputs, **options)
drafted = model.generate(
    **inputs,
    **options,
    custom_generate=speclight.transformers_generate,
    drafter="ngram",
    node_budget=16,
    on_call=calls.append,
)
assert torch.equal(plain, drafted)
new_tokens = drafted[0, len(inputs["input_ids"][0]) :]
print(tokenizer.decode(new_tokens, skip_special_tokens=True))
print(f"{len(new_tokens)} tokens in {len(calls)} target calls")
