"""Perceptrons, gates, recurrent nets, norms, lookups, outputs and inputs of unusual kinds."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.contract.case import CLASSES, Case, Made, Made2, N, classes, of_features, of_images, of_language, of_tokens


def mlp() -> Case:
    return of_features(nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 8), nn.GELU(), nn.Linear(8, CLASSES)))


def sigmoid_mlp() -> Case:
    return of_features(nn.Sequential(nn.Linear(6, 10), nn.Sigmoid(), nn.Linear(10, 8, bias=False), nn.Softplus(),
                                     nn.Linear(8, CLASSES)))  # fmt: skip


def one_logit() -> Case:
    model = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 1))
    return Case(model, (torch.randn(N, 6),), "binary accuracy", classes(2))


def regression() -> Case:
    model = Made(lambda m, x: m.b(torch.tanh(m.a(x))).squeeze(1), a=nn.Linear(6, 10), b=nn.Linear(10, 1))
    return Case(model, (torch.randn(N, 6),), "squared error", torch.randn(N))


def multi_label() -> Case:
    model = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 5))
    return Case(model, (torch.randn(N, 6),), "label accuracy", torch.randint(2, (N, 5)).float())


def residual_mlp() -> Case:
    return of_features(Made(
        lambda m, x: m.out((h := m.inp(x)) + m.down(F.relu(m.up(h)))),
        inp=nn.Linear(6, 8), up=nn.Linear(8, 12), down=nn.Linear(12, 8), out=nn.Linear(8, CLASSES),
    ))  # fmt: skip


def prelu_mlp() -> Case:
    return of_features(nn.Sequential(nn.Linear(6, 10), nn.PReLU(10), nn.Linear(10, 8), nn.PReLU(), nn.Linear(8, 4)))


def maxout() -> Case:
    return of_features(Made(lambda m, x: m.b(m.a(x).unflatten(1, (5, 2)).amax(2)), a=nn.Linear(6, 10),
                            b=nn.Linear(5, CLASSES)))  # fmt: skip


def softmax_inside() -> Case:
    return of_features(Made(lambda m, x: m.b(m.a(x).softmax(1)), a=nn.Linear(6, 10), b=nn.Linear(10, CLASSES)))


def mean_taken_off() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        h = F.relu(m.a(x))
        return m.b(h - h.mean(1, keepdim=True))

    return of_features(Made(run, a=nn.Linear(6, 10), b=nn.Linear(10, CLASSES)))


def unit_length() -> Case:
    return of_features(Made(lambda m, x: m.b(F.normalize(m.a(x), dim=1)), a=nn.Linear(6, 10), b=nn.Linear(10, 4)))


def glu() -> Case:
    return of_features(nn.Sequential(nn.Linear(6, 16), nn.GLU(), nn.Linear(8, CLASSES)))


def swiglu() -> Case:
    return of_features(Made(lambda m, x: m.down(F.silu(m.gate(x)) * m.up(x)), gate=nn.Linear(6, 10),
                            up=nn.Linear(6, 10), down=nn.Linear(10, CLASSES)))  # fmt: skip


def chunked_gate() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        gate, value = m.both(x).chunk(2, dim=-1)
        return m.down(F.silu(gate) * value)

    return of_features(Made(run, both=nn.Linear(6, 20), down=nn.Linear(10, CLASSES)))


def interleaved_gate() -> Case:
    return of_features(Made(lambda m, x: m.down(F.silu((h := m.both(x))[:, ::2]) * h[:, 1::2]), both=nn.Linear(6, 20),
                            down=nn.Linear(10, CLASSES)))  # fmt: skip


def _normed(norm: nn.Module) -> Case:
    return of_features(nn.Sequential(nn.Linear(6, 8), norm, nn.ReLU(), nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 4)))


def layer_norm() -> Case:
    return _normed(nn.LayerNorm(8))


def rms_norm() -> Case:
    return _normed(nn.RMSNorm(8))


def batch_norm_1d() -> Case:
    return _normed(nn.BatchNorm1d(8))


class OwnRMS(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.weight


def own_rms_norm() -> Case:
    return _normed(OwnRMS(8))


def batch_norm_without_statistics() -> Case:
    return _normed(nn.BatchNorm1d(8, track_running_stats=False))


def in_batch_statistics() -> Case:
    return of_features(
        Made(lambda m, x: m.b(F.relu((h := m.a(x)) - h.mean(0))), a=nn.Linear(6, 10), b=nn.Linear(10, 4))
    )


def spectral_norm() -> Case:
    return of_features(nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 10)), nn.ReLU(), nn.Linear(10, 4)))


def weight_norm() -> Case:
    return of_features(nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 10)), nn.ReLU(), nn.Linear(10, 4)))


class Symmetric(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight.triu() + weight.triu(1).transpose(-1, -2)


def own_parametrisation() -> Case:
    layer = nn.Linear(6, 6)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    return of_features(nn.Sequential(layer, nn.ReLU(), nn.Linear(6, CLASSES)))


def bilinear() -> Case:
    model = Made2(lambda m, x, y: m.out(F.relu(m.two(m.a(x), m.b(y)))), a=nn.Linear(6, 5), b=nn.Linear(4, 7),
                  two=nn.Bilinear(5, 7, 8), out=nn.Linear(8, CLASSES))  # fmt: skip
    return Case(model, (torch.randn(N, 6), torch.randn(N, 4)), "cross entropy", classes())


def two_inputs() -> Case:
    model = Made2(lambda m, x, y: m.out(torch.cat([F.relu(m.a(x)), torch.sigmoid(m.b(y))], 1)), a=nn.Linear(6, 5),
                  b=nn.Linear(4, 7), out=nn.Linear(12, CLASSES))  # fmt: skip
    return Case(model, (torch.randn(N, 6), torch.randn(N, 4)), "cross entropy", classes())


def siamese() -> Case:
    model = Made2(
        lambda m, x, y: m.out((F.relu(m.a(x)) - F.relu(m.a(y))).abs()), a=nn.Linear(6, 9), out=nn.Linear(9, 4)
    )
    return Case(model, (torch.randn(N, 6), torch.randn(N, 6)), "cross entropy", classes())


def embedding_mean() -> Case:
    return of_tokens(Made(lambda m, x: m.out(F.relu(m.mix(m.emb(x).mean(1)))), emb=nn.Embedding(40, 8),
                          mix=nn.Linear(8, 10), out=nn.Linear(10, CLASSES)))  # fmt: skip


def embedding_bag() -> Case:
    return of_tokens(Made(lambda m, x: m.out(F.relu(m.mix(m.emb(x)))), emb=nn.EmbeddingBag(40, 8), mix=nn.Linear(8, 10),
                          out=nn.Linear(10, CLASSES)))  # fmt: skip


def tied_language_model() -> Case:
    emb, head = nn.Embedding(40, 8), nn.Linear(8, 40, bias=False)
    head.weight = emb.weight
    return of_language(Made(lambda m, x: m.head(torch.tanh(m.mix(m.emb(x)))), emb=emb, mix=nn.Linear(8, 8), head=head))


def tied_by_function() -> Case:
    return of_language(Made(lambda m, x: F.linear(torch.tanh(m.mix(m.emb(x))), m.emb.weight), emb=nn.Embedding(40, 8),
                            mix=nn.Linear(8, 8)))  # fmt: skip


def transposed_tie() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        return m.out(F.linear(torch.tanh(m.a(x)), m.a.weight.t()))

    return of_features(Made(run, a=nn.Linear(6, 10), out=nn.Linear(6, CLASSES)))


def bfloat16_language_model() -> Case:
    model = Made(lambda m, x: m.head(F.gelu(m.mix(m.emb(x)))), emb=nn.Embedding(40, 16), mix=nn.Linear(16, 24),
                 head=nn.Linear(24, 40))  # fmt: skip
    return of_language(model.to(torch.bfloat16))


def half_precision() -> Case:
    model = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, CLASSES)).half()
    return Case(model, (torch.randn(N, 6).half(),), "cross entropy", classes())


def double_precision() -> Case:
    model = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, CLASSES)).double()
    return Case(model, (torch.randn(N, 6).double(),), "cross entropy", classes())


def _recurrent(kind: type[nn.Module], **options: object) -> Case:
    width = 14 if options.get("bidirectional") else 7
    model = Made(lambda m, x: m.out(m.rnn(F.relu(m.inp(x)))[0][:, -1]), inp=nn.Linear(6, 8),
                 rnn=kind(8, 7, batch_first=True, **options), out=nn.Linear(width, CLASSES))  # fmt: skip
    return Case(model, (torch.randn(N, 5, 6),), "cross entropy", classes())


def lstm() -> Case:
    return _recurrent(nn.LSTM)


def gru() -> Case:
    return _recurrent(nn.GRU, bidirectional=True)


def tagger_of_packed_sequences() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        lengths = 2 + (x[:, 0, 0] > 0).long() * 3
        packed = pack_padded_sequence(m.inp(x), lengths, batch_first=True, enforce_sorted=False)
        h = pad_packed_sequence(m.rnn(packed)[0], batch_first=True, total_length=x.shape[1])[0]
        return m.out(h.amax(1))

    rnn = nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True)
    model = Made(run, inp=nn.Linear(6, 8), rnn=rnn, out=nn.Linear(12, CLASSES))
    return Case(model, (torch.randn(N, 5, 6),), "cross entropy", classes())


def recurrent_encoder_and_decoder() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        return m.out(m.decoder(x.flip(1), m.encoder(x)[1])[0][:, -1])

    made = {kind: nn.GRU(6, 8, batch_first=True) for kind in ("encoder", "decoder")}
    model = Made(run, **made, out=nn.Linear(8, CLASSES))
    return Case(model, (torch.randn(N, 5, 6),), "cross entropy", classes())


def rnn_language_model() -> Case:
    return of_language(Made(lambda m, x: m.out(m.rnn(m.emb(x))[0]), emb=nn.Embedding(40, 8),
                            rnn=nn.LSTM(8, 9, num_layers=2, batch_first=True), out=nn.Linear(9, 40)))  # fmt: skip


def gru_cell() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), 7)
        for step in range(x.shape[1]):
            h = m.cell(m.inp(x[:, step]), h)
        return m.out(h)

    model = Made(run, inp=nn.Linear(6, 8), cell=nn.GRUCell(8, 7), out=nn.Linear(7, CLASSES))
    return Case(model, (torch.randn(N, 3, 6),), "cross entropy", classes())


def weights_used_twice() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        h = m.inp(x)
        for _ in range(3):
            h = h + torch.tanh(m.step(h))
        return m.out(h)

    return of_features(Made(run, inp=nn.Linear(6, 8), step=nn.Linear(8, 8), out=nn.Linear(8, CLASSES)))


@dataclass
class Answer:
    logits: Tensor
    hidden: Tensor


def _outputs(pack: object) -> Case:
    model = Made(lambda m, x: pack(h := F.relu(m.a(x)), m.b(h)), a=nn.Linear(6, 10), b=nn.Linear(10, CLASSES))
    return of_features(model)


def gives_a_tuple() -> Case:
    case = _outputs(lambda hidden, logits: (logits, hidden))
    return Case(case.model, case.inputs, case.judge, case.labels, pick=lambda out: out[0])


def gives_a_dict() -> Case:
    case = _outputs(lambda hidden, logits: {"hidden": hidden, "logits": logits})
    return Case(case.model, case.inputs, case.judge, case.labels, pick=lambda out: out["logits"])


def gives_a_dataclass() -> Case:
    case = _outputs(lambda hidden, logits: Answer(logits, hidden))
    return Case(case.model, case.inputs, case.judge, case.labels, pick=lambda out: out.logits)


class StarArgs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 10), nn.Linear(10, CLASSES)

    def forward(self, *args: Tensor, **kwargs: object) -> Tensor:
        return self.b(F.relu(self.a(args[0])))


def star_args() -> Case:
    return of_features(StarArgs())


class Counting(nn.Module):
    """Keeps a running count in a buffer, which decides nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 10), nn.Linear(10, CLASSES)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.b(F.relu(self.a(x)))


def counts_in_a_buffer() -> Case:
    return of_features(Counting())


class Drifting(Counting):
    """Keeps a running mean in evaluation too, and takes it off: what comes first decides what comes later."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        self.mean.mul_(0.5).add_(x.detach().mean(0), alpha=0.5)
        return self.b(F.relu(self.a(x - self.mean)))


def drifting_buffer() -> Case:
    return of_features(Drifting())


def writes_into_its_input() -> Case:
    return of_features(Made(lambda m, x: m.b(F.relu(m.a(x.mul_(2)))), a=nn.Linear(6, 10), b=nn.Linear(10, CLASSES)))


def normalises_in_place() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        x -= x.mean((2, 3), keepdim=True)
        x /= 3.0
        return m.fc(F.relu(m.conv(x)).mean((2, 3)))

    return of_images(Made(run, conv=nn.Conv2d(3, 6, 3), fc=nn.Linear(6, CLASSES)))


def random_in_evaluation() -> Case:
    return of_features(Made(lambda m, x: m.b(F.dropout(F.relu(m.a(x)), 0.3, True)), a=nn.Linear(6, 10),
                            b=nn.Linear(10, 4)))  # fmt: skip


def _masked(low: float) -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        h = F.relu(m.a(x[:, :6]))
        h = h - h.mean(1, keepdim=True)
        return m.b(h).masked_fill(x[:, 6:] < -0.5, low)

    x = torch.randn(N, 6 + CLASSES)
    x[:, 6] = 1
    x[torch.arange(N), 6 + classes()] = 1  # the labels are legal
    return Case(Made(run, a=nn.Linear(6, 16), b=nn.Linear(16, CLASSES)), (x,), "cross entropy", classes())


def action_mask() -> Case:
    return _masked(-1e9)


def action_mask_of_the_smallest_number() -> Case:
    return _masked(torch.finfo(torch.float32).min)


def action_mask_of_infinity() -> Case:
    return _masked(-torch.inf)


def mixture_of_experts() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        gates = m.router(x).softmax(1)
        return m.out(sum(gates[:, i : i + 1] * expert(x) for i, expert in enumerate(m.experts)))

    experts = nn.ModuleList(nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 8)) for _ in range(3))
    return of_features(Made(run, router=nn.Linear(6, 3), experts=experts, out=nn.Linear(8, CLASSES)))


def sparse_mixture() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        weight, chosen = m.router(x).softmax(1).max(1)
        y = x.new_zeros(len(x), 8)
        for i, expert in enumerate(m.experts):
            rows = (chosen == i).nonzero().squeeze(1)
            y = y.index_add(0, rows, weight[rows, None] * expert(x[rows]))
        return m.out(y)

    experts = nn.ModuleList(nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 8)) for _ in range(3))
    return of_features(Made(run, router=nn.Linear(6, 3), experts=experts, out=nn.Linear(8, CLASSES)))


def branches_on_data() -> Case:
    return of_features(Made(lambda m, x: m.b(F.relu(m.a(x)) if x.sum() > 0 else F.relu(m.a(x)) * 1.0),
                            a=nn.Linear(6, 10), b=nn.Linear(10, CLASSES)))  # fmt: skip


def token_classes() -> Case:
    model = Made(lambda m, x: m.b(F.relu(m.a(x))), a=nn.Linear(6, 10), b=nn.Linear(10, CLASSES))
    labels = torch.randint(CLASSES, (N, 5))
    labels[:, -1] = -100
    return Case(model, (torch.randn(N, 5, 6),), "token accuracy", labels)


def autoencoder() -> Case:
    model = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3), nn.Tanh(), nn.Linear(3, 6))
    return Case(model, (torch.randn(N, 6),), "cosine")


def complex_weights() -> Case:
    layer = nn.Linear(6, 8).to(torch.complex64)
    return of_features(Made(lambda m, x: m.b(m.a(x.to(torch.complex64)).abs()), a=layer, b=nn.Linear(8, CLASSES)))


def frozen_layer() -> Case:
    model = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, CLASSES))
    model[0].requires_grad_(False)
    return of_features(model)


def ignored_labels() -> Case:
    case = of_features(nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, CLASSES)))
    labels = classes()
    labels[::3] = -100
    return Case(case.model, case.inputs, case.judge, labels)
