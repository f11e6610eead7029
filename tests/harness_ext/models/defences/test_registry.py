"""What ``--model_args defence=`` may say, and what each defence makes of the turns of a question."""

import pytest
from lmms_eval.utils import simple_parse_args_string
from PIL import Image

from harness_ext.common.errors import UserError
from harness_ext.models.conversation import images_of
from harness_ext.models.defences.base import question_of
from harness_ext.models.defences.principle import PRINCIPLE
from harness_ext.models.defences.registry import DEFENCES, open_defences

IMAGE = Image.new("RGB", (4, 4), "white")


def turns(text="Is it safe?", images=1):
    shown = [{"type": "image", "image": IMAGE}] * images
    return [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [*shown, {"type": "text", "text": text}]},
    ]


def passes(defence, said, asked):
    """What is asked one after the other, while the model says each of ``said``."""
    defences, earlier, found = open_defences(defence), [], []
    while not found or not found[-1].last:
        found.append(defences.after(asked, earlier))
        earlier.append(said[len(earlier)] if len(earlier) < len(said) else "")
    return found


def test_what_lmms_eval_makes_of_the_option_is_what_was_written():
    text = "caption:request=What does this image show?:tokens=32+coca:alpha=2"
    parsed = simple_parse_args_string(f"pretrained=x,defence={text},dtype=float32")
    assert parsed == {"pretrained": "x", "defence": text, "dtype": "float32"}
    defences = open_defences(parsed["defence"])
    assert [name for name, _ in defences.named] == ["caption", "coca"]
    assert (defences.named[0][1].tokens, defences.named[1][1].alpha) == (32, 2.0)
    assert defences.passes == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("captoin", "no defence is named 'captoin'; expected principle, caption, "),
        ("caption+caption", "caption is named twice"),
        ("caption+", "no defence is named ''"),
        ("caption:length=3", "of request, tokens; found 'length=3'"),
        ("caption:tokens=3:tokens=4", "each once"),
        ("caption:tokens=none", "defence caption: tokens: Input should be a valid integer"),
        ("caption:tokens=0", "greater than or equal to 1"),
        ("coca:alpha=nan", "defence coca: alpha: "),
        ("coca:alpha=-1", "greater than or equal to 0"),
        ("steer:layer=0", "defence steer: layer: "),
        ("steer:direction=x", "of layer, strength; found"),
        ("principle:text=nowhere.txt", "defence principle, text: expected a file that holds a text"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        open_defences(text)


def test_a_text_with_commas_comes_from_a_file_and_is_told_by_its_digest(tmp_path):
    file = tmp_path / "principle.txt"
    told = []
    for text in ("Mind children, always.", "Mind adults, too."):
        file.write_text(text + "\n")
        (only,) = passes(f"principle:text={file}", [], turns())
        assert question_of(only.turns) == f"{text}\n\nIs it safe?"
        told.append(open_defences(f"principle:text={file}").told())
    assert told[0] != told[1]
    file.write_text(" \n")
    with pytest.raises(UserError, match="holds no text"):
        open_defences(f"principle:text={file}")


@pytest.mark.parametrize("name", DEFENCES)
def test_a_question_in_words_alone_is_asked_once_and_only_a_principle_changes_it(name):
    asked = turns(images=0)
    (only,) = passes(name, [], asked)
    assert (only.turns is asked) == (name != "principle")
    assert only.last and only.max_new_tokens is None


def test_each_is_given_what_the_one_before_it_would_ask():
    described = "The image was described in these words: a cup"
    first, last = passes("principle+caption", ["a cup"], turns())
    assert PRINCIPLE in question_of(first.turns)
    assert question_of(last.turns) == f"{described}\n\n{PRINCIPLE}\n\nIs it safe?"
    first, last = passes("caption+principle", ["<think>A cup?</think> a cup "], turns())
    assert PRINCIPLE not in question_of(first.turns)
    assert question_of(last.turns) == f"{PRINCIPLE}\n\n{described}\n\nIs it safe?"
    assert [len(images_of(each.turns)) for each in (first, last)] == [1, 0]
    assert [turn["role"] for turn in last.turns] == ["system", "user"]


@pytest.mark.parametrize(
    ("check", "count"), [("No.", 3), ("no, it is not", 3), ("Yes", 4), ("Nobody can say", 4), ("", 4)]
)
def test_an_answer_stands_only_where_its_check_begins_with_no(check, count):
    asked = turns(images=2)
    found = passes("caption-if-harmful", ["It is safe.", check, "two cups"], asked)
    assert len(found) == count
    assert found[0].turns is asked and not found[0].last and found[0].max_new_tokens is None
    assert "Answer: It is safe." in question_of(found[1].turns)
    assert (found[-1].turns is asked) == (count == 3)
