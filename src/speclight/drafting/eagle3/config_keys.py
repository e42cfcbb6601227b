"""Keys of config.json that do not change what an EAGLE head computes; every other key is read or refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping

# Where the file comes from and how it is written, what the tensors show themselves, special tokens, training,
# serving, and what Transformers used to write of its own defaults.
IRRELEVANT: Collection[str] = frozenset(
    """
    architectures model_type transformers_version torch_dtype dtype auto_map
    _name_or_path name_or_path base_model_name_or_path target_model_type target_model_name_or_path
    speculators_version has_no_defaults_at_init
    bias tie_word_embeddings
    bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id cls_token_id mask_token
    decoder_start_token_id forced_bos_token_id forced_eos_token_id
    initializer_range attention_dropout hidden_dropout dropout embd_pdrop attn_pdrop resid_pdrop
    gradient_checkpointing pretraining_tp embed_requires_grad use_cache
    max_window_layers decoder_sparse_step parallel_draft_heads_num_layers
    _attn_implementation attn_implementation _attn_implementation_autoset
    output_attentions output_hidden_states return_dict return_dict_in_generate output_scores torchscript
    use_bfloat16 tf_legacy_loss pruned_heads chunk_size_feed_forward finetuning_task task_specific_params
    problem_type id2label label2id tokenizer_class prefix is_decoder tie_encoder_decoder
    max_length min_length max_new_tokens do_sample early_stopping num_beams num_beam_groups temperature top_k
    top_p typical_p epsilon_cutoff eta_cutoff repetition_penalty length_penalty no_repeat_ngram_size
    encoder_no_repeat_ngram_size bad_words_ids num_return_sequences diversity_penalty
    exponential_decay_length_penalty suppress_tokens begin_suppress_tokens remove_invalid_values
    cross_attention_hidden_size
    """.split()
)
# Keys that change nothing at these values.
NEUTRAL: Mapping[str, Collection[object]] = {
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "is_causal": (True,),
    "logit_scale": (1.0,),
    "partial_rotary_factor": (1.0,),
    "rope_interleave": (False,),
    "rope_interleaved": (False,),
    "parallel_drafting": (False,),
    "parallel_draft_step": (0, 1),
    "eagle_decoder_type": ("llama",),
    "next_layer_regular": (True,),
    "use_input_layernorm_in_first_layer": (True,),
    "use_last_layernorm": (True,),
    "use_mtp_layernorm": (False,),
}
