"""What the encoder made of the images of a table's rows.

Letters of shapes: N rows, D embedding and T trunk dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.encoders.base import FloatArray


@dataclass(frozen=True)
class RowFeatures:
    """Embeddings and trunk features of N rows; arrays may be memory-mapped.

    Attributes:
        embedding: (N, D) float32 unit norm.
        trunk: (N, T) float32.
        ok: (N,) whether the row has an image.
    """

    embedding: FloatArray
    trunk: FloatArray
    ok: npt.NDArray[np.bool_]
