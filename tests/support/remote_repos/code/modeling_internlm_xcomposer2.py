"""InternLM-XComposer2's interface, ``chat`` and ``vis_processor``, around a tiny decoder, for transformers 4.3x."""

from typing import ClassVar

import torch
from PIL import Image
from torch import nn
from torchvision import transforms
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_internlm_xcomposer2 import InternLMXcomposer2Config
from .decoder import Decoder, Patches

END, START = "[UNUSED_TOKEN_145]", "[UNUSED_TOKEN_146]"


class InternLMXComposer2ForCausalLM(PreTrainedModel):
    config_class = InternLMXcomposer2Config
    _auto_class = "AutoModelForCausalLM"
    _tied_weights_keys: ClassVar = ["output.weight"]

    def __init__(self, config):
        super().__init__(config)
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.model = Decoder(config.hidden_size, config.num_attention_heads, config.num_hidden_layers)
        self.output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tokenizer = None
        self.max_length = config.max_length
        self.post_init()
        self.vit = Patches(config.img_size, 4, config.hidden_size)
        self.vis_processor = transforms.Compose(
            [transforms.Resize((config.img_size, config.img_size)), transforms.ToTensor()]
        )

    def get_input_embeddings(self):
        return self.tok_embeddings

    def get_output_embeddings(self):
        return self.output

    def encode_img(self, image):
        if image is None:
            return None
        if isinstance(image, str):
            image = self.vis_processor(Image.open(image).convert("RGB")).unsqueeze(0).to(self.device)
        else:
            assert isinstance(image, torch.Tensor)
        return self.vit(image)

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        output_attentions=None,
        output_hidden_states=None,
        return_dict=None,
        im_mask=None,
    ):
        embedded = self.tok_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = torch.arange(embedded.shape[1], device=embedded.device)[None]
        hidden, cache = self.model(embedded, position_ids, past_key_values)
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict
        assert return_dict
        logits = self.output(hidden).float()
        return CausalLMOutputWithPast(logits=logits, past_key_values=cache if use_cache else None)

    def prepare_inputs_for_generation(
        self, input_ids, past_key_values=None, attention_mask=None, inputs_embeds=None, im_mask=None, **kwargs
    ):
        position_ids = attention_mask.long().cumsum(-1) - 1
        if past_key_values is not None:
            before = past_key_values[0][0].shape[2]
            input_ids = input_ids[:, before if input_ids.shape[1] > before else -1 :]
            position_ids = position_ids[:, -input_ids.shape[1] :]
        first = inputs_embeds is not None and past_key_values is None
        return {
            **({"inputs_embeds": inputs_embeds} if first else {"input_ids": input_ids}),
            "position_ids": position_ids,
            "past_key_values": past_key_values,
            "use_cache": kwargs.get("use_cache"),
            "attention_mask": attention_mask,
            "im_mask": im_mask,
        }

    @staticmethod
    def _reorder_cache(past_key_values, beam_idx):
        return tuple(tuple(state.index_select(0, beam_idx) for state in layer) for layer in past_key_values)

    def prompt(self, query, history, meta_instruction):
        turns = [("system", meta_instruction)] if meta_instruction else []
        for asked, said in history:
            turns += [("user", asked), ("assistant", said)]
        text = "".join(f"{START}{role}\n{content}{END}\n" for role, content in [*turns, ("user", query)])
        return f"{text}{START}assistant\n"

    def interleav_wrap_chat(self, tokenizer, query, image, history, meta_instruction):
        parts = []
        for at, text in enumerate(self.prompt(query, history, meta_instruction).split("<ImageHere>")):
            if text:
                parts.append(self.tok_embeddings(tokenizer(text, return_tensors="pt").to(self.device).input_ids))
            if at < len(image):
                parts.append(image[at][None])
        return {"inputs_embeds": torch.cat(parts, 1)[:, : self.max_length]}

    @torch.no_grad()
    def chat(
        self,
        tokenizer,
        query,
        image=None,
        history=[],  # noqa: B006
        streamer=None,
        max_new_tokens=1024,
        do_sample=True,
        temperature=1.0,
        top_p=0.8,
        repetition_penalty=1.005,
        meta_instruction="You are a tiny model.",
        **kwargs,
    ):
        if image is None:
            inputs = dict(tokenizer([self.prompt(query, history, meta_instruction)], return_tensors="pt"))
            im_mask = torch.zeros(inputs["input_ids"].shape).bool()
        else:
            inputs = self.interleav_wrap_chat(tokenizer, query, self.encode_img(image), history, meta_instruction)
            im_mask = torch.zeros(inputs["inputs_embeds"].shape[:2]).bool()
        outputs = self.generate(
            **{name: value.to(self.device) for name, value in inputs.items()},
            streamer=streamer,
            max_new_tokens=max_new_tokens,
            do_sample=do_sample,
            temperature=temperature,
            top_p=top_p,
            eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids([END])[0]],
            repetition_penalty=repetition_penalty,
            im_mask=im_mask.to(self.device),
            **kwargs,
        )
        said = outputs[0].tolist()[len(inputs["input_ids"][0]) if image is None else 0 :]
        response = tokenizer.decode(said, skip_special_tokens=True).split(END)[0]
        return response, [*history, (query, response)]
