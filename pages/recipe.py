"""A recipe: chosen from the gallery, composed from pieces, and previewed on the corpus before training."""

import streamlit as st

from core.sampling.presets import PRESETS, name_of
from pages.ui import frame, page_button, plain
from pages.ui.recipe_checks import obstacles, warnings
from pages.ui.recipe_compose import compose
from pages.ui.recipe_gallery import gallery, start_at_the_top
from pages.ui.recipe_pairs import draw_pairs, draw_written
from pages.ui.recipe_pieces import encoder_of, encoder_text
from pages.ui.recipe_preview import draw_preview
from pages.ui.taxonomy_view import taxonomy
from pages.ui.train_submit import queue_trials, tell_queued

FIRST = PRESETS["ance"].recipe
VIEWS = {
    "gallery": ":material/grid_view: Gallery",
    "taxonomy": ":material/bubble_chart: Map of techniques",
    "compose": ":material/tune: Compose and preview",
}

with frame("Recipe", has_title=False) as session:
    corpus = session.need_corpus()
    link = session.link
    start_at_the_top()
    recipe = link.recipe or FIRST
    finished = {row.id: row for row in session.store.list(states=("finished",), fingerprint=corpus.fingerprint)}

    heading, actions = st.columns([3, 2], vertical_alignment="center")
    heading_place, actions_place, views = heading.container(), actions.container(), st.container()
    with views:
        view = link.bind(
            st.segmented_control,
            "view",
            "View",
            options=list(VIEWS),
            default="gallery" if link.recipe is None else "compose",
            format_func=VIEWS.get,
            label_visibility="collapsed",
        )
    if view == "gallery":
        gallery(link, link.recipe)
    elif view == "taxonomy":
        taxonomy(session, corpus, encoder_of(link))
    else:
        with st.expander("Pieces", icon=":material/tune:", expanded=True):
            recipe = compose(session, recipe, {row.id: row.name for row in finished.values()})

    encoder = encoder_of(link)
    stops = obstacles(recipe, encoder, corpus)
    title = name_of(recipe)
    with heading_place:
        if view == "taxonomy":
            st.title("Map of techniques", anchor=False)
            st.caption("Every technique by family: what it achieves and costs on this corpus, and how much code it takes.")
        elif view == "gallery" and link.recipe is None:
            st.title("Choose a recipe", anchor=False)
            st.caption("Where should the negatives come from? Each card is a strategy of the literature, "
                       f"made of pieces that you can change. Without a choice: {plain(title)}.")  # fmt: skip
        else:
            st.title("Your own recipe" if title == "custom" else plain(title), anchor=False)
            st.caption(plain(recipe.summary()))
    if view != "taxonomy":
        with actions_place.container(horizontal=True, horizontal_alignment="right"):
            if st.button(
                "Add to queue",
                icon=":material/playlist_add:",
                disabled=bool(stops),
                help="Queue it now with the default settings and stay here.",
            ):
                tell_queued(session, queue_trials(session, corpus, [recipe], encoder))
            page_button(
                "Train this",
                "train",
                key="train",
                icon=":material/arrow_forward:",
                disabled=bool(stops),
                help="To the settings; nothing starts yet.",
                recipe=recipe,
                recipes=None,
                queue=True,
                encoder=encoder_text(encoder),
            )
        for sentence in stops:
            st.error(plain(sentence), icon=":material/block:")
    if view == "compose":
        for sentence in warnings(recipe, corpus):
            st.warning(plain(sentence), icon=":material/warning:")
        if recipe.positives.key != "labelled" and not recipe.positives.lacks(corpus):
            draw_pairs(session, corpus, recipe.positives)
        if recipe.written.gives_negatives and not (recipe.written.lacks(corpus) or recipe.misfit()):
            draw_written(session, corpus, recipe.written)
        if not recipe.positives.makes_queries and not any("qrels/train" in sentence for sentence in stops):
            draw_preview(session, corpus, recipe, encoder, finished)
