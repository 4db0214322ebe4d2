"""The entry point: navigation only. Every page brings its own frame (see pages/ui)."""

from pages.ui.site import navigate

navigate().run()
