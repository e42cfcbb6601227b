"""Decode with the head that comes with the default target, and show what each target call emitted."""

import speclight

target = speclight.load()
answer = speclight.generate(
    target,
    "Explain tides in two sentences.",
    drafter="eagle3",
    node_budget=16,
    temperature=0,
    max_tokens=60,
)

place = 0
for call in answer.calls:
    emitted = answer.token_ids[place : place + call.tokens_emitted]
    place += call.tokens_emitted
    print(f"{len(call.tree):3} positions scored, {len(emitted)} tokens: {target.tokenizer.decode(emitted)!r}")
print(f"{answer.tokens_per_call:.2f} tokens per target call")
