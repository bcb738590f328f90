"""The same model in plain PyTorch: `torch.nn.GRU` and `LSTM` over packed sequences."""

import numpy as np
import torch
from measure import Batch, Size
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from baselines.ours import Ours


class PyTorch(nn.Module):
    """The model in PyTorch; its weights are copied from ours, so that both compute the same loss."""

    def __init__(self, size: Size, batches: list[Batch], smoothing: float, ours: Ours) -> None:
        super().__init__()
        self.size = size
        recurrence = nn.GRU if size.cell == "gru" else nn.LSTM
        self.batches = [tuple(torch.from_numpy(side).long() for side in batch) for batch in batches]
        self.embedding = nn.Embedding(size.vocabulary, size.embedding)
        both = [size.bidirectional == "all" or i == 0 for i in range(size.encoder_layers)]
        widths = [size.embedding] + [size.units] * (size.encoder_layers - 1)
        self.encoder = nn.ModuleList(
            recurrence(width, size.units // 2 if b else size.units, batch_first=True, bidirectional=b)
            for width, b in zip(widths, both, strict=True)
        )
        self.key = nn.Linear(size.units, size.units, bias=False)
        last = size.units * size.encoder_layers
        states = 1 if size.cell == "gru" else 2
        self.bridge = nn.ModuleList(
            nn.ModuleList(nn.Linear(last, size.units) for _ in range(states)) for _ in range(size.decoder_layers)
        )
        self.decoder = nn.ModuleList(
            recurrence(size.embedding if i == 0 else 2 * size.units, size.units, batch_first=True)
            for i in range(size.decoder_layers)
        )
        self.readout = nn.Linear(2 * size.units, size.embedding)
        self.output_bias = nn.Parameter(torch.zeros(size.vocabulary))
        self.cross_entropy = nn.CrossEntropyLoss(label_smoothing=smoothing)
        self._copy(ours)
        self.optimizer = torch.optim.Adam(self.parameters(), 1e-3, eps=1e-7)

    @torch.no_grad()
    def _copy(self, ours: Ours) -> None:
        theirs = ours.model
        self.embedding.weight.copy_(_tensor(theirs.target_embedding.table))
        for layer, recurrences in zip(self.encoder, theirs.encoder.recurrences, strict=True):
            for suffix, one in zip(("", "_reverse"), recurrences, strict=False):
                self._copy_cell(layer, one.cell, suffix)
        for layer, (one,) in zip(self.decoder, theirs.decoder.stack.recurrences, strict=True):
            self._copy_cell(layer, one.cell, "")
        self.key.weight.copy_(_tensor(theirs.decoder.attention.key.kernel).T)
        pairs = [(self.readout, theirs.decoder.readout)]
        for mine, other in zip(self.bridge, theirs.decoder.bridge.layers, strict=True):
            pairs += list(zip(mine, other, strict=True))
        for linear, dense in pairs:
            linear.weight.copy_(_tensor(dense.kernel).T)
            linear.bias.copy_(_tensor(dense.bias))

    def _copy_cell(self, layer: nn.Module, cell: object, suffix: str) -> None:
        gates = 3 if self.size.cell == "gru" else 4
        order = (1, 0, 2) if gates == 3 else (0, 1, 2, 3)  # PyTorch's GRU has r, z, n

        def turned(matrix: torch.Tensor) -> torch.Tensor:
            parts = torch.chunk(matrix, gates, dim=-1)
            return torch.cat([parts[gate] for gate in order], dim=-1)

        getattr(layer, f"weight_ih_l0{suffix}").copy_(turned(_tensor(cell.kernel)).T)
        getattr(layer, f"weight_hh_l0{suffix}").copy_(turned(_tensor(cell.recurrent_kernel)).T)
        bias = _tensor(cell.bias)
        rows = bias if gates == 3 else torch.stack([bias, torch.zeros_like(bias)])
        getattr(layer, f"bias_ih_l0{suffix}").copy_(turned(rows[0]))
        getattr(layer, f"bias_hh_l0{suffix}").copy_(turned(rows[1]))

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean smoothed loss per real target token."""
        mask, real = source != 0, target != 0
        lengths, steps = mask.sum(1), real.sum(1)
        x: torch.Tensor | PackedSequence = _packed(self.embedding(source), lengths)
        last = []
        for layer in self.encoder:
            x, state = layer(x)
            hidden = state[0] if self.size.cell == "lstm" else state
            last.append(torch.cat(list(hidden), dim=-1))
        memory, _ = pad_packed_sequence(x, batch_first=True)
        vector, keys = torch.cat(last, dim=-1), self.key(memory)
        previous = torch.cat([torch.full_like(target[:, :1], 2), target[:, :-1]], dim=1)
        y, context = self.embedding(previous), None
        for layer, bridges in zip(self.decoder, self.bridge, strict=True):
            initial = [torch.tanh(linear(vector))[None] for linear in bridges]
            inputs = y if context is None else torch.cat([y, context], dim=-1)
            packed, _ = layer(_packed(inputs, steps), initial[0] if len(initial) == 1 else tuple(initial))
            y, _ = pad_packed_sequence(packed, batch_first=True)
            if context is None:
                scores = (y @ keys.transpose(1, 2)).masked_fill(~mask[:, None], -1e9)
                context = torch.softmax(scores, -1) @ memory
        readout = torch.tanh(self.readout(torch.cat([y, context], dim=-1)[real]))
        return self.cross_entropy(readout @ self.embedding.weight.T + self.output_bias, target[real])

    @torch.no_grad()
    def mean_loss(self, place: int) -> float:
        return float(self(*self.batches[place]))

    def step(self, place: int) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self(*self.batches[place])
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        self.optimizer.step()
        loss.item()


def _tensor(variable: object) -> torch.Tensor:
    return torch.from_numpy(np.array(variable))


def _packed(x: torch.Tensor, lengths: torch.Tensor) -> PackedSequence:
    return pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
