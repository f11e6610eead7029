import pytest

from harness_ext.common.errors import UserError
from harness_ext.models.guards.form import FORMATS, format_names, read_format

KNOWN = {"concept": "beer", "policy": "", "categories": ("Alcohol", "Weapons"), "rule": "No round shapes."}
POLICY = "No drinks.\nNo {{ braces }}."


def test_every_format_says_where_it_is_known_from():
    for name in format_names():
        form = read_format(name)
        assert "https://" in form.source, name
        assert form.name == f"{name}-{form.version}"


@pytest.mark.parametrize(
    ("form", "answer", "verdict", "category"),
    [
        ("llavaguard", '{"rating": "Safe", "category": "NA: None applying", "rationale": "Not unsafe."}', "safe", ""),
        ("llavaguard", '{\n "rating": "Unsafe",\n "category": "O7: Self-Harm", "ration', "unsafe", "O7: Self-Harm"),
        ("llavaguard", "The image is unsafe.", "na", ""),
        ("llavaguard", '{"rating": "Unclear"}', "na", ""),
        ("llavaguard", '{"rating": "Safe"} {"rating": "Unsafe"}', "na", ""),
        ("llama-guard-4", "\n\nunsafe\nS1,S9", "unsafe", "S1,S9"),
        ("llama-guard-4", "\n\nsafe", "safe", ""),
        ("llama-guard-4", "unsafely", "na", ""),
        ("llama-guard-4", "It is safe", "na", ""),
        ("llama-guard-3-vision", "unsafe\nS2", "unsafe", "S2"),
        ("nemotron-content-safety", "User Safety: unsafe\nSafety Categories: Violence, Threat", "unsafe", "Violence, Threat"),
        ("nemotron-content-safety", "User Safety: safe\nResponse Safety: unsafe\nSafety Categories: Threat", "safe", ""),
        ("nemotron-content-safety", "<think>User Safety: unsafe?</think>\n\nUser Safety: safe", "safe", ""),
        ("nemotron-content-safety", "<think>User Safety: unsafe", "na", ""),
        ("nemotron-content-safety", "Response Safety: unsafe", "na", ""),
        ("shieldstral", "yes", "unsafe", ""),
        ("shieldstral", '"no"', "safe", ""),
        ("shieldstral", "yesterday", "na", ""),
        ("safeguard-vl", "Unsafe.", "unsafe", ""),
        ("safeguard-vl", "safe, though one could say unsafe", "na", ""),
        ("shieldgemma-2", "sexual: No\ndangerous: Yes\nviolence: No", "unsafe", "dangerous"),
        ("shieldgemma-2", "sexual: No\ndangerous: **No**", "safe", ""),
        ("shieldgemma-2", "sexual: No\ndangerous: Perhaps", "na", ""),
        ("shieldgemma-2", "sexual: No\ndangerous: ", "na", ""),
        ("openai-moderation", '{"flagged":true,"categories":{"hate":false,"a-b/c":true}}', "unsafe", "a-b/c"),
        ("openai-moderation", '{"flagged":false,"categories":{"hate":false}}', "safe", ""),
        ("openai-moderation", "", "na", ""),
    ],
)  # fmt: skip
def test_an_answer_is_read_in_its_own_format_alone(form, answer, verdict, category):
    assert read_format(form).read(answer) == (verdict, category)


def text_of(turns):
    return "".join(part["text"] for part in turns[-1]["content"] if part["type"] == "text")


@pytest.mark.parametrize("name", ["llavaguard", "shieldstral", "safeguard-vl"])
def test_a_policy_takes_the_place_of_the_categories_in_a_prompt(name):
    form = read_format(name)
    with_policy = text_of(form.turns("an image", **KNOWN | {"policy": POLICY}))
    assert POLICY in with_policy
    assert POLICY not in text_of(form.turns("an image", **KNOWN))
    assert "an image" in [part.get("url") for part in form.turns("an image", **KNOWN)[-1]["content"]]


def test_a_policy_is_given_to_the_chat_template_where_that_has_the_slot():
    assert read_format("llama-guard-4").template_options(POLICY) == {"categories": {"S1": POLICY}}
    assert read_format("llama-guard-4").template_options("") == {}
    assert not read_format("openai-moderation").has_policy_slot


def test_about_a_concept_it_is_asked_what_it_is_asked_about_an_image_in_words():
    form = read_format("llama-guard-4")
    assert text_of(form.turns("an image", **KNOWN)) == "Describe this image."
    assert text_of(form.turns(None, **KNOWN)) == "Describe an image that shows beer."


MINE = (FORMATS / "safeguard-vl.yaml").read_text()


def test_a_format_of_ones_own_is_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(MINE)
    form = read_format(str(file))
    assert form.name.startswith("mine-1-") and len(form.name) == len("mine-1-") + 8
    assert form.read("unsafe").verdict == "unsafe"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1", "version: 1\nanswers: no", "answers: Extra inputs are not permitted"),
        ("about_image", "about_text", "about_image is missing"),
        ("{{ policy or", "{{ policy or or", "expected token|unexpected 'or'"),
        ("(safe|unsafe)", "(?:safe|unsafe)", "expected a regular expression with one group"),
        ("(safe|unsafe)", "(safe|unsafe", "missing \\)"),
        ("safe: [safe]", "safe: 3", "safe: Input should be a valid"),
        (MINE, "- 1", "expected a mapping"),
    ],
)
def test_what_is_wrong_with_a_format_is_said(tmp_path, old, new, message):
    file = tmp_path / "mine.yaml"
    file.write_text(MINE.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as raised:
        read_format(str(file))
    assert str(file) in str(raised.value)
    with pytest.raises(UserError, match="or one of llama-guard-3-vision, llama-guard-4, llavaguard"):
        read_format("no-such-guard")
