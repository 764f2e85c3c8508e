"""Small real objects the tests share: tiny HuBERTs of both layouts, recordings, the published layout's fixture."""

import importlib.util
import io
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import HubertConfig, HubertForSequenceClassification, HubertModel

from exhubert import SIX_CLASSES, ExHuBERTConfig, ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.emoset import build
from exhubert.emoset.sources import ROOT_VARIABLE

PUBLISHED = Path(__file__).parent / "fixtures" / "published"
SHARED_CORPORA = Path(__file__).parents[2] / "shared" / "corpora"

LAYOUTS = {
    "post_norm": {"do_stable_layer_norm": False, "feat_extract_norm": "group", "conv_bias": False},
    "pre_norm": {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True},
}


def tiny_config(layout: str, **fields) -> HubertConfig:
    """Three layers of HuBERT's own shape with HuBERT's real strides: 400 samples make a frame."""
    small = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
        "classifier_proj_size": 16,
        "id2label": {index: name for index, name in enumerate(["calm", "angry", "glad"])},
    }
    return HubertConfig(**(small | LAYOUTS[layout] | fields))


def tiny_hubert(layout: str, model_class=HubertForSequenceClassification, **fields):
    """A random HuBERT whose every weight matters: biases and norms are drawn too, not left at 0 and 1."""
    torch.manual_seed(7)
    model = model_class(tiny_config(layout, **fields))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(params=sorted(LAYOUTS))
def layout(request) -> str:
    return request.param


@pytest.fixture
def speechlike() -> torch.Tensor:
    """A batch of two clips, `(2, 8000)`: tones with noise, half a second at 16 kHz."""
    generator = torch.Generator().manual_seed(3)
    time = torch.arange(8000) / 16_000
    tones = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (180.0, 310.0)])
    return tones + 0.3 * torch.randn(tones.shape, generator=generator)


def write_tone(
    path: Path, seconds: float = 0.5, rate: int = 16_000, frequency: float = 200.0, channels: int = 1
) -> Path:
    """Writes a tone with a little noise that depends on the file name, so that no two recordings are equal."""
    noise = np.random.default_rng(list(path.name.encode()))
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.3 * np.sin(2 * np.pi * frequency * time) + 0.01 * noise.standard_normal(len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.repeat(samples[:, None], channels, axis=1), rate)
    return path


TONES = {
    "low_negative": 150.0,
    "low_neutral": 250.0,
    "low_positive": 400.0,
    "high_negative": 700.0,
    "high_neutral": 1200.0,
    "high_positive": 2000.0,
}


@pytest.fixture(scope="session")
def tone_dataset(tmp_path_factory) -> Path:
    """A built dataset whose classes are pitches: five speakers, six classes, two utterances each, unequal lengths."""

    root = tmp_path_factory.mktemp("tones")
    lines = ["file,label,speaker"]
    for speaker in range(5):
        for label, frequency in TONES.items():
            for take in range(2):
                name = f"{speaker}_{label}_{take}.wav"
                write_tone(root / "own" / name, 0.4 + 0.05 * take, frequency=frequency * (1 + 0.02 * speaker))
                lines.append(f"{name},{label},s{speaker}")
    (root / "own" / "manifest.csv").write_text("\n".join(lines) + "\n")
    build({"own": root / "own"}, root / "built")
    return root / "built"


@pytest.fixture(scope="session")
def hubert_folder(tmp_path_factory) -> Path:
    """A tiny pre-norm HuBERT without a head, as a folder."""
    folder = tmp_path_factory.mktemp("hubert")
    tiny_hubert("pre_norm", HubertModel).save_pretrained(folder)
    return folder


def load_recipe(name: str):
    """A recipe as a module, to call its `main` without the seconds a new process takes."""
    path = Path(__file__).parents[1] / "recipes" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def opened(layout: str, gates=(0.0, 0.3, 0.3), labels=None, **fields) -> ExHuBERTForSequenceClassification:
    """An ExHuBERT of three blocks whose gates are as far open as `gates` says."""
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert(layout), labels)
    if fields:
        config = ExHuBERTConfig(**(model.config.to_dict() | fields))
        wider = ExHuBERTForSequenceClassification(config)
        wider.load_state_dict(model.state_dict(), strict=False)
        model = wider.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        model.classifier.weight.normal_()
        for block, size in zip(model.blocks, gates, strict=True):
            block.gate.weight.copy_(size * torch.randn_like(block.gate.weight))
            block.adapted.attention.q_proj.weight.add_(0.1)
    return model


def save(model, folder: Path, **fields) -> Path:
    for name, value in fields.items():
        setattr(model.config, name, value)
    model.save_pretrained(folder)
    default_feature_extractor(model.config).save_pretrained(folder)
    return folder


def bad_files(folder):
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is not audio, whatever its name says")
    soundfile.write(folder / "zero.wav", np.zeros(0), 16_000)
    soundfile.write(folder / "nan.wav", np.array([0.1, np.nan, 0.2]), 16_000, subtype="FLOAT")
    return {
        "missing.wav": "no such file",
        "empty.wav": "empty",
        "text.wav": "not a recording that can be read",
        "zero.wav": "no samples",
        "nan.wav": "NaN or infinite",
    }


def contained(samples, rate, format, codec, layout=None) -> bytes:
    """`(samples, channels)` in a container that needs PyAV; without `layout` of one or two channels."""
    import av

    buffer = io.BytesIO()
    layout = layout or ("mono" if samples.shape[1] == 1 else "stereo")
    with av.open(buffer, "w", format=format) as container:
        track = container.add_stream(codec, rate=rate, layout=layout)
        packed = np.ascontiguousarray(samples, dtype=np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        queue = av.AudioFifo()
        for part in av.AudioResampler(format=track.codec_context.format, layout=layout, rate=rate).resample(frame):
            queue.write(part)
        while (part := queue.read(track.codec_context.frame_size or 1024, partial=True)) is not None:
            container.mux(track.encode(part))
        container.mux(track.encode(None))
    return buffer.getvalue()


STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0}


def new_model(**fields):
    hubert = tiny_hubert("pre_norm", HubertModel, mask_time_prob=0.0, **STILL)
    torch.manual_seed(0)
    return hubert, ExHuBERTForSequenceClassification.from_hubert(hubert, **fields)


def new_trainer(data, model, folder, callbacks=(), **arguments):
    defaults = {
        "per_device_train_batch_size": 8,
        "num_train_epochs": 1,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "warmup_steps": 0,
        "report_to": [],
        "disable_tqdm": True,
    }
    from exhubert.training import SERTrainer, SERTrainingArguments, SpeechCollator, class_weights

    extractor = default_feature_extractor(model.config)
    return SERTrainer(
        model=model,
        args=SERTrainingArguments(output_dir=str(folder), **(defaults | arguments)),
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        data_collator=SpeechCollator(extractor, 0.4, random_crop=True),
        eval_collator=SpeechCollator(extractor, 0.4),
        processing_class=extractor,
        class_weights=class_weights([0, 0, 0, 1, 2, 3, 4, 5], 6),
        callbacks=list(callbacks),
    )


def real_batch(data, model):
    from exhubert.training import SpeechCollator

    collate = SpeechCollator(default_feature_extractor(model.config), 0.4, random_crop=True)
    return collate([data["train"][index] for index in range(3)])


RUN = {
    "model": {"method": "exhubert"},
    "data": {"corpora": None, "languages": None, "max_seconds": 1.0, "class_weighting": True},
    "corpora": ["emo_db", "own", "demo"],
    "languages": ["und"],
    "steps": 2,
    "seconds": 1.0,
    "processes": 1,
    "utterances": {"train": 36},
    "parameters": {"trainable": 1, "all": 2},
    "validation": {"uar": 0.5},
    "training": {"seed": 0},
    "versions": {},
    "gate_norms": {"0": 0.0, "1": 0.1, "2": 0.2},
    "invariants": {
        "ZeroInitIdentityCallback": {"checked": False, "reference": "nothing"},
        "FrozenWeightsCallback": {"parameters": 1, "sha256_before": "a", "sha256_after": "a", "unchanged": True},
        "DisjointSpeakersCallback": {"speakers": 5, "unnamed": 0},
        "GateReportCallback": {
            "history": [
                {"step": 0, "norm": [0.0] * 3, "added": [0.0] * 3},
                {"step": 2, "norm": [0.0, 0.1, 0.2], "added": [0.0, 0.01, 0.02]},
            ]
        },
    },
}


def untrained(folder, seed, run=None):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm", HubertModel), list(SIX_CLASSES))
    torch.manual_seed(seed)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(folder)
    if run:
        (folder / "run.json").write_text(json.dumps(run))
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": [{"step": 1, "loss": 1.0}]}))
    return folder


def evaluate(model, data, output, *options):
    load_recipe("evaluate_model").main([str(model), "--data", str(data), "--output", str(output), *map(str, options)])
    return json.loads((output / "results.json").read_text())


@pytest.fixture(scope="module")
def evaluated(tone_dataset, tmp_path_factory):
    """A model with a record of training, another without, and the results of both, the first with its card."""
    folder = tmp_path_factory.mktemp("evaluated")
    model, other = untrained(folder / "model", 0, RUN), untrained(folder / "other", 3)
    second = evaluate(other, tone_dataset, folder / "second", "--partition", "train", "--max_seconds", 1)
    compared = ("--compare", f"other={folder / 'second'}", "--card", "--max_seconds", 1)
    first = evaluate(model, tone_dataset, folder / "first", "--partition", "train", *compared)
    return folder, first, second


def write_video(path, seconds=0.5, rate=48_000, frequency=440.0, layout="stereo", codec="pcm_s16le"):
    """A container with one sound track, made with PyAV."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    samples = 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.repeat((samples * 32767).astype("<i2")[:, None], channels, axis=1).reshape(1, -1), "s16", layout
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    root = tmp_path / "corpora"
    for index, speaker in enumerate(("03", "08", "09", "10", "11")):
        for pitch, emotion in enumerate("WLEAFTN"):
            write_tone(root / f"EMO-DB/wav/{speaker}a01{emotion}a.wav", frequency=150.0 + 9 * index + 40 * pitch)
    for index in range(1, 4):
        write_video(root / f"some archive/subject {index}/anger/sentence 1/s{index}_an_1.avi", frequency=200.0 * index)
        write_tone(root / f"my calls/{index}.wav", frequency=77.0 * index)
    (root / "my calls/manifest.csv").write_text(
        "file,label,speaker\n1.wav,joy,a\n2.wav,joy,b\n3.wav,joy,c\n3.wav,sung,c\n"
    )
    (root / "EMO-DB/wav/03a02Na.wav").write_text("damaged")
    write_tone(root / "riddle/a.wav")
    return root


OUTPUTS = ["valence", "arousal", "dominance"]


@pytest.fixture(scope="session")
def regression_folder(tmp_path_factory) -> str:
    """A regression model of three outputs, none of them a probability, with windows of 1 s."""
    model = opened("pre_norm", labels=OUTPUTS)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([2.5, -1.25, 0.5]))
    folder = tmp_path_factory.mktemp("regression")
    return str(save(model, folder, window_seconds=1.0, problem_type="regression", logit_temperature=2.0))


def write_silence(path: Path, seconds: float = 1.5, offset: float = 0.01, rate: int = 16_000) -> Path:
    """Writes a recording without sound; a recorder left its offset in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(round(seconds * rate), offset), rate)
    return path


STRANGE = os.fsdecode(b"line\xe2\x80\xa8 and \xff.wav")  # a line separator, and a byte that isn't UTF-8


@pytest.fixture
def folder(layout, tmp_path):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert(layout), window_seconds=1.0)
    model.save_pretrained(tmp_path / "model")
    default_feature_extractor(model.config).save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def recordings(tmp_path):
    """Two good recordings and a bad one in folders with awkward names."""
    root = tmp_path / 'calls, "first" batch'
    write_tone(root / "ünï 1.wav", 2.5)
    write_tone(root / "deep" / "b\n2.flac", 0.8)
    (root / "broken.wav").write_bytes(b"RIFF")
    (root / "notes.txt").write_text("no recording")
    write_tone(root / "plain.wav").rename(root / STRANGE)
    (root / "deep" / "loop").symlink_to(root)
    return root
