"""The ``negspace`` command: the same core as the pages, for scripts, notebooks and CI.

Human text on stdout; with ``--json`` one JSON object on the last line. Exit code 2 with one line on stderr for what the user
can mend, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import keyword
import sys
from collections.abc import Sequence
from typing import Any

from core.corpus.spec import SPEC_HELP
from core.errors import UserError
from core.lab.workspace import Workspace

EXPORTS = (
    "triplet, n-tuple, labeled-list (sentence-transformers), flagembedding, tevatron, trec-run, trec-negatives, qrels, "
    "qrels-corrected, verdicts, beir, beir-mined, script"
)
ENCODERS = (
    "static, static-scratch, char-ngram, tiny-transformer, sentence-transformer or frozen-head (default: static); its parameters "
    "by --set encoder.FIELD=VALUE, or behind it: 'char-ngram;dim=64'"
)

TRAINING = (
    "Train one dual encoder. Several processes share a step's batch (cross-batch negatives): "
    "torchrun --nproc-per-node 2 -m core.cli train CORPUS --recipe NAME."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the process's exit code."""
    options = _parser().parse_args(arguments)
    from core import commands
    from core.lab import together

    try:
        if together.n_processes() > 1 and options.command != "train":
            raise UserError(f"torchrun shares the work of 'negspace train' alone. Start 'negspace {options.command}' without it.")
        if together.is_follower():
            together.follow_training(Workspace(options.workspace or None))
            return 0
        answer: dict[str, Any] | None = getattr(commands, _function(options.command))(options)
    except UserError as error:
        print(f"negspace: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("negspace: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader went away, as `| head` does
        sys.stderr.close()
        return 0
    if options.json and answer is not None:
        print(json.dumps(answer, ensure_ascii=False, allow_nan=False, default=str), flush=True)
    return 0


def _function(command: str) -> str:
    """The function in core/commands.py of a command; a word of Python's own gets an underscore, as in import_."""
    name = command.replace("-", "_")
    return name + "_" if keyword.iskeyword(name) else name


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):  # one line, exit code 2, as for every other user error
        self.exit(2, f"{self.prog}: {message}. See '{self.prog} --help'.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="negspace", description="A laboratory for negative sampling in dense retrieval.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    everywhere = _Parser(add_help=False)
    everywhere.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    corpus = _Parser(add_help=False)
    corpus.add_argument("corpus", metavar="CORPUS", help=SPEC_HELP)
    hiding = "hide this share of the training positives of queries with several, and count them as truth"
    corpus.add_argument("--hide-positives", type=float, metavar="SHARE", help=hiding)
    corpus.add_argument("--hide-seed", type=int, default=0, metavar="S", help="which positives are hidden (default: 0)")
    recipe = _Parser(add_help=False)
    recipe.add_argument("--recipe", required=True, metavar="NAME", help="a name that 'negspace recipes' lists")
    recipe.add_argument("--set", action="append", default=[], metavar="PIECE.FIELD=VALUE", help="change one parameter; may be repeated")
    recipe.add_argument("--encoder", default="static", metavar="KEY", help=ENCODERS)
    recipe.add_argument("--seed", type=int, default=0, metavar="S")
    place = _Parser(add_help=False)
    place.add_argument("--workspace", metavar="DIR", help="where trials are kept (default: $NEGSPACE_WORKSPACE or ~/.negspace)")

    recipes = commands.add_parser("recipes", parents=[everywhere], help="list the sampling strategies")
    recipes.add_argument("--markdown", action="store_true", help="print the README's table of techniques")
    recipes.add_argument("--write", metavar="README", help="with --markdown: put the table into this file instead")
    train = commands.add_parser("train", parents=[everywhere, corpus, recipe, place], help="train one dual encoder", description=TRAINING)
    train.add_argument("--epochs", type=int, metavar="N")
    train.add_argument("--batch-size", type=int, metavar="B")
    train.add_argument("--learning-rate", type=float, metavar="LR")
    train.add_argument("--name", metavar="TEXT", help="how the pages call the trial")
    train.add_argument("--verdicts", metavar="FILE", help="people's verdicts: JSON lines or a table with query_id, doc_id and verdict")
    train.add_argument("--verdict-use", metavar="WAY", help="with --verdicts: drop, down-weight or promote (default: drop)")
    train.add_argument("--verdict-weight", type=float, metavar="W", help="down-weight: share of the weight that is kept (default: 0.1)")
    retrain = commands.add_parser("retrain", parents=[everywhere, place], help="train like a trial again, with verdicts")
    retrain.add_argument("trial", metavar="TRIAL", help="a trial's folder, or its id in the workspace")
    retrain.add_argument("--verdicts", metavar="FILE", help="JSON lines or a table with query_id, doc_id and verdict")
    retrain.add_argument("--from-judges", action="store_true", help="what the judges of the workspace decided about this corpus")
    retrain.add_argument("--from-truth", action="store_true", help="audit only: what a perfect judge would say of its candidates")
    retrain.add_argument("--use", metavar="WAY", help="drop, down-weight or promote (default: drop)")
    retrain.add_argument("--weight", type=float, metavar="W", help="down-weight: share of the weight that is kept (default: 0.1)")
    retrain.add_argument("--name", metavar="TEXT", help="how the pages call the new trial")
    mine = commands.add_parser("mine", parents=[everywhere, corpus, recipe, place], help="mine negatives without training")
    mine.add_argument("--trial", metavar="DIR", help="mine with this finished trial's model (default: the untrained encoder)")
    mine.add_argument("--out", required=True, metavar="FILE.parquet")
    write = commands.add_parser("write", parents=[everywhere, corpus, place], help="have a model write negatives, paraphrases or queries")
    write.add_argument("--kind", required=True, metavar="WHAT", help="negatives, paraphrases or queries")
    write.add_argument("--out", required=True, metavar="FILE.jsonl", help="where texts are added; what it holds is not asked again")
    write.add_argument("--per-item", type=int, default=2, metavar="N", help="texts for each query or document (default: 2)")
    write.add_argument("--most", type=int, default=0, metavar="N", help="only so many queries or documents, drawn (default: all)")
    write.add_argument("--by-rule", action="store_true", help="negatives by rule: a name, date or number exchanged; asks nobody")
    write.add_argument("--yes", action="store_true", help="yes to the estimate: without it nothing is sent")
    write.add_argument("--price-input", type=float, default=0.0, metavar="P", help="price of a million tokens in, for the estimate")
    write.add_argument("--price-output", type=float, default=0.0, metavar="P", help="price of a million tokens out")
    write.add_argument("--parallel", type=int, default=4, metavar="N", help="requests at once (default: 4)")
    write.add_argument("--seed", type=int, default=0, metavar="S", help="which are drawn with --most")
    commands.add_parser("doctor", parents=[everywhere, corpus, place], help="examine a corpus before anybody blames its negatives")
    bring = commands.add_parser("import", parents=[everywhere, corpus, place], help="write any readable corpus in BEIR's layout")
    bring.add_argument("--out", required=True, metavar="FOLDER", help="a new or empty folder; mined negatives go into imported.jsonl")
    compare = commands.add_parser("compare", parents=[everywhere, place], help="compare finished trials")
    compare.add_argument("trials", nargs="+", metavar="TRIAL", help="a trial's folder, or its id in the workspace")
    compare.add_argument("--truth", action="store_true", help="judged by the corpus's fuller judgements too (audit only)")
    compare.add_argument("--joined", action="store_true", help="two trials: their vectors joined, [first; w x second] (SPAR)")
    export = commands.add_parser("export", parents=[everywhere, place], help="write a trial's negatives, labels or ranking for other tools")
    export.add_argument("trial", metavar="TRIAL", help="a trial's folder, or its id in the workspace")
    export.add_argument("--format", required=True, metavar="NAME", help=EXPORTS)
    export.add_argument("--out", required=True, metavar="FILE", help="its ending chooses between .parquet and .jsonl, .csv and .jsonl")
    export.add_argument("--refresh", default="last", metavar="N", help="the mining: last (of each lane), all, or a table's number")
    export.add_argument("--of", default="used", metavar="WHICH", help="used, kept or all: trained against, passed every rule, looked at")
    export.add_argument("--per-query", type=int, default=0, metavar="N", help="at most so many negatives a query (default: all)")
    export.add_argument("--order", default="rank", metavar="WHICH", help="which come first: rank, score or pull (default: rank)")
    export.add_argument("--no-suspects", action="store_true", help="without the negatives that were in doubt when they were mined")
    export.add_argument("--verdicts", metavar="FILE", help="JSON lines or a table with query_id, doc_id and verdict")
    export.add_argument("--from-judges", action="store_true", help="what the judges of the workspace decided about this corpus")
    export.add_argument("--verdict-use", default="drop", metavar="WAY", help="judged false negatives: drop, promote or keep")
    bundle = commands.add_parser("bundle", parents=[everywhere, place], help="write a trial as one zip that another installation opens")
    bundle.add_argument("trial", metavar="TRIAL", help="a trial's folder, or its id in the workspace")
    bundle.add_argument("--out", required=True, metavar="FILE.zip")
    bundle.add_argument("--with-corpus", action="store_true", help="its corpus too, for places that do not have it")
    opening = commands.add_parser("open", parents=[everywhere, place], help="open a bundle in the workspace")
    opening.add_argument("bundle", metavar="FILE.zip")
    audit = commands.add_parser("audit", parents=[everywhere, corpus, place], help="doubt a trial's negatives, and measure the doubts")
    audit.add_argument("--trial", metavar="TRIAL", help="a trial's folder, or its id in the workspace")
    audit.add_argument("--verdicts", metavar="FILE", help="learn the combination from people's verdicts (query_id, doc_id, verdict)")
    audit.add_argument("--guide", metavar="TRIAL", help="the second model to ask (default: the untrained encoder)")
    audit.add_argument("--no-cross", action="store_true", help="do without a cross-encoder")
    audit.add_argument("--splits", type=int, default=5, metavar="N", help="random halves of the queries for the truth bench (default: 5)")
    audit.add_argument("--dose", action="store_true", help="train on growing shares of hidden positives instead, and compare")
    audit.add_argument("--shares", default="0,0.25,0.5", metavar="P,...", help="with --dose: shares to hide (default: 0,0.25,0.5)")
    audit.add_argument("--seeds", type=int, default=3, metavar="N", help="with --dose: trials a recipe and share (default: 3)")
    audit.add_argument("--epochs", type=int, metavar="N", help="with --dose: epochs of each trial")
    index = commands.add_parser("index", parents=[everywhere, corpus, place], help="measure the vector indexes on a corpus")
    index.add_argument("--trial", metavar="TRIAL", help="with this finished trial's vectors (default: the untrained encoder)")
    index.add_argument("--encoder", default="static", metavar="KEY", help=f"without --trial: {ENCODERS}")
    index.add_argument("--indexes", metavar="KEY,...", help="which ones (default: all that can be built here)")
    index.add_argument("--k", type=int, default=100, metavar="K", help="recall among the first K documents (default: 100)")
    index.add_argument("--first", type=int, default=1, metavar="RANK", help="first raw rank that mining may use (default: 1)")
    index.add_argument("--last", type=int, default=50, metavar="RANK", help="last raw rank that mining may use (default: 50)")
    index.add_argument("--queries", type=int, default=1000, metavar="N", help="at most so many training queries (default: 1000)")
    index.add_argument("--seed", type=int, default=0, metavar="S", help="of the untrained encoder")
    cascade = commands.add_parser("cascade", parents=[everywhere, corpus, place], help="measure retriever, reranker and both")
    cascade.add_argument("--trial", required=True, metavar="TRIAL", help="the finished trial whose model retrieves")
    cascade.add_argument("--cross", default="embedded", metavar="KEY", help="the reranker: embedded or transformer (default: embedded)")
    cascade.add_argument("--depth", type=int, default=100, metavar="N", help="candidates that are re-ranked (default: 100)")
    cascade.add_argument("--k", type=int, default=10, metavar="K", help="precision and recall among the first K (default: 10)")
    cascade.add_argument("--alone", type=int, default=20, metavar="N", help="queries for the reranker alone, 0 = none (default: 20)")
    cascade.add_argument("--truth", action="store_true", help="judged by the corpus's fuller judgements (audit only)")
    bench = commands.add_parser("bench", parents=[everywhere], help="measure speed side by side with the peers")
    bench.add_argument("--corpus", metavar="CORPUS", help="default: a generated one of 20,000 documents and 4,000 training queries")
    bench.add_argument("--repeats", type=int, default=3, metavar="N")
    sweep = commands.add_parser("sweep", parents=[everywhere, corpus, place], help="train every recipe with several seeds, and tabulate")
    sweep.add_argument("--recipes", default="all", metavar="NAME,...", help="names that 'negspace recipes' lists (default: all)")
    sweep.add_argument("--seeds", type=int, default=3, metavar="N", help="trials of each recipe (default: 3)")
    sweep.add_argument("--epochs", type=int, metavar="N", help="of each trial")
    sweep.add_argument("--encoder", default="static", metavar="KEY", help="as for train (default: static)")
    sweep.add_argument("--jobs", type=int, default=1, metavar="N", help="trials at once (default: 1; seconds are fair only then)")
    sweep.add_argument("--out", metavar="FOLDER", help="for sweep.json, sweep.md and sweep.tsv (default: sweeps/ in the workspace)")
    sweep.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    serve = commands.add_parser("serve", parents=[everywhere, place], help="start the pages")
    serve.add_argument("--port", type=int, default=8501)
    serve.add_argument("--address", default="localhost", help="0.0.0.0 for a classroom")
    return parser


if __name__ == "__main__":
    sys.exit(main())
