"""From recipes and command lines to settings: what wins, what is refused and how."""

from pathlib import Path

import pytest
import torch
from trl import DPOConfig, GRPOConfig, RLOOConfig, SFTConfig

from align.ppo.config import PPOConfig
from align.recipe import packaged_recipes, read_recipe
from align.settings import DataConfig, RunSettings, read_data_settings, read_settings
from harness_ext.common.errors import UserError


def written(folder: Path, text: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(text)
    return str(file)


def read(method: str, folder: Path, text: str, *options: str) -> RunSettings:
    return read_settings(method, ["--config", written(folder, "output_dir: out\n" + text), *options])


@pytest.mark.parametrize(
    ("method", "kind"),
    [("sft", SFTConfig), ("dpo", DPOConfig), ("ppo", PPOConfig), ("grpo", GRPOConfig), ("rloo", RLOOConfig)],
)
def test_defaults_that_a_run_rests_on(method: str, kind: type, tmp_path: Path) -> None:
    settings = read(method, tmp_path, "save_steps: 480")
    args = settings.arguments
    assert type(args) is kind
    assert args.num_train_epochs == 1 and args.remove_unused_columns is False and args.report_to == ["tensorboard"]
    assert args.use_cpu is not torch.cuda.is_available() and args.bf16 is torch.cuda.is_available()
    if method in ("sft", "dpo"):
        assert args.max_length is None  # the end of an answer is never cut off
    if method == "sft":
        assert args.train_sampling_strategy == "sequential"
    else:
        assert args.disable_dropout is True
    assert (settings.rewards is None) is (method in ("sft", "dpo"))


def test_the_command_line_wins_over_the_recipe_and_that_over_the_defaults(tmp_path: Path) -> None:
    recipe = "learning_rate: 1e-5\nepsilon_high: 3\nlora_r: 8\nrenders: 3\nrewards: [{name: verdict, weight: 2.0}]"
    settings = read("ppo", tmp_path, recipe, "--renders", "5", "--kl-coef", "0.5", "--save_steps", "8", "--bf16=false")
    assert settings.arguments.learning_rate == 1e-5 and settings.arguments.epsilon_high == 3
    assert settings.arguments.kl_coef == 0.5
    assert (settings.model.lora_r, settings.data.renders, settings.model.lora_alpha) == (8, 5, 256)
    assert settings.rewards is not None and settings.rewards == [{"name": "verdict", "weight": 2.0}]
    given = read("ppo", tmp_path, recipe, "--save_steps", "8", "--rewards", "[{name: length}]")
    assert given.rewards is not None and given.rewards == [{"name": "length"}]


def test_one_seed_of_the_rows(tmp_path: Path) -> None:
    """Where TRL's arguments have an option of the same name, both are told."""
    name = next(name for name in ("data_seed", "rows_seed") if name in DataConfig.__dataclass_fields__)
    settings = read("sft", tmp_path, f"{name}: 7")
    assert getattr(settings.data, name) == 7
    assert getattr(read("sft", tmp_path, "").data, name) == 42


@pytest.mark.parametrize(
    ("method", "text", "message"),
    [
        ("sft", "learning_rat: 1", r"unknown key 'learning_rat'; did you mean learning_rate\?"),
        ("sft", "kl_coef: 1", r"unknown key 'kl_coef', which is of ppo"),
        ("sft", "rewards: [{name: verdict}]", "unknown key 'rewards', which is of ppo, grpo, rloo"),
        ("sft", "method: dpo", "is a recipe of dpo: run `align dpo` with it"),
        ("sft", "method: pop", "method: expected one of sft, dpo, ppo, grpo, rloo, found 'pop'"),
        ("sft", "max_steps: 1.5", "max_steps: Input should be a valid integer, found 1.5"),
        ("sft", "max_steps: many", "invalid int value: 'many'"),
        ("sft", "bf16: 3", "bf16: Input should be a valid boolean, found 3"),
        ("sft", "learning_rate: [1]", r"learning_rate: Input should be a valid number, found \[1\]"),
        ("sft", "model: 7", "model: Input should be a valid string, found 7"),
        ("sft", "passes: null", "passes: Input should be a valid integer, found None"),
        ("sft", "save_steps: null", "save_steps: Input should be a valid number, found None"),
        ("ppo", "monitor_first: null", "monitor_first: Input should be a valid integer, found None"),
        ("ppo", "kl_target: [1]", r"kl_target: Input should be a valid number, found \[1\]"),
        ("sft", "save_strategy: null", "save_strategy: Input should be .*, found None"),
        ("sft", "lora_modules: q_proj", "lora_modules: Input should be a valid list, found 'q_proj'"),
        ("sft", "lora_modules: [1]", r"lora_modules: Input should be a valid string, found \[1\]"),
        ("sft", "lora_modules: []", "lora_modules: List should have at least 1 item"),
        ("sft", "lora_r: 0", "lora_r: Input should be greater than 0, found 0"),
        ("sft", "lora_dropout: 1.0", "lora_dropout: Input should be less than 1, found 1.0"),
        (
            "sft",
            "per_device_train_batch_size: 0",
            "per_device_train_batch_size: Input should be greater than 0, found 0",
        ),
        ("ppo", "rewards: '[{name: verdict'", r"rewards: expected YAML, found '\[{name: verdict'"),
        ("ppo", "max_completion_length: 0", "max_completion_length: Input should be greater than 0, found 0"),
        ("grpo", "max_completion_length: null", "max_completion_length: Input should be a valid integer, found None"),
        ("ppo", "steps_per_generation: 0", "steps_per_generation: Input should be greater than 0, found 0"),
        ("sft", "renders: 1\nrenders: 2", "'renders' is there twice"),
        ("sft", "source: other", "no benchmark is named 'other'; there are unsafeconcepts, glyphworld"),
        ("sft", "lr_scheduler_type: bent", "these settings do not go together: .*bent"),
        ("sft", "num_train_epochs: 4", "num_train_epochs: always 1.0 here, found 4: say `passes`"),
        ("dpo", "resume_from_checkpoint: x", "resume_from_checkpoint: always unset here, found x: the same command"),
        ("grpo", "log_completions: true", "log_completions: always false here, found true: it would print"),
        ("rloo", "reward_weights: [1.0]", "the weights stand beside the rewards"),
        (
            "sft",
            "enable_jit_checkpoint: true",
            "enable_jit_checkpoint: always false here, found true: its checkpoint may",
        ),
        ("sft", "push_to_hub: true", "push_to_hub: always false here"),
        (
            "sft",
            "truncation_mode: keep_end",
            "truncation_mode: always keep_start here, found keep_end: no row is cut off",
        ),
        ("sft", "save_steps: 0.1", "save_steps: expected a whole number of optimiser steps, found 0.1"),
        (
            "ppo",
            "save_steps: 6",
            "save_steps: expected a multiple of 4, for a run resumes at the beginning of a rollout",
        ),
        ("sft", "- a", "expected settings, `key: value`, found list"),
        ("sft", "a: [", "the recipe .*, line 2: is not YAML"),
    ],
)
def test_what_a_recipe_cannot_say(method: str, text: str, message: str, tmp_path: Path) -> None:
    if text.startswith(("-", "a:")):
        with pytest.raises(UserError, match=message):
            read_settings(method, ["--config", written(tmp_path, text)])
    else:
        with pytest.raises(UserError, match=message):
            read(method, tmp_path, text)


@pytest.mark.parametrize("setting", ["max_steps: many", "passes: null"])
def test_the_recipe_is_named_where_it_says_what_is_wrong(setting: str, tmp_path: Path) -> None:
    file = written(tmp_path, setting)
    with pytest.raises(UserError, match=f"^{file}: "):
        read_settings("sft", ["--config", file, "--output_dir", str(tmp_path)])
    name = setting.partition(":")[0]
    with pytest.raises(UserError, match=rf"^(argument --)?{name}"):
        read_settings("sft", ["--config", file, "--output_dir", str(tmp_path), f"--{name}", "-x"])


@pytest.mark.parametrize(
    ("method", "setting", "message"),
    [
        ("sft", "hub_token: hf_SECRET", "hub_token: always unset here, found one: .*`hf auth login`, or set HF_TOKEN"),
        ("grpo", "vllm_server_base_url: http://me:SECRET@host/v1", "a URL holds a user or a password"),
        (
            "ppo",
            "rewards: [{name: verdict, judge: llm, judge_options: {base_url: https://SECRET@host}}]",
            "a URL holds",
        ),
        ("sft", "hub_tokn: SECRET", "unknown .*did you mean (--)?hub[-_]token"),
    ],
)
def test_secrets_are_refused_and_not_repeated(method: str, setting: str, message: str, tmp_path: Path) -> None:
    """From a recipe and from the command line, in both of its forms."""
    key, _, value = setting.partition(": ")
    for text, options in ((setting, []), ("", [f"--{key}", value]), ("", [f"--{key.replace('_', '-')}={value}"])):
        with pytest.raises(UserError, match=message) as error:
            read(method, tmp_path, text, *options)
        assert "SECRET" not in str(error.value)


def test_saves_fall_between_rollouts(tmp_path: Path) -> None:
    parts = (
        "per_device_train_batch_size: 2\ngradient_accumulation_steps: 4\nsteps_per_generation: 6\nnum_iterations: 2\n"
    )
    assert read("ppo", tmp_path, parts.replace("_steps: 4", "_steps: 3") + "save_steps: 4").arguments.save_steps == 4
    with pytest.raises(UserError, match=r"multiple of 3, .* each of 3 optimiser steps; found 4"):
        read("grpo", tmp_path, parts + "num_generations: 2\nsave_steps: 4")


@pytest.mark.parametrize("name", packaged_recipes())
def test_packaged_recipes_name_their_method_and_their_folder(name: str) -> None:
    recipe, _ = read_recipe(["--config", name])
    assert recipe.method is not None
    settings = read_settings(recipe.method, ["--config", name, "--bf16", "false"])
    assert settings.arguments.output_dir == f"runs/{name}"
    assert read_data_settings(["--config", name]) == settings.data
