"""``unsafeconcepts init`` and ``unsafeconcepts check``, as a user gives them."""

from own_folders import YAML, listed, own_folder, png


def test_from_folders_of_images_to_a_checked_benchmark(run_warm, tmp_path):
    for at, name in enumerate(("pistol", "beer", "cup")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "0.png").write_bytes(png(at))
    command = ("init", tmp_path / "own", "--images", tmp_path / "pictures")
    made = run_warm("unsafeconcepts", *command)
    assert made.returncode == 0, made.stderr
    assert "3 images of 3 concepts, all unsafe so far; category 'Concepts' with 3" in made.stdout
    again = run_warm("unsafeconcepts", *command)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith("unsafeconcepts init: ") and "is never written over" in again.stderr
    checked = run_warm("unsafeconcepts", "check", tmp_path / "own")
    assert checked.returncode == 0, checked.stderr
    assert "No perception: it needs three concepts outside each category." in checked.stdout


def test_check_says_what_a_benchmark_can_show(run_warm, tmp_path):
    folder = own_folder(tmp_path / "own")
    (folder / "images" / listed()[1]["file_name"]).write_bytes(png(0))
    (folder / "images" / listed()[8]["file_name"]).write_bytes(png(0))
    checked = run_warm("unsafeconcepts", "check", folder)
    assert checked.returncode == 0, checked.stderr
    lines = [" ".join(line.split()) for line in checked.stdout.splitlines()]
    assert lines[0] == "My policy (my-policy): nothing is wrong"
    assert "all, unsafe 4 20 5 5" in lines and "TEST, safe 2 2 1 1" in lines
    assert "Image alignment, unsafe concepts 4 100 none none" in lines
    assert "Warning: over fewer than 5 concepts there is no interval: " in checked.stdout
    assert "Tasks: my-policy_perception, my-policy_image, my-policy_text," in checked.stdout
    assert "Note: 1 images are there twice: 'pistol/1.png' and 'pistol/0.png'." in lines
    assert "Note: 1 images have two concepts: 'knife/3.png' and 'pistol/0.png'." in lines
    assert f"lmms_eval --benchmark {folder} --model MODEL --tasks my-policy" in checked.stdout


def test_check_says_everything_that_is_wrong(run_warm, tmp_path):
    folder = own_folder(tmp_path / "own", YAML.replace("wine", "wein"))
    (folder / "images" / listed()[0]["file_name"]).write_bytes(b"")
    checked = run_warm("unsafeconcepts", "check", folder)
    assert (checked.returncode, checked.stdout) == (2, "")
    for said in (
        "own: 3 things to correct:",
        "benchmark.yaml, line 8: a concept without images; found 'wein'",
        "images/metadata.jsonl, line 1: the image cannot be read; found pistol/0.png (UnidentifiedImageError)",
        "images/metadata.jsonl, lines 16, 17, 18, 19, 20: the concept 'wine' is not in benchmark.yaml",
    ):
        assert said in checked.stderr
