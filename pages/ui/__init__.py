"""What all pages share. Import what you need from this package; nothing here imports torch, umap or a page.

A page is thin::

    from pages.ui import charts, frame, page_button
    with frame("Train", intro="One sentence.") as session:
        corpus = session.need_corpus()            # Corpus of the link, or the way to choose one
        split = session.link.bind(st.selectbox, "split", "Split", options=["test", "train"])
        charts_figure = charts.curves([("in-batch", steps, rr10)], "step", "RR@10", {"BM25": .61})
        draw(charts_figure, key="curve")

frame(title, *, page=None, intro="", has_title=True) -> session
    Page configuration, navigation (also for a deep link on a fresh server), errors. A ``UserError`` raised
    inside becomes one sentence, anything else a visible bug. ``session``: ``.workspace .store .scheduler``
    (once per server), ``.corpus(spec=None)``, ``.need_corpus()``, ``.need_trial()``, ``.spec_of(corpus link)``
    (for TrialConfig.corpus), ``.owner``, ``.state`` (plain data only), ``.link``.
session.link (links.py): state <-> address; reading is checked and never raises
    ``.corpus .trial .trials .query .recipe .refresh`` (None or [] when absent), ``.value(name, default,
    options=, ge=, le=, kind=)``, ``.set(name=value)`` (None removes; recipe=Recipe), ``.forget(*names)``,
    ``.bind(st.WIDGET, name, label, options=, default=, ge=, le=, resets=[...])`` - a widget whose truth is the
    address. Do not give such a widget ``key``, ``value``, ``index`` or ``on_change``; not inside st.form.
page_link(page, label, **state), page_button(label, page, key=, **state), go(page, **state), address(page, **state)
    To another page ("corpus", "recipe", "train", "map", "negatives", "compare", "home") with the state kept and
    changed: ``trial=...``, ``recipe=Recipe or preset name``, None drops.
piece_form(piece, prefix) -> piece, params_form, describe_piece(cls, because=""), card(...)   (form.py)
    Pass back what piece_form returned on the next run.
charts.curves / histogram / funnel / scatter_map(Dots...) / bars_with_bands / differences, and
    draw(figure, key=, on_select=), selected_ids(event), ROLE, trial_look(i)                  (charts.py, looks.py)
plain(text), code(id) for Markdown places; show(text, terms) draws a corpus text as it is, terms marked (text.py)
live(every_s, while_=...) decorator: a part that redraws itself while something runs          (live.py)
tiles({label: value}), ago(seconds), state_badge(state), empty(sentence, label, page, icon=)  (bits.py, frame.py)
"""

from pages.ui import charts
from pages.ui.bits import ago, duration, state_badge, tiles
from pages.ui.form import card, describe_piece, params_form, piece_form
from pages.ui.frame import Session, empty, frame
from pages.ui.links import Link
from pages.ui.live import live
from pages.ui.looks import ROLE, draw, selected_ids, trial_look
from pages.ui.problems import problems_shown
from pages.ui.text import code, highlight, plain, shorten, show
from pages.ui.travel import address, go, page_button, page_link

__all__ = [
    "ROLE",
    "Link",
    "Session",
    "address",
    "ago",
    "card",
    "charts",
    "code",
    "describe_piece",
    "draw",
    "duration",
    "empty",
    "frame",
    "go",
    "highlight",
    "live",
    "page_button",
    "page_link",
    "params_form",
    "piece_form",
    "plain",
    "problems_shown",
    "selected_ids",
    "shorten",
    "show",
    "state_badge",
    "tiles",
    "trial_look",
]
