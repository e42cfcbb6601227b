"""Rules and drafts with one deliberate fault each. A losslessness test that passes on them tests nothing."""

from dataclasses import replace

import numpy as np

from speclight.trees.draft_tree import DraftTree, SampledChildren
from speclight.verification.proposals import Proposals
from speclight.verification.residual import residual_law
from speclight.verification.verdict import Verdict


class FreshSampleOnMismatch:
    """Broken: after a rejection the token is drawn from p instead of from what p has left."""

    def verify(self, tree, laws, noise):
        proposals, path = Proposals(tree), [0]
        while True:
            law = laws(path[-1])
            for proposal in proposals.after(path[-1], len(law)):
                if noise.accepts(proposal.coin, min(1.0, law[proposal.token] / proposal.probability)):
                    path.append(proposal.child)
                    break
                law = residual_law(law, proposal.law)
            else:
                return Verdict(np.array(path), noise.sample(path[-1], laws(path[-1])))


def with_raw_laws(tree):
    """Broken draft: not the law that was sampled is recorded but a flatter one, as before temperature."""

    def raw(sample):
        flat = np.sqrt(sample.law)
        return SampledChildren(flat / flat.sum(), sample.draws)

    return replace(tree, samples=tuple(None if sample is None else raw(sample) for sample in tree.samples))


def without_the_less_likely_sibling(tree):
    """Broken draft: of the root's two draws the one the drafter finds less likely is dropped, once seen."""
    sample = tree.samples[0]
    best = int(max(sample.draws, key=lambda child: sample.law[tree.tokens[child]]))
    tokens, parents = tree.tokens[[0, best]], np.array([-1, 0])
    kept = (SampledChildren(sample.law, np.array([1])), None)
    return DraftTree(tokens, parents, tree.log_probs[[0, best]], tree.kind, kept)
