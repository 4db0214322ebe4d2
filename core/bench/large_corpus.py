"""Memory and seconds of loading many short documents: ``python -m core.bench.large_corpus [N] [FORMAT]``.

Writes N generated documents into a temporary folder, loads them in a fresh process with a cache, and prints its peak of
resident memory. FORMAT: beir (default), trec, csv (question-answer pairs) or parquet (three tables).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = "amber birch cedar delta ember frost grove hazel inlet jetty knoll ledge maple north ocean plain quill river stone tower".split()
N_QUERIES = 10_000


def sentence(i: int) -> str:
    """Twelve words that no other i has in this order, and i itself."""
    return " ".join(WORDS[(i // 20**power + power * i) % 20] for power in range(12)) + f" {i}"


def write(folder: Path, n: int, form: str) -> Path:
    """A corpus of ``n`` documents and up to 10,000 queries in this format; returns what to load."""
    n_queries = min(N_QUERIES, n)
    if form == "csv":
        path = folder / "pairs.csv"
        with path.open("w") as file:
            file.write("question,answer\n")
            file.writelines(f"which place is {i},{sentence(i)}\n" for i in range(n))
        return path
    if form == "trec":
        with (folder / "docs.trectext").open("w") as file:
            file.writelines(f"<DOC>\n<DOCNO>d{i}</DOCNO>\n<TEXT>{sentence(i)}</TEXT>\n</DOC>\n" for i in range(n))
        (folder / "topics.tsv").write_text("".join(f"q{i}\twhich place is {i}\n" for i in range(n_queries)))
        (folder / "qrels.txt").write_text("".join(f"q{i} 0 d{i} 1\n" for i in range(n_queries)))
        return folder
    (folder / "qrels").mkdir()
    head = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "train.tsv").write_text(head + "".join(f"q{i}\td{i}\t1\n" for i in range(n_queries)))
    queries = "".join(json.dumps({"_id": f"q{i}", "text": f"which place is {i}"}) + "\n" for i in range(n_queries))
    if form == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"_id": [f"d{i}" for i in range(n)], "text": [sentence(i) for i in range(n)]}), folder / "corpus.parquet")
        (folder / "queries.json").write_text("[" + queries.strip().replace("\n", ",") + "]")
        return folder
    (folder / "queries.jsonl").write_text(queries)
    with (folder / "corpus.jsonl").open("w") as file:
        file.writelines(json.dumps({"_id": f"d{i}", "title": "", "text": sentence(i)}) + "\n" for i in range(n))
    return folder


def measure(path: Path, cache: Path) -> dict[str, float]:
    """Seconds and peak memory (GB) of this process for one load; run it in a process of its own."""
    from core.corpus.load import load_corpus

    started = time.perf_counter()
    corpus = load_corpus(path, cache=cache)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status")  # its peak starts anew with the program; getrusage's is the parent's where that was larger
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    peak = (peaks or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0] * 1024 / 1e9
    return {"documents": corpus.n_documents, "queries": corpus.n_queries, "seconds": round(seconds, 2), "peak_gb": round(peak, 3)}


def main(arguments: list[str]) -> None:
    """Measure, and print one JSON object a line."""
    if arguments[:1] == ["--load"]:
        print(json.dumps(measure(Path(arguments[1]), Path(arguments[2]))))
        return
    n, form = int((arguments or ["1000000"])[0]), (arguments[1:] or ["beir"])[0]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        path = write(data, n, form)
        for what in ("from its files", "from the cache"):
            command = [sys.executable, "-m", "core.bench.large_corpus", "--load", str(path), str(Path(folder) / "cache")]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            print(json.dumps({"format": form, "load": what} | json.loads(done.stdout)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
