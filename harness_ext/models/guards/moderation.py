"""The backend for OpenAI's moderation endpoint, and servers like it: an image or a text in, scores by category out."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import httpx2
from pydantic import BaseModel, Field, ValidationError

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.common.options import problem
from harness_ext.models.answering import Question
from harness_ext.models.api import OpenAICompatible
from harness_ext.models.api_client import ChatClient
from harness_ext.models.api_reply import NoAnswerError, Reply
from harness_ext.records import NO, YES


class Result(BaseModel):
    """What the endpoint says of one input; other fields are not read."""

    flagged: bool
    categories: Mapping[str, bool | None]
    category_scores: Mapping[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]

    @property
    def score(self) -> float:
        """The highest score of a category; 0 where there is none."""
        return max(self.category_scores.values(), default=0.0)


class ModerationClient(ChatClient):
    """A server's moderations; for one event loop."""

    async def _send(self, body: Mapping[str, Any], extra: Mapping[str, Any]) -> httpx2.Response:
        sent = await self._client.moderations.with_raw_response.create(model=body["model"], input=body["messages"])
        return sent.http_response

    def _read(self, response: httpx2.Response) -> Reply:
        try:
            content = response.json()
            (found,) = content["results"]
            result = Result.model_validate(found)
        except ValidationError as error:
            raise NoAnswerError(f"not a moderation: {problem(error)}") from error
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise NoAnswerError(f"not a moderation: {response.text[:200]}") from error
        return Reply(text=result.model_dump_json(), end="whole", model=content.get("model"))


class Moderation(OpenAICompatible):
    """A moderation endpoint; its options are those of :class:`OpenAICompatible`, without those of generation.

    An answer is the endpoint's result as JSON, or by likelihood the highest score of a category as the probability of unsafe.
    """

    scores_candidates = True
    client = ModerationClient

    async def _ask(self, client: ChatClient, batch: Sequence[Question]) -> str:
        reply = await super()._ask(client, batch)
        (question,) = batch
        if is_failed(reply) or not question.settings.likelihood:
            return reply
        score = Result.model_validate_json(reply).score
        return json.dumps(
            {YES: math.log1p(-score) if score < 1 else -math.inf, NO: math.log(score) if score else -math.inf}
        )

    def _body(self, question: Question) -> dict[str, Any]:
        """The body of a request: the parts of the one turn, an image as OpenAI's API takes it."""
        (turn,) = self.conversation(question)
        parts = [self._image_part(part["image"]) if part["type"] == "image" else part for part in turn["content"]]
        return {"model": self._model, "messages": parts}

    def put_template_options(self, options: Mapping[str, Any]) -> None:
        """There is no template."""
        if options:
            raise UserError("a moderation endpoint has no chat template to be given options")
