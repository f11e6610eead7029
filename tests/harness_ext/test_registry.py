"""Benchmarks and tasks by name, those included of which only results are here."""

import pytest
from datasets import Dataset
from own_folders import own_folder

from harness_ext import registry
from harness_ext.common.errors import SourceError, UserError
from harness_ext.probes import documents
from harness_ext.registry import (
    benchmark_named,
    benchmarks,
    described,
    groups,
    manner,
    remember,
    source_of,
    take_folders,
    task_named,
    tasks,
    tasks_named,
    text_variant,
    title_of,
)


@pytest.fixture(autouse=True)
def as_a_process_begins(tmp_path, monkeypatch):
    """No benchmark of the user's, and none remembered."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "_remembered", {})


def test_a_name_is_looked_up_whole():
    assert (manner("glyphworld_image_sampled"), manner("unsafeconcepts_test")) == ("sampled", "greedy")
    assert (text_variant("glyphworld_text_likelihood"), text_variant("unsafeconcepts_text_blank")) == ("none", "blank")
    assert source_of("glyphworld_text") == "glyphworld" and source_of("glyphworld_words") is None
    for name in ("glyphworld_words", "my_glyphworld_text", "mme"):
        with pytest.raises(UserError, match=f"{name}: expected a task of this project"):
            manner(name)
    with pytest.raises(UserError, match="glyphworld_image: expected a text-only task"):
        text_variant("glyphworld_image")


def test_names_of_tasks_groups_and_patterns():
    assert [task.name for task in tasks_named(["unsafeconcepts_gap_sampled", "mme"])] == [
        "unsafeconcepts_image_sampled",
        "unsafeconcepts_text_sampled",
    ]
    assert tasks_named(["glyphworld_*", "unsafeconcepts_*"]) == [*tasks_named(["glyphworld_*"])] + [
        task for task in tasks().values() if task.source == "unsafeconcepts"
    ]
    assert not tasks_named(["glyphworld_imag", "retention_vision"])
    assert tasks_named(["unsafeconcepts"]) == list(groups()["unsafeconcepts"].tasks)


def test_a_benchmark_of_no_name_is_said_with_those_that_there_are():
    with pytest.raises(UserError) as caught:
        benchmark_named("unsafeconcept")
    assert str(caught.value) == (
        "no benchmark is named 'unsafeconcept'; there are unsafeconcepts, glyphworld; "
        "UNSAFECONCEPTS_BENCHMARKS=DIR adds yours"
    )
    assert title_of("unsafeconcept") == "unsafeconcept"


def test_results_of_a_benchmark_that_is_not_here_are_read_by_name():
    facts = {"title": "My policy", "questions": "2", "benchmark_sha256": "ab", "images_sha256": "cd"}
    remember({"my-policy": facts, "glyphworld": {"title": "another"}})
    there = benchmark_named("my-policy")
    assert (there.title, len(there.questions)) == ("My policy", 2)
    assert there.identity == {"benchmark_sha256": "ab", "images_sha256": "cd"}
    assert title_of("my-policy") == "My policy" and title_of("glyphworld") == benchmark_named("glyphworld").full_title
    # Whatever it could have been asked; no one can say what it offers.
    assert (manner("my-policy_image_sampled"), text_variant("my-policy_text_blank")) == ("sampled", "blank")
    assert task_named("my-policy_context_image_safe").benchmark is there
    assert source_of("my-policy_capability") is None
    assert [task.name for task in tasks_named(["my-policy_gap"])] == ["my-policy_image", "my-policy_text"]


def test_what_is_not_here_is_asked_for_by_what_adds_it():
    remember({"my-policy": {}})
    gone = benchmark_named("my-policy")
    asked = (
        lambda: gone.check_access(["images"]),
        lambda: gone.require(["images"]),
        lambda: gone.rows("all"),
        lambda: gone.image("all", 0),
        lambda: gone.training_side(1, 0),
    )
    for each in asked:
        with pytest.raises(
            SourceError, match="my-policy is not on this machine: only results of it are read here\nName"
        ):
            each()


def test_a_users_benchmark_wins_over_what_results_say_of_it(tmp_path, monkeypatch):
    remember({"my-policy": {"title": "as it was"}})
    folder = own_folder(tmp_path / "mine")
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", str(folder))
    assert benchmark_named("my-policy").title == "My policy"
    assert list(benchmarks()) == ["unsafeconcepts", "glyphworld", "my-policy"]
    told = described(["my-policy_image", "glyphworld_image", "mme"])
    here = benchmark_named("my-policy")
    said = {"title": here.title, "questions": "5", "categories": ", ".join(here.categories)}
    assert told == {"my-policy": said | dict(here.identity)}


def test_the_configuration_folder_is_looked_into(tmp_path):
    own_folder(tmp_path / "config" / "unsafeconcepts" / "benchmarks" / "first")
    assert list(benchmarks()) == ["unsafeconcepts", "glyphworld", "my-policy"]


def test_two_benchmarks_of_one_name_and_a_name_that_is_taken(tmp_path, monkeypatch):
    first, second = (own_folder(tmp_path / name) for name in ("first", "second"))
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", f"{first}:{second}")
    with pytest.raises(UserError, match=f"{second}: {first} has 'my-policy_.*' too; give one benchmark another"):
        benchmarks()
    monkeypatch.setattr(registry, "_lenient", False)  # as it was, afterwards
    monkeypatch.setattr(registry, "_left_out", set())
    registry.leave_out_faulty()
    assert list(benchmarks()) == ["unsafeconcepts", "glyphworld", "my-policy"], "the first of them stays"
    (second / "benchmark.yaml").write_text("name: [")
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", f"{second}:{first}:{tmp_path / 'nowhere'}")
    assert list(benchmarks()) == ["unsafeconcepts", "glyphworld", "my-policy"]
    registry.leave_out_faulty("my-policy")
    assert list(benchmarks()) == ["unsafeconcepts", "glyphworld"]


@pytest.mark.parametrize("name", ["no", "blank", "process", "documents"])
def test_a_benchmark_of_any_name_has_its_tasks_rows(tmp_path, monkeypatch, name):
    folder = own_folder(tmp_path / "my: policy")
    file = folder / "benchmark.yaml"
    file.write_text(file.read_text().replace("my-policy", name))
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS_OPTION", "")  # as it was, afterwards
    assert take_folders(["--benchmark", str(folder), "--model", "m"]) == ["--model", "m"]
    here = benchmark_named(name)
    facts = [{"concept": each.name, "category": each.category, "label": each.label} for each in here.concepts]
    concepts = Dataset.from_list(facts)
    images = getattr(documents, f"{name}_image")(concepts)
    assert len(images) == 5 * len(here.listing.concepts) and set(images["source"]) == {name}
