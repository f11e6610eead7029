"""MiniCPM-V's interface (2.5 and 2.6), ``chat``, around transformers' own Llama; it never calls ``post_init``, as they do."""

from copy import deepcopy

import torch
from PIL import Image
from torchvision import transforms
from transformers import AutoTokenizer, LlamaForCausalLM, LlamaPreTrainedModel

from .configuration_minicpm import MiniCPMVConfig
from .decoder import Patches

MARK = "<image>"


class MiniCPMV(LlamaPreTrainedModel):
    config_class = MiniCPMVConfig
    _auto_class = "AutoModel"

    def __init__(self, config):
        super().__init__(config)
        self.llm = LlamaForCausalLM(config)
        self.llm.generation_config.suppress_tokens = config.silent
        self.vpm = Patches(config.image_size, config.patch_size, config.hidden_size)
        self.processor = None

    def get_input_embeddings(self):
        return self.llm.get_input_embeddings()

    def generate(self, input_ids, images, tokenizer=None, **kwargs):
        embedded = self.llm.get_input_embeddings()(input_ids)
        if images:
            size = self.config.image_size
            see = transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor()])
            seen = self.vpm(torch.stack([see(image) for image in images]).to(self.device, embedded.dtype))
            at = input_ids == tokenizer.convert_tokens_to_ids(MARK)
            embedded = embedded.masked_scatter(at[..., None], seen)
        tokens = self.llm.generate(
            inputs_embeds=embedded, pad_token_id=0, eos_token_id=[tokenizer.eos_token_id], **kwargs
        )
        return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in tokens]

    def chat(
        self,
        image,
        msgs,
        tokenizer,
        processor=None,
        vision_hidden_states=None,
        max_new_tokens=2048,
        min_new_tokens=0,
        sampling=True,
        max_inp_length=8192,
        system_prompt="",
        stream=False,
        **kwargs,
    ):
        if processor is None:
            # As they load their processor: from wherever the model says that it is from, trusted without a question.
            processor = AutoTokenizer.from_pretrained(self.config._name_or_path, trust_remote_code=True)
        msgs, images = deepcopy(msgs), []
        for message in msgs:
            assert message["role"] in ("user", "assistant")
            content = [message["content"]] if isinstance(message["content"], str) else message["content"]
            images += [part for part in content if isinstance(part, Image.Image)]
            marks = MARK * (self.config.image_size // self.config.patch_size) ** 2
            message["content"] = "\n".join(marks if isinstance(part, Image.Image) else part for part in content)
        prompt = processor.apply_chat_template(msgs, tokenize=False, add_generation_prompt=True)
        settings = (
            {"top_p": 0.8, "top_k": 100, "temperature": 0.7, "do_sample": True, "repetition_penalty": 1.05}
            if sampling
            else {"num_beams": 3, "repetition_penalty": 1.2}
        )
        settings.update((name, kwargs[name]) for name in settings.keys() & kwargs.keys())
        with torch.inference_mode():
            inputs = processor(prompt, return_tensors="pt", add_special_tokens=False).to(self.device)
            return self.generate(
                inputs.input_ids, images, tokenizer=tokenizer, max_new_tokens=max_new_tokens, **settings
            )[0]
