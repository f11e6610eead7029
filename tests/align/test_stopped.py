"""Why a run stopped, as a file that is whole whoever writes it."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from align.folder import RunFolder
from align.stopped import TrainingStopped
from harness_ext.report.page.training import STOPPED_FILE


def test_processes_that_stop_together_leave_one_whole_file(tmp_path: Path) -> None:
    """Threads stand for them, for their writes meet more often; each has other samples."""

    def stop(process: int) -> None:
        for step in range(40):
            TrainingStopped("a reason", step, [{"row": process}] * 200).write(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(stop, range(8)))
    stopped = json.loads((tmp_path / STOPPED_FILE).read_text())
    assert stopped["step"] == 39 and len({sample["row"] for sample in stopped["samples"]}) == 1
    assert [each.name for each in tmp_path.iterdir()] == [STOPPED_FILE]


def test_what_a_killed_writer_left_is_forgotten_too(tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef.new").write_text("{")
    (tmp_path / STOPPED_FILE).write_text("{}")
    RunFolder(tmp_path).begin()
    assert list(tmp_path.iterdir()) == []
