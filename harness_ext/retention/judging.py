"""The language model that judges LLaVA-Bench (in the wild): lmms-eval reads who it is, and the key, from its environment.

lmms-eval goes on when its judge fails, and averages -1 in the place of a score. So the judge is asked one thing before
anything is evaluated, and an evaluation with a failed judgement is refused, see :mod:`harness_ext.retention.outcome`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness_ext.common.errors import UserError
from harness_ext.models.api_options import checked_url, hide, is_openai, read_key
from harness_ext.retention.benchmarks import JUDGED

_SECONDS: Final = 60
# lmms-eval does without no key, also where the server needs none.
_NO_KEY: Final = "none"


@dataclass(frozen=True)
class Judge:
    """An OpenAI-compatible chat model.

    Attributes:
        url: Where its API begins.
        model: What the server calls it.
        key: Its key, which is in no message and no file; empty where the server needs none.
    """

    url: str
    model: str
    key: str

    @property
    def name(self) -> str:
        """Which judge, for the reader of a result."""
        return f"{self.model} at {self.url}"

    def environment(self) -> Mapping[str, str]:
        """What lmms-eval 0.7.3 reads (``lmms_eval/llm_judge/providers/openai.py``, ``tasks/llava-in-the-wild/utils.py``)."""
        return {
            "API_TYPE": "openai",
            "OPENAI_API_URL": self.url,
            "OPENAI_API_KEY": self.key or _NO_KEY,
            "MODEL_VERSION": self.model,
        }

    def require_answer(self) -> None:
        """Ask it for a word. Raises ``UserError``, without the key, where it does not answer."""
        from openai import APIStatusError, OpenAI, OpenAIError

        from harness_ext.models.api_errors import words_of

        client = OpenAI(api_key=self.key or _NO_KEY, base_url=self.url, timeout=_SECONDS, max_retries=1)
        try:
            client.chat.completions.create(
                model=self.model, messages=[{"role": "user", "content": "Answer with one word: are you there?"}]
            )
        except OpenAIError as error:
            words = f"{error.status_code}: {words_of(error)}" if isinstance(error, APIStatusError) else error
            said = hide(f"{type(error).__name__}: {words}", self.key)
            raise UserError(f"the judge of {JUDGED}, {self.name}, does not answer: {said.splitlines()[0]}") from None


def read_judge(url: str | None, model: str | None, key_variable: str | None) -> Judge:
    """The judge that the options name.

    Args:
        url: ``--judge-url``.
        model: ``--judge-model``.
        key_variable: ``--judge-key-variable``; ``OPENAI_API_KEY`` for OpenAI, none for other servers by default.

    Raises:
        UserError: It is not named whole, or its key is not there.
    """
    if not url or not model:
        raise UserError(
            f"{JUDGED} is judged by a language model of your choice, which is not named.\n"
            "Add --judge-url https://…/v1 --judge-model NAME (any OpenAI-compatible server), "
            f"or leave it out by --without {JUDGED}"
        )
    url = checked_url(url)
    variable = key_variable or ("OPENAI_API_KEY" if is_openai(url) else None)
    try:
        return Judge(url, model, read_key(url, variable))
    except UserError as error:
        raise UserError(
            f"{str(error).splitlines()[0]}\nAnother variable is named by --judge-key-variable NAME"
        ) from error
