"""The judge ``paper``: the two RoBERTa classifiers that the paper's authors published.

What they read, from the code that the authors published beside them (github.com/TrustAIRLab/SaferVLM, summarize_measure.py
and RLHF/models/reward_model.py): the response alone, an empty one too, cut to roberta-base's 512 tokens; the verdict is the
likeliest class, in the order safe, unsafe, na and A, B, C, D, na. There, in float32 on a GPU, and as a reward under autocast;
here in float64. What is not known: on what they were trained, and how often they are right; no figure of theirs could be
checked here, for the weights were never to be had where this was written.
"""

from dataclasses import replace

from harness_ext.classifiers.converted import Published, converted
from harness_ext.classifiers.judge import ClassifierJudge
from harness_ext.classifiers.published import BASE, REPOSITORIES
from harness_ext.classifiers.text_classifier import TextClassifier
from harness_ext.errors import UserError


def paper_judge(
    *,
    alignment_revision: str | None = None,
    perception_revision: str | None = None,
    alignment: str | None = None,
    perception: str | None = None,
    alignment_sha256: str | None = None,
    perception_sha256: str | None = None,
    base: str = BASE,
    base_revision: str | None = None,
    device: str | None = None,
    batch_size: int = 32,
) -> ClassifierJudge:
    """The authors' classifiers, one or both of them; its name has twelve digits of each file's sha256, alignment's first.

    Args:
        alignment_revision: The commit of ``yiting/alignment_classifier``; a branch or a tag is looked up, and said.
        perception_revision: The commit of ``yiting/perception_classifier``.
        alignment: Instead of a revision, a copy of the authors' file ``epoch_10.pt``.
        perception: Likewise.
        alignment_sha256: What the file's sha256 must be; by default what it was when it was first read.
        perception_sha256: Likewise.
        base: The folder or repository of roberta-base's configuration and tokenizer.
        base_revision: The repository's commit; needed for another one.
        device: As torch calls it; by default this process's GPU where there is one, else the CPU.
        batch_size: Responses in a forward pass.

    Raises:
        UserError: A file cannot be had, or is not what it should be.
    """
    wanted = [
        Published("alignment", alignment, alignment_revision, alignment_sha256),
        Published("perception", perception, perception_revision, perception_sha256),
    ]
    wanted = [each for each in wanted if (each.file, each.revision, each.sha256) != (None, None, None)]
    if not wanted:
        raise UserError(
            "judge paper: say which classifiers: alignment_revision=COMMIT or perception_revision=COMMIT, or both, of "
            f"https://huggingface.co/{REPOSITORIES['alignment']} and {REPOSITORIES['perception']}; of copies of their "
            "epoch_10.pt, alignment=FILE or perception=FILE"
        )
    found = {each.kind: converted(replace(each, base=base, base_revision=base_revision)) for each in wanted}
    name = "-".join(["paper-roberta", *(each.sha256[:12] for each in found.values())])
    return ClassifierJudge(
        name, {kind: TextClassifier(str(each.folder), device, batch_size, kind) for kind, each in found.items()}
    )
