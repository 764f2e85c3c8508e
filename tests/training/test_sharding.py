"""Every shipped way to divide a run over ranks is valid, and trains as one rank with the whole batch does."""

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DeepSpeedPlugin, FullyShardedDataParallelPlugin, patch_environment
from accelerate.utils.fsdp_utils import fsdp2_prepare_auto_wrap_policy
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import HubertModel

from exhubert import ExHuBERTForSequenceClassification
from exhubert.cpu import has_onednn
from exhubert.training import last_complete_checkpoint

from ..conftest import LAYOUTS, load_recipe, tiny_hubert

STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "mask_time_prob": 0.0}

REPOSITORY = Path(__file__).parents[2]
CONFIGS = sorted((REPOSITORY / "recipes" / "accelerate").glob("*.yaml"))
RUN_HERE = {"one_process", "cpu_two_ranks"}


@contextmanager
def launched(config):
    """The environment in which `accelerate launch --config_file` starts a script."""
    path = REPOSITORY / "recipes" / "accelerate" / f"{config}.yaml"
    arguments = ["--config_file", str(path), "--main_process_port", "0", "train.py"]
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(arguments))
    if args.use_deepspeed:
        args.deepspeed_fields_from_accelerate_config = ",".join(load_config_from_file(str(path)).deepspeed_config)
    environment = prepare_deepspeed_cmd_env(args)[1] if args.use_deepspeed else prepare_multi_gpu_env(args)
    with patch_environment(**environment):
        yield


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_takes_every_configuration_and_it_says_what_it_is_for(path):
    config = load_config_from_file(str(path))
    assert config.num_processes % config.num_machines == 0
    said = " ".join(line.removeprefix("# ") for line in path.read_text().splitlines() if line.startswith("# "))
    assert said and ("Not run by this project (no GPU at hand)" in said) == (path.stem not in RUN_HERE)


def test_fsdp_configuration_divides_block_by_block_and_reads_and_writes_whole_models():
    with launched("fsdp"):
        plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert plugin.state_dict_type.name == "FULL_STATE_DICT" and not plugin.cpu_ram_efficient_loading
    model = tiny_exhubert("pre_norm")
    divided = fsdp2_prepare_auto_wrap_policy(plugin, model)
    assert [module for module in model.modules() if divided(module)] == list(model.blocks)
    assert {type(block).__name__ for block in model.blocks} <= set(model._no_split_modules)


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_configurations_keep_weights_in_fp32_and_write_whole_models(stage, monkeypatch):
    pytest.importorskip("deepspeed")
    monkeypatch.chdir(REPOSITORY)
    with launched(f"deepspeed_zero{stage}"):
        plugin = DeepSpeedPlugin()
    plugin.set_mixed_precision("no")
    config = plugin.deepspeed_config
    assert plugin.zero_stage == stage and not config["bf16"]["enabled"] and not config["fp16"]["enabled"]
    assert config["torch_autocast"] == {"enabled": True, "dtype": "bfloat16", "lower_precision_safe_modules": []}
    assert plugin.zero3_save_16bit_model is (stage == 3)


def tiny_exhubert(layout):
    hubert = tiny_hubert(layout, HubertModel, feat_proj_dropout=0.0, **STILL)
    torch.manual_seed(0)
    model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    model.freeze_feature_encoder()
    return model.train()


def loss_curve(model, rank=0, ranks=1):
    """Losses of five AdamW steps on a batch of eight, of which each rank has its part."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(8, 4000, generator=generator).chunk(ranks)[rank]
    labels = torch.randint(6, (8,), generator=generator).chunk(ranks)[rank]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(5):
        loss = model(values, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return torch.stack(losses)


def train_divided_by_fsdp2(rank, folder):
    """What each of two processes does."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for layout in LAYOUTS:
        model = tiny_exhubert(layout)
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
        losses = loss_curve(model, rank, ranks=2)
        torch.distributed.all_reduce(losses)
        weights = {name: parameter.full_tensor() for name, parameter in model.state_dict().items()}
        if rank == 0:
            torch.save((losses / 2, weights), Path(folder) / layout)
    torch.distributed.barrier()
    os._exit(0)  # the results are written; gloo's threads now and then abort a process that tears them down


@pytest.fixture(scope="module")
def divided_by_fsdp2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fsdp2")
    torch.multiprocessing.spawn(train_divided_by_fsdp2, (str(folder),), nprocs=2)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_fsdp2_over_our_blocks_trains_as_one_rank_and_keeps_the_frozen_halves(divided_by_fsdp2, layout):
    losses, weights = torch.load(divided_by_fsdp2 / layout)
    model = tiny_exhubert(layout)
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    torch.testing.assert_close(losses, loss_curve(model), rtol=1e-6, atol=0)
    torch.testing.assert_close(weights, dict(model.state_dict()), rtol=0, atol=1e-6)
    assert len(frozen) > 50 and all(torch.equal(weights[name], before) for name, before in frozen.items())


SETTINGS = STILL | {
    "max_seconds": 0.3, "max_steps": 4, "logging_steps": 1, "learning_rate": 1e-3, "max_grad_norm": 0.1,
    "warmup_steps": 0, "kernels": "onednn" if has_onednn() else "torch",
    "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2,
}  # fmt: skip

# Accelerate keeps FSDP for GPUs and falls back to DDP without a word: told that the CPU ranks are GPUs, it doesn't.
FSDP_ON_CPU = """
import os, torch
from accelerate.state import DistributedType, PartialState
os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
torch.distributed.init_process_group("gloo")
PartialState._prepare_backend = lambda *args: ("gloo", DistributedType.MULTI_GPU)
"""
# DeepSpeed compiles a helper for gloo, which takes minutes and a compiler; it does without where it has none.
DEEPSPEED_ON_CPU = """
import importlib
importlib.import_module("deepspeed.comm.torch").build_shm_op = lambda: None
"""
RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def train_arguments(hubert, data, output, **options):
    options = SETTINGS | {"model": hubert, "data": data, "output_dir": output} | options
    return [item for name, value in options.items() for item in (f"--{name}", str(value))]


def launch(config, options, arguments, log, script=()):
    """Starts the recipe on CPU ranks as a user would on GPUs; what it prints goes into the file `log`."""
    command = [
        sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--config_file",
        f"recipes/accelerate/{config}.yaml", "--num_processes", "2", *options, *script, "recipes/train.py", *arguments,
    ]  # fmt: skip
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=file, stderr=file), log


def wait_for(*launched):
    try:
        for process, log in launched:
            assert process.wait(timeout=500) == 0, log.read_text()[-5000:]
    finally:
        for process, _ in launched:
            process.terminate()


def launch_divided(config, folder, arguments, computing="fp32"):
    """Starts the recipe with a shipped configuration, as it is or with the computing in fp32 too."""
    options, script = ["--main_process_port", "0"], folder / "on_cpu.py"
    script.write_text((FSDP_ON_CPU if config == "fsdp" else DEEPSPEED_ON_CPU) + RUN)
    if config == "fsdp":
        options += ["--mixed_precision", "no"] if computing == "fp32" else []
    else:
        pytest.importorskip("deepspeed")
        if computing == "fp32":
            shipped = json.loads((REPOSITORY / "recipes" / "accelerate" / f"{config}.json").read_text())
            (folder / "fp32.json").write_text(json.dumps(shipped | {"torch_autocast": {"enabled": False}}))
            options += ["--deepspeed_config_file", str(folder / "fp32.json")]
    wait_for(launch(config, options, arguments, folder / "log", [str(script)]))


@pytest.fixture(scope="module")
def one_rank(hubert_folder, tone_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one_rank")
    arguments = train_arguments(hubert_folder, tone_dataset, folder, per_device_train_batch_size=8)
    load_recipe("train").main(arguments)
    return folder


def assert_trained_alike(folder, reference, rtol=1e-5, atol=1e-6):
    """Same losses, gradient norms and weights; the frozen weights bit for bit; every check of the method passed."""
    runs = [json.loads((path / "run.json").read_text()) for path in (folder, reference)]
    curves = [
        [(line["loss"], line["grad_norm"]) for line in json.loads(path.read_text())["log_history"] if "loss" in line]
        for path in (folder / "trainer_state.json", reference / "trainer_state.json")
    ]
    assert len(curves[0]) == 4 and runs[0]["processes"] == 2
    np.testing.assert_allclose(curves[0], curves[1], rtol=rtol)
    weights, expected = (load_file(path / "model.safetensors") for path in (folder, reference))
    torch.testing.assert_close(weights, expected, rtol=0, atol=atol)
    frozen = [name for name in expected if ".frozen." in name or ".feature_extractor." in name]
    assert len(frozen) > 50 and all(torch.equal(weights[name], expected[name]) for name in frozen)
    checks, same = runs[0]["invariants"], runs[1]["invariants"]
    assert checks["FrozenWeightsCallback"] == same["FrozenWeightsCallback"]
    assert checks["ZeroInitIdentityCallback"] == same["ZeroInitIdentityCallback"]
    assert checks["ZeroInitIdentityCallback"]["identical"]
    assert runs[0]["parameters"] == runs[1]["parameters"]
    np.testing.assert_allclose(
        list(runs[0]["gate_norms"].values()), list(runs[1]["gate_norms"].values()), rtol=rtol, atol=atol
    )
    model = ExHuBERTForSequenceClassification.from_pretrained(folder)
    assert model.config.auto_map == ExHuBERTForSequenceClassification.from_pretrained(reference).config.auto_map


@pytest.mark.slow
@pytest.mark.parametrize("config", ["deepspeed_zero2", "deepspeed_zero3", "fsdp"])
def test_a_divided_run_trains_as_one_rank_with_the_double_batch(
    config, one_rank, hubert_folder, tone_dataset, tmp_path
):
    output = tmp_path / "run"
    arguments = train_arguments(hubert_folder, tone_dataset, output, per_device_train_batch_size=4)
    launch_divided(config, tmp_path, arguments)
    assert_trained_alike(output, one_rank)
    checkpoint = Path(last_complete_checkpoint(output))
    assert checkpoint.name == "checkpoint-4", "a divided run can be resumed"
    parts = {"deepspeed_zero2": "*/zero_pp_rank_1_*optim*", "deepspeed_zero3": "*/zero_pp_rank_1_*model*"}
    assert list(checkpoint.glob(parts.get(config, "pytorch_model_fsdp.bin"))), "it wasn't divided"


@pytest.mark.slow
@pytest.mark.parametrize("config", ["deepspeed_zero3", "fsdp"])
def test_a_divided_run_in_bf16_keeps_the_frozen_weights_in_fp32(
    config, one_rank, hubert_folder, tone_dataset, tmp_path
):
    output = tmp_path / "run"
    bf16 = {"bf16": True} if config == "fsdp" else {}
    arguments = train_arguments(hubert_folder, tone_dataset, output, per_device_train_batch_size=4, **bf16)
    launch_divided(config, tmp_path, arguments, computing="bf16")
    assert_trained_alike(output, one_rank, rtol=0.01, atol=5e-3)
    gates = [
        load_file(path / "model.safetensors")["hubert.encoder.layers.0.gate.weight"] for path in (output, one_rank)
    ]
    assert (gates[0] - gates[1]).abs().max() > 1e-5, "it wasn't computed in bf16"


@pytest.mark.slow
def test_two_machines_train_as_one_rank_with_the_double_batch(one_rank, hubert_folder, tone_dataset, tmp_path):
    output = tmp_path / "run"
    arguments = train_arguments(hubert_folder, tone_dataset, output, per_device_train_batch_size=4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = ["--main_process_ip", "127.0.0.1", "--main_process_port", port, "--mixed_precision", "no"]
    machines = [("0", tmp_path / "log_0"), ("1", tmp_path / "log_1")]
    wait_for(*(launch("multi_node", ["--machine_rank", rank, *address], arguments, log) for rank, log in machines))
    assert_trained_alike(output, one_rank)
