"""Pooling and its optimizer against torch's own."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.nn.functional import embedding_bag, normalize  # noqa: E402

from core.encode import kernels  # noqa: E402
from core.encode.bag import RowAdam, mean_bag, unit  # noqa: E402
from core.encode.tokens import Tokens  # noqa: E402

N_IDS, DIM = 40, 6


def batches(n: int, seed: int = 0):
    """Query and document tokens with repeats and empty texts."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        yield tuple(
            Tokens.from_lists([rng.integers(0, N_IDS, rng.integers(0, size)).tolist() for _ in range(7)])
            for size in (4, 12)
        )


def start() -> torch.nn.Parameter:
    rng = np.random.default_rng(1)
    return torch.nn.Parameter(torch.from_numpy(rng.standard_normal((N_IDS, DIM), dtype=np.float32)))


def torch_bag(vectors, tokens):
    offsets = torch.from_numpy(tokens.offsets[:-1])
    return embedding_bag(torch.from_numpy(tokens.ids), vectors, offsets, mode="mean", sparse=True)


def own_bag(vectors, tokens):
    return mean_bag(vectors, tokens.ids, tokens.offsets)


def loss_of(bag, vectors, queries, documents):
    return (bag(vectors, queries) @ bag(vectors, documents).T).logsumexp(1).sum()


def test_gradient_equals_torch():
    for queries, documents in batches(5):
        ours, theirs = start(), start()
        loss_of(own_bag, ours, queries, documents).backward()
        loss_of(torch_bag, theirs, queries, documents).backward()
        assert ours.grad.is_sparse
        torch.testing.assert_close(ours.grad.to_dense(), theirs.grad.to_dense(), rtol=0, atol=1e-5)
        assert set(ours.grad.coalesce().indices()[0].tolist()) == {*queries.ids, *documents.ids}


def test_one_bag_gives_each_used_id_once():
    queries, _ = next(batches(1))
    vectors = start()
    own_bag(vectors, queries).sum().backward()
    # _indices: as the gradient arrives, before anything sums repeated rows.
    assert vectors.grad._indices()[0].tolist() == sorted(set(queries.ids.tolist()))


@pytest.mark.parametrize("lists", [[[]], [[], []], [[3], [], [3, 3]]])
def test_empty_texts_are_zero_vectors_and_train(lists):
    tokens, vectors = Tokens.from_lists(lists), start()
    pooled = own_bag(vectors, tokens)
    assert [bool(row.any()) for row in pooled] == [bool(ids) for ids in lists]
    optimizer = RowAdam([vectors], lr=0.1)
    pooled.sum().backward()
    optimizer.step()
    assert torch.isfinite(vectors).all()
    moved = (vectors != start()).any(1).nonzero()[:, 0].tolist()
    assert moved == sorted({i for ids in lists for i in ids})


def test_updates_equal_sparse_adam():
    ours, theirs = start(), start()
    own, peer = RowAdam([ours], lr=0.02), torch.optim.SparseAdam([theirs], lr=0.02)
    for queries, documents in batches(30):
        for bag, vectors, optimizer in ((own_bag, ours, own), (torch_bag, theirs, peer)):
            optimizer.zero_grad()
            loss_of(bag, vectors, queries, documents).backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 * 30)
    assert (ours - start()).abs().max() > 0.1


def test_one_update_equals_sparse_adam_from_equal_states():
    ours, theirs = start(), start()
    own, peer = RowAdam([ours], lr=0.02), torch.optim.SparseAdam([theirs], lr=0.02)
    rng = np.random.default_rng(2)
    for _ in range(20):
        rows = torch.from_numpy(np.sort(rng.choice(N_IDS, 9, replace=False)))
        values = torch.from_numpy(rng.standard_normal((9, DIM), dtype=np.float32))
        for vectors, optimizer in ((ours, own), (theirs, peer)):
            vectors.grad = torch.sparse_coo_tensor(rows[None], values, vectors.shape, check_invariants=True)
            optimizer.step()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_the_optimiser_of_tables_is_none_of_torchs():
    """The first ``torch.optim.Optimizer`` that a process makes imports torch's compiler: seconds at the start of every trial."""
    assert not issubclass(RowAdam, torch.optim.Optimizer)


def train(vectors, optimizer, part):
    for queries, documents in part:
        optimizer.zero_grad()
        loss_of(own_bag, vectors, queries, documents).backward()
        optimizer.step()


def whole_table(packed):
    """The state as checkpoints of earlier versions hold it: a row of moments for each row of the table."""
    full = {name: torch.zeros(N_IDS, DIM).index_copy(0, packed["ids"], packed[name]) for name in ("exp_avg", "exp_avg_sq")}
    return {"step": packed["step"], **full}


@pytest.mark.parametrize("form", [dict, whole_table])
def test_state_dict_continues_the_same_training(form):
    whole, first = start(), start()
    steps = list(batches(10))
    train(whole, RowAdam([whole], lr=0.02), steps)
    optimizer = RowAdam([first], lr=0.02)
    train(first, optimizer, steps[:2])
    packed = optimizer.state_dict()
    assert 0 < len(packed["state"][0]["ids"]) < N_IDS
    packed["state"] = {i: form(own) for i, own in packed["state"].items()}
    second = torch.nn.Parameter(first.detach().clone())
    resumed = RowAdam([second], lr=0.5)
    resumed.load_state_dict(packed)
    train(second, resumed, steps[2:])
    assert torch.equal(whole, second)


def test_moments_begin_at_zero_whatever_the_memory_held():
    clean, dirty = start(), start()
    steps = list(batches(10))
    train(clean, RowAdam([clean], lr=0.02), steps)
    optimizer = RowAdam([dirty], lr=0.02)
    train(dirty, optimizer, steps[:1])
    moments = optimizer.state[dirty]["moments"]
    moments.values[moments.n :] = np.nan
    train(dirty, optimizer, steps[1:])
    assert torch.equal(clean, dirty)


def test_any_number_of_threads_gives_the_same_bytes(monkeypatch):
    def trained(n_threads: int) -> bytes:
        monkeypatch.setattr(kernels, "_n_threads", lambda: n_threads)
        rng = np.random.default_rng(5)
        vectors = torch.nn.Parameter(torch.from_numpy(rng.normal(size=(900, 8)).astype(np.float32)))
        optimizer = RowAdam([vectors], lr=0.02)
        for _ in range(3):
            sizes = rng.integers(0, 60, 150)
            offsets = np.append(0, np.cumsum(sizes))
            optimizer.zero_grad()
            mean_bag(vectors, rng.integers(0, 900, offsets[-1]), offsets).square().sum().backward()
            optimizer.step()
        return vectors.detach().numpy().tobytes()

    assert trained(1) == trained(2) == trained(4)


def test_parts_cover_everything_once_in_about_equal_shares(monkeypatch):
    monkeypatch.setattr(kernels, "_n_threads", lambda: 3)
    ends = np.append(0, np.cumsum(np.arange(200)))
    found = []
    kernels.in_parts(ends, lambda first, last: found.append((first, last)))
    found.sort()
    assert [first for first, _ in found] == [0, *(last for _, last in found[:-1])] and found[-1][1] == 200 and len(found) == 3
    shares = [ends[last] - ends[first] for first, last in found]
    assert max(shares) - min(shares) <= 2 * 200
    kernels.in_parts(np.zeros(1, np.int64), lambda first, last: found.append((first, last)))
    assert found[-1] == (0, 0)

    def fails(first: int, last: int) -> None:
        if last == 200:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kernels.in_parts(ends, fails)


def test_unit_is_torchs_normalize_with_its_gradient():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(7, 5)).astype(np.float32) * np.array([1e-6, 1, 1, 1, 30, 1e4, 0], np.float32)[:, None]
    ours, theirs = (torch.from_numpy(rows.copy()).requires_grad_() for _ in range(2))
    upstream = torch.from_numpy(rng.normal(size=(7, 5)).astype(np.float32))
    for given, found in ((ours, unit(ours)), (theirs, normalize(theirs, dim=-1))):
        (found * upstream).sum().backward()
        given.found = found.detach()
    torch.testing.assert_close(ours.found, theirs.found, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours.grad[:-1], theirs.grad[:-1], atol=1e-6, rtol=1e-4)
    assert (ours.found[-1] == 0).all()
