"""Masks of a plan held through the trainers of Lightning and Hugging Face, where these are installed."""

import pytest
import torch
from torch import nn

from core import Cut, SecateurError, SparsityPlan, held_masks

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("ignore")]  # theirs are not ours
QUERY = "bert.encoder.layer.0.attention.self.query"


def test_lightning_with_accumulated_and_clipped_gradients_and_its_checkpoints(tmp_path):
    lightning = pytest.importorskip("lightning")

    class Network(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 4))
            self.zeros = []

        def training_step(self, batch, index):
            return self.net(batch[0]).square().sum()

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), 0.05)

        def on_train_batch_end(self, *_):
            self.zeros.append(int((self.net[0].weight == 0).sum()))

    class Held(lightning.Callback):
        def on_fit_start(self, trainer, module):
            self.held = held_masks(module.net, plan).begin()

        def on_fit_end(self, trainer, module):
            self.held.end()

    plan = SparsityPlan((Cut("0", "weight", 0.5),))
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(32, 8)), 8)

    def trainer(**more):
        return lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False,
            enable_model_summary=False, accumulate_grad_batches=2, gradient_clip_val=1.0, **more,
        )  # fmt: skip

    model = Network()
    with held_masks(model.net, plan) as held:
        trainer().fit(model, data)
    assert held.steps == 4
    assert model.zeros == [48] * 8
    (kept,) = tmp_path.rglob("*.ckpt")
    weight = torch.load(kept, weights_only=True)["state_dict"]["net.0.weight"]
    assert int((weight == 0).sum()) == 48

    model = Network()
    trainer(callbacks=[Held()], enable_checkpointing=False).fit(model, data)
    assert model.zeros == [48] * 8


def tiny_bert():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=16,
        )
    )  # fmt: skip


def test_the_trainer_of_hugging_face_that_loads_its_best_checkpoint_at_the_end(tmp_path):
    pytest.importorskip("accelerate")
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file

    model = tiny_bert()
    rows = [{"input_ids": torch.randint(0, 50, (8,)), "labels": torch.tensor(i % 2)} for i in range(32)]
    asked = transformers.TrainingArguments(
        tmp_path, per_device_train_batch_size=8, num_train_epochs=2, use_cpu=True, save_strategy="epoch",
        eval_strategy="epoch", load_best_model_at_end=True, weight_decay=0.1, learning_rate=0.01, report_to=[],
        disable_tqdm=True,
    )  # fmt: skip
    with held_masks(model, SparsityPlan((Cut(QUERY, "weight", 0.5),))) as held:
        transformers.Trainer(model, asked, train_dataset=rows, eval_dataset=rows).train()
    assert held.steps == 8
    assert int((model.get_parameter(f"{QUERY}.weight") == 0).sum()) == 128
    files = list(tmp_path.rglob("model.safetensors"))
    assert len(files) == 2
    assert all(int((load_file(file)[f"{QUERY}.weight"] == 0).sum()) == 128 for file in files)


def test_an_adapter_of_peft_is_refused_before_and_inside():
    peft = pytest.importorskip("peft")
    plan = SparsityPlan((Cut(QUERY, "weight", 0.5),))
    model = tiny_bert()

    def adapted():
        return peft.get_peft_model(model, peft.LoraConfig(target_modules=["query"], r=2))

    def inside():
        with held_masks(model, plan):
            wrapped = adapted()
            torch.optim.SGD([p for p in wrapped.parameters() if p.requires_grad], 0.1).step()

    with pytest.raises(SecateurError, match=r"is no parameter of its Linear any more.*LoRA and FSDP cannot hold"):
        inside()
    with pytest.raises(SecateurError, match=r"wears an adapter.*merge_and_unload"):
        held_masks(model, plan).begin()
