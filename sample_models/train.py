"""Train a sample model and write its weights: `python -m sample_models.train NAME [--data FOLDER]`.

The image models in this repository were trained on all 60,000 training images, so `--data` names a folder
with the original Fashion-MNIST files; without it the bundled 20,000 are used and the accuracy is lower.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from sample_models import fashion_mnist, shakespeare
from sample_models.fashion_resnet import FashionResNet
from sample_models.fashion_vit import FashionViT
from sample_models.tiny_gpt import CONTEXT, TinyGPT
from sample_models.weights import FOLDER

Steps = Iterator[tuple[Tensor, Tensor]]


def image_steps(folder: Path, batch: int, epochs: int, generator: torch.Generator) -> Steps:
    """Batches of augmented training images and their labels, `epochs` times through the split."""
    images, labels = fashion_mnist.images_and_labels("train", folder)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=generator).split(batch):
            yield fashion_mnist.shifted_and_mirrored(images[rows], generator), labels[rows]


def text_steps(batch: int, n_steps: int, generator: torch.Generator) -> Steps:
    """Random windows of the training plays and the characters that follow."""
    codes = shakespeare.characters("train")
    window = torch.arange(CONTEXT + 1)
    for _ in range(n_steps):
        starts = torch.randint(len(codes) - CONTEXT, (batch, 1), generator=generator)
        text = codes[starts + window]
        yield text[:, :-1], text[:, 1:]


def fit(
    model: nn.Module,
    steps: Steps,
    n_steps: int,
    peak_rate: float,
    decay: float,
    smoothing: float,
    report: Callable[[], str],
    after: Callable[[int], None] = lambda step: None,
) -> None:
    """AdamW under a one-cycle rate, cross-entropy loss; prints `report()` twenty times; calls `after(step)`."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak_rate, total_steps=n_steps, pct_start=0.15)
    start = time.monotonic()
    for step, (inputs, wanted) in enumerate(steps, start=1):
        model.train()
        logits = model(inputs)
        loss = F.cross_entropy(logits.flatten(0, -2), wanted.flatten(), label_smoothing=smoothing)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        after(step)
        if step % max(1, n_steps // 20) == 0 or step == n_steps:
            print(
                f"step {step}/{n_steps}  loss {loss.item():.4f}  {report()}  {time.monotonic() - start:.0f} s",
                flush=True,
            )


@torch.inference_mode()
def accuracy(model: nn.Module) -> str:
    model.eval()
    images, labels = fashion_mnist.images_and_labels("t10k")
    right = sum(
        (model(x).argmax(1) == y).sum().item() for x, y in zip(images.split(1000), labels.split(1000), strict=True)
    )
    return f"test accuracy {right / len(labels):.4f}"


@torch.inference_mode()
def perplexity(model: nn.Module) -> str:
    model.eval()
    text, following = shakespeare.passages("evaluation", CONTEXT)
    losses = [
        F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum")
        for x, y in zip(text.split(256), following.split(256), strict=True)
    ]
    return f"held-out perplexity {(sum(losses) / following.numel()).exp().item():.3f}"  # type: ignore[union-attr]


def write_weights(model: nn.Module, path: Path) -> None:
    """Tied weights once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(weights, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["fashion-resnet", "fashion-vit", "tiny-gpt"])
    parser.add_argument(
        "--data", type=Path, default=fashion_mnist.FOLDER, help="folder with the Fashion-MNIST IDX files"
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write NAME.safetensors to")
    parser.add_argument("--epochs", type=int, help="passes over the images (resnet 16, vit 24)")
    parser.add_argument("--steps", type=int, default=6_000, help="steps of tiny-gpt")
    parser.add_argument("--keep-initial", action="store_true", help="also write NAME.initial.safetensors")
    parser.add_argument("--keep-early", type=int, metavar="STEP", help="also write NAME.early.safetensors, after STEP")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)

    def keep(step: int) -> None:
        if step == 0 and args.keep_initial:
            write_weights(model, args.out / f"{args.name}.initial.safetensors")
        if step > 0 and step == args.keep_early:
            write_weights(model, args.out / f"{args.name}.early.safetensors")

    if args.name == "tiny-gpt":
        model: nn.Module = TinyGPT()
        keep(0)
        fit(model, text_steps(64, args.steps, generator), args.steps, 3e-3, 0.1, 0.0, lambda: perplexity(model), keep)
    else:
        model, rate, epochs, smoothing = {
            "fashion-resnet": (FashionResNet(), 1e-2, 16, 0.05),
            "fashion-vit": (FashionViT(), 2e-3, 24, 0.05),
        }[args.name]
        keep(0)
        epochs = args.epochs or epochs
        n_images = len(fashion_mnist.read_idx(args.data / "train-labels-idx1-ubyte.gz"))
        n_steps = epochs * -(-n_images // 128)
        fit(
            model,
            image_steps(args.data, 128, epochs, generator),
            n_steps,
            rate,
            0.05,
            smoothing,
            lambda: accuracy(model),
            keep,
        )
    write_weights(model, args.out / f"{args.name}.safetensors")


if __name__ == "__main__":
    main()
