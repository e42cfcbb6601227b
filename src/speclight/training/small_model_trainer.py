"""Distilling the target into a small independent language model with the target's vocabulary."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from speclight.drafting.eagle3.target_matrices import output_matrix
from speclight.models.causal_lm import CausalLM
from speclight.training.draft_vocabulary import choose_draft_vocabulary
from speclight.training.head_trainer import VOCABULARY_POSITIONS, some_texts
from speclight.training.step_scores import StepLaws, StepScores, scores_of, target_laws
from speclight.training.text_batches import TextBatch
from speclight.training.training_loop import TrainingLoop, read_checkpoint
from speclight.training.training_settings import TrainingSettings

# A tenth of the default target's depth and a third of its width; embedding and output are not shared.
WIDTH, LAYERS, HEAD_SIZE = 192, 3, 64


def small_model(target: CausalLM) -> LlamaForCausalLM:
    """An untrained Llama with the target's vocabulary, window and rotary base."""
    config = target.model.config.get_text_config()
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=target.vocabulary_size,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=WIDTH // HEAD_SIZE,
            max_position_embeddings=target.context_window,
            rope_parameters=dict(config.rope_parameters),
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=sorted(target.end_of_text),
            pad_token_id=None,
        )
    )


class SmallModelTraining(TrainingLoop):
    """A small model in training: it reads tokens only, and is asked for the target's law after each."""

    def __init__(
        self,
        model: LlamaForCausalLM,
        target_ids: torch.Tensor,
        output_rows: torch.Tensor,
        settings: TrainingSettings,
    ) -> None:
        nn.Module.to(model, output_rows.device)  # Transformers' own `to` hides its types
        super().__init__(model, target_ids, output_rows, settings)
        self.model = model

    def scores(self, batch: TextBatch) -> StepScores:
        """See TrainingLoop: one step. Only the output rows of the draft vocabulary are trained."""
        chosen = batch.weights > 0
        laws = target_laws(batch.next_states[chosen], self.output_rows)
        states = self.model.model(batch.next_tokens).last_hidden_state[chosen]
        logits = self.model.lm_head(states).float()
        # Over the whole vocabulary: tokens that the target never says have to become improbable too.
        normalisers = torch.logsumexp(logits, dim=-1)
        drafted = logits[:, self.target_ids.to(logits.device)]
        return scores_of([StepLaws(drafted, laws, batch.weights[chosen], normalisers)])

    def write(self, folder: Path, target: CausalLM) -> None:
        """Write model and tokenizer as Transformers does, for the drafter `model`."""
        self.model.save_pretrained(folder)
        target.tokenizer.save_pretrained(folder)


def new_small_model_training(
    target: CausalLM, folder: Path, settings: TrainingSettings
) -> SmallModelTraining:
    """A model that has not been trained yet. Raises InvalidInput for a folder without texts."""
    matrix = output_matrix(target).float()
    chosen = choose_draft_vocabulary(
        some_texts(folder), matrix.cpu(), settings.draft_vocabulary, VOCABULARY_POSITIONS
    )
    torch.manual_seed(settings.seed)
    rows = matrix[chosen.target_ids.to(target.device)]
    return SmallModelTraining(small_model(target), chosen.target_ids, rows, settings)


def resumed_small_model(target: CausalLM, path: Path, settings: TrainingSettings) -> SmallModelTraining:
    """Training as a checkpoint left it. Raises CorruptWeights for a file that is not this model's."""
    state = read_checkpoint(path)
    rows = output_matrix(target).float()[state["target_ids"].to(target.device)]
    training = SmallModelTraining(small_model(target), state["target_ids"], rows, settings)
    training.restore(state)
    return training
