"""Planted faults are what they are called, as far as reading the head shows them."""

import pytest
import torch

from cases import thinned
from speclight.drafting.eagle3.shipped import head_for
from speclight.errors import CorruptWeights
from speclight.experiments.drafters.planted_faults import FAULTS, with_fault
from speclight.models.causal_lm import CausalLM

pytestmark = pytest.mark.model


def test_no_fault_leaves_the_head_as_it_is(default_target: CausalLM):
    good, read = head_for(default_target, None).network, with_fault(FAULTS["none"], default_target).network
    assert read.conventions == good.conventions
    for (name, weight), other in zip(good.named_parameters(), read.parameters(), strict=True):
        assert torch.equal(weight, other), name


def test_layers_off_by_one_are_read_one_higher(default_target: CausalLM):
    good = head_for(default_target, None).network.conventions.layers
    read = with_fault(FAULTS["layers-off-by-one"], default_target).network.conventions.layers
    assert read == tuple(layer + 1 for layer in good)


def test_ids_in_place_of_offsets_are_refused_on_reading(default_target: CausalLM):
    with pytest.raises(CorruptWeights):
        with_fault(FAULTS["ids-in-place-of-offsets"], default_target)


@pytest.mark.parametrize("name", thinned(["swapped-norms", "wrong-embedding", "reversed-blocks"]))
def test_other_faults_change_weights_and_nothing_else(name: str, default_target: CausalLM):
    good, read = head_for(default_target, None).network, with_fault(FAULTS[name], default_target).network
    assert read.conventions == good.conventions
    one, other = (dict(network.state_dict()) for network in (good, read))
    assert one.keys() >= other.keys() or one.keys() <= other.keys()
    assert any(not torch.equal(one[key], other[key]) for key in one.keys() & other.keys()) or (
        one.keys() != other.keys()
    )
