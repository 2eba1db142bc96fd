"""Computes with PyTorch the numbers that the tests compare with, and writes beside itself

  golden.*          of a small model and three examples the losses, the activations, the
                    gradients, and the weights after three steps of AdamW
  activations.json  each activation function, its derivative, and the losses of a model with it
  heads.*           of the same model with each head of a task the logits, the loss and the gradients
  losses.json       the loss of each step of a training

The model is Hugging Face's BERT, with its names of tensors, without dropout. It pads the sequences
to one length, which the Go program does not. In the folder above, run

  pip install torch numpy
  go test -run LossesArePyTorchs . -args -export run/start
  python testdata/golden.py run/start

The second line writes down how the training of losses.json begins (exportStart in train_test.go).
Without a folder, losses.json stays as it is. A new activation goes into ACTIVATIONS; a new head
becomes a method, and goes into HEADS and make_heads.

It computes in float64 and writes float32. In float32 each processor has rounding errors of its own,
which three steps of AdamW raise to nearly 1e-4, all that the tests allow. The files that are checked
in were made with Python 3.11.7, PyTorch 2.15.0 and NumPy 2.4.6.

In the shapes S is the number of sequences, T of tokens in the longest, N of tokens in all, M of
masked tokens, A of attention heads, V of words; H and I are the hidden and the intermediate size.
"""
import itertools
import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

FOLDER = pathlib.Path(__file__).parent
ACTIVATIONS = {"gelu": F.gelu, "gelu_new": lambda x: F.gelu(x, approximate="tanh"),  # by hidden_act
               "relu": F.relu, "silu": F.silu}

V, H, I = 61, 24, 40
CONFIG = {"vocab_size": V, "hidden_size": H, "num_hidden_layers": 2, "num_attention_heads": 3,
          "intermediate_size": I, "max_position_embeddings": 20, "type_vocab_size": 2,
          "hidden_act": "gelu", "layer_norm_eps": 1e-12}
EXAMPLES = [  # next_label: 0 = IsNext, 1 = NotNext
    {"tokens": [2, 17, 4, 31, 3, 8, 44, 4, 3], "segments": [0] * 5 + [1] * 4,
     "positions": [2, 7], "labels": [23, 9], "next_label": 0},
    {"tokens": [2, 5, 6, 7, 8, 9, 10, 4, 12, 3, 13, 14, 15, 60, 4, 3], "segments": [0] * 10 + [1] * 6,
     "positions": [3, 7, 14], "labels": [7, 11, 50], "next_label": 1},
    {"tokens": [2, 20, 3, 4, 3], "segments": [0] * 3 + [1] * 2,
     "positions": [3], "labels": [20], "next_label": 0}]
LABELS = [2, 0, 1]  # of the examples, for the classifier
SPANS = [[3, 4], [0, 0], [1, 1]]  # the first and the last token of their answers
NUMBERS = [0.5, -1.0, 2.0]  # to be learnt
SEVERAL = [[1, 0, 1], [0, 0, 0], [0, 1, 0]]  # which of three labels are right
TAGS = [{1: 0, 3: 2}, {2: 1, 5: 1, 14: 0}, {}]  # the labels of those tokens that have one
OPTIMIZER = {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-6,
             "weight_decay": 0.01, "clip": 1.0, "bias_correction": True, "steps": 3}

# The shapes of the weights. A name without an ending stands for a weight and a bias.
LAYER = {"attention.self.query": (H, H), "attention.self.key": (H, H), "attention.self.value": (H, H),
         "attention.output.dense": (H, H), "intermediate.dense": (I, H), "output.dense": (H, I),
         "attention.output.LayerNorm": (H,), "output.LayerNorm": (H,)}
MODEL = {"bert.embeddings.word_embeddings.weight": (V, H),  # also of the layer that guesses words
         "bert.embeddings.position_embeddings.weight": (CONFIG["max_position_embeddings"], H),
         "bert.embeddings.token_type_embeddings.weight": (CONFIG["type_vocab_size"], H),
         "bert.embeddings.LayerNorm": (H,),
         **{"bert.encoder.layer.0." + name: shape for name, shape in LAYER.items()},
         **{"bert.encoder.layer.1." + name: shape for name, shape in LAYER.items()},
         "bert.pooler.dense": (H, H), "cls.predictions.bias": (V,),
         "cls.predictions.transform.dense": (H, H), "cls.predictions.transform.LayerNorm": (H,),
         "cls.seq_relationship": (2, H)}
HEADS = {"classifier": (3, H), "regression": (1, H), "qa_outputs": (2, H)}


def draw(shapes, seed):
    """Draws weights that spread wider than BERT's 0.02, so that nothing is nearly linear."""
    random, p = np.random.RandomState(seed), {}  # the same numbers in every version of NumPy
    for part, shape in shapes.items():
        alone = part.endswith((".weight", ".bias"))
        for name in [part] if alone else [part + ".weight", part + ".bias"]:
            size = shape if alone or name.endswith(".weight") else shape[:1]
            mean = 1 if name.endswith("LayerNorm.weight") else 0
            p[name] = parameter(random.normal(0, 0.2, size) + mean)
    return p


def parameter(numbers):
    return torch.tensor(numbers.astype("float32"), dtype=torch.float64, requires_grad=True)


def pad(rows):
    """Lists of numbers, filled up with 0: (S, T)."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def unpad(x, examples):
    """The tokens of all sequences, without padding: (S, T, H) to (N, H)."""
    return torch.cat([x[s, :len(e["tokens"])] for s, e in enumerate(examples)])


class Bert:
    def __init__(self, config, parameters):
        self.c, self.p = config, parameters
        self.activate = ACTIVATIONS[config["hidden_act"]]

    def linear(self, name, x):
        return F.linear(x, self.p[name + ".weight"], self.p[name + ".bias"])

    def norm(self, name, x):
        weight, bias = self.p[name + ".weight"], self.p[name + ".bias"]
        return F.layer_norm(x, weight.shape, weight, bias, self.c["layer_norm_eps"])

    def embed(self, examples):
        """The sum of three vectors for each token, normalised: (S, T, H)."""
        tokens, segments = pad(e["tokens"] for e in examples), pad(e["segments"] for e in examples)
        x = self.p["bert.embeddings.word_embeddings.weight"][tokens]
        x = x + self.p["bert.embeddings.position_embeddings.weight"][:tokens.shape[1]]
        x = x + self.p["bert.embeddings.token_type_embeddings.weight"][segments]
        return self.norm("bert.embeddings.LayerNorm", x)

    def attend(self, layer, x, mask):
        """What each token gathers, (S, T, H), and with which weights, (S, A, T, T)."""
        def split(name):  # among the heads: (S, A, T, H/A)
            y = self.linear(layer + "attention.self." + name, x)
            return y.unflatten(2, (self.c["num_attention_heads"], -1)).transpose(1, 2)
        query, key, value = split("query"), split("key"), split("value")
        probs = torch.softmax(query @ key.transpose(2, 3) / query.shape[3]**0.5 + mask, 3)
        return (probs @ value).transpose(1, 2).flatten(2), probs

    def encode(self, examples):
        """What the encoder makes of the tokens, (S, T, H); also kept is what the tests compare."""
        real = pad([1.0] * len(e["tokens"]) for e in examples)  # (S, T): 0 for padding
        mask = real.log()[:, None, None]  # (S, 1, 1, T): -inf for padding, so that no token sees it
        first = len(examples[0]["tokens"])
        x = self.embed(examples)
        self.kept = {"embeddings": unpad(x, examples)}
        for i in range(self.c["num_hidden_layers"]):
            layer = f"bert.encoder.layer.{i}."
            y, probs = self.attend(layer, x, mask)
            y = self.linear(layer + "attention.output.dense", y)
            x = self.norm(layer + "attention.output.LayerNorm", x + y)
            y = self.activate(self.linear(layer + "intermediate.dense", x))  # (S, T, I)
            y = self.linear(layer + "output.dense", y)
            x = self.norm(layer + "output.LayerNorm", x + y)
            self.kept |= {f"attention.{i}": probs[0, :, :first, :first], f"layer.{i}": unpad(x, examples)}
        return x

    def pool(self, x):
        """From [CLS]: (S, T, H) to (S, H)."""
        return torch.tanh(self.linear("bert.pooler.dense", x[:, 0]))

    def pretrain(self, examples):
        """The losses of MLM and NSP: the means over the masked tokens and over the sequences."""
        x = self.encode(examples)
        y = torch.stack([x[s, t] for s, e in enumerate(examples) for t in e["positions"]])  # (M, H)
        y = self.activate(self.linear("cls.predictions.transform.dense", y))
        y = self.norm("cls.predictions.transform.LayerNorm", y)
        words = self.p["bert.embeddings.word_embeddings.weight"]
        mlm = F.linear(y, words, self.p["cls.predictions.bias"])  # (M, V)
        nsp = self.linear("cls.seq_relationship", self.pool(x))  # (S, 2)
        self.kept |= {"pooled": self.pool(x), "mlm_logits": mlm, "nsp_logits": nsp}
        return (F.cross_entropy(mlm, torch.tensor([label for e in examples for label in e["labels"]])),
                F.cross_entropy(nsp, torch.tensor([e["next_label"] for e in examples])))

    def classify(self):
        """The logits, (S, 3), and the mean of the losses."""
        logits = self.linear("classifier", self.pool(self.encode(EXAMPLES)))
        return logits, F.cross_entropy(logits, torch.tensor(LABELS))

    def regress(self):
        """A number for each sequence, (S, 1), and the mean of the squared errors."""
        y = self.linear("regression", self.pool(self.encode(EXAMPLES)))
        return y, F.mse_loss(y[:, 0], torch.tensor(NUMBERS, dtype=y.dtype))

    def several(self):
        """The logits, (S, 3), and the mean of the losses of each label by itself."""
        logits = self.linear("classifier", self.pool(self.encode(EXAMPLES)))
        return logits, F.binary_cross_entropy_with_logits(logits, torch.tensor(SEVERAL, dtype=logits.dtype))

    def tag(self):
        """The logits of the tokens that have a label, (M, 3), and the mean of the losses."""
        x = self.encode(EXAMPLES)
        x = torch.stack([x[s, t] for s, tags in enumerate(TAGS) for t in tags])
        logits = self.linear("classifier", x)
        return logits, F.cross_entropy(logits, torch.tensor([tag for tags in TAGS for tag in tags.values()]))

    def answer(self):
        """The logits of the first and of the last token, (N, 2), and the mean of the losses, whose
        softmax is over the tokens of a sequence. (Hugging Face's is over the padding, too.)"""
        logits = unpad(self.linear("qa_outputs", self.encode(EXAMPLES)), EXAMPLES)
        parts = logits.T.split([len(e["tokens"]) for e in EXAMPLES], 1)  # of the sequences
        losses = [F.cross_entropy(part, torch.tensor(span)) for part, span in zip(parts, SPANS)]
        return logits, sum(losses) / len(losses)

    def gradients(self, loss):
        """Of what the loss depends on. What differs from 0 by rounding alone is 0."""
        grads = zip(self.p, torch.autograd.grad(loss, list(self.p.values()), allow_unused=True))
        return {name: torch.where(g.abs() < 1e-12, 0.0, g) for name, g in grads if g is not None}

    def train(self, batches, rates, o):
        """Takes a step of AdamW on each batch, and returns the two losses before each."""
        groups, losses = [], []
        for name, w in self.p.items():
            decays = not name.endswith(".bias") and "LayerNorm" not in name
            groups.append({"params": [w], "weight_decay": o["weight_decay"] if decays else 0.0})
        optimizer = torch.optim.AdamW(groups, betas=(o["beta1"], o["beta2"]), eps=o["epsilon"])
        for batch, rate in zip(batches, rates):
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            mlm, nsp = self.pretrain(batch)
            (mlm + nsp).backward()
            torch.nn.utils.clip_grad_norm_(self.p.values(), o["clip"])
            optimizer.step()
            losses.append([round(mlm.item(), 10), round(nsp.item(), 10)])
        return losses


def make_golden():
    bert, steps = Bert(CONFIG, draw(MODEL, 7)), OPTIMIZER["steps"]
    grads = bert.gradients(sum(bert.pretrain(EXAMPLES)))
    norm = torch.cat([g.flatten() for g in grads.values()]).norm().item()
    before = {"weights": draw(MODEL, 7), "activations": bert.kept, "grads": grads}
    losses = bert.train([EXAMPLES] * steps, [OPTIMIZER["learning_rate"]] * steps, OPTIMIZER)
    write("golden", before | {f"after{steps}": bert.p}, {
        "config": CONFIG, "examples": EXAMPLES, "first": dict(zip(["mlm_loss", "nsp_loss"], losses[0])),
        "grad_norm": round(norm, 10), "optimizer": OPTIMIZER | {"losses": losses},
        "torch": torch.__version__.split("+")[0]})


def make_activations():
    """Each function and its derivative, and the losses of a model that has it."""
    meta = {"x": [i / 8 for i in range(-80, 81)]}
    for name, function in ACTIVATIONS.items():
        x = torch.tensor(meta["x"], dtype=torch.float64, requires_grad=True)
        y = function(x)
        dx, = torch.autograd.grad(y.sum(), x)
        losses = Bert(CONFIG | {"hidden_act": name}, draw(MODEL, 7)).pretrain(EXAMPLES)
        meta[name] = {"y": [round(v, 9) for v in y.tolist()], "dx": [round(v, 9) for v in dx.tolist()],
                      "losses": [round(loss.item(), 10) for loss in losses]}
    (FOLDER / "activations.json").write_text(json.dumps(meta) + "\n")


def make_heads():
    bert = Bert(CONFIG, draw(MODEL, 7) | draw(HEADS, 8))
    targets = [[*tags] for tags in TAGS]
    tensors, meta = {"weights": draw(HEADS, 8)}, {
        "classify": {"labels": [[label] for label in LABELS]}, "answer": {"labels": SPANS},
        "regress": {"values": [[number] for number in NUMBERS]}, "several": {"values": SEVERAL},
        "tag": {"targets": targets, "labels": [[*tags.values()] for tags in TAGS]}}
    for task in meta:
        logits, loss = getattr(bert, task)()
        tensors |= {task: {"logits": logits}, task + "/grads": bert.gradients(loss)}
        meta[task]["loss"] = round(loss.item(), 10)
    write("heads", tensors, meta)


def make_losses(start):
    config, settings = (json.loads((start / name).read_text()) for name in ("config.json", "settings.json"))
    ours = {"input_ids": "tokens", "token_type_ids": "segments", "masked_lm_positions": "positions",
            "masked_lm_ids": "labels", "next_sentence_label": "next_label"}
    lines = map(json.loads, (start / "examples.jsonl").read_text().splitlines())
    examples = itertools.cycle([{ours[name]: value for name, value in line.items()} for line in lines])
    batches = [list(itertools.islice(examples, settings["batch"])) for _ in settings["rates"]]
    losses = Bert(config, read(start / "model.safetensors")).train(batches, settings["rates"], settings)
    text = ",\n".join(f"{mlm + nsp:.7f}" for mlm, nsp in losses)
    (FOLDER / "losses.json").write_text(f"[{text}]\n")


def write(name, groups, meta):
    """Writes meta as JSON and the tensors as safetensors: the length of a header, the header that
    says where each tensor is, and the numbers."""
    (FOLDER / (name + ".json")).write_text(json.dumps(meta, indent=1) + "\n")
    tensors = {f"{group}/{key}": t for group, members in groups.items() for key, t in members.items()}
    header, numbers = {"__metadata__": {"format": "pt"}}, b""
    for key, t in sorted(tensors.items()):
        begin, numbers = len(numbers), numbers + t.detach().numpy().astype("<f4").tobytes()
        header[key] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [begin, len(numbers)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (FOLDER / (name + ".safetensors")).write_bytes(len(text).to_bytes(8, "little") + text + numbers)


def read(path):
    """Reads the parameters of a model from a safetensors file."""
    data, p = path.read_bytes(), {}
    base = 8 + int.from_bytes(data[:8], "little")
    for name, t in json.loads(data[8:base]).items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            p[name] = parameter(np.frombuffer(data[base + begin:base + end], "<f4").reshape(t["shape"]))
    return p


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_golden()
    make_activations()
    make_heads()
    if len(sys.argv) > 1:
        make_losses(pathlib.Path(sys.argv[1]))
