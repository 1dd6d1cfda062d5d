"""Data sets that are read from a user's files: tiny ones in the published formats, and what is not in order."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from smrdsl.data import registry
from smrdsl.data.contract import DataError, DataSet, Request
from smrdsl.data.registry import load


def as_python2(value: object) -> bytes:
    """A pickle as Python 2 and the numpy of its days wrote them: texts are bytes, the module has its old name."""

    class Old(pickle._Pickler):  # type: ignore[name-defined]
        dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

        def old_string(self, text: str | bytes) -> None:
            raw = text.encode() if isinstance(text, str) else text
            self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
            self.memoize(text)

        dispatch[str] = dispatch[bytes] = old_string

    out = io.BytesIO()
    Old(out, protocol=2).dump(value)
    return out.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def test_cifar_in_both_formats(tmp_path):
    """One record is a label and 3 x 1,024 bytes: red, green, blue; both formats give the same grey pictures."""
    rng = np.random.default_rng(0)
    binary, python = tmp_path / "bin", tmp_path / "py"
    binary.mkdir(), python.mkdir()
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        labels, pictures = rng.integers(0, 10, 4), rng.integers(0, 256, (4, 3072), dtype=np.uint8)
        records = np.concatenate([labels[:, None].astype(np.uint8), pictures], axis=1)
        (binary / f"{name}.bin").write_bytes(records.tobytes())
        (python / name).write_bytes(as_python2({"data": pictures, "labels": labels.tolist(), "batch_label": "a batch"}))
    one, other = load(f"cifar:{binary}"), load(f"cifar:{python}")
    assert one.train.u.shape == (7, 1024, 1)
    assert one.test.u.shape == (4, 1024, 1)
    grey = (0.2989 * pictures[0, 0] + 0.5870 * pictures[0, 1024] + 0.1140 * pictures[0, 2048]) / 255
    assert one.test.u[0, 0, 0] == pytest.approx(grey, rel=1e-5)
    for name, part in one.parts.items():
        assert np.array_equal(part.u, other.parts[name].u)
        assert np.array_equal(part.y, other.parts[name].y)


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    class Harm:
        def __reduce__(self):
            return Path.touch, (tmp_path / "harm",)

    (tmp_path / "test_batch").write_bytes(pickle.dumps(Harm()))
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(DataError, match=r"data_batch_1: no batch of CIFAR-10: it names pathlib\.Path"):
        load(f"cifar:{tmp_path}")
    assert not (tmp_path / "harm").exists()


def test_a_pickle_that_says_how_memory_is_read_is_refused(tmp_path):
    """Of an array of objects numpy would take the file's bytes for addresses, if the file says so."""
    for name in ("data_batch_1", "test_batch"):
        text = as_python2({"data": np.zeros((1, 3072), dtype=np.uint8), "labels": [1]})
        (tmp_path / name).write_bytes(text.replace(b"\x02\x00\x00\x00u1", b"\x02\x00\x00\x00O8"))
    with pytest.raises(DataError, match=r"data_batch_1: no batch of CIFAR-10: its pictures are b'O8', not bytes"):
        load(f"cifar:{tmp_path}")


def test_a_record_that_is_cut_off(tmp_path):
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / f"{name}.bin").write_bytes(bytes(3073 + 5))
    with pytest.raises(DataError, match=r"3,078 bytes are no records of 3,073"):
        load(f"cifar:{tmp_path}")


def test_imdb(tmp_path):
    for part, texts in {"train": ["good good", "fine", "ok"], "test": ["bad x"]}.items():
        for kind in ("pos", "neg"):
            (tmp_path / part / kind).mkdir(parents=True)
            for i, text in enumerate(texts):
                (tmp_path / part / kind / f"{i}_7.txt").write_text(text, encoding="utf-8")
    data = load(f"imdb:{tmp_path}", Request(length=8, vocab=4))
    assert (len(data.train), len(data.valid), len(data.test), data.vocab) == (5, 1, 2, 4)
    assert data.test.y.tolist() == [0, 1]
    assert data.test.u[0].tolist() == [1, 1, 3, 1, 1, 0, 0, 0]  # o and d are the two most frequent: 2 and 3
    assert data.test.lengths is not None
    assert data.test.lengths.tolist() == [5, 5]


def test_aan(tmp_path):
    for name, count in (("train", 4), ("eval", 2), ("test", 2)):
        lines = [f"{i % 2}.0\tP{i}\tQ{i}\tabc{i}\txy" for i in range(count)]
        (tmp_path / f"new_aan_pairs.{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = load(f"aan:{tmp_path}", Request(length=6))
    assert data.train.u.shape == (4, 2, 6)
    assert data.train.y.tolist() == [0, 1, 0, 1]
    assert data.train.lengths is not None
    assert data.train.lengths[0].tolist() == [4, 2]
    (tmp_path / "new_aan_pairs.eval.tsv").write_text("2\ta\tb\tc\td\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"eval\.tsv:1: not a label of 0 or 1"):
        load(f"aan:{tmp_path}")


def test_wikitext_numbers_words_by_frequency(tmp_path):
    for name, text in {
        "train": " = A = \n\n the the the cat \n",
        "valid": "the dog <unk> \n",
        "test": "cat the \n",
    }.items():
        (tmp_path / f"wiki.{name}.tokens").write_text(text, encoding="utf-8")
    data = load(f"wikitext:{tmp_path}", Request(length=2))
    assert data.words
    # <eos> and `the` occur three times, `=` twice, <unk>, A and cat once
    assert data.train.u.tolist() == [[2, 4], [2, 0], [0, 1], [1, 1]]
    assert data.train.y.tolist() == [[4, 2], [0, 0], [1, 1], [1, 5]]
    assert data.valid.u.tolist() == [[1, 3]]
    few = load(f"wikitext:{tmp_path}", Request(length=2, vocab=3))
    assert few.vocab == 3
    assert few.train.u.tolist() == [[2, 2], [2, 0], [0, 1], [1, 1]]


def test_listops_of_the_arena(tmp_path):
    text = "Source\tTarget\n( ( ( [MAX 2 ) 9 ) ] )\t9\n( ( ( ( [SM ( ( ( [MIN 4 ) 3 ) ] ) ) 8 ) 9 ) ] )\t0\n"
    for name in ("train", "val", "test"):
        (tmp_path / f"basic_{name}.tsv").write_text(text, encoding="utf-8")
    data = load(f"listops:{tmp_path}", Request(length=10))
    assert data.train.u[0].tolist() == [12, 3, 10, 15, 0, 0, 0, 0, 0, 0]
    assert data.train.u[1].tolist() == [14, 11, 5, 4, 15, 9, 10, 15, 0, 0]
    assert data.train.y.tolist() == [9, 0]
    with pytest.raises(DataError, match=r"basic_train\.tsv:3: a list of 8 tokens, and the model's length is 7"):
        load(f"listops:{tmp_path}", Request(length=7))
    (tmp_path / "basic_val.tsv").write_bytes(b"Source\tTarget\n[MAX \xff 2 ]\t2\n")
    with pytest.raises(DataError, match=r"basic_val\.tsv:2: not a list and its value"):
        load(f"listops:{tmp_path}", Request(length=10))


def test_text_of_a_folder_and_of_a_file(tmp_path):
    for i in range(60):
        (tmp_path / f"{i}.txt").write_bytes(bytes([i]) * 100)
    (tmp_path / ".hidden").write_bytes(b"\xff" * 1000)
    data = load(f"text:{tmp_path}", Request(length=20))
    seen = [set(np.unique(part.u)) for part in data.parts.values()]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert set().union(*seen) <= set(range(60))
    (tmp_path / "one").write_bytes(bytes(range(200)) * 10)
    one = load(f"text:{tmp_path / 'one'}", Request(length=20))
    assert one.train.u.shape == (89, 20)
    assert np.array_equal(one.train.u.reshape(-1)[1:], one.train.y.reshape(-1)[:-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text:empty", "empty: the file is empty"),
        ("text:short", "the part to train on has 90 tokens, and a row of 256"),
        ("text:nothing", "nothing: there is no such file or folder"),
        ("empty.npz", r"empty\.npz: the file is empty"),
        ("folder.npz", r"cannot read folder\.npz: Is a directory"),
        ("short.npz", r"short\.npz is no file that numpy\.savez writes"),
        ("short", "own data is an .npz file .*write text:short"),
        (".", r"\. is a folder: say what is in it"),
        ("digitz", "no data set `digitz`, did you mean `digits`"),
        ("imdb", "is read from your files: write imdb:PATH, the folder aclImdb"),
        ("digits:x", "the data set `digits` takes nothing behind a colon"),
    ],
)
def test_what_cannot_be_read(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    Path("empty.npz").touch()
    Path("folder.npz").mkdir()
    Path("short").write_bytes(bytes(100))
    Path("short.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=message):
        load(text)


def test_options_are_checked():
    with pytest.raises(DataError, match="the data set `listops` has no option `trian`, did you mean `train`"):
        load("listops", options={"trian": "3"})
    with pytest.raises(DataError, match="the option train of the data set `listops`: Input should be greater than 0"):
        load("listops", options={"train": "0"})
    with pytest.raises(DataError, match="the option continuity of the data set `pathfinder`: Input should be a finite"):
        load("pathfinder", options={"continuity": "inf"})


def test_data_that_does_not_fit_into_memory(monkeypatch):
    def none_left(options, request):
        raise MemoryError

    monkeypatch.setattr(registry, "find", lambda text: (DataSet("large", "Too much.", none_left), None))
    with pytest.raises(DataError, match="large does not fit into memory: take less of it"):
        load("large")
