"""The one thing that pyproject.toml cannot say: the wheel carries .streamlit/config.toml beside app.py.

Streamlit reads the settings that stand beside the main script; without them an installed product would lose its theme and
switch Streamlit's usage statistics on.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SETTINGS = Path(".streamlit") / "config.toml"


class BuildWithSettings(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / SETTINGS
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(__file__).parent / SETTINGS, target)


setup(cmdclass={"build_py": BuildWithSettings})
