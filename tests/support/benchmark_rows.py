"""A few made-up rows of every benchmark of retention, in the columns and splits that each has on the hub (November 2026)."""

from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as Pictures

# Repository to configuration to split.
Repositories = dict[str, dict[str, dict[str, Dataset]]]

_TEXT, _IMAGE = Value("string"), Image()
_TEXTS = List(_TEXT)
_COLOURS = ("red", "green", "blue", "white")
_MADE_UP = {"source": "made up", "split": "val", "image_path": "0.jpg"}


def _picture(number: int) -> Pictures.Image:
    """A harmless flat colour."""
    return Pictures.new("RGB", (48, 32), _COLOURS[number % len(_COLOURS)])


def _texts(*names: str) -> dict[str, Value]:
    return dict.fromkeys(names, _TEXT)


def _table(rows: list[dict[str, Any]], columns: dict[str, Any]) -> Dataset:
    return Dataset.from_list(rows, features=Features(columns))


def with_images() -> Repositories:
    """The benchmarks that lmms-eval asks."""
    pictured = [{"image": _picture(number)} for number in range(4)]
    # MME counts the two questions about an image together.
    mme = [
        {"question_id": f"{category}/{at}.png", "question": f"Is it {said}? Please answer yes or no.", "answer": answer}
        | {"category": category}
        | pictured[at]
        for category in ("existence", "commonsense_reasoning")
        for at in range(2)
        for said, answer in (("a colour", "Yes"), ("a dog", "No"))
    ]
    wild = [
        {
            "question_id": number,
            "question": f"What is number {number}?",
            "caption": "A flat colour.",
            "image_id": f"{number:03}",
        }
        | {"gpt_answer": "It is a flat colour.", "category": category}
        | pictured[number]
        for number, category in enumerate(("conv", "detail", "complex", "conv"))
    ]
    skills = [
        ("coarse perception", "image emotion"),
        ("math", "geometry"),
        ("math", "statistical reasoning"),
        ("logical reasoning", "diagram reasoning"),
    ]
    mmstar = [
        {
            "index": number,
            "question": "Which?\nOptions: A: a, B: b, C: c, D: d",
            "answer": "ABCD"[number],
            "category": category,
        }
        | {"l2_category": skill, "meta_info": _MADE_UP}
        | pictured[number]
        for number, (category, skill) in enumerate(skills)
    ]
    pope = [
        {"id": str(number), "question_id": str(number), "question": "Is there a dog in the image?"}
        | {"answer": ("yes", "no")[number % 2], "image_source": f"COCO_{number}", "category": "adversarial"}
        | pictured[number]
        for number in range(4)
    ]
    world = [
        {"image_path": f"{number}.webp", "question": "Which is it?\nA. One\nB. Two\nPlease answer.", "answer": answer}
        | pictured[number]
        for number, answer in enumerate(("A", "B", "3", "No"))
    ]
    ai2d = [
        {"question": "Which part is it?", "options": ["root", "stem", "leaf", "seed"], "answer": str(number)}
        | pictured[number]
        for number in range(4)
    ]
    image = {"image": _IMAGE}
    tables = {
        "lmms-lab-encoder/MME": ("test", mme, _texts("question_id", "question", "answer", "category")),
        "lmms-lab-encoder/llava-bench-in-the-wild": (
            "train",
            wild,
            {"question_id": Value("int8")} | _texts("question", "caption", "gpt_answer", "category", "image_id"),
        ),
        "Lin-Chen/MMStar": (
            "val",
            mmstar,
            {"index": Value("int64"), "meta_info": _texts("source", "split", "image_path")}
            | _texts("question", "answer", "category", "l2_category"),
        ),
        "lmms-lab-encoder/POPE": (
            "test",
            pope,
            _texts("id", "question_id", "question", "answer", "image_source", "category"),
        ),
        "lmms-lab-encoder/RealWorldQA": ("test", world, _texts("image_path", "question", "answer")),
        "lmms-lab-encoder/ai2d": ("test", ai2d, _texts("question", "answer") | {"options": _TEXTS}),
    }
    return {
        name: {"default": {split: _table(rows, columns | image)}} for name, (split, rows, columns) in tables.items()
    }


def of_safety() -> Repositories:
    """The data of lmms-eval's safety tasks, harmless throughout; HoliSafe's in the columns that its task reads."""
    # Seldom enough of a type that its rows have an interval, as of most categories of the real one.
    types = ("SSS",) * 6 + ("SSU", "USU", "UUU", "SUU") * 2
    holisafe = [
        {"image": _picture(number), "query": f"What is made-up thing {number} good for?", "type": kind}
        | {"category": "made up", "subcategory": "weapon_related_violence"}
        for number, kind in enumerate(types)
    ]
    behaviours = [
        {
            "Index": number,
            "Goal": f"Explain how to water plant {number}",
            "Target": f"Here is how to water plant {number}",
        }
        | {"Behavior": f"Watering {number}", "Category": "Made up", "Source": "Original"}
        for number in range(6)
    ]
    table = _table(behaviours, {"Index": Value("int64")} | _texts("Goal", "Target", "Behavior", "Category", "Source"))
    return {
        "etri-vilab/holisafe-bench": {
            "default": {
                "test": _table(holisafe, {"image": _IMAGE} | _texts("query", "type", "category", "subcategory"))
            }
        },
        "JailbreakBench/JBB-Behaviors": {"behaviors": {"harmful": table, "benign": table}},
    }


def in_text() -> Repositories:
    """The benchmarks that lm-eval asks."""
    swag = [
        {"ind": number, "ctx_a": "A man bakes.", "ctx_b": "he", "ctx": "A man bakes. he", "activity_label": "Baking"}
        | {"endings": ["eats it.", "drives off [title] He sings.", "is a dog.", "reads to it."], "label": str(number)}
        | {"source_id": f"activitynet~{number}", "split": "val", "split_type": "indomain"}
        for number in range(3)
    ]
    swag_table = _table(
        swag,
        {"ind": Value("int32"), "endings": _TEXTS}
        | _texts("activity_label", "ctx_a", "ctx_b", "ctx", "source_id", "split", "split_type", "label"),
    )
    # Some of ARC's questions name their answers by numbers, and some have fewer than four.
    arc = [
        {"id": key, "question": "What boils?", "choices": {"text": ["Water", "Stone", "Ice"], "label": list(names)}}
        | {"answerKey": key}
        for names, key in (("ABC", "A"), ("123", "2"), ("ABC", "C"))
    ]
    arc_table = _table(arc, _texts("id", "question", "answerKey") | {"choices": {"text": _TEXTS, "label": _TEXTS}})
    choices = {"choices": ["Nothing happens", "You die", "You fly"]}
    truthful = [
        {"question": f"What happens if you eat {number} seeds?", "mc1_targets": choices | {"labels": [1, 0, 0]}}
        | {"mc2_targets": choices | {"labels": [1, 1, 0]}}
        for number in range(3)
    ]
    targets = {"choices": _TEXTS, "labels": List(Value("int32"))}
    truthful_table = _table(truthful, _texts("question") | {"mc1_targets": targets, "mc2_targets": targets})
    every = ("train", "validation", "test")
    return {
        "cais/mmlu": {name: dict.fromkeys(("test", "validation", "dev"), _mmlu(name)) for name in subjects()},
        "Rowan/hellaswag": {"default": dict.fromkeys(every, swag_table)},
        "allenai/ai2_arc": {"ARC-Challenge": dict.fromkeys(every, arc_table)},
        "truthfulqa/truthful_qa": {"multiple_choice": {"validation": truthful_table}},
    }


def subjects() -> list[str]:
    """MMLU's 57, as lm-eval's own tasks name them."""
    import lm_eval

    folder = Path(lm_eval.__file__).parent / "tasks" / "mmlu" / "default"
    return sorted(file.stem.removeprefix("mmlu_") for file in folder.glob("mmlu_*.yaml"))


def _mmlu(subject: str) -> Dataset:
    choices = ["It is one.", "It is two.", "It is three.", "It is four."]
    rows = [
        {"question": f"How many is {number}?", "subject": subject, "choices": choices, "answer": number}
        for number in range(2)
    ]
    return _table(rows, _texts("question", "subject") | {"choices": _TEXTS, "answer": ClassLabel(names=list("ABCD"))})
