"""The workspace: one folder with one SQLite database, the only state there is.

Deleting the folder forgets everything; copying it moves everything. No torch: the dashboard opens it too. Others import
`Workspace` from here, and where they read or write evidence, rows and digests.
"""

from core.workspace.folder import DATABASE, DEFAULT_WORKSPACE, Workspace
from core.workspace.rows import seal
from core.workspace.schema import COLUMNS, LABELLED, PACKED, PAGE_BYTES, SEALED, SEALS, STEPS, VERSION, columns_of

__all__ = [
    "COLUMNS", "DATABASE", "DEFAULT_WORKSPACE", "LABELLED", "PACKED", "PAGE_BYTES", "SEALED", "SEALS", "STEPS",
    "VERSION", "Workspace", "columns_of", "seal",
]  # fmt: skip
