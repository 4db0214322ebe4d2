"""Zips: bounded, never unpacked to disk, refused when they are hostile."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile

import pytest

from core.corpus.limits import Limits
from core.corpus.load import load_corpus, load_uploads
from core.errors import CorpusError
from tests.corpus_files import flawless, lines, zipped


def load_zip(data: bytes, **options):
    return load_uploads({"mine.zip": data}, "mine", **options)


def fault_of(data: bytes, **options) -> str:
    with pytest.raises(CorpusError) as caught:
        load_zip(data, **options)
    return caught.value.faults[0]


@pytest.mark.parametrize("path", ["../evil.txt", "/etc/evil", "a/../../evil", "..\\evil", "C:\\evil"])
def test_a_path_that_leads_out_refuses_the_archive(path):
    assert "leads out of the archive" in fault_of(zipped(flawless() | {path: b"x"}))


def test_a_bomb_is_refused_by_its_ratio_before_it_is_unpacked():
    bomb = flawless() | {"corpus.jsonl": lines({"_id": "d0", "text": "x" * 3_000_000})}
    assert "'corpus.jsonl' unpacks to" in fault_of(zipped(bomb))
    assert load_zip(zipped(bomb), limits=Limits(archive_ratio=5000)).n_documents == 1


def test_a_file_that_lies_about_its_size_is_named():
    data = zipped({"corpus.jsonl": lines({"_id": "d0", "text": "x" * 5000})})
    true_size = struct.pack("<I", len(lines({"_id": "d0", "text": "x" * 5000})))
    assert data.count(true_size) == 2
    assert "corpus.jsonl: cannot be read (damaged: Bad CRC-32" in fault_of(
        data.replace(true_size, struct.pack("<I", 100))
    )


def test_sizes_and_counts_are_bounded():
    assert "more than 3" in fault_of(zipped(flawless()), limits=Limits(archive_entries=3))
    assert "mine.zip: unpacks to" in fault_of(zipped(flawless()), limits=Limits(archive_bytes=1000))
    assert "corpus.jsonl: 1.2" in fault_of(zipped(flawless()), limits=Limits(file_bytes=900))


def test_links_and_shadow_files_are_ignored():
    buffer = io.BytesIO(zipped(flawless() | {"__MACOSX/._corpus.jsonl": b"\0", "notes.txt": b"x"}))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("qrels/dev.tsv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    corpus = load_zip(buffer.getvalue())
    assert sorted(corpus.splits) == ["test", "train"]
    assert corpus.notes == ("mine.zip: 'qrels/dev.tsv' is a link and was ignored.",)


def test_damaged_encrypted_and_doubled_files_are_named():
    assert "is not a zip that can be read" in fault_of(b"no zip at all")
    good = zipped(flawless())
    assert "is not a zip that can be read" in fault_of(good[: len(good) // 2])
    spoilt = bytearray(good)
    spoilt[60:80] = bytes(20)
    assert fault_of(bytes(spoilt)).startswith("corpus.jsonl: cannot be read (")
    locked = bytearray(good)
    for start in range(len(good) - 4):  # the flag of encryption, in both headers of every file
        if good[start : start + 4] in (b"PK\x03\x04", b"PK\x01\x02"):
            locked[start + (6 if good[start + 2] == 3 else 8)] |= 1
    assert "is encrypted" in fault_of(bytes(locked))
    buffer = io.BytesIO(good)
    with zipfile.ZipFile(buffer, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("corpus.jsonl", b"x")
    assert "holds 'corpus.jsonl' twice" in fault_of(buffer.getvalue())


def test_several_corpora_and_deep_ones_are_refused(tmp_path):
    both = {f"{folder}/{name}": data for folder in "ab" for name, data in flawless().items()}
    assert fault_of(zipped(both)) == "mine.zip: holds several corpora (a, b). Name one of them."
    assert "corpus.jsonl: is missing" in fault_of(zipped(flawless(), "a/b/"))
    (tmp_path / "bad.zip").write_bytes(b"")
    with pytest.raises(CorpusError, match="bad.zip: is not a zip"):
        load_corpus(tmp_path / "bad.zip")
