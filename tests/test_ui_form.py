"""Forms from classes: every registered piece goes through its form unchanged, and changes come back."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from core.encode.encoders import ENCODERS
from core.sampling.recipe import FAMILIES

PIECES = [piece for family in FAMILIES.values() for piece in family] + list(ENCODERS)


def all_forms():
    import streamlit as st

    from pages.ui import describe_piece, piece_form
    from tests.test_ui_form import PIECES

    for cls in PIECES:
        describe_piece(cls)
        if piece_form(cls(), "all") != cls():
            st.error(cls.__name__)


def test_every_piece_goes_through_its_form_and_card():
    at = AppTest.from_function(all_forms, default_timeout=60).run()
    assert not at.exception and not at.error
    shown = " ".join(m.value for m in at.markdown)
    assert all(word in shown for word in ("Rank window", "InfoNCE"))
    n_params = sum(len(cls.params()) for cls in PIECES)
    assert (
        len(at.number_input) + len(at.toggle) + len(at.selectbox) + len(at.text_input) + len(at.button_group)
        == n_params
    )


def window_form():
    import streamlit as st

    from core.sampling.windows import RankWindow
    from pages.ui import piece_form

    given = st.session_state.setdefault("given", {"first": 1, "last": 50})
    piece = piece_form(RankWindow(**given), "one")
    st.session_state["given"] = {"first": piece.first, "last": piece.last}


def test_a_change_comes_back_and_stays():
    at = AppTest.from_function(window_form).run()
    at.number_input[1].set_value(80).run()
    assert at.session_state["given"] == {"first": 1, "last": 80}
    at.run()
    assert at.number_input[1].value == 80


def test_a_change_from_elsewhere_sets_the_widgets_even_back_to_the_start():
    at = AppTest.from_function(window_form).run()
    at.number_input[1].set_value(80).run()
    at.session_state["given"] = {"first": 1, "last": 50}
    at.run()
    assert at.number_input[1].value == 50 and at.session_state["given"]["last"] == 50


def test_a_refused_pair_is_shown_and_the_old_piece_comes_back():
    at = AppTest.from_function(window_form).run()
    at.number_input[0].set_value(60).run()
    assert not at.exception
    assert len(at.error) == 1 and "RankWindow" in at.error[0].value
    assert at.session_state["given"] == {"first": 1, "last": 50}
    # the refused value stays in its box, so that the other end can be moved too
    at.number_input[1].set_value(90).run()
    assert not at.error and at.session_state["given"] == {"first": 60, "last": 90}


@pytest.mark.parametrize("cls", PIECES, ids=lambda cls: cls.__name__)
def test_bounds_and_steps_of_numbers_fit_their_defaults(cls):
    from pages.ui.form import _step

    for spec in cls.params():
        if spec.type is float:
            assert 0 < _step(spec) <= max(1.0, abs(spec.default))
