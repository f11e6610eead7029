"""Answers on disk as they are given, so that an interrupted run resumes.

An answer's key is a digest of what it rests on beside the model's identity. An identity's folder holds ``identity.json``,
to read, and one file for each process that added answers. Only that process appends to it: no lock is needed, and only its
last line can be cut off. Each answer bears a digest of itself and of its identity, so that a damaged one, or one moved from
another model's folder, is no answer. Files of earlier versions, in which none does, are read as they are.
"""

import io
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import UserError, one_line
from harness_ext.common.files import cache_dir, digest, replace_file
from harness_ext.models.settings import Generated

ANSWERS_VARIABLE: Final = "UNSAFECONCEPTS_ANSWERS"
NOT_KEPT: Final = "none"


def answers_folder(named: str | None) -> Path | None:
    """Where answers are kept: the folder named, or that of ``UNSAFECONCEPTS_ANSWERS``, or one in the cache folder.

    ``None`` where ``"none"`` was named.
    """
    where = named or os.environ.get(ANSWERS_VARIABLE) or ""
    if where == NOT_KEPT:
        return None
    return Path(where).expanduser().absolute() if where else cache_dir() / "answers"


def answer_key(*parts: object) -> str:
    """A digest of JSON-ready values, as 40 hexadecimal digits."""
    return digest(json.dumps(parts, sort_keys=True))


class AnswerStore:
    """The answers of one identity, by key.

    Args:
        folder: Where answers of all models are kept; ``None`` keeps none.
        identity: What the answers rest on beside their keys: weights, adapter, precision, versions.

    Attributes:
        before: The keys of the answers that were there at the start.

    Raises:
        UserError: The folder cannot be used, or a file in it is damaged.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, str]) -> None:
        self._answers: dict[str, str] = {}
        self._file: io.FileIO | None = None
        self.before: frozenset[str] = frozenset()
        self.folder = folder / answer_key(dict(identity))[:16] if folder else None
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            told = f"{json.dumps(dict(identity), indent=1)}\n".encode()
            if not (file := self.folder / "identity.json").exists() or file.read_bytes() != told:
                replace_file(file, told)
            for file in sorted(self.folder.glob("*.jsonl")):
                self._read(file)
            self.before = frozenset(self._answers)
        except OSError as error:
            raise UserError(
                f"cannot keep answers in {self.folder}: {error}. Name another folder by {ANSWERS_VARIABLE}, or "
                f"{NOT_KEPT!r} to keep none."
            ) from error

    def __enter__(self) -> "AnswerStore":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def get(self, key: str) -> str | None:
        """The answer that was given, a :class:`Generated` one where it was kept with how it ended, or ``None``."""
        return self._answers.get(key)

    def add(self, answers: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Write answers, given as key, answer, and facts for a reader of the file; on disk on return.

        They are one line: all of them are there, or none.
        """
        rows = [_row(*each) for each in answers]
        if rows and self.folder is not None:
            try:
                self._write(json.dumps([{**row, "digest": self._digest(row)} for row in rows]).encode() + b"\n")
            except OSError as error:
                raise UserError(
                    f"cannot write answers into {self.folder}: {error}. Earlier ones are kept: the same command resumes."
                ) from error
        self._answers.update({row["key"]: _answer(row) for row in rows})

    def _write(self, line: bytes) -> None:
        assert self.folder is not None
        if self._file is None:
            started = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            # Unbuffered: nothing is left to be written when it is closed.
            self._file = (self.folder / f"{started}-{os.getpid()}.jsonl").open("xb", buffering=0)
        if self._file.write(line) != len(line):
            raise OSError("only a part of a line was written; is the disk full?")
        os.fsync(self._file.fileno())

    def _read(self, file: Path) -> None:
        # One version wrote the whole file.
        bear_digests: bool | None = None
        # Bytes, for a cut-off line may end within a letter.
        for number, line in enumerate(file.read_bytes().split(b"\n")[:-1], start=1):
            try:
                for row in json.loads(line):
                    found = row.pop("digest", None)
                    bear_digests = found is not None if bear_digests is None else bear_digests
                    if (found is not None) != bear_digests or (bear_digests and found != self._digest(row)):
                        raise ValueError("it is not what was written: its digest is another")
                    self._answers[row["key"]] = _answer(row)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise UserError(
                    f"{file}, line {number}: not a kept answer ({one_line(error)}); "
                    "delete the file to ask its questions again"
                ) from error

    def _digest(self, row: Mapping[str, Any]) -> str:
        assert self.folder is not None
        return answer_key(self.folder.name, row)


def _row(key: str, answer: str, about: Mapping[str, Any]) -> dict[str, Any]:
    ended = {"cut_short": answer.cut_short} if isinstance(answer, Generated) else {}
    return {"key": key, **about, **ended, "answer": answer}


def _answer(row: Mapping[str, Any]) -> str:
    # Rows of earlier versions do not say how an answer ended.
    return Generated(row["answer"], row["cut_short"]) if "cut_short" in row else row["answer"]
