"""Trainer callbacks that check the method's invariants during training, and stop a run that breaks one."""

import functools
import hashlib
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState
from transformers.utils import logging

from ..conversion.folding import added_shares
from ..conversion.identity import IdentityReport, identity_report
from ..emoset.batches import SpeechCollator
from ..emoset.dealing.partition import LeakageError, check_leakage
from .sharding import kept_parameters, whole

logger = logging.get_logger(__name__)


class InvariantError(RuntimeError):
    """An invariant of the method is broken in this run; the message says which."""


class _Findings(TrainerCallback, ExportableState):
    """Saves `findings` in `trainer_state.json`, from which resumed runs restore them."""

    def __init__(self):
        self.findings: dict[str, Any] = {}

    def state(self) -> dict[str, Any]:
        return {"args": {}, "attributes": {"findings": self.findings}}

    def _recall(self, state) -> bool:
        """Restores the findings if a run is resumed; returns whether one is."""
        stored = (state.stateful_callbacks or {}).get(type(self).__name__)
        if state.global_step > 0 and stored:
            self.findings = stored["attributes"]["findings"]
        return state.global_step > 0

    def on_train_end(self, args, state, control, **kwargs):
        state.stateful_callbacks[type(self).__name__] = self.state()


class ZeroInitIdentityCallback(_Findings):
    """Refuses to train unless the model still computes what its HuBERT does, and checks the first effective step.

    Before step 0, every rank compares the model with the HuBERT on a real batch: hidden states and logits must be equal
    bit for bit. The comparison runs when the Trainer is created, before DeepSpeed or FSDP shard the weights. At the
    first step with a learning rate above zero, the gates must get gradients and the adapted copies none; after it,
    every gate must have changed and no frozen weight.

    Args:
        hubert: The HuBERT the model was made from; None for a model that isn't at step 0.
        batch: A real batch: `input_values` and, if used, `attention_mask`.
        reference: Source of the HuBERT, or the reason why there is none; stored in the findings.
    """

    def __init__(self, hubert=None, batch: dict[str, torch.Tensor] | None = None, reference: str = ""):
        super().__init__()
        self.hubert, self.batch = hubert, _inputs_of(batch or {})
        self.findings = {"reference": reference, "checked": hubert is not None}
        self._report: IdentityReport | None = None
        self._before: dict[str, torch.Tensor] = {}
        self._with_gradient: set[str] = set()
        self._handles: list[RemovableHandle] = []

    def on_init_end(self, args, state, control, model=None, **kwargs):
        if self.hubert is not None:
            device = next(model.parameters()).device
            batch = {key: value.to(device) for key, value in self.batch.items()}
            self._report = identity_report(model, self.hubert.to(device), batch)
            self.hubert.cpu()
            self.hubert = None

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        if self._recall(state):
            self.hubert = self._report = None
        else:
            self.on_init_end(args, state, control, model)  # for a callback added after the Trainer was created
        report = self._report
        if report is None:
            logger.info("Zero-init identity: not checked (%s).", self.findings.get("reference") or "resumed run")
            return
        utterances = len(self.batch["input_values"])
        self.findings |= report.to_dict() | {"utterances": utterances}
        logger.warning(
            "Zero-init identity on %d utterances, against the %s: difference of %g in hidden states, %g in logits.",
            utterances,
            self.findings["reference"],
            report.hidden_states,
            report.logits,
        )
        if not report.identical:
            raise InvariantError(
                f"At step 0 the model differs from the HuBERT it came from by {report.hidden_states:g} in hidden "
                f"states and {report.logits:g} in logits; both must be 0. Extend the HuBERT again, or check that "
                f"{self.findings['reference']} is the right one."
            )

    def on_step_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
        if self._report is None or all(group["lr"] == 0.0 for group in optimizer.param_groups):
            return
        for name, parameter in kept_parameters(model):
            if ".gate." in name or not parameter.requires_grad:
                self._before[name] = whole(parameter).clone()
            if parameter.requires_grad:
                # DeepSpeed frees the gradients before the next event, so hooks check them in the backward pass
                self._handles.append(parameter.register_hook(functools.partial(self._note_gradient, name)))

    def _note_gradient(self, name: str, gradient: torch.Tensor):
        if gradient.any():
            self._with_gradient.add(name)

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if not self._handles:
            return
        for handle in self._handles:
            handle.remove()
        self._handles = []
        parameters = dict(model.named_parameters())
        gradients = {name: whole(p.grad) for name, p in parameters.items() if p.grad is not None}
        if args.fp16 and not all(gradient.isfinite().all() for gradient in gradients.values()):
            self._before, self._with_gradient = {}, set()
            return  # the gradient scaler skips this step
        self._report = None  # once is enough
        seen = self._with_gradient | {name for name, gradient in gradients.items() if gradient.any()}
        gates = {name for name in parameters if ".gate." in name}
        closed, early = sorted(gates - seen), sorted(name for name in seen if ".adapted." in name)
        if closed or early:
            raise InvariantError(f"At step 0 these gates get no gradient: {closed}; these adapted copies do: {early}.")
        self.findings |= {"gates_with_gradient": len(gates), "adapted_copies_with_gradient": len(early)}

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if not self._before:
            return
        before, self._before = self._before, {}
        moved = {n for n, p in kept_parameters(model) if n in before and not torch.equal(whole(p), before[n])}
        gates = {name for name in before if ".gate." in name}
        if moved != gates:
            raise InvariantError(
                f"After the first step these gates didn't move: {sorted(gates - moved)}; these frozen weights did: "
                f"{sorted(moved - gates)}."
            )
        self.findings["gates_moved_at_step"] = state.global_step
        logger.warning("Step %d: all %d gate tensors moved, no frozen weight did.", state.global_step, len(gates))


class ElapsedTimeCallback(_Findings):
    """Sums the seconds a run trained, across interruptions; work lost after the last checkpoint isn't counted."""

    def on_train_begin(self, args, state, control, **kwargs):
        self._recall(state)
        self._before = self.findings.get("seconds", 0.0)
        self._start = time.perf_counter()

    def _count(self):
        self.findings["seconds"] = round(self._before + time.perf_counter() - self._start, 1)

    def on_step_end(self, args, state, control, **kwargs):
        self._count()

    def on_train_end(self, args, state, control, **kwargs):
        self._count()
        super().on_train_end(args, state, control)


class FiniteCallback(TrainerCallback):
    """Stops a run whose losses or gradients become NaN or infinite, and names the utterances of that batch.

    `SERTrainer` calls `check` for each batch, on every rank.
    """

    def __init__(self):
        self.step = 0
        self.utterances: list[str] = []

    def check(self, losses: torch.Tensor, utterances: Sequence[str], training: bool) -> None:
        """Raises `InvariantError` if one of `losses` `(utterances,)` is NaN or infinite."""
        if training:
            self.utterances += utterances
        finite = torch.isfinite(losses.detach())
        if not finite.all():
            bad = [name for name, good in zip(utterances, finite.tolist(), strict=True) if not good]
            raise InvariantError(
                f"After step {self.step} the loss is NaN or infinite on {', '.join(bad)}. Look at these recordings; if "
                "they are all right, lower the learning rate."
            )

    def on_step_begin(self, args, state, control, **kwargs):
        self.step = state.global_step
        self.utterances = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if not args.fp16:  # the gradient scaler of fp16 skips such steps
            self.check_gradients([p.grad for p in model.parameters() if p.grad is not None])

    def check_gradients(self, gradients: Sequence[torch.Tensor]) -> None:
        """Raises `InvariantError` if a gradient is NaN or infinite."""
        if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            raise InvariantError(
                f"After step {self.step} a gradient is NaN or infinite, on a batch of {', '.join(self.utterances)}. "
                "Lower the learning rate, or max_grad_norm."
            )


class DisjointSpeakersCallback(_Findings):
    """Refuses to train if a speaker is in more than one partition.

    Args:
        speakers: Speaker of each utterance, by partition; None for an unnamed speaker.
        divided: Speakers that may be in train and validation, by the rule for few speakers of `exhubert.emoset`.
        allow_leak: Record speakers that are in several partitions instead.
    """

    def __init__(
        self, speakers: Mapping[str, Sequence[str | None]], divided: Collection[str] = (), allow_leak: bool = False
    ):
        super().__init__()
        self.speakers, self.divided, self.allow_leak = speakers, divided, allow_leak

    def on_train_begin(self, args, state, control, **kwargs):
        parts = [part for part, speakers in self.speakers.items() for _ in speakers]
        names = [name for speakers in self.speakers.values() for name in speakers]
        divided = set(self.divided) & set(names)
        if self.allow_leak:
            counts = Counter(name for speakers in self.speakers.values() for name in set(speakers) if name is not None)
            divided |= {name for name, partitions in counts.items() if partitions > 1}
        else:
            try:
                check_leakage(names, parts, "speakers", self.divided)
            except LeakageError as error:
                raise InvariantError(str(error)) from error
        self.findings |= {"speakers": len({name for name in names if name}), "unnamed": names.count(None)}
        if divided:
            self.findings["divided"] = sorted(divided)


class GateReportCallback(_Findings):
    """Records how far training opens the gates, on the same real batch before training and at every evaluation.

    For each block it records the Frobenius norm of the gate's weight, and what the block adds relative to the output
    f of its frozen copy: the norm of gate(adapted(f)) over the norm of f. TensorBoard, Trackio and other loggers get
    the same values as `gate_norm/<block>` and `gate_added/<block>`.

    Args:
        batch: `input_values` and, if used, `attention_mask`.
    """

    def __init__(self, batch: dict[str, torch.Tensor]):
        super().__init__()
        self.batch = _inputs_of(batch)
        self.loggers: Sequence[TrainerCallback] = ()
        self.findings = {"history": []}

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        if not self._recall(state):
            self._report(args, state, control, model)

    def on_evaluate(self, args, state, control, model=None, **kwargs):
        history = self.findings["history"]
        if not history or history[-1]["step"] < state.global_step:
            self._report(args, state, control, model)

    def _report(self, args, state, control, model):
        norms, added = gate_norms(model), list(added_shares(model, self.batch).values())
        self.findings["history"].append({"step": state.global_step, "norm": norms, "added": added})
        logs = {f"gate_norm/{index:02d}": norm for index, norm in zip(model.gates, norms, strict=True)}
        logs |= {f"gate_added/{index:02d}": share for index, share in zip(model.gates, added, strict=True)}
        for logger_ in self.loggers:
            logger_.on_log(args, state, control, logs=dict(logs), model=model)


class CropEpochCallback(TrainerCallback):
    """Sets the epoch of a collator; its batches must come from the main process or workers started each epoch."""

    def __init__(self, collator: SpeechCollator):
        self.collator = collator

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.collator.epoch = int(state.epoch or 0)


def _inputs_of(batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The model inputs of a batch."""
    return {key: batch[key] for key in ("input_values", "attention_mask") if key in batch}


def gate_norms(model: torch.nn.Module) -> list[float]:
    """Frobenius norm of each block's gate, first block first."""
    gates = [parameter for name, parameter in kept_parameters(model) if name.endswith(".gate.weight")]
    return [whole(gate).float().norm().item() for gate in gates]


class FrozenWeightsCallback(_Findings):
    """Hashes every frozen weight before training, at every checkpoint and at the end, on every rank.

    Any difference is an error, even if training ends with a best checkpoint from before it, or if it comes from
    DeepSpeed rounding the weights.
    """

    def __init__(self):
        super().__init__()
        self._given: str | None = None

    def on_init_end(self, args, state, control, model=None, **kwargs):
        self._given = frozen_hash(model)["sha256"]

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        resumed = self._recall(state)
        frozen = frozen_hash(model)
        if not resumed and self._given not in (None, frozen["sha256"]):
            raise InvariantError(
                "The frozen weights changed before the first step. DeepSpeed rounds all weights if its bf16 or fp16 "
                "is on: use --bf16 false, and enable `torch_autocast` as recipes/accelerate/deepspeed_zero2.json does."
            )
        if resumed and self.findings.get("sha256_before", frozen["sha256"]) != frozen["sha256"]:
            raise InvariantError("The frozen weights of the checkpoint differ from those the run began with.")
        self.findings |= {
            "tensors": frozen["tensors"],
            "parameters": frozen["parameters"],
            "sha256_before": frozen["sha256"],
        }

    def _compare(self, model):
        self.findings["sha256_after"] = frozen_hash(model)["sha256"]
        self.findings["unchanged"] = self.findings["sha256_after"] == self.findings["sha256_before"]
        if not self.findings["unchanged"]:
            raise InvariantError("Frozen weights changed during training; the run can't be trusted.")

    def on_save(self, args, state, control, model=None, **kwargs):
        self._compare(model)

    def on_train_end(self, args, state, control, model=None, **kwargs):
        self._compare(model)
        super().on_train_end(args, state, control)
        logger.warning(
            "Frozen weights unchanged: %d tensors, %d parameters, sha256 %s.",
            self.findings["tensors"],
            self.findings["parameters"],
            self.findings["sha256_after"][:16],
        )


def frozen_hash(model: torch.nn.Module) -> dict[str, Any]:
    """SHA-256 over the names and bytes of all frozen parameters, with the number of tensors and parameters."""
    digest, tensors, count = hashlib.sha256(), 0, 0
    for name, parameter in sorted(kept_parameters(model)):
        if not parameter.requires_grad:
            digest.update(name.encode())
            weight = whole(parameter)
            digest.update(weight.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
            tensors, count = tensors + 1, count + weight.numel()
    return {"sha256": digest.hexdigest(), "tensors": tensors, "parameters": count}
