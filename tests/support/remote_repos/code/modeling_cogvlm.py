"""CogVLM's interface, ``build_conversation_input_ids`` and ``generate``, around a tiny decoder, for transformers 4.3x."""

import torch
from torch import nn
from torchvision import transforms
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_cogvlm import CogVLMConfig
from .decoder import Decoder, Patches

LANGUAGE, VISION = 0, 1


def places(token_type_ids):
    """Positions, (B, L): an image's tokens all have the same."""
    moves = (token_type_ids[:, 1:] == LANGUAGE) | (token_type_ids[:, :-1] == LANGUAGE)
    return nn.functional.pad(moves.long().cumsum(-1), (1, 0))


class CogVLMForCausalLM(PreTrainedModel):
    config_class = CogVLMConfig
    _auto_class = "AutoModelForCausalLM"

    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        vision = config.vision_config
        self.vision = Patches(vision["image_size"], vision["patch_size"], config.hidden_size)
        self.decoder = Decoder(config.hidden_size, config.num_attention_heads, config.num_hidden_layers)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.embed_tokens

    def forward(
        self,
        input_ids=None,
        images=None,
        token_type_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        use_cache=None,
        return_dict=None,
        output_attentions=None,
        output_hidden_states=None,
    ):
        embedded = self.embed_tokens(input_ids)
        if past_key_values is None and images:
            seen = self.vision(torch.stack([image for row in images for image in row]))
            embedded = embedded.masked_scatter((token_type_ids == VISION)[..., None], seen.to(embedded.dtype))
        if position_ids is None:
            position_ids = places(token_type_ids)
        hidden, cache = self.decoder(embedded, position_ids[:, -embedded.shape[1] :], past_key_values)
        return CausalLMOutputWithPast(logits=self.lm_head(hidden).float(), past_key_values=cache if use_cache else None)

    def prepare_inputs_for_generation(
        self, input_ids, token_type_ids, images=None, past_key_values=None, attention_mask=None, **kwargs
    ):
        position_ids = kwargs.get("position_ids")
        if position_ids is None:
            position_ids = places(token_type_ids)
        if past_key_values:
            input_ids, token_type_ids, position_ids = (
                values[:, -1:] for values in (input_ids, token_type_ids, position_ids)
            )
        return {
            "input_ids": input_ids,
            "token_type_ids": token_type_ids,
            "images": images,
            "position_ids": position_ids,
            "past_key_values": past_key_values,
            "use_cache": kwargs.get("use_cache"),
            "attention_mask": attention_mask,
        }

    def _update_model_kwargs_for_generation(
        self, outputs, model_kwargs, is_encoder_decoder=False, standardize_cache_format=False
    ):
        model_kwargs["past_key_values"] = self._extract_past_from_model_output(
            outputs, standardize_cache_format=standardize_cache_format
        )
        for name, value in (("token_type_ids", LANGUAGE), ("attention_mask", 1)):
            old = model_kwargs[name]
            model_kwargs[name] = torch.cat([old, torch.full_like(old[:, :1], value)], -1)
        return model_kwargs

    def _reorder_cache(self, past_key_values, beam_idx):
        return tuple(tuple(state.index_select(0, beam_idx) for state in layer) for layer in past_key_values)

    def build_conversation_input_ids(
        self, tokenizer, *, query, history=None, images=None, template_version=None, answer=None
    ):
        assert images is None or len(images) <= 1, "one image at most"
        word = {"chat": "Answer:", "vqa": "Short answer:", "base": None}[
            template_version or self.config.template_version
        ]
        text = query
        if word:
            turns = [f"Question: {question} {word} {said}\n" for question, said in history or []]
            text = "".join(turns) + f"Question: {query} {word}"
        ids, types = [tokenizer.bos_token_id], [LANGUAGE]
        if images:
            size, patch = self.config.vision_config["image_size"], self.config.vision_config["patch_size"]
            images = [transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor()])(images[0])]
            tokens = (size // patch) ** 2
            ids += [tokenizer.pad_token_id] * tokens
            types += [VISION] * tokens
        words = tokenizer.encode(text, add_special_tokens=False)
        ids, types = ids + words, types + [LANGUAGE] * len(words)
        return {
            "input_ids": torch.tensor(ids),
            "token_type_ids": torch.tensor(types),
            "attention_mask": torch.ones(len(ids), dtype=torch.long),
            "images": images,
            "labels": None,
        }
