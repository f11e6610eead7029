"""What the answers by likelihood say beyond verdicts: separation, calibration, and agreement with the generated ones."""

from collections.abc import Mapping, Sequence

from harness_ext.benchmark.probes import task_named
from harness_ext.metrics.agreement import agreement
from harness_ext.metrics.likelihood import auroc, brier, expected_calibration_error, mean_mass, reliability
from harness_ext.metrics.units import by_label
from harness_ext.records import LABELS, Judgement
from harness_ext.report.scores import ProbeLikelihood

PROBES = ("perception", "image", "text", "text_blank")


def probe_likelihoods(
    likelihood: Mapping[str, Sequence[Judgement]], generated: Mapping[str, Sequence[Judgement]]
) -> dict[str, ProbeLikelihood]:
    """The numbers of each probe that was asked by likelihood, beside its generated answers where there are any.

    Args:
        likelihood: The answers by likelihood of each task.
        generated: The generated answers of each task.
    """
    asked, answered = _by_probe(likelihood), _by_probe(generated)
    return {probe: _numbers(probe, asked[probe], answered.get(probe)) for probe in PROBES if probe in asked}


def _by_probe(answers: Mapping[str, Sequence[Judgement]]) -> dict[str, list[Judgement]]:
    """Answers by probe; the forms of the text-only question, which differ in what is shown, are told apart."""
    found: dict[str, list[Judgement]] = {}
    for task, records in answers.items():
        for record in records:
            name = task_named(task).probe.name if record.probe == "text" else record.probe
            found.setdefault(name, []).append(record)
    return found


def _numbers(probe: str, records: Sequence[Judgement], generated: Sequence[Judgement] | None) -> ProbeLikelihood:
    labels = by_label(records)
    return ProbeLikelihood(
        mass={label: mean_mass(labels[label]) for label in LABELS if label in labels},
        auroc=None if probe == "perception" else auroc(records),
        calibration_error=expected_calibration_error(records),
        brier=brier(records),
        reliability=reliability(records),
        agreement=None if generated is None else agreement(records, generated),
    )
