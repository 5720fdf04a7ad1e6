"""ExpressionTask: the one recipe that trains and scores any of the networks, so that a comparison is one flag wide."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fer_lightning.distillation import Teachers, distillation_loss
from fer_lightning.errors import UserError
from fer_lightning.metrics import ExpressionMetrics
from fer_lightning.mixing import mixed
from fer_lightning.models import TAKE_ANY_SIDE, NetworkName, build_network
from fer_lightning.preprocess import to_tensor
from fer_lightning.progressive import shown, side_at


class ExpressionTask(pl.LightningModule):
    """Cross-entropy with soft targets, AdamW with warm-up and cosine, averaged weights, per-class scores."""

    def __init__(
        self,
        classes: list[str],
        class_shares: list[float] | None = None,
        network: NetworkName = "improved_cnn",
        dropout: float | None = None,
        groups: int | None = None,
        dilation: int | None = None,
        output_stride: int | None = None,
        batch_norm: bool | None = None,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        warmup: float = 0.05,
        label_smoothing: float = 0.05,
        class_weights: Literal["none", "sqrt", "balanced"] = "none",
        mixup: float = 0.0,
        ema_decay: float = 0.999,
        progressive_resizing: float = 0.0,
        teacher: list[str] | None = None,
        distillation_weight: float = 0.7,
        distillation_temperature: float = 3.0,
        seed: int = 42,
    ) -> None:
        """Choose the network and the recipe.

        Args:
            classes: Names of the classes; the command line takes them from the data.
            class_shares: Share of each class among the training rows, for balanced class weights.
            network: Which network is trained.
            dropout: Share of the activations dropped before the head; by default the network's own.
            groups: Primary partitions of the interleaved group convolutions; by default the network's own.
            dilation: Dilation of the fourth residual module; by default the network's own.
            output_stride: Pixels of the face to a pixel of the improved network's last map (8, 4 or 2): fewer cost more
                time and no parameter; by default 8.
            batch_norm: Normalisation in the plain network; by default it has it.
            learning_rate: Highest learning rate, reached after the warm-up.
            weight_decay: Decay of the weights; biases and normalisation are spared.
            warmup: Share of the training in which the learning rate rises, 0..1.
            label_smoothing: Share of the target spread over all classes, 0..1.
            class_weights: balanced weighs each class by the inverse of its share in the training rows, sqrt by the root
                of that inverse.
            mixup: Alpha of mixup, at least 0: faces and targets are blended in pairs, shares from Beta(alpha, alpha),
                which a teacher sees too.
            ema_decay: Decay of the averaged weights, which are scored and saved; 0 scores the raw weights.
            progressive_resizing: Share of the training, at its beginning, in which faces are smaller (32, then 40
                pixels) and cost less; for networks that average over the picture.
            teacher: Checkpoints, trained on the same data, whose averaged answers are learned beside the targets.
            distillation_weight: Weight of the teachers in the loss, 0..1; the rest is that of the targets.
            distillation_temperature: Temperature that softens the answers of teachers and network, above 0.
            seed: Seed of dropout; with it every step draws the same whether a run was resumed or not.
        """
        super().__init__()
        shares = {"warmup": warmup, "label_smoothing": label_smoothing, "ema_decay": ema_decay}
        shares["progressive_resizing"] = progressive_resizing
        for name, value in shares.items():
            if not 0 <= value < 1:
                raise UserError(f"--model.{name} {value}: need a number from 0 to below 1")
        if progressive_resizing and network not in TAKE_ANY_SIDE:
            said = f"--model.progressive_resizing {progressive_resizing}: {network}"
            raise UserError(f"{said} takes faces of one size only; give 0, or choose from {', '.join(TAKE_ANY_SIDE)}")
        if not 0 <= distillation_weight <= 1 or not 0 < distillation_temperature < math.inf:
            weights = f"--model.distillation_weight {distillation_weight}"
            raise UserError(
                f"{weights} --model.distillation_temperature {distillation_temperature}: need 0 to 1 and above 0"
            )
        if not 0 < learning_rate < math.inf or not 0 <= weight_decay < math.inf:
            rates = f"--model.learning_rate {learning_rate} --model.weight_decay {weight_decay}"
            raise UserError(f"{rates}: need above 0 and at least 0")
        if not 0 <= mixup < math.inf:
            raise UserError(f"--model.mixup {mixup}: need at least 0")
        self.classes = tuple(classes)
        self.learning_rate, self.weight_decay, self.warmup = learning_rate, weight_decay, warmup
        self.label_smoothing, self.ema_decay, self.seed = label_smoothing, ema_decay, seed
        self.progressive_resizing, self.mixup = progressive_resizing, mixup
        given = {"dropout": dropout, "groups": groups, "dilation": dilation, "batch_norm": batch_norm}
        given["output_stride"] = output_stride
        self.options = {name: value for name, value in given.items() if value is not None}
        self.network_name: NetworkName = network
        self.net = build_network(network, len(classes), **self.options).to(memory_format=torch.channels_last)
        self.class_weights = None if class_weights == "none" else _class_weights(class_shares, class_weights)
        self._steps = 1  # of the whole training, known when it begins
        self.distillation = (distillation_weight, distillation_temperature)
        self._teachers: tuple[Teachers] | None = None  # in a tuple, so that no checkpoint holds their weights
        self.card: dict[str, Any] = {}
        self.predictions: list[tuple[Tensor, Tensor, Tensor]] = []
        self.scores = nn.ModuleDict({f"{stage}_": ExpressionMetrics(classes) for stage in ("val", "test")})

    def forward(self, faces: Tensor) -> Tensor:
        """Map grey faces, uint8 ``(N, 48, 48)``, to logits, float32 ``(N, K)``."""
        logits: Tensor = self.net(to_tensor(faces))
        return logits

    def learn_from(self, networks: Sequence[nn.Module]) -> None:
        """Take trained networks of the same classes as teachers; they see the very faces that the network sees."""
        self._teachers = (Teachers(networks),)

    def on_fit_start(self) -> None:
        """Bring the teachers to the device of the training."""
        if self._teachers:
            self._teachers[0].to(self.device)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed dropout by the step alone, so that a resumed run repeats the uninterrupted one."""
        torch.manual_seed(hash((self.seed, self.current_epoch, batch_idx, self.global_rank)))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch, averaged over its rows."""
        faces, targets = mixed(to_tensor(batch["faces"]), batch["targets"], self.mixup)
        done = self.global_step / self._steps
        logits: Tensor = self.net(shown(faces, side_at(done, self.progressive_resizing)))
        loss = self.loss(logits, targets)
        if self._teachers:
            weight, temperature = self.distillation
            taught = distillation_loss(logits, self._teachers[0](faces, temperature), temperature)
            loss = (1 - weight) * loss + weight * taught
        hits = (logits.detach().argmax(1) == batch["labels"]).float().mean()
        size = len(logits)
        self.log("train/loss", loss.detach(), on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        self.log("train/accuracy", hits, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy (paper, eq. 3 with the logarithm that its print lacks).

        Args:
            logits: ``(N, K)``.
            targets: Shares of the classes, ``(N, K)``, rows sum to 1; one-hot for hard labels.
        """
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        return F.cross_entropy(logits, targets, weight=weights, label_smoothing=self.label_smoothing)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Score one batch of the rows that choose the checkpoint."""
        self._score("val", batch)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Score one batch of the rows that are reported."""
        self._score("test", batch)

    def _score(self, stage: str, batch: dict[str, Tensor]) -> None:
        logits = self(batch["faces"])
        probabilities = logits.float().softmax(1)
        self._metrics(stage).update(probabilities, batch["labels"])
        size = len(logits)
        loss = F.cross_entropy(logits, batch["targets"])
        self.log(f"{stage}/loss", loss, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        if self.trainer.state.fn != TrainerFn.FITTING:
            self.predictions.append((batch["rows"].cpu(), batch["labels"].cpu(), probabilities.cpu()))

    def _metrics(self, stage: str) -> ExpressionMetrics:
        metrics = self.scores[f"{stage}_"]  # ModuleDict refuses keys that are methods of it, hence the tail
        assert isinstance(metrics, ExpressionMetrics)
        return metrics

    def on_validation_epoch_start(self) -> None:
        """Forget the predictions of an earlier pass."""
        self.predictions = []

    def on_test_epoch_start(self) -> None:
        """Forget the predictions of an earlier pass."""
        self.predictions = []

    def on_validation_epoch_end(self) -> None:
        """Log the scores by which the checkpoint is chosen."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores of the reported rows."""
        self._log_scores("test")

    def _log_scores(self, stage: str) -> None:
        metrics = self._metrics(stage)
        if self.trainer.world_size > 1:
            shares: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(shares, self.predictions)
            self.predictions = [batch for share in shares for batch in share]
        self.log_dict({f"{stage}/{name}": value for name, value in metrics.compute().items()})
        metrics.reset()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW, decay on weights only; the learning rate warms up and falls along a cosine to zero."""
        parameters = [p for p in self.net.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate)
        if math.isinf(self.trainer.estimated_stepping_batches):
            raise UserError("max_epochs -1: give the training a length; its learning rate falls to the end")
        steps = self._steps = max(1, int(self.trainer.estimated_stepping_batches))
        warmup = max(1, round(self.warmup * steps))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_callbacks(self) -> Sequence[Callback]:
        """Return the averaging of weights, which is part of the recipe."""
        return [AveragedWeights(self.ema_decay)] if self.ema_decay else []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the card travel in the file that training resumes from."""
        training = {**self.card.get("training", {}), "best_epoch": self.current_epoch + 1}
        checkpoint["card"] = {**self.card, "training": training}


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights; young averages forget faster, so that short trainings gain too."""

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=_warmed_up_average(decay))


def _warmed_up_average(decay: float) -> Any:
    def update(averages: Any, weights: Any, updates: Tensor | int) -> None:
        now = min(decay, (1 + int(updates)) / (10 + int(updates)))
        get_ema_multi_avg_fn(now)(averages, weights, updates)

    return update


def _class_weights(shares: Sequence[float] | None, kind: Literal["sqrt", "balanced"]) -> Tensor:
    """Return what each class weighs; a training row weighs 1 on the average."""
    if not shares or min(shares) <= 0:
        raise UserError(f"--model.class_weights {kind}: every class needs at least one training row")
    inverse = torch.tensor(shares) ** (-1.0 if kind == "balanced" else -0.5)
    return inverse / (torch.tensor(shares) * inverse).sum()
