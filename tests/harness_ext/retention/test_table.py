import io

from rich.console import Console

from harness_ext.retention.benchmarks import benchmarks
from harness_ext.retention.outcome import Outcome
from harness_ext.retention.table import Pair, print_table


def outcome(benchmark, *scores, asked=10, available=10, failed=0, version=1.0):
    named = {metric.name: score for metric, score in zip(benchmark.metrics, scores, strict=True)}
    return Outcome(named, {benchmark.task: version}, asked, available, failed)


def printed(suite, *pairs):
    console = Console(file=io.StringIO(), width=120)
    print_table(suite, pairs, console)
    return console.file.getvalue()


def test_both_scores_and_the_second_less_the_first():
    mme, _, mmstar, *_ = benchmarks("vision")
    shown = printed(
        "vision",
        Pair(mme, outcome(mme, 1500.0, 300.0), outcome(mme, 1432.5, 310.0)),
        Pair(mmstar, outcome(mmstar, 0.34), outcome(mmstar, 0.335)),
    )
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert lines["mme"][-4:] == ["1500.0", "1432.5", "-67.5", "10"]
    assert lines["mmstar"][-4:] == ["0.340", "0.335", "-0.005", "10"]
    assert "Abilities with images" in shown
    assert "glyphworld" not in shown
    assert "Only a part" not in shown and "failed" not in shown and "versions" not in shown


def test_what_the_reader_must_know_is_said():
    capability, perception, _ = benchmarks("glyphworld")
    shown = printed(
        "glyphworld",
        Pair(
            capability,
            outcome(capability, None, 0.0, available=30, failed=1),
            outcome(capability, 0.5, 0.5, available=30),
        ),
        Pair(perception, outcome(perception, 0.9, 0.9), outcome(perception, 0.9, 0.9, version=2.0)),
    )
    assert "a stand-in, not a benchmark" in shown
    assert "Only a part was asked: glyphworld_capability 10 of 30." in shown
    assert "glyphworld_capability: 1 requests failed before and 0 after" in shown
    assert "the versions of tasks differ" in shown
    row = next(line for line in shown.splitlines() if "na dropped" in line).split()
    assert row[-4:] == ["none", "0.500", "none", "10"]
