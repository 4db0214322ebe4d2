"""Written texts: the file, the rule, the rows behind the corpus that nobody searches, training and going on, the model that writes."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from core.cli import main
from core.corpus.written import NEGATIVE, PARAPHRASE, QUERY, Written, read_written, write_lines
from core.encode.model import load_model
from core.errors import CorpusError, ParameterError
from core.sampling.batch import NoBatch
from core.sampling.counterfactual import Exchange, shape, swappable
from core.sampling.positives_spans import InverseCloze
from core.sampling.positives_written import GeneratedQueries, Paraphrases
from core.sampling.presets import PRESETS
from core.sampling.recipe import Lane, Recipe
from core.sampling.sources import BM25Source
from core.sampling.written import Counterfactuals, NegativesFromFile
from core.train.results import TrialResults
from core.train.trial import Stopped, run_trial
from core.train.written import FILE, SCORES
from tests.positives_world import MAKERS, PASSAGES, world
from tests.small import make_context, make_corpus
from tests.test_llm_judge import Chat
from tests.test_positives_training import LIGHT, prepared
from tests.test_train_trial import bytes_of, events_of, make_trial

LINES = [
    {"kind": "negative", "query-id": "q0", "doc-id": "0-2", "text": "Nobody built a bridge."},
    {"kind": "negative", "query_id": "q0", "text": "The bridge fell down."},
    {"kind": "negative", "query-id": "q1", "text": "Glass is made of sand.", "origin": "model-x"},
    {"kind": "negative", "query-id": "q9", "text": "Of a query that is held out."},
    {"kind": "negative", "query-id": "nobody", "text": "Of a query that is not there."},
    {"kind": "paraphrase", "query-id": "q0", "text": "builder of the stone bridge"},
    {"kind": "query", "doc-id": "2-2", "text": "library builder"},
    {"kind": "query", "doc-id": "3-2", "text": "library builder"},
    {"kind": "query", "doc-id": "x", "text": "of no document"},
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "written.jsonl"
    path.write_text("".join(json.dumps(line) + "\n\n" for line in LINES))
    return path


def test_a_file_is_read_by_kind_and_every_fault_is_told(file, tmp_path):
    assert [own.text for own in read_written(file, NEGATIVE)] == [line["text"] for line in LINES[:5]]
    assert [own.query_id for own in read_written(file, PARAPHRASE)] == ["q0"] and len(read_written(file, QUERY)) == 3
    again = tmp_path / "again.jsonl"
    write_lines(again, read_written(file, NEGATIVE))
    assert read_written(again, NEGATIVE) == read_written(file, NEGATIVE)
    assert all(json.loads(line)["synthetic"] is True for line in again.read_text().splitlines()), "marked as what it is"
    bad = tmp_path / "bad.jsonl"
    lines = (b'{"query-id": "a"}', b"[1]", b'{"kind": "joke", "text": "x"}', b"\xff", b'{"query-id": 3, "text": "ok"}')
    bad.write_bytes(b"\n".join((*lines, b'{"query-id": "a", "text": 4}')))
    with pytest.raises(CorpusError) as told:
        read_written(bad, NEGATIVE)
    assert [re.match(r"bad.jsonl:(\d)", fault).group(1) for fault in told.value.faults] == ["1", "2", "3", "4", "6"]
    assert "missing 'text'" in told.value.faults[0] and "one of negative, paraphrase, query" in told.value.faults[2]
    again.write_text('{"query-id": "q0", "doc-id": "d", "text": "no kind"}')
    assert [read_written(again, kind)[0].kind for kind in (NEGATIVE, PARAPHRASE, QUERY)] == [NEGATIVE, PARAPHRASE, QUERY]
    with pytest.raises(CorpusError, match="no such file"):
        read_written(tmp_path / "none.jsonl", NEGATIVE)


def test_a_counterfactual_differs_in_one_span_of_the_same_shape():
    corpus = world()
    texts = corpus.document_texts()
    exchange = Exchange(texts)
    assert set(MAKERS) <= set(exchange.pools["name 2"]) and {"1810", "1925"} <= set(exchange.pools["0000"])
    rng = np.random.default_rng(0)
    for row, text in enumerate(texts):
        made = {exchange.counterfactual([text], "", "one", rng) for _ in range(20)}
        for other in made - {None}:
            spans = [text[a:b] for a, b in swappable(text)]
            changed = [span for span in dict.fromkeys(spans) if not re.search(rf"(?<!\w){re.escape(span)}(?!\w)", other)]
            assert len(changed) == 1 and changed[0] in text, (row, other)
            left, right = re.split(rf"(?<!\w){re.escape(changed[0])}(?!\w)", text, maxsplit=1)
            replacement = other[len(left) :].split(right.split(changed[0])[0])[0] if right else other[len(left) :]
            assert shape(replacement) == shape(changed[0]) and replacement not in text
    built = texts[1]
    named = {exchange.counterfactual([built], "what did Anna Keel do", "one", rng) for _ in range(20)}
    assert all("Anna Keel" not in other and "1810" in other for other in named), "what the query names goes first"
    whole = exchange.counterfactual([built], "", "all", rng)
    assert not [span for span in (built[a:b] for a, b in swappable(built)) if re.search(rf"(?<!\w){re.escape(span)}(?!\w)", whole)]
    assert exchange.counterfactual(["no span here"], "", "one", rng) is None
    halves = Exchange(["Anna Keel", "Piet Vos"]).counterfactual(["A note on Anna Keel", "Surgeons agree."], "", "all", rng)
    assert halves == "A note on Piet Vos Surgeons agree.", "a title's end and a text's beginning make no name"
    assert Exchange(["Only Once"]).counterfactual(["Only Once"], "", "all", rng) is None


def test_written_rows_lie_behind_the_corpus_and_are_drawn_each_epoch(tmp_path, file):
    corpus = world()
    recipe = Recipe(mined=(Lane(source=BM25Source(), per_query=2),), written=NegativesFromFile(file=str(file), weight=0.5))
    setup = prepared(tmp_path / "t", corpus, recipe)
    n = corpus.n_documents
    own = [rows.tolist() for rows in setup.extra.own]
    assert own == [[n, n + 1], [n + 2], [], [], [], []], "held-out and unknown queries are left out"
    assert len(setup.stepper.doc_tokens) == n + 3 and setup.context.vectors("current").documents.shape[0] == n
    texts = setup.stepper.model.tokenize([line["text"] for line in LINES[:3]])
    assert np.array_equal(setup.stepper.doc_tokens.part(n, n + 3).ids, texts.ids)
    seen = set()
    for epoch in range(12):
        setup.begin_epoch(epoch)
        setup.negatives.prepare(0, 0, True, 1)
        batch = setup.batch(np.arange(6))
        assert batch.mined_rows.shape == (6, 3) and batch.mined_rows[1, 2] == n + 2 and batch.mined_rows[3, 2] == -1
        seen.add(int(batch.mined_rows[0, 2]))
    assert seen == {n, n + 1}
    assert setup.stepper.log_weights.exp().tolist() == pytest.approx([1, 1, 0.5])
    setup.stepper.step(setup.batch(np.arange(6)))
    kept = [json.loads(line) for line in (tmp_path / "t" / FILE).read_text().splitlines()]
    assert len(kept) == 3 and all(line["synthetic"] for line in kept)
    assert any("3 synthetic negatives for 2 of 6 training queries" in e["text"] for e in events_of(tmp_path / "t", "log"))


def test_a_text_made_from_a_positive_is_masked_for_other_queries_of_that_positive(tmp_path):
    documents = ["In 1932 Anna Keel came", "In 1944 Piet Vos left", "third"]
    corpus = make_corpus(documents, ["who came", "when did she come", "x"], [(0, 0), (1, 0)], [(2, 1)])
    setup = prepared(tmp_path / "t", corpus, Recipe(written=Counterfactuals(variants=1)), batch_size=2)
    (a,), (b,) = (rows.tolist() for rows in setup.extra.own)
    assert setup.extra.foreign.tolist() == [[b], [a]]
    assert [set(row[row >= 0].tolist()) for row in setup.protected] == [{0, b}, {0, a}]


@pytest.mark.parametrize("batch", [None, NoBatch()])
def test_training_against_written_texts_goes_on_exactly_with_its_own_copy(batch, tmp_path, file):
    base = Recipe(written=NegativesFromFile(file=str(file)))
    recipe = base if batch is None else dataclasses.replace(base, batch=batch)
    settings = LIGHT | {"epochs": 3, "batch_size": 2}
    whole, stopped = (make_trial(tmp_path / which, world(), recipe, **settings) for which in "ab")
    run_trial(whole, threads=1, corpus=world())
    calls = iter(range(4))
    with pytest.raises(Stopped):
        run_trial(stopped, threads=1, corpus=world(), should_stop=lambda: next(calls, None) is None)
    file.write_text('{"query-id": "q0", "text": "changed"}\n')
    run_trial(stopped, threads=1, corpus=world())
    assert bytes_of(whole) == bytes_of(stopped)
    uses, again = TrialResults(whole).written(), TrialResults(stopped).written()
    for name in ("query_rows", "times_used", "weight_sum", *SCORES):
        assert np.array_equal(getattr(uses, name), getattr(again, name)), name
    assert [own.text for own in uses.texts] == [line["text"] for line in LINES[:3]]
    # One of the two texts of q0 each epoch, and q1's only one.
    assert uses.times_used[:2].sum() == uses.times_used[2] == 3 and (uses.weight_sum[uses.times_used > 0] > 0).all()
    assert set(uses.of_query(int(uses.query_rows[0]))) == {0, 1}
    vectors = TrialResults(whole).vectors(world())
    texts = load_model(whole / "model").encode_texts([own.text for own in uses.texts], "document")
    norms = np.linalg.norm(vectors.queries[uses.query_rows], axis=1) * np.linalg.norm(texts, axis=1)
    assert uses.score == pytest.approx((vectors.queries[uses.query_rows] * texts).sum(1) / norms, abs=1e-6)
    known = {row: world().positives.positives(row) for row in uses.query_rows}
    positives = [vectors.score_pairs(np.full(len(known[row]), row), known[row]).min() for row in uses.query_rows]
    assert uses.positive_score == pytest.approx(positives)
    assert not np.array_equal(uses.score, uses.first_score)
    assert json.loads((whole / "result.json").read_text())["n_test_queries"] == 6
    plain = make_trial(tmp_path / "c", world(), "in-batch", **settings)
    run_trial(plain, threads=1, corpus=world())
    assert bytes_of(plain) != bytes_of(whole)


def test_counterfactuals_train_and_are_the_same_for_the_same_seed(tmp_path):
    folders = [make_trial(tmp_path / which, world(), "counterfactuals", **LIGHT) for which in "ab"]
    for folder in folders:
        run_trial(folder, threads=1, corpus=world())
    assert bytes_of(folders[0]) == bytes_of(folders[1]) and (folders[0] / FILE).read_bytes() == (folders[1] / FILE).read_bytes()
    kept = read_written(folders[0] / FILE, NEGATIVE)
    assert len({own.query_id for own in kept}) == 6 and {own.origin for own in kept} == {"rule"}


def test_generated_queries_and_paraphrases_are_trained_on(tmp_path, file):
    corpus = world()
    piece = GeneratedQueries(file=str(file))
    made = piece.draw_epoch(piece.read(make_context(corpus)), 0, 0)
    assert list(made.query_texts) == ["library builder"] * 2 and made.doc_rows.tolist() == [2 * PASSAGES + 1, 3 * PASSAGES + 1]
    assert [set(row.tolist()) for row in made.protected] == [{9, 13}] * 2, "a query written for two documents has two positives"
    words = Paraphrases(file=str(file))
    material = words.read(make_context(corpus))
    texts = [words.draw_epoch(material, 0, epoch).query_texts for epoch in range(20)]
    assert {own[0] for own in texts} == {corpus.query_texts([0])[0], "builder of the stone bridge"}
    assert {own[1] for own in texts} == {corpus.query_texts([1])[0]}
    for recipe in (Recipe(positives=piece), Recipe(positives=words)):
        folder = make_trial(tmp_path / recipe.positives.key, corpus, recipe, **LIGHT)
        assert run_trial(folder, threads=1, corpus=corpus)["n_test_queries"] == 6
    wrong = tmp_path / "wrong.jsonl"
    write_lines(wrong, [Written(QUERY, "", "zzz", "x"), Written(PARAPHRASE, "q9", "", "held out")])
    for other, said in ((GeneratedQueries, "No doc-id"), (Paraphrases, "No query-id")):
        with pytest.raises(ParameterError, match=said):
            other(file=str(wrong)).read(make_context(corpus))


def test_what_is_missing_or_cannot_work_is_said_and_old_recipes_keep_their_keys(tmp_path):
    corpus = world()
    for name in ("llm-negatives", "generated-queries", "paraphrases"):
        with pytest.raises(ParameterError, match="negspace write"):
            run_trial(make_trial(tmp_path / name, corpus, name, **LIGHT), corpus=corpus)
    both = Recipe(positives=InverseCloze(), written=Counterfactuals())
    assert "belong to the corpus's" in both.misfit()
    assert "written" not in Recipe().to_dict() and Recipe.from_dict(Recipe().to_dict()) == Recipe()
    assert Recipe.from_dict(both.to_dict()) == both and "Rule-made" in both.summary()
    assert PRESETS["counterfactuals"].recipe.written.gives_negatives


@pytest.fixture
def chat(monkeypatch):
    served = Chat()
    monkeypatch.setenv("NEGSPACE_LLM_URL", served.url)
    monkeypatch.setenv("NEGSPACE_LLM_MODEL", "writer")
    served.answer = lambda model, text: (200, {}, json.dumps({"texts": [f"about {text[9:40]}", "second", "second", 5, ""]}))
    yield served
    served.server.shutdown()


def run(capsys, *arguments) -> tuple[int, dict, str]:
    code = main(["write", *arguments, "--json"])
    shown = capsys.readouterr()
    return code, json.loads(shown.out.splitlines()[-1]) if code == 0 else {}, shown.out + shown.err


def test_nothing_is_sent_before_a_yes_and_nothing_asked_twice(chat, tiny_folder, tiny_corpus, tmp_path, capsys, workspace):
    out = tmp_path / "n.jsonl"
    base = (str(tiny_folder), "--kind", "negatives", "--out", str(out), "--price-input", "1000")
    code, told, words = run(capsys, *base)
    assert code == 0 and told["requests"] == 24 and told["cost"] > 0 and not chat.asked and not out.exists()
    assert "Nothing was sent" in words and "Texts of the corpus are sent there" in words
    code, told, _ = run(capsys, *base, "--yes", "--most", "5")
    assert code == 0 and told["texts"] == 10 and len(chat.asked) == 5
    found = read_written(out, NEGATIVE)
    assert len(found) == 10 and {own.origin for own in found} == {"writer"}
    held_out = set(tiny_corpus.query_ids(tiny_corpus.split_query_rows("test")))
    assert all("<<<QUERY" in text and "<<<DOCUMENT" in text for _, text, _ in chat.asked)
    with out.open("a") as file:
        file.write('{"kind": "negative", "query-id": "train-')  # as a kill leaves it
    chat.asked.clear()
    code, told, _ = run(capsys, *base, "--yes")
    assert told["requests"] == 19 and len(chat.asked) == 19 and len(read_written(out, NEGATIVE)) == 48
    assert not held_out & {own.query_id for own in read_written(out, NEGATIVE)}
    chat.asked.clear()
    assert run(capsys, *base, "--yes")[1]["requests"] == 0 and not chat.asked
    trial = make_trial(tmp_path / "t", tiny_corpus, Recipe(written=NegativesFromFile(file=str(out))), **LIGHT)
    assert run_trial(trial, threads=1, corpus=tiny_corpus)["n_train_pairs"] > 0


def test_faults_are_told_and_asked_again_and_a_refusal_ends_the_run(chat, tiny_folder, tmp_path, capsys, workspace):
    out = tmp_path / "q.jsonl"
    base = (str(tiny_folder), "--kind", "queries", "--out", str(out), "--yes", "--most", "6", "--per-item", "1", "--parallel", "1")
    answers = iter(["no json", '{"texts": []}', '{"texts": "x"}', '{"texts": ["good"]}', 'Sure: {"texts": ["fine"]}', "[]"])
    chat.answer = lambda model, text: (200, {}, next(answers))
    code, told, words = run(capsys, *base)
    assert code == 0 and told["texts"] == 2 and told["faults"] == 4 and "gave no text that can be used" in words
    chat.answer = lambda model, text: (401, {}, "no key")
    code, _, words = run(capsys, *base)
    assert code == 2 and "Check the URL, the key" in words and len(read_written(out, QUERY)) == 2
    chat.answer = lambda model, text: (200, {}, '{"texts": ["again"]}')
    assert run(capsys, *base)[1]["texts"] == 4 and len(read_written(out, QUERY)) == 6
    code, _, words = run(capsys, str(tiny_folder), "--kind", "jokes", "--out", str(out))
    assert code == 2 and "--kind must be one of" in words


def test_rules_need_nobody_and_without_an_endpoint_a_sentence_says_what_to_do(tiny_folder, tmp_path, capsys, workspace, monkeypatch):
    monkeypatch.delenv("NEGSPACE_LLM_URL", raising=False)
    out = tmp_path / "r.jsonl"
    base = (str(tiny_folder), "--out", str(out))
    code, _, words = run(capsys, *base, "--kind", "negatives")
    assert code == 2 and "Set $NEGSPACE_LLM_URL" in words
    code, told, _ = run(capsys, *base, "--kind", "negatives", "--by-rule")
    assert code == 0 and told["texts"] == len(read_written(out, NEGATIVE))
    assert run(capsys, *base, "--kind", "queries", "--by-rule")[0] == 2


def test_a_bundle_names_no_folder_and_one_that_does_is_refused(workspace, tiny_corpus, tiny_folder, tmp_path, file):
    import zipfile

    from core.corpus.limits import Limits
    from core.errors import TrialError
    from core.lab.bundle_check import check_folder
    from core.lab.exchange import bundle_file, open_file
    from core.lab.retrain import retrain_config
    from core.lab.workspace import Workspace
    from core.train.config import TrialConfig, read_config, write_config

    write_lines(file, [Written(NEGATIVE, "train-1", "", "no answer")])
    place = Workspace(workspace)
    folder = place.trials / "one"
    recipe = Recipe(written=NegativesFromFile(file=str(file)))
    config = {"corpus": str(tiny_folder), "corpus_fingerprint": tiny_corpus.fingerprint, "corpus_name": "tiny", **LIGHT | {"epochs": 1}}
    write_config(folder, TrialConfig(recipe=recipe.to_dict(), **config))
    run_trial(folder, threads=1, corpus=tiny_corpus)
    original = file.read_bytes()
    file.write_text("gone")
    assert retrain_config(read_config(folder), "one", {}, folder=folder)[1] == {"written-source.jsonl": original}
    out = tmp_path / "t.zip"
    bundle_file(place, folder, out, with_corpus=True, say=lambda _: None)
    with zipfile.ZipFile(out) as packed:
        told = json.loads(packed.read("trial.json"))
        assert told["config"]["recipe"]["written"]["file"] == file.name and {FILE, "written-source.jsonl"} <= set(packed.namelist())
    opened = open_file(Workspace(tmp_path / "other"), out, say=lambda _: None)
    assert opened
    with pytest.raises(TrialError, match="by its folder"):
        check_folder(folder, "t.zip", Limits())
