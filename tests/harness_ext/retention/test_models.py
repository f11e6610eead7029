import shutil

import pytest
from api_stub import MODEL, ApiStub

from harness_ext.common.errors import UserError
from harness_ext.retention.benchmarks import HOLISAFE_JUDGED, LLAVA_BENCH
from harness_ext.retention.models import GENERATING, read_judge, read_model


@pytest.fixture
def read(untrained_vlm):
    return lambda rest="", weights=untrained_vlm: read_model(f"hf-vlm,pretrained={weights}{rest}")


def test_a_model_is_known_by_its_contents(read, untrained_vlm, make_adapter, tmp_path):
    base = read()
    copy = shutil.copytree(untrained_vlm, tmp_path / "copy")
    assert read(weights=copy).what == base.what
    adapter = make_adapter()
    adapted = read(f",adapter={adapter}")
    assert adapted.what["weights"] == base.what["weights"]
    assert adapted.what["adapter"] != base.what["adapter"] == "none"
    # Trained again, to the same place.
    make_adapter(seed=1)
    assert read(f",adapter={adapter}").folder != adapted.folder
    assert read(",dtype=bfloat16").folder != base.folder
    # Where answers are kept changes none of them.
    assert read(f",answers={tmp_path}").what == base.what


def test_what_a_name_stands_for_counts_not_the_name(untrained_vlm, tmp_path, monkeypatch):
    file = tmp_path / "models.yaml"
    file.write_text(
        f"mine: {{weights: {untrained_vlm}}}\n"
        f"thinking: {{weights: {untrained_vlm}, template_options: {{enable_thinking: true}}}}\n"
    )
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    mine, named, thinking = (read_model(name) for name in ("mine", f"hf-vlm,pretrained={untrained_vlm}", "thinking"))
    assert mine.what == named.what != thinking.what


def test_a_folder_that_only_the_working_folder_explains_is_refused(untrained_vlm, tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "models.yaml").write_text(f"mine: {{weights: {untrained_vlm.name}}}\n")
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(tmp_path / "files" / "models.yaml"))
    monkeypatch.chdir(untrained_vlm.parent)
    with pytest.raises(UserError, match=f"neither absolute nor beside that file: say {untrained_vlm} there"):
        read_model("mine")


def test_a_defence_makes_another_model_by_what_its_texts_say(untrained_vlm, tmp_path):
    principle = tmp_path / "principle.txt"
    folders = []
    for text in ("Mind children.", "Mind adults."):
        principle.write_text(text)
        model = read_model(f"hf-vlm,pretrained={untrained_vlm},defence=principle:text={principle}+coca")
        assert model.title.endswith("+principle+coca")
        folders.append(model.folder)
    assert len({*folders, read_model(f"hf-vlm,pretrained={untrained_vlm}").folder}) == 3
    with pytest.raises(UserError, match="no defence is named 'captoin'"):
        read_model(f"hf-vlm,pretrained={untrained_vlm},defence=captoin")


def test_folders_are_named_from_everywhere(untrained_vlm, make_adapter, monkeypatch, tmp_path):
    adapter = make_adapter()
    monkeypatch.chdir(adapter.parent)
    model = read_model(f"hf-vlm,pretrained={untrained_vlm},adapter={adapter.name},share_prefix=False")
    assert model.arguments["adapter"] == str(adapter)
    assert model.title == f"hf-vlm+{adapter.parent.name}-{adapter.name}"
    assert model.model_args() == f"pretrained={untrained_vlm},adapter={adapter},share_prefix=False"
    assert model.model_args(without=GENERATING) == f"pretrained={untrained_vlm},adapter={adapter}"


def test_the_files_of_a_defence_are_named_from_everywhere(untrained_vlm, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    # A text of several words, were it no file; and a number that is a file's name, too.
    for name in ("my policy.txt", "2"):
        (tmp_path / name).write_text("Mind children.")
    defence = "defence=principle:text={}+coca:alpha=2+caption:request=What is it?"
    model = read_model(f"hf-vlm,pretrained={untrained_vlm},{defence.format('my policy.txt')}")
    assert model.model_args().endswith(defence.format(tmp_path / "my policy.txt"))
    (odd := tmp_path / "a+b").mkdir()
    (odd / "policy.txt").write_text("Mind children.")
    monkeypatch.chdir(odd)
    with pytest.raises(UserError, match=r"defence option text: the path .*/a\+b/policy.txt must have no plus"):
        read_model(f"hf-vlm,pretrained={untrained_vlm},defence=principle:text=policy.txt")


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("llavva", "no model is named 'llavva'"),
        ("llava-7b adapter=x", "no model is named 'llava-7b adapter=x'"),
        ("llava-7b,runs/ppo", "expected NAME or NAME,key=value,….* found 'runs/ppo'"),
        ("llava-7b,adapter=", "found 'adapter='"),
        ("llava-7b,dtype=a,dtype=b", "found 'dtype=b'"),
        ("llava-7b,batch_size=4", "--batch_size 4"),
        ("hf-vlm", "needs its weights named"),
        ("gpt-4v", "cannot be seen from here"),
        ("openai-moderation", "a guard gives verdicts, by a prompt of its own"),
        ("llama-guard-4,pretrained=/nowhere", "a guard gives verdicts, by a prompt of its own"),
        ("hf-vlm,pretrained=/nowhere", "cannot load the weights of '/nowhere'"),
    ],
)
def test_what_is_no_model_is_refused(specification, message):
    with pytest.raises(UserError, match=message):
        read_model(specification)


def test_an_adapter_of_other_weights_is_refused_before_anything_is_asked(read, make_adapter, untrained_vlm, tmp_path):
    other = shutil.copytree(untrained_vlm, tmp_path / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match="its base is"):
        read(f",adapter={make_adapter()}", weights=other)
    assert read(f",adapter={make_adapter()},adapter_base=any", weights=other).what["adapter"] != "none"


# --- the judge ---


def test_lmms_eval_is_told_who_judges(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    judge = read_judge("http://localhost:8000/v1/", "judge-model", "MY_KEY", [LLAVA_BENCH])
    assert judge.environment() == {
        "API_TYPE": "openai",
        "OPENAI_API_URL": "http://localhost:8000/v1",
        "OPENAI_API_KEY": "sk-secret",
        "MODEL_VERSION": "judge-model",
    }
    assert "sk-secret" not in judge.name


def test_openais_key_is_sent_to_no_other_server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert read_judge("https://api.openai.com/v1", "gpt", None, [LLAVA_BENCH]).server.key == "sk-openai"
    local = read_judge("http://localhost:8000/v1", "judge-model", None, [LLAVA_BENCH])
    assert local.server.key == ""
    # lmms-eval refuses to do without.
    assert local.environment()["OPENAI_API_KEY"] == "none"


@pytest.mark.parametrize(
    ("url", "model", "variable", "message"),
    [
        (None, None, None, "--judge-url https://.* --judge-model NAME(.|\n)*--without llava_in_the_wild"),
        ("http://localhost:8000/v1", None, None, "which is not named"),
        ("http://localhost:8000/v1/chat/completions", "judge", None, "without /chat/completions"),
        (
            "http://localhost:8000/v1",
            "judge",
            "NO_SUCH_KEY",
            "NO_SUCH_KEY, which is not set(.|\n)*--judge-key-variable",
        ),
    ],
)
def test_a_judge_that_is_not_named_whole_is_refused(url, model, variable, message):
    with pytest.raises(UserError, match=message):
        read_judge(url, model, variable, [LLAVA_BENCH])


def test_a_judge_is_asked_before_anything_is_evaluated(monkeypatch):
    monkeypatch.setenv("RIGHT", "sk-right")
    monkeypatch.setenv("WRONG", "sk-wrong")
    with ApiStub(key="sk-right") as stub:
        right = read_judge(stub.url, MODEL, "RIGHT", [LLAVA_BENCH])
        right.require_answer([LLAVA_BENCH])
        assert (len(stub.asked), stub.asked[0].images) == (1, [])
        # A judge that reads text alone is found out before a model is asked.
        right.require_answer([LLAVA_BENCH, HOLISAFE_JUDGED])
        assert len(stub.asked[1].images) == 1
        # The stub repeats the key that it was shown, as some servers do.
        with pytest.raises(UserError, match=r"does not answer: .* does not accept the key.*\(401\)") as refused:
            read_judge(stub.url, MODEL, "WRONG", [LLAVA_BENCH]).require_answer([LLAVA_BENCH])
        assert "sk-wrong" not in str(refused.value)
        with pytest.raises(UserError, match=r"does not answer: .* does not know the model"):
            read_judge(stub.url, "another", "RIGHT", [LLAVA_BENCH]).require_answer([LLAVA_BENCH])
        stub.message = lambda asked: ({"content": "Yes"}, "error")
        with pytest.raises(UserError, match=r"does not answer: .*broke the answer off.* \(asked 2 times\)"):
            right.require_answer([LLAVA_BENCH])
    with pytest.raises(UserError, match="does not answer: no server can be reached"):
        right.require_answer([LLAVA_BENCH])
