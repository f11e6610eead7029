from transformers import LlamaConfig


class MiniCPMVConfig(LlamaConfig):
    model_type = "minicpmv"
    _auto_class = "AutoConfig"

    def __init__(self, image_size=16, patch_size=4, silent=(), **kwargs):
        self.image_size = image_size
        self.patch_size = patch_size
        self.silent = list(silent)
        super().__init__(**kwargs)
