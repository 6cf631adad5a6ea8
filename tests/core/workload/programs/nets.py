"""Small models, exported as their users would, and their data."""

import warnings

import torch
from safetensors.torch import save_file
from torch import nn


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.bn = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.c2, self.fc = nn.Conv2d(4, 6, 3, padding="same"), nn.Linear(6 * 16, 3)

    def forward(self, x):
        x = torch.relu(self.bn(self.c1(x)))
        return self.fc(torch.max_pool2d(torch.relu_(self.c2(x)), 2).flatten(1))


class Mlp(nn.Module):
    """Takes a table beside the numbers, and gives two tensors."""

    def __init__(self):
        super().__init__()
        self.fc1, self.norm, self.fc2 = nn.Linear(5, 12), nn.LayerNorm(12), nn.Linear(12, 3)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 12))

    def forward(self, x, shift):
        with torch.no_grad():  # as rotary embeddings do
            twice = shift * 2
        h = nn.functional.gelu(self.norm(self.fc1(x))) * self.scale + twice
        return {"logits": self.fc2(h), "hidden": h}


class Encoder(nn.Module):
    """A transformer whose head is the table of words."""

    def __init__(self):
        super().__init__()
        self.emb, self.head = nn.Embedding(20, 16), nn.Linear(16, 20, bias=False)
        self.head.weight = self.emb.weight
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.enc = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, ids):
        return self.head(self.enc(self.emb(ids)).mean(1))


class Twice(nn.Module):
    """One layer called twice, one whose weight is read by name as well, a recurrent one, and a bare parameter."""

    def __init__(self):
        super().__init__()
        self.same, self.read, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.rnn = nn.GRU(4, 4, batch_first=True)
        self.bare = nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        h = self.same(torch.relu(self.same(x)))
        h = self.read(h) + h @ self.read.weight.t() + nn.functional.linear(h, self.bare)
        return self.out(self.rnn(h[:, None])[0][:, 0])


class Transposed(nn.Module):
    """Weights stored inputs first, sizes of views as numbers in the graph, as in GPT-2; then one as older CNNs do."""

    def __init__(self):
        super().__init__()
        self.up, self.down, self.out = Addmm(4, 8), Addmm(8, 4), nn.Linear(12, 3)

    def forward(self, x):
        h = x + self.down(torch.relu(self.up(x)))
        return self.out(h.view(x.size(0), 12))


class Addmm(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(n, m)), nn.Parameter(torch.randn(m))

    def forward(self, x):
        flat = x.view(-1, x.size(-1))
        return torch.addmm(self.bias, flat, self.weight).view(*x.shape[:-1], self.weight.shape[1])


NETS = {
    "transposed": (Transposed, lambda n: (torch.randn(n, 3, 4),)),
    "cnn": (Cnn, lambda n: (torch.randn(n, 1, 8, 8),)),
    "mlp": (Mlp, lambda n: (torch.randn(n, 5), torch.randn(n, 12))),
    "encoder": (Encoder, lambda n: (torch.randint(0, 20, (n, 6)),)),
    "twice": (Twice, lambda n: (torch.randn(n, 4),)),
}
INPUTS = {"transposed": ("x",), "cnn": ("x",), "mlp": ("x", "shift"), "encoder": ("ids",), "twice": ("x",)}


def exported(model, inputs, path, sizes=None):
    """Write what torch.export makes of a model, for batches of any size unless told otherwise."""
    shapes = tuple({0: torch.export.Dim("batch")} for _ in inputs) if sizes is None else sizes
    example = tuple(x[:4] for x in inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of recurrent layers
        torch.export.save(torch.export.export(model, example, dynamic_shapes=shapes), path)


def write(name, folder, n=80):
    """`NAME.pt2` and `NAME.safetensors` with the model's own answers as labels; gives the model and its inputs."""
    make, draw = NETS[name]
    torch.manual_seed(0)
    model, inputs = make().eval(), draw(n)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):  # of a trained one they are not 0 and 1
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
        out = model(*inputs)
        labels = (out["logits"] if isinstance(out, dict) else out).argmax(1)
    exported(model, inputs, folder / f"{name}.pt2")
    tensors = dict(zip(INPUTS[name], inputs, strict=True))
    save_file({**tensors, "labels": labels}, folder / f"{name}.safetensors")
    return model, inputs
