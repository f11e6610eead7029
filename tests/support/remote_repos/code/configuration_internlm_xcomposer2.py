from transformers import PretrainedConfig


class InternLMXcomposer2Config(PretrainedConfig):
    model_type = "internlm"
    _auto_class = "AutoConfig"

    def __init__(
        self,
        vocab_size=260,
        hidden_size=32,
        num_attention_heads=4,
        num_hidden_layers=2,
        img_size=16,
        pad_token_id=2,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.num_hidden_layers = num_hidden_layers
        self.img_size = img_size
        super().__init__(
            pad_token_id=pad_token_id,
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            tie_word_embeddings=tie_word_embeddings,
            **kwargs,
        )
