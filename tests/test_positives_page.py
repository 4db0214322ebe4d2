"""The Recipe page of positives that are no labels: twenty pairs, the seed in the link, what is missing, texts as they are."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.corpus.load import load_corpus
from core.sampling.presets import PRESETS
from pages.ui.codes import encode_recipe
from tests.positives_world import documents, world
from tests.test_page_recipe import _quiet, page, words  # noqa: F401

NASTY = "<script>alert(1)</script> costs $5$ **bold** [link](http://x.y) :smile:"


def known(folder) -> str:
    """The link of the corpus in this folder, known in the workspace."""
    from core.lab.corpora import add_corpus
    from core.lab.store import Store

    corpus = load_corpus(folder)
    store = Store()
    about = {"n_documents": corpus.n_documents, "n_queries": corpus.n_queries}
    add_corpus(store, spec=str(folder), name=corpus.name, fingerprint=corpus.fingerprint, **about)
    store.close()
    return corpus.fingerprint


@pytest.fixture
def link(workspace, tmp_path) -> str:
    folder = tmp_path / "world"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": row.pop("doc_id"), **row} for row in documents()]
    rows[0]["text"] = f"{NASTY}. {rows[0]['text']}"
    corpus = world()
    queries = zip(corpus.query_ids(), corpus.query_texts(), strict=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": i, "text": text}) + "\n" for i, text in queries))
    for split in ("train", "test"):
        q, d, _ = corpus.splits[split].pairs()
        lines = zip(corpus.query_ids(q), corpus.doc_ids(d), strict=True)
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{a}\t{b}\t1\n" for a, b in lines))
    return known(folder)


def html_of(at) -> list[str]:
    return [element.proto.body for element in at.get("html")]


def test_twenty_pairs_before_anything_is_trained(root, link):
    at = page(root, corpus=link, recipe="inverse-cloze")
    assert not at.exception and not at.error
    assert "What it would pull together" in {s.value for s in at.subheader}
    assert "What it would pick" not in {s.value for s in at.subheader}
    text = words(at)
    assert "24 pairs for 24 of 24 documents" in text and "No label is used" in text and "with seed 0" in text
    assert sum("made of the texts" in str(c.value) for c in at.caption) == 20
    first = html_of(at)
    at.button(key="pairs.others").click().run().run()
    assert at.query_params["draw"] == "1" and not at.exception
    second = html_of(at)
    assert first != second and html_of(page(root, corpus=link, recipe="inverse-cloze", draw="1")) == second


def test_texts_of_the_corpus_are_shown_as_they_are(root, link):
    at = page(root, corpus=link, recipe="word-noise", draw="4")
    shown = [body for body in html_of(at) if "alert" in body]
    assert shown and all("<script" not in body and "&lt;" in body for body in shown if "script" in body)
    assert not any("<script" in body for body in html_of(at))


@pytest.mark.parametrize("name", ["spider", "query-clusters"])
def test_pairs_with_hard_negatives_or_labels_show_them(name, root, link):
    at = page(root, corpus=link, recipe=name)
    assert not at.exception and not at.error and " pairs for " in words(at)
    assert ("The training labels are used" in words(at)) == PRESETS[name].recipe.positives.uses_labels
    assert any("Hard negative" in str(c.value) for c in at.caption) == (name != "query-clusters")


def test_synthetic_negatives_are_shown_and_marked(root, link):
    at = page(root, corpus=link, recipe="counterfactuals")
    assert not at.exception and not at.error
    assert {"What was written against", "What it would pick"} <= {s.value for s in at.subheader}
    assert "synthetic texts for 6 of 6 training queries" in words(at)
    assert sum("synthetic, by rule" in str(m.value) for m in at.markdown) == 12
    at = page(root, corpus=link, recipe="llm-negatives")
    assert not at.exception and "negspace write" in words(at)
    assert "What was written against" not in {s.value for s in at.subheader}


def test_clicks_are_shown_and_previewed_as_what_is_trained_on(root, workspace, link):
    folder = next(path for path in workspace.parent.iterdir() if (path / "corpus.jsonl").exists())
    (folder / "impressions.tsv").write_text("query-id\tdoc-id\tclicked\nq0\t0-3\t1\nq1\t1-2\t1\nq1\t1-3\t0\n")
    at = page(root, corpus=known(folder), recipe="clicked")
    assert not at.exception and not at.error
    assert "2 pairs for 2 of 24 documents" in words(at) and "Labels only keep known answers" in words(at)
    assert {"What it would pull together", "What it would pick"} <= {s.value for s in at.subheader}
    assert "2 training pairs" in words(at), "the preview counts clicks, not labels"


def test_what_the_corpus_lacks_is_said(root, workspace, tiny_folder):
    at = page(root, corpus=known(tiny_folder), recipe="neighbouring-pieces")
    assert not at.exception and "fields 'source'" in words(at)
    assert all(b.disabled for b in at.button if b.label in ("Train this", "Add to queue"))
    assert "What it would pull together" not in {s.value for s in at.subheader}


def test_positives_that_find_nothing_say_so(root, link):
    import dataclasses

    from core.sampling.positives_spans import ContiguousSpans

    recipe = dataclasses.replace(PRESETS["contiguous-spans"].recipe, positives=ContiguousSpans(least=500, most=600))
    at = page(root, corpus=link, recipe=encode_recipe(recipe))
    assert not at.exception and "makes no pair from this corpus" in words(at)


def test_a_link_cannot_make_the_server_read_a_file(root, link, tmp_path):
    import dataclasses

    from core.sampling.positives_written import GeneratedQueries

    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"doc-id": "0-1", "text": "the secret"}')
    recipe = dataclasses.replace(PRESETS["generated-queries"].recipe, positives=GeneratedQueries(file=str(secret)))
    for path in ("recipe", "train"):
        at = AppTest.from_file(str(root / f"pages/{path}.py"), default_timeout=120)
        at.query_params["corpus"], at.query_params["recipe"] = link, encode_recipe(recipe)
        at.run()
        assert not at.exception and "the secret" not in " ".join(html_of(at)) and "recipe" not in at.query_params
        assert any("was not handed in" in str(w.value) for w in at.warning)


def test_a_file_that_was_handed_in_is_kept_and_its_pairs_shown(root, link, workspace):
    from core.errors import CorpusError
    from pages.ui.recipe_files import _kept, check_files

    path = _kept("my texts.jsonl", b'{"doc-id": "0-1", "text": "what is on the northern side"}\n', "query")
    assert path.parent == workspace / "uploads" / "written" and path.name.endswith("-my_texts.jsonl")
    with pytest.raises(CorpusError, match="missing 'doc-id'"):
        _kept("bad.jsonl", b'{"text": "x"}', "query")
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    import dataclasses

    recipe = PRESETS["generated-queries"].recipe
    recipe = dataclasses.replace(recipe, positives=recipe.positives.but(file=str(path)))
    check_files(recipe)
    at = page(root, corpus=link, recipe=encode_recipe(recipe))
    assert not at.exception and not at.error and "1 pairs for 1 of 24 documents" in words(at)
    assert any("my_texts.jsonl" in str(c.value) for c in at.caption)
