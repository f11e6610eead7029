"""The cache: whole or not at all, built once, keyed by recipe and seed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from transformers import AutoModelForImageTextToText, AutoProcessor

from harness_ext.common.errors import UserError
from harness_ext.common.files import CACHE_VARIABLE, sha256
from harness_ext.glyphworld.build import MANIFEST, checkpoint_path, ensure_model, remove_model
from harness_ext.glyphworld.pretrain import Recipe

SHORT = Recipe(
    renders=1, tower_steps=2, tower_batch=16, language_steps=2, lookup_steps=1, seeing_steps=1, language_batch=16
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path


def test_a_build_is_complete_and_loads(cache, capfd):
    folder = ensure_model(3, progress=False, recipe=SHORT)
    # Two steps teach no letters, and that is said where a path on stdout stays a path.
    output = capfd.readouterr()
    assert "the model of seed 3 has 0.000 right of 150" in output.err and output.out == ""
    assert folder.is_relative_to(cache)
    manifest = json.loads((folder / MANIFEST).read_text())
    model, processor = AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    assert manifest["seed"] == 3 and model.num_parameters() < 1_100_000
    assert manifest["recipe"]["language_steps"] == 2
    assert type(model).__name__ == "LlavaForConditionalGeneration" and processor.chat_template
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6e6


def test_a_second_call_does_not_build_again():
    folder = ensure_model(3, progress=False, recipe=SHORT)
    written = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert ensure_model(3, progress=False, recipe=SHORT) == folder
    assert written == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_seed_and_recipe_each_have_a_folder_of_their_own():
    folders = {checkpoint_path(0, SHORT), checkpoint_path(1, SHORT), checkpoint_path(0, replace(SHORT, tower_steps=3))}
    assert len(folders) == 3


@pytest.mark.parametrize("at", ["training", "saving"])
def test_an_interrupted_build_leaves_nothing_and_the_next_one_succeeds(cache, at):
    # A run of the tests in the background would have it ignore the interrupt.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    code += f"from harness_ext.glyphworld.build import Recipe, ensure_model; ensure_model(3, recipe={SHORT!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True)
    # The bar's first output, or its last.
    read = b""
    while (b"0%" if at == "training" else b"4/4") not in read:
        read += process.stderr.read(1)
        assert process.poll() is None, read
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()
    assert process.returncode
    assert [path for path in (cache / "glyphworld").iterdir() if path.is_dir()] == []
    assert (ensure_model(3, progress=False, recipe=SHORT) / MANIFEST).is_file()


def test_a_build_that_fails_says_so_and_leaves_nothing(cache, capfd):
    with pytest.raises(UserError, match="ended with status 1"):
        ensure_model(3, progress=False, recipe=replace(SHORT, renders=0))
    assert "Error" in capfd.readouterr().err
    assert [path for path in (cache / "glyphworld").iterdir() if path.is_dir()] == []


# Other processors, as far as one can pass for them, each by the variables that its libraries read.
OTHERS = {
    "without vectors, two threads": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "AUTO",
        "OPENBLAS_CORETYPE": "Nehalem",
        "OMP_NUM_THREADS": "2",
    },
    "another oneDNN and libm": {"ONEDNN_MAX_CPU_ISA": "SSE41", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA"},
}


def test_other_machines_train_the_same_weights(monkeypatch):
    found = {}
    for machine, variables in {"this one": {}, **OTHERS}.items():
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            found[machine] = sha256((ensure_model(3, progress=False, recipe=SHORT) / "model.safetensors").read_bytes())
        remove_model(3, recipe=SHORT)
    assert len(set(found.values())) == 1, found


def test_leftovers_of_a_killed_build_are_swept_away():
    target = checkpoint_path(3, SHORT)
    for leftover in (target, target.with_name(f"{target.name}.tmpabc")):  # no manifest: not a complete build
        leftover.mkdir(parents=True)
        (leftover / "model.safetensors").write_text("half")
    folder = ensure_model(3, progress=False, recipe=SHORT)
    assert (folder / MANIFEST).is_file() and [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]


def test_two_processes_build_once():
    code = (
        "from harness_ext.glyphworld.build import MANIFEST, Recipe, ensure_model\n"
        f"print((ensure_model(3, progress=False, recipe={SHORT!r}) / MANIFEST).stat().st_mtime_ns)"
    )
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    times = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert times[0] == times[1]


def test_remove_model_forgets_a_build_and_minds_no_absence():
    folder = ensure_model(3, progress=False, recipe=SHORT)
    remove_model(3, recipe=SHORT)
    assert not folder.exists()
    remove_model(3, recipe=SHORT)
