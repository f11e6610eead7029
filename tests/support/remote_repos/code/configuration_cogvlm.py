from transformers import PretrainedConfig


class CogVLMConfig(PretrainedConfig):
    _auto_class = "AutoConfig"

    def __init__(
        self,
        vocab_size=400,
        hidden_size=32,
        num_attention_heads=4,
        num_hidden_layers=2,
        vision_config=None,
        template_version="chat",
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.num_hidden_layers = num_hidden_layers
        self.vision_config = vision_config or {"image_size": 16, "patch_size": 4}
        self.template_version = template_version
        super().__init__(pad_token_id=pad_token_id, bos_token_id=bos_token_id, eos_token_id=eos_token_id, **kwargs)
