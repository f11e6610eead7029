"""A tokenizer whose code is the repository's: one token a byte, between the marks of a turn."""

from pathlib import Path
from typing import ClassVar

from transformers.tokenization_utils import PreTrainedTokenizer

END, START = "[UNUSED_TOKEN_145]", "[UNUSED_TOKEN_146]"


class InternLMXComposer2Tokenizer(PreTrainedTokenizer):
    vocab_files_names: ClassVar = {"vocab_file": "./tokenizer.model"}
    model_input_names: ClassVar = ["input_ids", "attention_mask"]
    _auto_class = "AutoTokenizer"

    def __init__(self, vocab_file, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>", **kwargs):
        self.names = Path(vocab_file).read_text(encoding="utf-8").split()
        super().__init__(bos_token=bos_token, eos_token=eos_token, unk_token=unk_token, pad_token=pad_token, **kwargs)

    @property
    def vocab_size(self):
        return len(self.names) + 256

    def get_vocab(self):
        return {self._convert_id_to_token(at): at for at in range(self.vocab_size)} | self.added_tokens_encoder

    def _tokenize(self, text):
        tokens = []
        for piece in text.replace(START, "\0").replace(END, "\1"):
            tokens += {"\0": [START], "\1": [END]}.get(piece) or [f"<{byte}>" for byte in piece.encode()]
        return tokens

    def _convert_token_to_id(self, token):
        return self.names.index(token) if token in self.names else len(self.names) + int(token.strip("<>"))

    def _convert_id_to_token(self, index):
        return self.names[index] if index < len(self.names) else f"<{index - len(self.names)}>"

    def convert_tokens_to_string(self, tokens):
        return bytes(int(token.strip("<>")) for token in tokens if token not in self.names).decode(errors="replace")

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        return [self.bos_token_id, *token_ids_0, *(token_ids_1 or [])]

    def save_vocabulary(self, save_directory, filename_prefix=None):
        file = Path(save_directory, "tokenizer.model")
        file.write_text("\n".join(self.names), encoding="utf-8")
        return (str(file),)
