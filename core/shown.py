"""What notebooks ask of a report: to be drawn, and to be a table of pandas."""

import importlib
from typing import Any

# It draws what stands below it, which therefore cannot import it; it is named, as `core` names what it offers.
DRAWS = "core.reports.notebook"


class Shown:
    """A value that a notebook draws where its name stands at the end of a cell."""

    def _repr_html_(self) -> str:
        html: str = importlib.import_module(DRAWS).html(self)
        return html

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` of it, a cell, a line or a pair a row; what was not measured is missing, never 0.

        Raises:
            SecateurError: pandas is not installed.
        """
        return importlib.import_module(DRAWS).frame(self)
