"""Chat templates of several families: turns that show their parts in order."""


def chat_template(image: str, turn: str, prompt: str, start: str = "''") -> str:
    """A chat template in Jinja.

    Args:
        image: The text that stands for an image.
        turn: An expression of ``role``, ``message`` and ``body``, the text of a turn's parts.
        prompt: The text that opens an answer.
        start: An expression for what begins a conversation.
    """
    part = f"{{{{ {image!r} if part['type'] == 'image' else part['text'] }}}}"
    body = f"{{%- for part in message['content'] -%}}{part}{{%- endfor -%}}"
    return (
        f"{{{{- {start} -}}}}"
        "{%- for message in messages -%}{%- set role = message['role'] -%}"
        f"{{%- set body -%}}{body}{{%- endset -%}}{{{{ {turn} }}}}"
        "{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{{{{ {prompt!r} }}}}{{%- endif -%}}"
    )


def chatml(image: str, start: str = "''") -> str:
    """The template that many families took over: ``<|im_start|>role``, the parts, ``<|im_end|>``."""
    turn = r"'<|im_start|>' + role + '\n' + body + '<|im_end|>\n'"
    return chat_template(image, turn, "<|im_start|>assistant\n", start)
