"""State of a view in the address: round trips, refusal of bad values, and what is carried between pages."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from core.errors import ParameterError, UserError
from core.sampling.presets import PRESETS
from pages.ui.codes import decode_recipe, encode_recipe, from_text, to_text


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_name_in_the_link(name):
    text = encode_recipe(PRESETS[name].recipe)
    assert decode_recipe(text) == PRESETS[name].recipe
    assert not text.startswith("z.")


def test_any_recipe_survives_the_link():
    import dataclasses

    recipe = PRESETS["ance"].recipe
    changed = dataclasses.replace(recipe, signal=recipe.signal.but(temperature=0.0123))
    text = encode_recipe(changed)
    assert text.startswith("z.") and len(text) < 800
    assert decode_recipe(text) == changed


BOMB = "z." + base64.urlsafe_b64encode(zlib.compress(b"[" * 50_000_000)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "z.",
        "z.AAAA",
        "z.ö",
        BOMB,
        *(
            "z." + base64.urlsafe_b64encode(zlib.compress(b)).decode()
            for b in (
                b"[]",
                b"1",
                b"{}x",
                b'{"signal": 3}',
                b'{"signal": {"key": "nope"}}',
                b'{"mined": [{}, 5]}',
                b'{"mined": 5}',
                b'{"mined": [{"source": {"key": "bm25"}, "per_query": "x"}]}',
                b'{"unknown": 1}',
            )
        ),
    ],
)
def test_a_damaged_recipe_is_a_user_error(text):
    with pytest.raises(UserError):
        decode_recipe(text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_decoder(text):
    for candidate in (text, "z." + text):
        try:
            decode_recipe(candidate)
        except UserError:
            pass


@pytest.mark.parametrize("value", [0, -3, 12, 0.05, 1e-7, True, False, "bread & butter", (1, 50), (0.1, 0.9)])
def test_values_survive_the_link(value):
    assert from_text(to_text(value), type(value), value, None, None, None) == value


@pytest.mark.parametrize(
    ("text", "kind", "options", "ge", "le"),
    [
        ("x", int, None, None, None),
        ("0", int, None, 1, None),
        ("9", int, None, None, 8),
        ("maybe", bool, None, None, None),
        ("nan", float, None, None, None),
        ("c", str, ["a", "b"], None, None),
        ("a,c", list, ["a", "b"], None, None),
    ],
)
def test_bad_values_are_refused(text, kind, options, ge, le):
    with pytest.raises(ParameterError):
        from_text(text, kind, None, options, ge, le)


@pytest.mark.parametrize("text", ["1", "5~1", "a~b", "1~2~3"])
def test_bad_pairs_are_refused(text):
    with pytest.raises(ParameterError):
        from_text(text, tuple, (1, 5), None, None, None)


def bound_page():
    import streamlit as st

    from pages.ui.links import Link

    link = Link("corpus", st.warning)
    split = link.bind(st.selectbox, "split", "Split", options=["test", "train"])
    words = link.bind(st.text_input, "find", "Find", default="", resets=("page",))
    k = link.bind(st.number_input, "k", "k", default=10, ge=1, le=100)
    band = link.bind(st.slider, "band", "Band", default=(0, 10), ge=0, le=20)
    some = link.bind(st.multiselect, "some", "Some", options=["a", "b", "c"], default=[])
    is_on = link.bind(st.toggle, "on", "On", default=False)
    page = link.value("page", 1, ge=1)
    st.session_state["seen"] = [split, words, k, list(band), some, is_on, page]
    st.session_state["shared"] = [link.corpus, link.trial, link.trials, link.query, link.refresh]
    st.session_state["params"] = link.params(trial="t2", query=None)


def run_bound(**params: str) -> AppTest:
    at = AppTest.from_function(bound_page, default_timeout=30)
    for name, value in params.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def test_bound_widgets_start_from_the_link():
    at = run_bound(split="train", find="slug", k="7", band="3~5", some="a,c", on="true", page="4")
    assert at.session_state["seen"] == ["train", "slug", 7, [3, 5], ["a", "c"], True, 4]
    assert not at.warning


def test_bound_widgets_write_back_and_reset():
    at = run_bound(page="4", k="7")
    at.selectbox[0].set_value("train")
    at.text_input[0].set_value("slug")
    at.multiselect[0].set_value(["b"])
    at.slider[0].set_value((2, 4))
    at.toggle[0].set_value(True)
    at.run()
    at.number_input[0].set_value(10)
    at.run()
    assert not at.exception
    assert at.query_params == {"split": "train", "find": "slug", "some": "b", "band": "2~4", "on": "true"}
    assert at.session_state["seen"] == ["train", "slug", 10, [2, 4], ["b"], True, 1]


def test_the_link_moves_a_drawn_widget():
    at = run_bound(split="train")
    at.query_params["split"] = "test"
    at.run()
    assert at.session_state["seen"][0] == "test" and at.selectbox[0].value == "test"


@pytest.mark.parametrize(
    "bad",
    [
        {"split": "dev"},
        {"k": "0"},
        {"k": "1e9"},
        {"band": "9"},
        {"some": "a,z"},
        {"on": "perhaps"},
        {"page": "-1"},
        {"corpus": "../../etc/passwd"},
        {"corpus": "sample:"},
        {"trial": "a/b"},
        {"trials": "a,b/c"},
        {"refresh": "x"},
    ],
)
def test_a_bad_value_is_dropped_with_a_notice(bad):
    at = run_bound(**bad)
    good = run_bound()
    assert len(at.warning) == 1
    assert at.session_state["seen"] == good.session_state["seen"]
    assert "passwd" not in str(at.query_params)


def test_shared_state_is_read_and_kept_in_links():
    at = run_bound(corpus="sample:lab", trial="t1", trials="t1,t2,t1", query="q 1", refresh="2", find="x")
    assert at.session_state["shared"] == ["sample:lab", "t1", ["t1", "t2"], "q 1", 2]
    # find belongs to this page alone; what is None is dropped
    assert at.session_state["params"] == {
        "corpus": "sample:lab",
        "trial": "t2",
        "trials": "t1,t2,t1",
        "refresh": "2",
    }


def arriving_page():
    import streamlit as st

    from pages.ui.links import Link

    page = st.session_state.get("go_to", "corpus")
    link = Link(page, st.warning)
    link.recall()
    st.session_state["corpus"] = link.corpus
    link.remember()


def test_a_visit_without_state_gets_what_the_last_page_shared():
    at = AppTest.from_function(arriving_page)
    at.query_params["corpus"] = "sample:lab"
    at.query_params["find"] = "x"
    at.run()
    at.session_state["go_to"] = "train"
    at.query_params.clear()
    at.run()
    assert at.session_state["corpus"] == "sample:lab" and "find" not in at.query_params
    at.query_params.clear()
    at.query_params["corpus"] = ""
    at.session_state["go_to"] = "map"
    at.run()
    assert at.session_state["corpus"] is None


def test_the_way_back_to_an_address_without_state_is_not_written_again():
    at = AppTest.from_function(arriving_page)
    at.query_params["corpus"] = "sample:lab"
    at.run()
    at.query_params.clear()
    at.run()
    assert at.session_state["corpus"] == "sample:lab" and not at.query_params


def changing_page():
    import streamlit as st

    from pages.ui.links import Link

    link = Link("corpus", st.warning)
    link.recall()
    link.set(find="x")


def test_a_change_after_recalling_keeps_what_was_recalled():
    at = AppTest.from_function(changing_page)
    at.session_state["_page"] = "corpus"
    at.session_state["_link_memory"] = {"corpus": "sample:lab"}
    at.run()
    assert at.query_params == {"corpus": "sample:lab", "find": "x"}


def two_alike():
    import streamlit as st

    from pages.ui.links import Link

    link = Link("train", lambda sentence: None)
    names = {"20261121-aaaaaa": "ANCE", "20261121-bbbbbb": "ANCE", "20261121-cccccc": "BM25"}
    found = link.bind(st.multiselect, "trials", "Trials", options=list(names), default=list(names), format_func=names.get)
    st.markdown(",".join(found))


def test_options_that_are_called_the_same_are_not_taken_for_one_another():
    at = AppTest.from_function(two_alike).run()
    assert not at.exception and at.markdown[0].value == "20261121-aaaaaa,20261121-bbbbbb,20261121-cccccc"
    at.multiselect[0].set_value(["20261121-bbbbbb", "20261121-cccccc"]).run()
    assert not at.exception and at.markdown[0].value == "20261121-bbbbbb,20261121-cccccc"
