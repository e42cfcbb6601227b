"""A drafter of one's own: propose what followed the last token the last time it was seen.

It may be as bad as it likes: the text stays the target's, only the number of calls changes.
"""

import numpy as np

import speclight
from speclight.trees.growing_tree import Draft, DraftCost


class LastTime:
    """The tokens that followed the latest earlier occurrence of the last token, as a chain."""

    name = "last_time"
    hidden_layers = ()

    def begin(self, token_ids, features):
        self.seen = list(token_ids)

    def extend(self, token_ids, features):
        self.seen += token_ids

    def propose(self, node_budget, noise):
        *earlier, root = self.seen
        latest = len(earlier) - earlier[::-1].index(root) if root in earlier else len(self.seen)
        chain = [root, *self.seen[latest : latest + node_budget - 1]]
        tree = speclight.DraftTree(
            tokens=np.array(chain), parents=np.arange(len(chain)) - 1, log_probs=np.zeros(len(chain))
        )
        return Draft(tree, DraftCost(calls=0, expanded_nodes=0))


target = speclight.load()
options = {"temperature": 0, "max_tokens": 40, "node_budget": 8}
plain = speclight.generate(target, "Count from one to ten.", drafter="none", **options)
drafted = speclight.generate(target, "Count from one to ten.", drafter=LastTime(), **options)
assert drafted.text == plain.text
print(f"{drafted.text}\n{len(plain.calls)} calls without a drafter, {len(drafted.calls)} with it")
