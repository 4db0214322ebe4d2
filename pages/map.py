"""The map: queries, positives, negatives and suspects in the plane, from snapshot to snapshot."""

import streamlit as st

from pages.ui import draw, frame, selected_ids
from pages.ui.map_chart import map_figure
from pages.ui.map_data import places_of, trust, view_of
from pages.ui.map_pick import picked
from pages.ui.map_query import chosen_query, query_picker
from pages.ui.map_side import neighbour_table, query_card, trust_line
from pages.ui.map_trial import chosen_trial, opened, trial_switch, watch_snapshots

POINTS = (500, 1500, 3000)
HEIGHT = 570
POINTERS = {"click": ":material/ads_click: Click and pan", "lasso": ":material/lasso_select: Lasso"}

with frame("Map", has_title=False) as session:
    link = session.link
    row = chosen_trial(session)
    trial = opened(session, row) if row else None
    if trial:
        corpus = trial.corpus
        title, trials, snapshots, points = st.columns([1.35, 2.5, 2.7, 2.8], gap="medium", vertical_alignment="bottom")
        title.title("Map", anchor=False)
        with trials:
            trial_switch(session, row)
        with snapshots:
            step = trial.steps[-1]
            if len(trial.steps) > 1:
                step = link.bind(
                    st.select_slider,
                    "step",
                    "Snapshot",
                    options=trial.steps,
                    default=step,
                    format_func=trial.labels.get,
                    help="The model at that moment of the training, and the negatives that it had mined by then.",
                )
        with points:
            n_points = link.bind(
                st.segmented_control,
                "points",
                "Documents",
                options=POINTS,
                default=POINTS[1],
                format_func="{:,}".format,
                help="Drawn at most: what the queries are trained with first, then a uniform sample of the others.",
            )
        query_row = chosen_query(session, trial)
        query_picker(session, trial, query_row, step, n_points)
        watch_snapshots(session, row, len(trial.steps))
        if not trial.mines:
            st.info(
                "This recipe mines no negatives: inside each batch, the other queries' positives serve as negatives. "
                "So no crosses are drawn; what is drawn are queries, positives and background.",
                icon=":material/info:",
            )
        view = view_of(trial, step, query_row, n_points)
        plane, side = st.columns([1.9, 1], gap="medium")
        with side:
            query_card(view)
            neighbour_table(link, view, trial.steps[0])
        ringed = link.value("doc", "")
        # The ring stays as it was drawn first: another figure would throw the selection away.
        drawn = f"{trial.id} {step} {query_row} {n_points}"
        if session.state.setdefault("map.drawn", [drawn, ringed])[0] != drawn:
            session.state["map.drawn"] = [drawn, ringed]
        ring = int(corpus.doc_rows([session.state["map.drawn"][1]])[0])
        with plane:
            pointer = link.bind(
                st.segmented_control,
                "pointer",
                "Pointer",
                options=list(POINTERS),
                format_func=POINTERS.get,
                label_visibility="collapsed",
            )
            waiting = st.empty()

            def report(done: int, of: int) -> None:
                text = f"Laying out snapshot {done + 1} of {of}; kept for the next time ..."
                waiting.progress(done / of, text=text)

            places = places_of(view, session.workspace.cache / "layouts", report)
            waiting.empty()
            figure = map_figure(view, places, height=HEIGHT, doc_row=ring, pointer=pointer)
            event = draw(figure, key="map.plane", on_select="rerun", selection_mode=("points", "box", "lasso"))
            with st.container(gap="xsmall"):
                trust_line(*trust(view, places[step]), len(places[step]))
        picked(session, row, view, selected_ids(event))

    from core.project.umap_map import warm_in_background

    # Last, when the page is out: a first map must not wait for the compiler.
    warm_in_background()
