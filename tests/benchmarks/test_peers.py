"""The harness beside the peers, on shapes so small that its figures mean nothing: who is there is run and compared."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import smrdsl
from benchmarks.peers import PEERS, clock, mega, memory, roofline, table
from benchmarks.peers.__main__ import again, main, parsed
from benchmarks.peers.contract import FORWARD, TRAINING, Absent, Pair, Peer, Setting, fresh, take
from benchmarks.peers.measure import Effort, Row, Skipped, rows
from benchmarks.peers.smr import with_and_without

LENGTH = 24
SMALL = Setting(batch=2, width=16)
EFFORT = Effort(lengths=(LENGTH,), rounds=2, memory=False)
MACHINE = roofline.Machine(gflops=100.0, copy_gb=20.0, rfft_gpoints=0.5, gexp=3.0)
BY_NAME = {p.name: p for p in PEERS}
INSTALLED = ("s5", "mambapy", "transformers", "smr-s4d", "smr-mamba")
IN_FOLDERS = {"s4d": "s4", "s4": "s4", "ema": "mega", "mamba-minimal": "mamba-minimal"}


@pytest.mark.parametrize("name", INSTALLED)
def test_a_peer_that_is_there_runs_beside_us(name: str) -> None:
    found = list(rows(BY_NAME[name], SMALL, EFFORT, MACHINE))
    assert [r.work for r in found if isinstance(r, Row)] == [FORWARD, TRAINING]
    for row in found:
        assert isinstance(row, Row)
        assert row.apart < 1e-4
        assert row.theirs is not None
        assert row.ratio is not None
        assert min(row.ours, row.theirs, row.ratio, row.share or 0) > 0
        assert row.spread is not None
        assert row.spread[0] <= row.ratio <= row.spread[1]


@pytest.mark.parametrize(("name", "option"), IN_FOLDERS.items())
def test_a_peer_that_is_not_there_is_skipped_by_name(name: str, option: str, tmp_path: Path) -> None:
    (unsaid,) = rows(BY_NAME[name], SMALL, EFFORT, MACHINE)
    assert isinstance(unsaid, Skipped)
    assert unsaid.case == name
    assert f"--{option} FOLDER" in unsaid.why
    assert "https://github.com/" in unsaid.why
    (nowhere,) = rows(BY_NAME[name], Setting(folders={option: tmp_path / "no"}), EFFORT, MACHINE)
    assert isinstance(nowhere, Skipped)
    assert nowhere.why.endswith("is no folder")
    (empty,) = rows(BY_NAME[name], Setting(folders={option: tmp_path}), EFFORT, MACHINE)
    assert isinstance(empty, Skipped)
    assert "cannot be imported" in empty.why


def test_a_folder_of_a_user_is_imported_without_what_its_packages_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "fairseq"]:
        monkeypatch.delitem(sys.modules, name)
    modules = tmp_path / "fairseq" / "modules"
    modules.mkdir(parents=True)
    (tmp_path / "fairseq" / "__init__.py").write_text("raise ImportError('all of fairseq')")
    (modules / "exponential_moving_average.py").write_text(
        "from smrdsl import layer\n"
        "from torch import nn\n"
        "class MultiHeadEMA(nn.Module):\n"
        "    def __init__(self, width, ndim):\n"
        "        super().__init__()\n"
        "        inner = layer(f'ema(state={ndim})  silu', width)\n"
        "        for name, p in inner.named_parameters():\n"
        "            self.register_parameter(name.split('.')[-1], p)\n"
        "        self.inner = [inner]\n"
        "    def forward(self, x):\n"
        "        return self.inner[0](x.transpose(0, 1)).transpose(0, 1)\n"
    )
    try:
        pair = mega.ema(Setting(width=8, folders={"mega": tmp_path}), LENGTH)
    finally:
        for name in [n for n in sys.modules if n.split(".")[0] == "fairseq"]:
            del sys.modules[name]
    u = torch.randn(2, LENGTH, 8)
    assert torch.allclose(pair.run(u), pair.ours(u))
    assert str(tmp_path) not in sys.path


def test_outputs_that_differ_are_not_measured() -> None:
    def make(setting: Setting, length: int) -> Pair:
        ours, theirs = (smrdsl.layer("ema(state=2)", setting.width, seed=seed) for seed in (0, 1))
        return Pair(ours, theirs, theirs)

    with pytest.raises(AssertionError, match="outputs are apart"):
        list(rows(Peer("wrong", "EMA", "nobody", make), SMALL, EFFORT, MACHINE))


def test_every_weight_of_ours_gets_one_of_theirs() -> None:
    ours = smrdsl.layer("linear(3)  gelu", 3)
    weight, bias = torch.randn(3, 3), torch.randn(3)
    take(ours, {"weight": weight, "bias": bias})
    assert torch.allclose(ours(torch.eye(3)[None])[0], nn.functional.gelu(weight.T + bias), atol=1e-6)
    with pytest.raises(AssertionError, match="bias"):
        take(ours, {"weight": weight})
    with pytest.raises(AssertionError, match="scale"):
        take(ours, {"weight": weight, "bias": bias, "scale": bias})


def test_ours_keeps_nothing_between_runs() -> None:
    layer = smrdsl.layer("s4d(state=4)", 4)
    u = torch.randn(1, LENGTH, 4)
    with torch.no_grad():
        first = layer(u)
        core = next(m for m in layer.modules() if hasattr(m, "memo"))
        before = core.memo
        assert torch.equal(fresh(layer)(u), first)
        assert core.memo is not before


def test_the_command_line_writes_a_table_and_all_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    sizes = ["--lengths", "24", "--batch=2", "--width=16", "--repeat=1", "--no-memory"]
    main(["s5", "mamba-minimal", "smr-s4d", *sizes, "--threads", "1", "2", "--json", str(file)])
    text, found = capsys.readouterr().out, json.loads(file.read_text())
    assert "mamba-minimal: skipped, needs --mamba-minimal FOLDER" in text
    assert [s["case"] for s in found["skipped"]] == ["mamba-minimal"]
    assert {*found["machine"]["roofline"]} == {"gflops", "copy_gb", "rfft_gpoints", "gexp"}
    each = [(case, work, n) for case in ("s5", "smr-s4d") for work in (FORWARD, TRAINING) for n in (1, 2)]
    assert [(r["case"], r["work"], r["threads"]) for r in found["rows"]] == each
    for row in (Row(**r) for r in found["rows"]):
        assert table.line(row) in text
        assert (row.share is None) == (row.threads > 1) == (row.scaling is not None)


def test_a_case_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(["s6"])
    assert "no case `s6`; there are s4d, " in capsys.readouterr().err


def test_a_process_without_native_kernels_gets_the_same_options(tmp_path: Path) -> None:
    options = ["--lengths", "24", "48", "--threads", "1", "2", "--no-memory", "--s4", str(tmp_path), "--limit", "5"]
    given, peer = parsed(["s4d-torch", "s5", *options]), BY_NAME["s4d-torch"]
    assert not peer.native
    there = parsed(again(peer, given))
    assert there.cases == ["s4d-torch"]
    assert vars(there) | {"cases": given.cases} == vars(given)


def test_works_take_turns_until_the_time_is_used_up() -> None:
    order: list[str] = []
    works = {name: (1, lambda name=name: order.append(name)) for name in "ab"}
    found = clock.interleaved(works, rounds=3, seconds=60)
    assert order == ["a", "b"] * 4
    assert {len(r.times) for r in found.values()} == {3}
    assert {len(r.times) for r in clock.interleaved(works, rounds=3, seconds=-1).values()} == {1}


def test_how_long_a_run_would_take_is_seen_from_shorter_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for power in (1, 2):
        monkeypatch.setattr(clock, "once", lambda work, count, power=power: (0.0, work() ** power))
        seen: list[int] = []

        def work_at(n: int, seen: list[int] = seen) -> clock.Work:
            seen.append(n)
            return lambda: n

        assert clock.expected(work_at, 1024, limit=1e9) == pytest.approx(1024**power / 1000)
        assert max(seen) == 256
        seen.clear()
        assert clock.expected(work_at, 1024, limit=1e-9) == pytest.approx(1024**power / 1000)
        assert max(seen) == 64  # it is plain by then


def test_a_peer_that_takes_too_long_is_left_out_with_a_note() -> None:
    effort = Effort(lengths=(256,), rounds=1, limit=0.0, memory=False)
    first, _ = rows(BY_NAME["s5"], SMALL, effort, MACHINE)
    assert isinstance(first, Row)
    assert first.theirs is first.ratio is None
    assert first.note.startswith("one run would take about")
    assert first.note in table.line(first)


def test_the_roofline_counts_arithmetic_traffic_and_exponentials() -> None:
    layer = smrdsl.layer("s6(state=4)  gelu", 16)

    def of(machine: roofline.Machine, length: int = 64, work: str = FORWARD) -> float:
        return roofline.limit(machine, layer, 2, length, work)

    assert of(MACHINE, 128) == pytest.approx(2 * of(MACHINE), rel=0.05)
    assert of(MACHINE) < of(MACHINE, work=TRAINING) <= 3 * of(MACHINE)
    slow_exp = roofline.Machine(100.0, 20.0, 0.5, 1e-6)
    assert of(slow_exp) == pytest.approx(2 * 64 * 16 * (4 + 1 + 1) / 1e-6 / 1e6, rel=1e-3)
    slow_copy = roofline.Machine(100.0, 1e-6, 0.5, 3.0)
    weights = sum(p.numel() for p in layer.parameters())
    assert of(slow_copy) == pytest.approx(4 * (2 * 64 * 4 * 16 + weights) / 1e-6 / 1e6, rel=1e-3)


def test_a_convolution_is_bound_by_its_transforms() -> None:
    layer = smrdsl.layer("s4d(state=4)  execute ssm as conv", 16)
    slow = roofline.Machine(1e-9, 20.0, 1e-9, 3.0)
    assert roofline.limit(slow, layer, 2, 64, FORWARD) == pytest.approx(2 * 64 * 16 * 5 / 1e-9 / 1e6)


def test_memory_is_that_of_a_process_of_its_own() -> None:
    wide = Setting(batch=4, width=64)
    found = memory.peak(BY_NAME["s5"], "ours", wide, 8192, seconds=120)
    assert found is not None
    assert 4 * 8192 * 64 * 4 / 2**20 < found < 500
    assert memory.peak(BY_NAME["s5"], "ours", wide, 64, seconds=0.01) is None


def test_smr_costs_something_and_changes_nothing_at_first() -> None:
    pair = with_and_without("s4d(state=4)  gelu")(SMALL, LENGTH)
    extra = {n for n, _ in pair.ours.named_parameters()} - {n for n, _ in pair.theirs.named_parameters()}
    assert {n.split(".")[-1] for n in extra} == {"m", "b"}
    u = torch.randn(2, LENGTH, 16)
    assert torch.allclose(pair.ours(u), pair.run(u), atol=1e-6)
    row = Row("", "", "", FORWARD, 1, 1, 2.0, 1.9, 0.95, (0.9, 1.0), 1, True, 0.0, (), goal=1 / 1.1)
    assert table.ratio(row) == "+5.3 %"
    assert table.goal(row) == "+10.0 %, reached"


def test_absence_is_told_in_a_sentence() -> None:
    with pytest.raises(Absent, match=r"needs --s4 FOLDER, a checkout of https://x"):
        SMALL.folder("s4", "https://x")
    assert math.isclose(clock.ratio((2.0, 4.0, 9.0), (1.0, 2.0, 3.0)), 2.0)
