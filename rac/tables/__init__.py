"""Tables of items with images: read as a stream, written again in the format they came in."""

from __future__ import annotations

from rac.tables.columns import Columns
from rac.tables.folders import replace_folder
from rac.tables.open import open_table
from rac.tables.table import Item, Table
from rac.tables.write import write_like

__all__ = ["Columns", "Item", "Table", "open_table", "replace_folder", "write_like"]
