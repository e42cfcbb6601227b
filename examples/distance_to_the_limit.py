"""How far a drafter is from its target's limit: tokens per call beside the best tree at the same starts."""

import numpy as np

import speclight
from speclight.measure.true_limit import oracle_contexts
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings

NODE_BUDGET = 8
PROMPT = "Explain tides in two sentences."

target = speclight.load()
answer = speclight.generate(
    target, PROMPT, drafter="eagle3", node_budget=NODE_BUDGET, temperature=1.0, max_tokens=40
)
prompt_ids = prompt_token_ids(target, PROMPT)
# The root of each call: the last token that was decided before it.
roots = [call.start - 1 for call in answer.calls]
found = oracle_contexts(
    target, [*prompt_ids, *answer.token_ids][: max(roots) + 1], roots, NODE_BUDGET, SamplingSettings(1.0)
)
limit = np.mean([np.exp(context.path_log_probs[:NODE_BUDGET]).sum() for context in found])
print(f"eagle3: {answer.tokens_per_call:.2f} tokens per call on this one text")
print(f"limit:  {limit:.2f} at the same {len(roots)} starts, P = {NODE_BUDGET}")
